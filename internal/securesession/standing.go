package securesession

import (
	"context"
	"log/slog"
	"maps"
	"slices"
)

// Standing is what a user who comes back is shown. It is false if nothing was decided
// about them that still counts: the next message finds out.
func (g *Gate) Standing(ctx context.Context, a Ask) (Notice, bool) {
	guard := g.c.Guard(a.Key.Bot)
	if guard == nil || guard.Stopped {
		return Notice{}, false
	}
	s := g.session(a.Key)
	s.mu.Lock()
	of, _ := s.look(guard, a.Subject)
	known := s.machine.Record()
	s.release()
	if known.State == None {
		ctx, cancel := context.WithTimeout(ctx, storeTimeout)
		defer cancel()
		var err error
		if known, err = g.c.Store.SecureSession(ctx, a.Key, g.c.Clock()); err != nil {
			g.c.Log.LogAttrs(ctx, slog.LevelWarn, "secure session store", slog.String("bot", a.Key.Bot), slog.Any("err", err))
			return Notice{}, false
		}
	}
	switch {
	case known.State == Denied && known.Print == of:
		return guard.notice(a.Key, Tell{Standing: Locked, Reason: known.Reason}), true
	case written.stands(known, of, g.c.Clock()):
		return guard.notice(a.Key, Tell{Standing: Secured}), true
	}
	return Notice{}, false
}

// Stats is what a gate has in memory.
type Stats struct {
	Sessions [4]int // conversations by [State]
	Calls    int    // conversations that an authorizer, or the store, is asked about
	Waiting  int    // messages without an answer
}

// Stats counts, which takes a while where conversations are many. None waits for all.
func (g *Gate) Stats() (n Stats) {
	g.mu.Lock()
	open := slices.AppendSeq(make([]*session, 0, len(g.sessions)), maps.Values(g.sessions))
	g.mu.Unlock()
	for _, s := range open {
		s.mu.Lock()
		n.Sessions[s.machine.Record().State]++
		n.Waiting += len(s.tickets)
		if s.working {
			n.Calls++
		}
		s.mu.Unlock()
	}
	return n
}
