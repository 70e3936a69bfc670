package gateway

import (
	"context"
	"time"

	"github.com/carnetproject/carnet/internal/limit"
)

// counters are where a gateway counts.
type counters struct {
	here   *limit.Counters
	shared *limit.Shared // nil: there are no other nodes
}

// of is where the plugin p that is attached at a scope counts.
func (c counters) of(p *RateLimiting, at scope) counter {
	if !p.shares() {
		return newLocal(c.here, at, p.rule())
	}
	return &shared{c.shared, at, p.rule(), p.every()}
}

// local counts on this node alone.
type local struct {
	counters *limit.Counters
	scope    limit.Key // where the plugin is attached
	rule     limit.Rule
}

func newLocal(counters *limit.Counters, at scope, rule limit.Rule) *local {
	return &local{counters, counters.Key(at.route, at.service, at.consumer), rule}
}

func (l *local) take(_ context.Context, who caller, now time.Time) (limit.Usage, error) {
	k := l.scope
	for _, part := range [...]string{who.kind, who.of, who.name} {
		k = l.counters.Under(k, part)
	}
	return l.counters.Take(k, &l.rule, now), nil
}

// shared counts on all nodes.
type shared struct {
	counters *limit.Shared
	scope    scope
	rule     limit.Rule
	every    time.Duration // how often nodes tell one another; 0: with each request
}

func (s *shared) take(ctx context.Context, who caller, now time.Time) (limit.Usage, error) {
	id := limit.NewID(s.scope.route, s.scope.service, s.scope.consumer, who.kind, who.of, who.name)
	if s.every > 0 {
		return s.counters.TakeSynced(id, &s.rule, now, s.every), nil
	}
	return s.counters.Take(ctx, id, &s.rule, now)
}
