// Package limit counts events per key and refuses those over a rate, in memory
// that is fixed when it is made: a [Limiter] by one rate for all of its keys, each with
// windows of its own; [Counters] by several quotas at once, in windows of the clock.
package limit

import (
	"hash/maphash"
	"math/bits"
	"net/netip"
	"sync"
	"time"
)

const (
	shards = 64
	// reach is how many slots a key may live in. With twice as many slots as
	// keys, a key that finds all of them taken is rare until the table is full.
	reach = 16
)

// Limiter is a keyed limiter of fixed windows: a key's window opens with its
// first event and lasts [Rate.Per]; the first [Rate.N] events in it pass. So no
// span of Per sees more than twice N, and no window more than N, however many
// goroutines ask at once.
//
// Memory is fixed by New: a window that ended makes room by itself. When more
// keys than that are live, the keys that find no room share one window per
// shard: nobody gets more than the rate, nobody's count is forgotten, and who
// comes late to a full table may be refused early.
//
// Keys are held as a hash with a seed of this process, so that nobody outside
// can choose two that collide. It is safe for concurrent use, and does not
// allocate per event.
type Limiter struct {
	rate   Rate
	seed   maphash.Seed
	shards []shard // none for a limiter without a limit
}

// New returns a limiter of r with room for maxKeys keys at once (at least one
// per shard). A zero r lets everything pass.
func New(r Rate, maxKeys int) *Limiter {
	l := &Limiter{rate: r, seed: maphash.MakeSeed()}
	if r.unlimited() {
		return l
	}
	perShard := max(2*maxKeys/shards, reach)
	l.shards = make([]shard, shards)
	for i := range l.shards {
		// A power of two, so that a mask finds the slot.
		l.shards[i].slots = make([]window, 1<<bits.Len(uint(perShard-1)))
	}
	return l
}

// Allow counts an event of key at now. If it is over the rate, retryAfter is
// how long until the key's window ends; it is never zero then.
func (l *Limiter) Allow(key string, now time.Time) (ok bool, retryAfter time.Duration) {
	if l.shards == nil {
		return true, 0
	}
	return l.allow(hash(maphash.String(l.seed, key)), now)
}

// Network is what counts as one holder of addresses: an IPv4 address by itself, an
// IPv6 address by its /64, since whoever has one has them all. An invalid address
// has the zero Prefix.
func Network(a netip.Addr) netip.Prefix {
	a = a.Unmap()
	p, _ := a.Prefix(min(a.BitLen(), 64)) // its only error is an invalid address
	return p
}

// AllowAddr is [Limiter.Allow] for the [Network] of an address.
func (l *Limiter) AllowAddr(a netip.Addr, now time.Time) (ok bool, retryAfter time.Duration) {
	if l.shards == nil {
		return true, 0
	}
	return l.allow(l.network(a), now)
}

// AskAddr answers what AllowAddr would, and counts nothing: for events that count only
// if they turn out badly.
func (l *Limiter) AskAddr(a netip.Addr, now time.Time) (ok bool, retryAfter time.Duration) {
	if l.shards == nil {
		return true, 0
	}
	h, at := l.network(a), now.UnixNano()
	s := &l.shards[h%shards]
	s.mu.Lock()
	defer s.mu.Unlock()
	w := s.find(h, at, int64(l.rate.Per))
	if w.n < l.rate.N || !w.live(at, int64(l.rate.Per)) {
		return true, 0
	}
	return false, time.Duration(w.end - at)
}

// network is the key of an address's [Network].
func (l *Limiter) network(a netip.Addr) uint64 {
	a = a.Unmap()
	b := a.As16() // an invalid address counts as "::", one key for all
	n := len(b)
	if a.Is6() {
		n = 8
	}
	return hash(maphash.Bytes(l.seed, b[:n]))
}

// hash makes h one that is not zero, which marks a slot that was never used.
func hash(h uint64) uint64 { return max(h, 1) }

func (l *Limiter) allow(h uint64, now time.Time) (bool, time.Duration) {
	s := &l.shards[h%shards]
	at := now.UnixNano()
	s.mu.Lock()
	defer s.mu.Unlock()
	w := s.find(h, at, int64(l.rate.Per))
	if !w.live(at, int64(l.rate.Per)) {
		w.end, w.n = at+int64(l.rate.Per), 0
	}
	if w.n >= l.rate.N {
		return false, time.Duration(w.end - at)
	}
	w.n++
	return true, 0
}

// shard is one lock and the slots under it.
type shard struct {
	mu       sync.Mutex
	slots    []window
	overflow window // what keys without a slot share
}

// find returns the window of the key with hash h: its own, else one that has
// ended and is now the key's, else the overflow. All slots in reach are looked
// at, since a slot before the key's own may have ended meanwhile.
func (s *shard) find(h uint64, at, per int64) *window {
	var free *window
	for i := range uint64(reach) {
		w := &s.slots[(h/shards+i)%uint64(len(s.slots))]
		if w.hash == h {
			return w
		}
		if free == nil && !w.live(at, per) {
			free = w
		}
	}
	if free == nil {
		return &s.overflow
	}
	*free = window{hash: h}
	return free
}

// window is a key's count until end, in nanoseconds of the Unix epoch.
type window struct {
	hash uint64
	end  int64
	n    int
}

// live tells whether w still counts at the time given. A window that ends more
// than two per ahead was opened before the clock was set back, and does not;
// one that ends less far ahead may have been opened by a goroutine that read
// the clock a moment later, and does.
func (w *window) live(at, per int64) bool { return at < w.end && w.end-at <= 2*per }
