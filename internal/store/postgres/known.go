package postgres

import (
	"hash/maphash"
	"sync"

	"github.com/carnetproject/carnet/internal/chat"
)

const (
	maxKnown = 1 << 14 // conversations of a generation; there are two
	maxIDs   = 128     // of a conversation: longer ones are not remembered
)

// known remembers the ids of conversations' messages, so that the store need not be asked
// whether it has one that is new. It knows conversations whose every message was written
// through it, each with the number of its newest: as long as the store has the same number,
// nobody else has added to it. Safe for concurrent use; a nil one knows nothing.
type known struct {
	seed maphash.Seed

	mu         sync.Mutex
	young, old map[chat.ID]*ids
}

// ids are those of all messages of a conversation up to a number.
type ids struct {
	last   int64
	hashes []uint32
}

func newKnown() *known {
	return &known{seed: maphash.MakeSeed(), young: map[chat.ID]*ids{}}
}

func (k *known) hash(id string) uint32 { return uint32(maphash.String(k.seed, id)) }

// lacks is true if the conversation had no message of the drafts' ids when its newest one
// had the number last.
func (k *known) lacks(of chat.ID, drafts []chat.Draft) (last int64, sure bool) {
	if k == nil {
		return 0, false
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	c := k.find(of)
	if c == nil {
		return 0, false
	}
	for _, d := range drafts {
		want := k.hash(d.ID)
		for _, h := range c.hashes {
			if h == want {
				return 0, false
			}
		}
	}
	return c.last, true
}

// note takes down that these are the messages after the number before, up to last.
func (k *known) note(of chat.ID, before, last int64, added []chat.Message) {
	k.mu.Lock()
	defer k.mu.Unlock()
	c := k.find(of)
	if c == nil && before == 0 {
		c = &ids{}
		k.keep(of, c)
	}
	switch {
	case c == nil:
	case c.last != before || len(c.hashes)+len(added) > maxIDs:
		k.forget(of)
	default:
		for _, m := range added {
			c.hashes = append(c.hashes, k.hash(m.ID))
		}
		c.last = last
	}
}

// find keeps what is asked for among the young.
func (k *known) find(of chat.ID) *ids {
	c := k.young[of]
	if c == nil {
		if c = k.old[of]; c != nil {
			k.keep(of, c)
		}
	}
	return c
}

// keep has one more young, and forgets the old when the young are many.
func (k *known) keep(of chat.ID, c *ids) {
	if len(k.young) == maxKnown {
		k.young, k.old = map[chat.ID]*ids{}, k.young
	}
	k.young[of] = c
}

func (k *known) forget(of chat.ID) {
	delete(k.young, of)
	delete(k.old, of)
}
