package limit

import (
	"hash/maphash"
	"sync/atomic"
	"time"
)

// CounterSize is what a key takes for one period, in bytes, rounded up. A table of n
// bytes has room for n/CounterSize counters. Where two thirds of them are in use, next
// to none has given way to another.
const CounterSize = (groupBytes + groupSize - 1) / groupSize

// Counters counts the events of many keys in windows of the UTC clock, up to one
// window of each [Period] at once, and refuses those over a quota. However many
// goroutines ask, no more than the quota pass.
//
// One table serves all quotas and keys. Its memory is fixed when it is made: a window
// that ended makes room by itself, and when there is none for a new key, then of the
// counters where its own may stand the one with the smallest count is forgotten. So a
// full table refuses nobody who is under the quota, a flood of new keys displaces
// itself before it displaces who was counted often, and who is displaced starts from
// zero.
//
// Keys are held as a hash with a seed of this process, so that nobody outside can
// choose two that collide. Counters are safe for concurrent use and do not allocate
// per event.
type Counters struct {
	seed    maphash.Seed
	shards  []pool
	evicted atomic.Uint64
}

// Key stands for whom or what to count; [Counters.Key] makes it.
type Key uint64

// Quotas are the most events in a window of each period; 0 is no limit, [MaxN] the
// highest. Quotas{Minute: 60, Hour: 1000} has two.
type Quotas [NumPeriods]int

// Rule is quotas, and how windows follow one another. Counts under a fixed and under
// a sliding rule are apart.
type Rule struct {
	Quotas Quotas

	// Sliding counts a share of the window before, as large as the part of the
	// present one that is still to come: so there is no burst of twice the quota
	// around the moment where one window follows another.
	Sliding bool
}

// Usage is where a key stands after an event.
type Usage struct {
	OK      bool // the event is within all quotas, and was counted in each
	Windows [NumPeriods]Window
}

// CountersStats is how [Counters] have done since they were made.
type CountersStats struct {
	Bytes   int64  // of the table, whether it is in use yet or not
	Evicted uint64 // counters that gave way before their window ended
}

// NewCounters returns counters in a table of at most size bytes, and at least of 8 KiB.
// Memory is taken when there is something to count.
func NewCounters(size int64) *Counters {
	c := &Counters{seed: maphash.MakeSeed(), shards: make([]pool, shards)}
	for i := range c.shards {
		c.shards[i].size = max(size/groupBytes/shards, 1)
	}
	return c
}

// Stats returns the counters' own counts.
func (c *Counters) Stats() CountersStats {
	n := int64(len(c.shards)) * c.shards[0].size
	return CountersStats{Bytes: n * groupBytes, Evicted: c.evicted.Load()}
}

// Key is the key of a list of parts. Lists that differ have different keys, wherever
// one part ends and the next begins.
func (c *Counters) Key(parts ...string) Key {
	var k Key
	for _, p := range parts {
		k = c.Under(k, p)
	}
	return k
}

// Under is the key of the list that k was made of, with one part more.
func (c *Counters) Under(k Key, part string) Key {
	return Key(mix(uint64(k) + maphash.String(c.seed, part)))
}

// Take counts an event of k at now if it is within all quotas of r, in one step. An
// event over one of them is counted in none.
func (c *Counters) Take(k Key, r *Rule, now time.Time) Usage {
	u, _ := c.take(k, r, now)
	return u
}

// take is Take, and tells when the event was counted, in nanoseconds of the Unix epoch.
func (c *Counters) take(k Key, r *Rule, now time.Time) (u Usage, at int64) {
	s := c.shard(k)
	s.mu.Lock()
	defer s.mu.Unlock()
	at = s.clock(now)
	var frames [NumPeriods]frame
	u.OK = true
	for p, quota := range r.Quotas {
		if quota > 0 {
			f := &frames[p]
			f.set(Period(p), at, r.Sliding)
			if f.counter = s.find(r.hash(k, Period(p))); f.counter != nil {
				f.counter.roll(f)
			}
			u.OK = f.used() < int64(quota) && u.OK
		}
	}
	for p, quota := range r.Quotas {
		if quota > 0 {
			f := &frames[p]
			if u.OK {
				c.count(s, f, &frames, r.hash(k, Period(p)))
			}
			u.Windows[p] = f.usage(quota, r.Sliding)
		}
	}
	return u, at
}

// Return takes back an event of k that Take counted under r at now. In a window that
// has ended since, or gave way to another, there is nothing to take back.
func (c *Counters) Return(k Key, r *Rule, now time.Time) {
	s := c.shard(k)
	s.mu.Lock()
	defer s.mu.Unlock()
	for p, quota := range r.Quotas {
		if quota <= 0 {
			continue
		}
		var f frame
		f.set(Period(p), max(now.UnixNano(), 0), r.Sliding)
		if found := s.find(r.hash(k, Period(p))); found != nil && found.until == f.until && found.n > 0 {
			found.n--
		}
	}
}

func (c *Counters) shard(k Key) *pool { return &c.shards[uint64(k)%shards] }

// count adds one to the counter of f, which hash h finds. If there is none yet, it is
// made in the place of none that the same event is counted in.
func (c *Counters) count(s *pool, f *frame, event *[NumPeriods]frame, h uint64) {
	if f.counter == nil {
		made, evicted := s.add(h, event)
		if evicted {
			c.evicted.Add(1)
		}
		made.until, f.counter = f.until, made
	}
	f.counter.n++
}

// hash is where the counter of k for one period is found.
func (r *Rule) hash(k Key, p Period) uint64 {
	n := uint64(p)<<1 + 1
	if r.Sliding {
		n++
	}
	if h := mix(uint64(k) + n*0x9e3779b97f4a7c15); h != 0 {
		return h
	}
	return 1 // zero marks a counter that was never used
}

// mix is a bijection in which every bit of the result depends on all of x
// (the finalizer of SplitMix64).
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
