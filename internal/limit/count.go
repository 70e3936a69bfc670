package limit

import (
	"crypto/sha256"
	"encoding/binary"
	"math"
	"time"
)

// ID is for whom or what nodes count together: the same on all of them, and telling
// nobody what it stands for. [NewID] makes it.
type ID [16]byte

// NewID is the ID of a list of parts. Lists that differ have different IDs, wherever one
// part ends and the next begins.
func NewID(parts ...string) ID {
	var room [256]byte
	b := room[:0]
	for _, p := range parts {
		b = binary.AppendUvarint(b, uint64(len(p)))
		b = append(b, p...)
	}
	sum := sha256.Sum256(b)
	return ID(sum[:len(ID{})])
}

// Count is what is counted in one window of one period.
type Count struct {
	Until uint32 // when it is of no more use, in seconds of the Unix epoch
	N     uint32 // in the window
	Last  uint32 // in the window before, under a sliding rule
}

// Usage is where somebody stands at a moment of whom these are the counts under r; ok
// is what became of the event that was counted last.
func (r *Rule) Usage(ok bool, at time.Time, counts *[NumPeriods]Count) Usage {
	u := Usage{OK: ok}
	for p, quota := range r.Quotas {
		if quota > 0 {
			var f frame
			f.set(Period(p), max(at.UnixNano(), 0), r.Sliding)
			f.counter = &counter{until: counts[p].Until, n: counts[p].N, last: counts[p].Last}
			u.Windows[p] = f.usage(quota, r.Sliding)
		}
	}
	return u
}

// Mark names a window of somebody: nodes that mean the same one write the same.
type Mark struct {
	ID      ID
	Period  Period
	Sliding bool
	Until   uint32 // as in [Count]
}

// Delta is what a node has let pass in a window since it last told the others.
type Delta struct {
	Mark
	N uint32
}

// stand is the count of m that k is the key of, zero if there is none.
func (c *Counters) stand(k Key, m *Mark) uint32 {
	s := c.shard(k)
	s.mu.Lock()
	defer s.mu.Unlock()
	if found := s.find(m.hash(k)); found != nil && found.until == m.Until {
		return found.n
	}
	return 0
}

// learn adds to the counter of m what others have counted: all is what the nodes have
// come to together, when this one stood at had. It takes nothing away.
func (c *Counters) learn(k Key, m *Mark, had uint32, all Count) {
	s := c.shard(k)
	s.mu.Lock()
	defer s.mu.Unlock()
	found := s.find(m.hash(k))
	if found == nil || found.until != m.Until || all.Until != m.Until {
		return
	}
	if all.N > had {
		found.n += min(all.N-had, math.MaxUint32-found.n)
	}
	found.last = max(found.last, all.Last)
}

func (m *Mark) hash(k Key) uint64 {
	r := Rule{Sliding: m.Sliding}
	return r.hash(k, m.Period)
}
