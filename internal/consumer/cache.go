package consumer

import (
	"hash/maphash"
	"strings"
	"sync"
	"sync/atomic"
)

// cache keeps values by text in bounded memory. When it is full, those leave that
// were not asked for lately (CLOCK). Safe for concurrent use; a find does not allocate.
type cache[V any] struct {
	seed   maphash.Seed // secret, so that nobody can aim at a shard
	limit  int64
	size   atomic.Int64
	hand   atomic.Uint32
	gone   func(V) // called with each value that leaves, under no lock
	shards [shards]shard[V]
}

const shards = 64

// shard is what one lock guards.
type shard[V any] struct {
	mu    sync.RWMutex
	slots map[string]*slot[V]
	ring  []*slot[V] // in no order
	hand  int
}

type slot[V any] struct {
	key   string
	value V
	bytes int64
	at    int         // in the ring
	used  atomic.Bool // since the hand last passed
}

// slotBytes is what an entry takes besides its key and value: its slot, its places in
// the map and the ring, and what these keep free.
const slotBytes = 144

func newCache[V any](limit int64, gone func(V)) *cache[V] {
	c := &cache[V]{seed: maphash.MakeSeed(), limit: limit, gone: gone}
	for i := range c.shards {
		c.shards[i].slots = map[string]*slot[V]{}
	}
	return c
}

func (c *cache[V]) shard(key string) *shard[V] {
	return &c.shards[maphash.String(c.seed, key)%shards]
}

func (c *cache[V]) find(key string) (value V, ok bool) {
	s := c.shard(key)
	s.mu.RLock()
	defer s.mu.RUnlock()
	e := s.slots[key]
	if e == nil {
		return value, false
	}
	if !e.used.Load() {
		e.used.Store(true)
	}
	return e.value, true
}

// put keeps value, which takes that many bytes, in place of what key has now. It is
// gone at once if it is larger than the whole cache.
func (c *cache[V]) put(key string, value V, bytes int64) {
	e := &slot[V]{key: strings.Clone(key), value: value, bytes: bytes + int64(len(key)) + slotBytes}
	if e.bytes > c.limit {
		c.drop(key)
		c.gone(value)
		return
	}
	s := c.shard(key)
	s.mu.Lock()
	old := s.slots[key]
	if old != nil {
		s.remove(old)
	}
	s.slots[e.key] = e
	e.at = len(s.ring)
	s.ring = append(s.ring, e)
	s.mu.Unlock()
	c.size.Add(e.bytes)
	c.left(old)
	c.shrink(s)
}

// drop forgets key.
func (c *cache[V]) drop(key string) {
	s := c.shard(key)
	s.mu.Lock()
	e := s.slots[key]
	if e != nil {
		s.remove(e)
	}
	s.mu.Unlock()
	c.left(e)
}

// clear forgets everything.
func (c *cache[V]) clear() {
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		all := s.ring
		s.ring, s.slots, s.hand = nil, map[string]*slot[V]{}, 0
		s.mu.Unlock()
		for _, e := range all {
			c.left(e)
		}
	}
}

// charge counts bytes, negative ones to give back, that belong to no entry alone.
func (c *cache[V]) charge(bytes int64) { c.size.Add(bytes) }

// shrink makes entries leave until the rest fits: of the shard that has just grown, so
// that all stay alike, or else of others. Two rounds find one, if there is any.
func (c *cache[V]) shrink(grown *shard[V]) {
	for vain := 0; c.size.Load() > c.limit && vain < 2*shards; {
		s, spare := grown, 1
		if vain > 0 {
			s, spare = &c.shards[c.hand.Add(1)%shards], 0
		}
		s.mu.Lock()
		e := s.evict(spare)
		s.mu.Unlock()
		c.left(e)
		if vain++; e != nil {
			vain = 0
		}
	}
}

// left accounts for an entry that was removed; nil is none.
func (c *cache[V]) left(e *slot[V]) {
	if e != nil {
		c.size.Add(-e.bytes)
		c.gone(e.value)
	}
}

// evict removes an entry that was not used since the hand last passed; nil if all were,
// or if there are no more than it has to spare.
func (s *shard[V]) evict(spare int) *slot[V] {
	if len(s.ring) <= spare {
		return nil
	}
	for range s.ring {
		s.hand %= len(s.ring)
		e := s.ring[s.hand]
		s.hand++ // past the last, too, which takes the place of what is removed: it is the newest
		if !e.used.CompareAndSwap(true, false) {
			s.remove(e)
			return e
		}
	}
	return nil
}

// remove takes e out. The last of the ring takes its place.
func (s *shard[V]) remove(e *slot[V]) {
	delete(s.slots, e.key)
	last := len(s.ring) - 1
	s.ring[e.at] = s.ring[last]
	s.ring[e.at].at = e.at
	s.ring[last] = nil
	s.ring = s.ring[:last]
}
