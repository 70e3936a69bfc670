package limit

import (
	"context"
	"time"
)

const (
	// maxDeltas is how many windows are told of in one step.
	maxDeltas = 1 << 10
	// addTimeout is how long such a step may take.
	addTimeout = 2 * time.Second
	// maxEvery is longer than any batch waits.
	maxEvery = 1000 * time.Hour
)

// TakeSynced counts an event of id if it is within all quotas of r, by what has passed
// here and what this node knows of the others. It tells them within every, and learns how
// they stand; [Shared.Run] does that. So more than the quota may pass: each node goes on
// for no longer than twice every once the quota has passed, and never lets more than the
// quota pass by itself.
func (s *Shared) TakeSynced(id ID, r *Rule, now time.Time, every time.Duration) Usage {
	k := s.key(id)
	u, at := s.here.take(k, r, s.clock.at(now))
	if u.OK {
		s.untold.note(k, id, r, at, every)
	}
	return u
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
		case <-s.untold.nudge:
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
	now := s.now()
	until := maxEvery
	if !known {
		until = pause
	}
	if due, ok := s.untold.next(); ok {
		until = min(until, due.Sub(now))
	}
	if s.away.Load() != 0 {
		until = max(until, pause)
	}
	return max(until, 0)
}

// tell adds what is due by now. While the remote is away it waits.
func (s *Shared) tell(ctx context.Context, now time.Time) {
	if s.away.Load() != 0 {
		s.add(ctx, nil) // to see whether it is back, with nothing to lose
	}
	for {
		most := maxDeltas
		if s.away.Load() != 0 {
			most = 0
		}
		deltas := s.untold.take(now, s.clock.at(s.now()).Unix(), most)
		if len(deltas) == 0 || !s.add(ctx, deltas) {
			return
		}
	}
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
