package securesession

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/carnetproject/carnet/internal/trace"
)

// storeTimeout bounds how long a store that hangs holds up a conversation.
const storeTimeout = 2 * time.Second

// work does what the machine wants, one thing after another, until nothing is left or
// ctx ends.
func (s *session) work(ctx context.Context) {
	for {
		s.mu.Lock()
		if len(s.ops) == 0 || ctx.Err() != nil {
			s.working = false
			s.mu.Unlock()
			return
		}
		next := s.ops[0]
		s.ops = s.ops[1:]
		s.mu.Unlock()

		e, err := s.perform(ctx, next)
		if ctx.Err() != nil {
			continue // what was cut off says nothing
		}
		if err != nil {
			s.gate.c.Log.LogAttrs(ctx, slog.LevelWarn, "secure session store", slog.String("bot", s.key.Bot), slog.Any("err", err))
		}
		if e != nil {
			s.mu.Lock()
			s.step(e)
			s.mu.Unlock()
		}
	}
}

// perform does one thing and returns its outcome, if somebody waits for it. An error is
// for the log.
func (s *session) perform(ctx context.Context, o op) (Event, error) {
	switch a := o.action.(type) {
	case Acquire:
		return s.acquire(ctx, a)
	case Call:
		return Answered{Flight: a.Flight, Answer: s.call(ctx, o)}, nil
	case Save:
		return s.save(ctx, a)
	}
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	store := s.gate.c.Store
	if _, ok := o.action.(Delete); ok {
		return nil, store.DeleteSecureSession(ctx, s.key)
	}
	return nil, store.ReleaseSecureSession(ctx, s.key, s.gate.c.Node)
}

// acquire asks for the lease. Without the store's leases the call is made all the same:
// at worst two nodes make it.
func (s *session) acquire(ctx context.Context, a Acquire) (Event, error) {
	if a.After > 0 {
		wait := time.NewTimer(a.After)
		defer wait.Stop()
		select {
		case <-wait.C:
		case <-ctx.Done():
			return nil, nil
		}
	}
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	g := s.gate
	now := g.c.Clock()
	held, leaseErr := g.c.Store.LeaseSecureSession(ctx, s.key, g.c.Node, now, now.Add(a.Policy.Lease()))
	r, err := g.c.Store.SecureSession(ctx, s.key, now)
	return Leased{Flight: a.Flight, Elsewhere: leaseErr == nil && !held, Record: r, Unread: err != nil}, errors.Join(leaseErr, err)
}

// call asks the authorizer, and puts what a yes says into the context: a yes whose
// output does not fit there is none. All of it ends before the lease does.
func (s *session) call(ctx context.Context, o op) Answer {
	g, p := s.gate, o.guard.Policy
	start := g.c.Clock()
	asked, span := trace.Start(trace.Because(ctx, o.cause), "authorizer call")
	asked, cancel := context.WithTimeout(asked, p.Timeout)
	a := o.guard.Authorizer.Check(asked, s.key, o.subject)
	cancel()
	span.Set("carnet.connector", p.Alias)
	span.Set("carnet.outcome", a.Detail)
	if a.Class == Failure || a.Class == Misconfigured {
		span.Fail(a.Detail)
	}
	span.End()
	g.c.Observer.Called(p.Alias, a.Detail, g.c.Clock().Sub(start))
	if a.Class != Yes || len(a.Output) == 0 {
		return a
	}
	merging, cancel := context.WithTimeout(ctx, time.Second/2)
	defer cancel()
	if err := g.c.Merge(merging, s.key.Conversation, a.Output); err != nil {
		g.c.Log.LogAttrs(ctx, slog.LevelWarn, "secure session output", slog.String("bot", s.key.Bot), slog.Any("err", err))
		return Answer{Class: Failure, Detail: "output"}
	}
	return a
}

// save shares a record with the other nodes.
func (s *session) save(ctx context.Context, a Save) (Event, error) {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	g := s.gate
	stands, err := g.c.Store.SaveSecureSession(ctx, s.key, g.c.Node, a.Record, g.c.Clock().Add(a.Policy.Keep()))
	if a.Flight == 0 {
		return nil, err
	}
	lost := err == nil && !stands.Began.Equal(a.Record.Began)
	return Saved{Flight: a.Flight, Lost: lost, Stands: stands}, err
}
