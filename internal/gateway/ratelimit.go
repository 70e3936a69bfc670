package gateway

import (
	"cmp"
	"context"
	"net/http"
	"time"

	"github.com/carnetproject/carnet/internal/limit"
)

// rateStage counts requests and refuses those over a limit, as Kong's plugin
// rate-limiting does; other than that, check and count are one step here, so that
// callers who ask at once get no more than the limit.
type rateStage struct {
	by       string // limit_by
	header   string // canonical; what by = header reads
	path     string // what by = path counts
	service  string // what by = service counts
	counter  counter
	tolerant bool // do with this node's own counts where those of all are away
	tell     *quotaLines
	refuse   func(status int, text, reason string) *refusal
	status   int
	message  string
}

// counter counts the requests under one rule: on this node, or on all of them. An
// error means that it was this node alone, where all should have.
type counter interface {
	take(ctx context.Context, who caller, now time.Time) (limit.Usage, error)
}

// newRateStage makes the stage of a plugin attached at one scope, for the requests to
// a service whose callers are found out by j, nil if nothing finds out. Requests of all
// routes that the scope reaches share the counts.
func newRateStage(p *RateLimiting, j *JWT, at scope, service string, c counters) *rateStage {
	s := &rateStage{
		by: cmp.Or(p.LimitBy, perConsumer), header: http.CanonicalHeaderKey(p.HeaderName), path: p.Path, service: service,
		counter:  c.of(p, at),
		tolerant: p.FaultTolerant == nil || *p.FaultTolerant,
		status:   cmp.Or(p.ErrorCode, http.StatusTooManyRequests),
		message:  cmp.Or(p.ErrorMessage, "API rate limit exceeded"),
		refuse:   document,
	}
	if j.old() {
		s.refuse = message
	}
	if !p.HideClientHeaders {
		s.tell = newQuotaLines(p, j.old())
	}
	return s
}

func (*rateStage) name() string { return "rate-limiting" }

func (s *rateStage) check(ctx context.Context, r *request) *refusal {
	u, err := s.counter.take(ctx, s.caller(r), r.now)
	if err != nil && !s.tolerant {
		return s.refuse(http.StatusInternalServerError, "An unexpected error occurred", "requests cannot be counted: "+err.Error())
	}
	if s.tell != nil {
		s.tell.add(r, &u)
	}
	if !u.OK {
		return s.refuse(s.status, s.message, "over the limit per "+tightest(&u).String())
	}
	return nil
}

// tightest is the period that has least remaining, of several the longest.
func tightest(u *limit.Usage) limit.Period {
	best := limit.NumPeriods
	for p, w := range u.Windows {
		if w.Limit > 0 && (best == limit.NumPeriods || w.Remaining <= u.Windows[best].Remaining) {
			best = limit.Period(p)
		}
	}
	return best
}
