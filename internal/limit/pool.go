package limit

import (
	"math/bits"
	"sync"
	"time"
	"unsafe"
)

const (
	// groupSize is how many counters stand together: as many as fill two cache lines
	// that memory gives at once. A counter may stand in either of two groups: in the
	// first if that is roomy, else in the emptier one. So groups fill up alike, a table
	// is nearly full before one of them is, and mostly one of them is looked at.
	groupSize  = 6
	groupBytes = int64(unsafe.Sizeof(group{}))
	roomy      = 4
	// maxLag is how far apart the clock readings of goroutines may be that count at
	// the same time. A reading further back is a clock that was set back.
	maxLag = time.Minute
)

// group is counters that stand together, and the hashes of their key, period and kind
// of rule; 0: never used.
type group struct {
	hashes   [groupSize]uint64
	counters [groupSize]counter
	_        [8]byte // so that none lies across three cache lines
}

// counter is one key's count in one window.
type counter struct {
	until uint32 // when it is of no more use, in seconds of the Unix epoch
	n     uint32 // in the window
	last  uint32 // in the window before, under a sliding rule
}

// ends is until in nanoseconds.
func (c *counter) ends() int64 { return int64(c.until) * int64(time.Second) }

// lighter tells whether c gives way before d does.
func (c *counter) lighter(d *counter) bool {
	if m, n := uint64(c.n)+uint64(c.last), uint64(d.n)+uint64(d.last); m != n {
		return m < n
	}
	return c.until < d.until
}

// roll makes c the counter of f.
func (c *counter) roll(f *frame) {
	switch {
	case c.until == f.until:
		return
	case c.ends() == f.end: // that of the window before, under a sliding rule
		c.last = c.n
	default:
		c.last = 0
	}
	c.n, c.until = 0, f.until
}

// pool is one lock and the counters under it.
type pool struct {
	mu     sync.Mutex
	size   int64   // groups
	groups []group // nil before the first use: what is never used would only put off collections of garbage
	latest int64   // what its clock showed last
}

// clock is now in nanoseconds of the Unix epoch. It does not run back for a reading
// that comes in late, since a count must not fall back into the window before.
func (s *pool) clock(now time.Time) int64 {
	at := max(now.UnixNano(), 0)
	if at > s.latest || at < s.latest-int64(maxLag) {
		s.latest = at
	}
	return s.latest
}

// reach is the two groups in which a counter with hash h may stand.
func (s *pool) reach(h uint64) [2]*group {
	if s.groups == nil {
		s.groups = make([]group, s.size)
	}
	n := uint64(s.size)
	first, _ := bits.Mul64(h, n)
	second, _ := bits.Mul64(bits.RotateLeft64(h, 32), n)
	return [2]*group{&s.groups[first], &s.groups[second]}
}

// find returns the counter with hash h, nil if there is none.
func (s *pool) find(h uint64) *counter {
	for _, g := range s.reach(h) {
		for i := range g.hashes {
			if g.hashes[i] == h {
				return &g.counters[i]
			}
		}
	}
	return nil
}

// add returns a new counter with hash h. It stands where one has ended, or else, and
// then evicted is true, in place of the lightest that is not of this event.
func (s *pool) add(h uint64, event *[NumPeriods]frame) (made *counter, evicted bool) {
	var free, lightest place
	most := 0
	for _, g := range s.reach(h) {
		var ended place
		n := 0
		for i := range g.counters {
			switch c := &g.counters[i]; {
			case c.ends() <= s.latest:
				ended = place{g, i}
				n++
			case (lightest.group == nil || c.lighter(lightest.counter())) && !counts(event, c):
				lightest = place{g, i}
			}
		}
		if n > most {
			free, most = ended, n
		}
		if n >= roomy {
			break
		}
	}
	if free.group == nil {
		free, evicted = lightest, true
	}
	free.group.hashes[free.i] = h
	made = free.counter()
	*made = counter{}
	return made, evicted
}

// place is where a counter stands.
type place struct {
	group *group
	i     int
}

func (p place) counter() *counter { return &p.group.counters[p.i] }

// counts tells whether c is a counter of the event.
func counts(event *[NumPeriods]frame, c *counter) bool {
	for i := range event {
		if event[i].counter == c {
			return true
		}
	}
	return false
}
