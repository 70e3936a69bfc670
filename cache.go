package carnet

import (
	"hash/maphash"
	"math/bits"
	"strings"
	"sync/atomic"
	"unsafe"
)

// Cache remembers tokens that were verified, never ones that were refused. It takes
// at most the bytes it was made with. Verifiers may share one: an entry serves only
// the verifier that made it. A nil Cache remembers nothing. Safe for concurrent use;
// a hit takes no lock and does not allocate.
type Cache struct {
	seed  maphash.Seed // secret, so that nobody can aim at a slot
	slots []atomic.Pointer[entry]
	limit int64

	size         atomic.Int64
	hand         atomic.Uint64 // where eviction goes on
	hits, misses atomic.Uint64
}

const (
	ways     = 4 // how many slots a token may stand in
	slotSize = int64(unsafe.Sizeof(atomic.Pointer[entry]{}))
)

// entry is a verified token with what is needed to trust it again.
type entry struct {
	Verified
	token string // all of it: a hash alone would let a collision in
	kid   string // as the token says it
	hash  uint64
	by    *Verifier

	generation atomic.Uint64 // of the keys, when the key was last found
	epoch      atomic.Uint64 // of the revocations, when they were last asked
	asked      atomic.Bool   // whether they were, ever
	used       atomic.Bool   // since the hand last passed
}

func newEntry(v *Verifier, token string, t Verified) *entry {
	return &entry{Verified: t, token: strings.Clone(token), by: v}
}

// bytes is what the entry takes in memory.
func (e *entry) bytes() int64 {
	n := int(unsafe.Sizeof(*e)) + len(e.token) + len(e.kid) + e.claims.Size() +
		len(e.issuer) + len(e.subject) + len(e.scope) + len(e.typ)
	for _, a := range e.audience {
		n += len(a) + int(unsafe.Sizeof(a))
	}
	return int64(n + n/8) // what the allocator rounds up
}

// CacheStats is how a [Cache] has done since it was made.
type CacheStats struct {
	Hits, Misses uint64
	Bytes        int64 // taken now, by slots and entries
}

// NewCache makes a cache that takes at most limit bytes; with 0 or less it
// remembers nothing. 64 MiB hold about 45,000 tokens of 480 bytes.
func NewCache(limit int64) *Cache {
	if limit <= 0 {
		return nil
	}
	const typical = 1024 // bytes an entry; what the number of slots is made for
	sets := max(limit/typical/ways, 1)
	n := 1 << bits.Len64(uint64(sets-1)) * ways
	c := &Cache{seed: maphash.MakeSeed(), slots: make([]atomic.Pointer[entry], n), limit: limit}
	c.size.Store(int64(n) * slotSize)
	return c
}

// Stats returns the counters.
func (c *Cache) Stats() CacheStats {
	if c == nil {
		return CacheStats{}
	}
	return CacheStats{c.hits.Load(), c.misses.Load(), c.size.Load()}
}

// set returns the slots that an entry with this hash may stand in.
func (c *Cache) set(hash uint64) []atomic.Pointer[entry] {
	i := int(hash&uint64(len(c.slots)/ways-1)) * ways
	return c.slots[i : i+ways]
}

// find returns the entry of a token of v, and remembers that it was asked for.
func (c *Cache) find(v *Verifier, token string) *entry {
	if c == nil {
		return nil
	}
	e := c.look(v, token)
	if e == nil {
		c.misses.Add(1)
		return nil
	}
	if !e.used.Load() {
		e.used.Store(true)
	}
	c.hits.Add(1)
	return e
}

// look is find without a trace.
func (c *Cache) look(v *Verifier, token string) *entry {
	if c == nil {
		return nil
	}
	hash := maphash.String(c.seed, token)
	set := c.set(hash)
	for i := range set {
		if e := set[i].Load(); e != nil && e.hash == hash && e.by == v && e.token == token {
			return e
		}
	}
	return nil
}

// put takes a free slot, else one whose entry was not used lately, else the first.
func (c *Cache) put(e *entry) {
	if c == nil || e.bytes() > c.limit-int64(len(c.slots))*slotSize {
		return
	}
	e.hash = maphash.String(c.seed, e.token)
	set := c.set(e.hash)
	victim, best := 0, -1
	for i := range set {
		rank := 0
		switch old := set[i].Load(); {
		case old == nil:
			rank = 2
		case old.hash == e.hash && old.by == e.by && old.token == e.token:
			rank = 3
		case !old.used.Load():
			rank = 1
		}
		if rank > best {
			victim, best = i, rank
		}
	}
	c.size.Add(e.bytes())
	if old := set[victim].Swap(e); old != nil {
		c.size.Add(-old.bytes())
	}
	for c.size.Load() > c.limit {
		c.evictNext()
	}
}

// evictNext moves the hand by one slot. An entry that was used since it last came
// by gets another round.
func (c *Cache) evictNext() {
	slot := &c.slots[c.hand.Add(1)%uint64(len(c.slots))]
	e := slot.Load()
	if e == nil || e.used.CompareAndSwap(true, false) {
		return
	}
	if slot.CompareAndSwap(e, nil) {
		c.size.Add(-e.bytes())
	}
}

// drop forgets the entry.
func (c *Cache) drop(e *entry) {
	if c == nil {
		return
	}
	set := c.set(e.hash)
	for i := range set {
		if set[i].CompareAndSwap(e, nil) {
			c.size.Add(-e.bytes())
			return
		}
	}
}
