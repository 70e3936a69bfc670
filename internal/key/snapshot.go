package key

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"sort"
	"sync/atomic"
	"time"

	"github.com/carnetproject/carnet/internal/jose"
)

// snapshot is what a ring knows at one time. It does not change; what it answers
// does, with the clock.
type snapshot struct {
	base uint64      // generation before the first of ends
	ends []time.Time // when keys leave their sets by themselves, in order
	keys []Key       // of all sets, in order
	sets map[SetName]*set

	unopened error // why keys that should sign do not; nil: all do
}

type set struct {
	keys     []Key
	signers  map[string]signer // by kid; none on a node that does not sign
	document atomic.Pointer[document]
}

// document is a set's JWKS after so many of the snapshot's ends.
type document struct {
	ended int
	json  []byte
}

func newSnapshot(keys []Key) *snapshot {
	s := &snapshot{keys: keys, sets: map[SetName]*set{}}
	for _, k := range keys {
		if s.sets[k.Set] == nil {
			s.sets[k.Set] = &set{signers: map[string]signer{}}
		}
		s.sets[k.Set].keys = append(s.sets[k.Set].keys, k)
		for _, end := range []time.Time{k.Expire, k.Revoked} {
			if !end.IsZero() {
				s.ends = append(s.ends, end)
			}
		}
	}
	slices.SortFunc(s.ends, time.Time.Compare)
	return s
}

// ended counts the ends that now has reached.
func (s *snapshot) ended(now time.Time) int {
	return sort.Search(len(s.ends), func(i int) bool { return s.ends[i].After(now) })
}

func (s *snapshot) jwks(name SetName, now time.Time) ([]byte, error) {
	from, ended := s.sets[name], s.ended(now)
	if from == nil {
		from = &set{} // configured, but without a key yet
	}
	if d := from.document.Load(); d != nil && d.ended == ended {
		return d.json, nil
	}
	keys, err := jose.NewSet(from.published(now)...)
	if err != nil {
		return nil, err
	}
	json, err := keys.MarshalJSON()
	if err != nil {
		return nil, err
	}
	from.document.Store(&document{ended, json})
	return json, nil
}

func (s *set) published(now time.Time) []*jose.Key {
	var keys []*jose.Key
	for i := range s.keys {
		if s.keys[i].State(now) <= Retiring {
			keys = append(keys, s.keys[i].Public)
		}
	}
	return keys
}

// draw returns one of the n keys of the algorithm that began to sign last and can be
// opened, each as likely as the others, nil if none signs at now.
func (s *set) draw(alg jose.Algorithm, n int, now time.Time) signer {
	var room [16]*Key
	active := room[:0]
	for i := range s.keys {
		k := &s.keys[i]
		if k.Public.Algorithm() == alg && k.State(now) == Active && s.signers[k.Public.ID()] != nil {
			active = append(active, k)
		}
	}
	if len(active) == 0 {
		return nil
	}
	slices.SortFunc(active, newestFirst)
	drawn := active[rand.IntN(min(n, len(active)))]
	return s.signers[drawn.Public.ID()]
}

// newestFirst compares keys by when they begin to sign, the same on every node.
func newestFirst(a, b *Key) int {
	return -cmp.Or(a.Active.Compare(b.Active), a.Created.Compare(b.Created), compareKids(a, b))
}

// inOrder compares by set, then by age.
func inOrder(a, b Key) int {
	return cmp.Or(cmp.Compare(a.Set, b.Set), a.Created.Compare(b.Created), compareKids(&a, &b))
}

// compareKids puts key2 before key10.
func compareKids(a, b *Key) int {
	x, y := a.Public.ID(), b.Public.ID()
	return cmp.Or(cmp.Compare(len(x), len(y)), cmp.Compare(x, y))
}

// Equal tells whether two are the same, with the same times.
func (k Key) Equal(other Key) bool {
	a, b := &k, &other
	return a.Set == b.Set && a.Public.ID() == b.Public.ID() && a.Public.Equal(b.Public) && a.Sealed == b.Sealed &&
		a.Created.Equal(b.Created) && a.Active.Equal(b.Active) && a.Retire.Equal(b.Retire) &&
		a.Expire.Equal(b.Expire) && a.Revoked.Equal(b.Revoked)
}
