package limit

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"
)

// ErrAlone is that an event could not be counted with those of other nodes.
var ErrAlone = errors.New("what nodes count together is away")

const (
	// patience is how long an event waits for what nodes count together.
	patience = 50 * time.Millisecond
	// doubt is for how long that may fail, and answer nobody meanwhile, before it is taken
	// to be away: a busy machine may be late for once.
	doubt = 200 * time.Millisecond
	// pause is how long nobody waits then.
	pause = time.Second
	// maxAsking bounds the events that wait at once: further ones are counted here.
	maxAsking = 512
)

// remote is where nodes count together.
type remote interface {
	// Take is [Counters.Take] over all nodes, by a clock of the remote's own, whose time
	// it returns.
	Take(ctx context.Context, id ID, r *Rule) (Usage, time.Time, error)
	// Add adds what this node has let pass, and returns what each window has come to, and
	// the time. Without deltas it is a look at the clock.
	Add(ctx context.Context, deltas []Delta) ([]Count, time.Time, error)
}

// Shared counts the events of many nodes in windows as [Counters] does, by the clock of
// what they share.
//
// [Shared.Take] asks it for each event: no more than the quota pass on all nodes
// together. While it is away, each node lets the quota pass by itself, and what it has
// let pass in the running window counts.
//
// [Shared.TakeSynced] asks nobody. It tells the others later what has passed here, and
// learns what has passed there.
//
// Safe for concurrent use.
type Shared struct {
	remote remote
	here   *Counters // by the remote's clock
	clock  clock
	now    func() time.Time
	log    *slog.Logger

	away   atomic.Int64 // until when the remote is not asked, in ns of the Unix epoch; 0: it answers
	failed atomic.Int64 // when it first failed since it last answered; 0: it has not
	asking atomic.Int32
	alone  atomic.Uint64

	untold *untold
}

// SharedConfig is what [Shared] is made of. Remote is required.
type SharedConfig struct {
	Remote remote
	Bytes  int64            // for what is counted on this node, as [NewCounters] takes it
	Clock  func() time.Time // nil: time.Now
	Log    *slog.Logger     // nil: none
}

// SharedStats is how [Shared] does.
type SharedStats struct {
	Counters CountersStats // of this node's own table
	Up       bool          // the remote answers
	Alone    uint64        // events that were counted on this node alone, since it was away
}

// NewShared returns counters that share c.Remote. They start nothing.
func NewShared(c SharedConfig) *Shared {
	s := &Shared{
		remote: c.Remote, here: NewCounters(c.Bytes), now: c.Clock, log: c.Log,
	}
	if s.now == nil {
		s.now = time.Now
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	s.untold, s.clock.base = newUntold(s.now), s.now()
	return s
}

// Stats returns the counters' own counts.
func (s *Shared) Stats() SharedStats {
	return SharedStats{Counters: s.here.Stats(), Up: s.away.Load() == 0, Alone: s.alone.Load()}
}

// Take counts an event of id on all nodes if it is within all quotas of r, in one step.
// Within 50 ms at most, it fails with ErrAlone: then the event was counted on this node
// alone, and usage is by that.
func (s *Shared) Take(ctx context.Context, id ID, r *Rule, now time.Time) (Usage, error) {
	u, at, err := s.ask(ctx, id, r, now)
	if err != nil {
		s.alone.Add(1)
		return s.here.Take(s.key(id), r, s.clock.at(now)), ErrAlone
	}
	s.clock.set(at, now)
	if u.OK {
		s.here.Take(s.key(id), r, at) // for when the remote is away
	}
	return u, nil
}

func (s *Shared) key(id ID) Key { return s.here.Key(string(id[:])) }

func (s *Shared) ask(ctx context.Context, id ID, r *Rule, now time.Time) (Usage, time.Time, error) {
	open, trial := s.open(now)
	if !open {
		return Usage{}, time.Time{}, ErrAlone
	}
	defer s.asking.Add(-1)
	if s.asking.Add(1) > maxAsking {
		return Usage{}, time.Time{}, ErrAlone
	}
	short, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	u, at, err := s.remote.Take(short, id, r)
	if err != nil {
		s.missed(ctx, err, trial)
	} else {
		s.heard(ctx, trial)
	}
	return u, at, err
}

// open tells whether the remote is to be asked. While it is away one in each pause is,
// and trial is true.
func (s *Shared) open(now time.Time) (open, trial bool) {
	until := s.away.Load()
	switch {
	case until == 0:
		return true, false
	case now.UnixNano() < until:
		return false, false
	}
	trial = s.away.CompareAndSwap(until, now.Add(pause).UnixNano())
	return trial, trial
}

// heard keeps in mind that the remote has answered. What was asked before it was found to
// be away does not say that it is back: so the log does not fill when it is slow.
func (s *Shared) heard(ctx context.Context, trial bool) {
	if s.failed.Load() != 0 {
		s.failed.Store(0)
	}
	if trial {
		s.away.Store(0)
		s.log.LogAttrs(ctx, slog.LevelInfo, "rate limits: nodes count together again")
	}
}

// missed keeps in mind that it has not, and takes it to be away if that is sure, or goes
// on for long.
func (s *Shared) missed(ctx context.Context, err error, sure bool) {
	if ctx.Err() != nil {
		return // it is the caller who has gone
	}
	now := s.now()
	if first := s.failed.Load(); !sure && (first == 0 || now.UnixNano()-first < int64(doubt)) {
		s.failed.CompareAndSwap(0, now.UnixNano())
		return
	}
	if s.away.Swap(now.Add(pause).UnixNano()) == 0 {
		s.log.LogAttrs(ctx, slog.LevelError, "rate limits: this node counts by itself", slog.Any("err", err))
	}
}

// clock is the remote's, as this node reckons it; until it is heard of, the node's own.
type clock struct {
	base  time.Time    // of this node's; with a monotonic reading, so that it is never set
	ahead atomic.Int64 // how far the remote's is ahead, in nanoseconds
}

// at is what the remote's clock shows when this node's shows now.
func (c *clock) at(now time.Time) time.Time {
	return c.base.Add(now.Sub(c.base) + time.Duration(c.ahead.Load()))
}

// set says what the remote's clock has shown when this node's showed now.
func (c *clock) set(remote, now time.Time) {
	c.ahead.Store(int64(remote.Sub(c.base) - now.Sub(c.base)))
}
