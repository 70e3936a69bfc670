package consumer

import (
	"sync"
	"sync/atomic"
	"time"
	"unsafe"
)

// book has one holder for each consumer that something in memory refers to.
type book struct {
	mu    sync.Mutex
	byID  map[string]*holder
	epoch uint64         // moves with each change of any consumer
	grow  func(by int64) // accounts for the memory of the holders
}

// holder is a consumer as all its credentials in memory share it, so that a change of
// the consumer reaches millions of them at once.
type holder struct {
	id    string
	state atomic.Pointer[state] // nil: it must be read again
	trace atomic.Pointer[trace] // of its use; nil: none since the last flush

	refs  int   // those in the caches; of the book's lock
	bytes int64 // of the book's lock
}

// state is a consumer at one moment. Ends is when it is decommissioned.
type state struct {
	*Consumer
	ends time.Time
}

// now is the consumer, nil if it is decommissioned.
func (s *state) now(clock func() time.Time) *Consumer {
	if !s.ends.IsZero() && !clock().Before(s.ends) {
		return nil
	}
	return s.Consumer
}

func newState(i *Info) *state {
	c := &Consumer{ID: i.ID, Username: i.Username, CustomID: i.CustomID}
	for _, g := range i.Groups {
		c.Groups = append(c.Groups, g.Name)
	}
	return &state{c, i.Ends}
}

// bytes is what a holder with this state takes.
func (s *state) bytes() int64 {
	n := int(unsafe.Sizeof(holder{})+unsafe.Sizeof(*s)+unsafe.Sizeof(*s.Consumer)) +
		2*len(s.ID) + len(s.Username) + len(s.CustomID)
	for _, g := range s.Groups {
		n += len(g) + int(unsafe.Sizeof(g))
	}
	return int64(n + n/4) // the place in the book, and what the allocator rounds up
}

// now is the epoch, to be taken before a consumer is read.
func (b *book) now() uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.epoch
}

// hold returns the holder of a consumer that was read since the epoch began; whoever
// gets it gives it back with release. It is nil if what was read may be outdated.
func (b *book) hold(i *Info, epoch uint64) *holder {
	b.mu.Lock()
	defer b.mu.Unlock()
	h := b.byID[i.ID]
	if h == nil || h.state.Load() == nil {
		if b.epoch != epoch {
			return nil
		}
		if h == nil {
			h = &holder{id: i.ID}
			if b.byID == nil {
				b.byID = map[string]*holder{}
			}
			b.byID[i.ID] = h
		}
		b.set(h, newState(i))
	}
	h.refs++
	return h
}

// again holds h once more, unless nothing did any longer.
func (b *book) again(h *holder) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.byID[h.id] != h {
		return false
	}
	h.refs++
	return true
}

func (b *book) release(h *holder) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if h.refs--; h.refs == 0 {
		delete(b.byID, h.id)
		b.grow(-h.bytes)
	}
}

// changed begins an epoch, since the consumer of that id has changed, and tells
// whether anything refers to it.
func (b *book) changed(id string) (held bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.epoch++
	return b.byID[id] != nil
}

// replace gives the holder of id, if there is one, its new state.
func (b *book) replace(id string, s *state) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if h := b.byID[id]; h != nil {
		b.set(h, s)
	}
}

func (b *book) set(h *holder, s *state) {
	h.state.Store(s)
	if s == nil {
		return
	}
	b.grow(s.bytes() - h.bytes)
	h.bytes = s.bytes()
}

// forget begins an epoch in which every consumer must be read again.
func (b *book) forget() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.epoch++
	for _, h := range b.byID {
		h.state.Store(nil)
	}
}
