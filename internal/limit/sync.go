package limit

import (
	"context"
	"time"
)

const (
	// maxMarks bounds the windows of a batch. What is over it is counted on this node
	// alone; each takes 40 bytes.
	maxMarks = 1 << 17
	// maxDeltas is how many windows are told of in one step.
	maxDeltas = 1 << 10
	// addTimeout is how long such a step may take.
	addTimeout = 2 * time.Second
	// maxEvery is longer than any batch waits.
	maxEvery = 1000 * time.Hour
)

// batch is what this node has let pass and not told yet.
type batch struct {
	counts map[Mark]uint32
	due    time.Time // when to tell; counts from the first that is in it
}

// TakeSynced counts an event of id if it is within all quotas of r, by what has passed
// here and what this node knows of the others. It tells them within every, and learns how
// they stand; [Shared.Run] does that. So more than the quota may pass: each node goes on
// for no longer than twice every once the quota has passed, and never lets more than the
// quota pass by itself.
func (s *Shared) TakeSynced(id ID, r *Rule, now time.Time, every time.Duration) Usage {
	u, at := s.here.take(s.key(id), r, s.clock.at(now))
	if u.OK {
		s.note(id, r, at, every)
	}
	return u
}

// note adds an event that has passed to those that are to be told.
func (s *Shared) note(id ID, r *Rule, at int64, every time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.batches[every]
	if b == nil {
		b = &batch{counts: map[Mark]uint32{}, due: s.now().Add(every)}
		s.batches[every] = b
		select {
		case s.nudge <- struct{}{}:
		default: // Run will look anyway
		}
	}
	for p, quota := range r.Quotas {
		if quota <= 0 {
			continue
		}
		var f frame
		f.set(Period(p), at, r.Sliding)
		m := Mark{id, Period(p), r.Sliding, f.until}
		if n, has := b.counts[m]; has || len(b.counts) < maxMarks {
			b.counts[m] = n + 1
		}
	}
}

// Run tells the other nodes what has passed here until ctx ends, and then for a last
// time. It returns nil.
func (s *Shared) Run(ctx context.Context) error {
	t := time.NewTimer(0)
	defer t.Stop()
	known := false // the remote's clock
	for {
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), addTimeout)
			defer cancel()
			s.tell(last, s.now().Add(maxEvery))
			return nil
		case <-s.nudge:
		case <-t.C:
		}
		if !known {
			known = s.add(ctx, nil)
		}
		s.tell(ctx, s.now())
		t.Reset(s.rest(known))
	}
}

// rest is how long until there is something to do.
func (s *Shared) rest(known bool) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	until := maxEvery
	if !known {
		until = pause
	}
	now := s.now()
	for _, b := range s.batches {
		until = min(until, b.due.Sub(now))
	}
	if s.away.Load() != 0 {
		until = max(until, pause)
	}
	return max(until, 0)
}

// tell adds the batches that are due by now. While the remote is away they wait.
func (s *Shared) tell(ctx context.Context, now time.Time) {
	if s.away.Load() != 0 {
		s.add(ctx, nil) // to see whether it is back, with nothing to lose
	}
	for {
		deltas := s.due(now)
		if len(deltas) == 0 || !s.add(ctx, deltas) {
			return
		}
	}
}

// due takes some windows out of the batches that are due, none while the remote is away.
// Windows that have ended meanwhile are of no more use.
func (s *Shared) due(now time.Time) []Delta {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := s.clock.at(s.now()).Unix()
	away := s.away.Load() != 0
	var deltas []Delta
	for every, b := range s.batches {
		if b.due.After(now) {
			continue
		}
		for m, n := range b.counts {
			switch {
			case int64(m.Until) <= at:
			case away || len(deltas) == maxDeltas:
				continue
			default:
				deltas = append(deltas, Delta{m, n})
			}
			delete(b.counts, m)
		}
		if len(b.counts) == 0 {
			delete(s.batches, every)
		}
	}
	return deltas
}

// add tells of some windows and learns how they stand. What fails is not told again: it
// may have been heard, and would count twice.
func (s *Shared) add(ctx context.Context, deltas []Delta) bool {
	now := s.now()
	open, trial := s.open(now)
	if !open {
		return false
	}
	had := make([]uint32, len(deltas))
	for i := range deltas {
		had[i] = s.here.stand(s.key(deltas[i].ID), &deltas[i].Mark)
	}
	short, cancel := context.WithTimeout(ctx, addTimeout)
	defer cancel()
	all, at, err := s.remote.Add(short, deltas)
	if err != nil {
		s.missed(ctx, err, true)
		return false
	}
	s.heard(ctx, trial)
	s.clock.set(at, now)
	for i := range all {
		s.here.learn(s.key(deltas[i].ID), &deltas[i].Mark, had[i], all[i])
	}
	return true
}
