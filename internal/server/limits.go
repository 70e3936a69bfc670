package server

import (
	"context"
	"time"

	"github.com/carnetproject/carnet/internal/limit"
)

// unseen is in place of what nodes count together for a gateway that serves nothing: who
// asks it what would become of a request does not spend anybody's limit.
type unseen struct{ counters *limit.Counters }

// newUnseen is nil where nodes share nothing, as it is for a gateway that serves.
func (b *bus) newUnseen() *limit.Shared {
	if b.limits == nil {
		return nil
	}
	return limit.NewShared(limit.SharedConfig{Remote: unseen{limit.NewCounters(0)}})
}

// Take counts in this process.
func (u unseen) Take(_ context.Context, id limit.ID, r *limit.Rule) (limit.Usage, time.Time, error) {
	now := time.Now()
	return u.counters.Take(u.counters.Key(string(id[:])), r, now), now, nil
}

// Add tells nobody.
func (unseen) Add(_ context.Context, deltas []limit.Delta) ([]limit.Count, time.Time, error) {
	return make([]limit.Count, len(deltas)), time.Now(), nil
}
