package limit

import (
	"sync"
	"time"
)

// maxMarks bounds the windows that wait to be told, of those that are told equally often.
// What is over it is counted on this node alone; each takes 40 bytes.
const maxMarks = 1 << 17

// untold is what this node has let pass and not told yet. It is in parts, as [Counters]
// are, so that requests do not wait for one another. When what waits in a part is to be
// told stands in due, unless take has it in hand.
type untold struct {
	parts [shards]part
	now   func() time.Time
	nudge chan struct{} // holds one: something more is due

	mu  sync.Mutex                  // taken under a part's, never the other way round
	due map[time.Duration]time.Time // by how often it is told; counts from the first event
}

// part is one lock and the counts under it.
type part struct {
	mu     sync.Mutex
	counts map[time.Duration]map[Mark]uint32 // by how often they are told; none is empty
}

// newUntold returns one in which nothing waits.
func newUntold(now func() time.Time) *untold {
	return &untold{now: now, nudge: make(chan struct{}, 1), due: map[time.Duration]time.Time{}}
}

// note adds an event of id that has passed under r, where k has its part.
func (u *untold) note(k Key, id ID, r *Rule, at int64, every time.Duration) {
	p := &u.parts[uint64(k)%shards]
	p.mu.Lock()
	defer p.mu.Unlock()
	counts := p.counts[every]
	if counts == nil {
		if p.counts == nil {
			p.counts = map[time.Duration]map[Mark]uint32{}
		}
		counts = map[Mark]uint32{}
		p.counts[every] = counts
		if u.plan(every, u.now().Add(every)) {
			select {
			case u.nudge <- struct{}{}:
			default: // Run will look anyway
			}
		}
	}
	for period, quota := range r.Quotas {
		if quota <= 0 {
			continue
		}
		var f frame
		f.set(Period(period), at, r.Sliding)
		m := Mark{id, Period(period), r.Sliding, f.until}
		if n, has := counts[m]; has || len(counts) < maxMarks/shards {
			counts[m] = n + 1
		}
	}
}

// plan says when to tell, and reports false if it will be earlier anyway.
func (u *untold) plan(every time.Duration, at time.Time) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if planned, ok := u.due[every]; ok && !at.Before(planned) {
		return false
	}
	u.due[every] = at
	return true
}

// planned takes out of due what is to be told by now.
func (u *untold) planned(now time.Time) map[time.Duration]time.Time {
	u.mu.Lock()
	defer u.mu.Unlock()
	taken := map[time.Duration]time.Time{}
	for every, due := range u.due {
		if !due.After(now) {
			taken[every] = due
			delete(u.due, every)
		}
	}
	return taken
}

// next is when something is due; ok is false if nothing waits.
func (u *untold) next() (at time.Time, ok bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, due := range u.due {
		if !ok || due.Before(at) {
			at, ok = due, true
		}
	}
	return at, ok
}

// take takes out windows that are due by now, but no more than most. Those that have ended
// by second at are of no more use, and forgotten.
func (u *untold) take(now time.Time, at int64, most int) (deltas []Delta) {
	for every, due := range u.planned(now) {
		all := true
		for i := range u.parts {
			p := &u.parts[i]
			p.mu.Lock()
			for m, n := range p.counts[every] {
				switch {
				case int64(m.Until) <= at:
				case len(deltas) == most:
					continue
				default:
					deltas = append(deltas, Delta{m, n})
				}
				delete(p.counts[every], m)
			}
			if len(p.counts[every]) == 0 {
				delete(p.counts, every)
			} else {
				all = false
			}
			p.mu.Unlock()
		}
		if !all {
			u.plan(every, due)
		}
	}
	return deltas
}
