package observe

import (
	"context"
	"encoding/json"
	"log/slog"
	"math"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/carnetproject/carnet/internal/fault"
)

// checkTimeout bounds the answer of /readyz; a check that takes longer has failed.
const checkTimeout = 2 * time.Second

// Check is one thing that a node needs to do its work. Func is called at every
// look, possibly several times at once, and returns nil if all is well.
type Check struct {
	Name string
	Func func(ctx context.Context) error
	// Patience is how long the check may have failed before the node is not ready any
	// more, since without what it looks at a node still does some of its work. Until then
	// it is degraded; with [Forever] it stays so.
	Patience time.Duration
}

// Forever is the patience of a check that never makes a node unready.
const Forever = time.Duration(math.MaxInt64)

// Health answers the two questions of an orchestrator: does the process live
// (if not, restart it), and can it work now (if not, send it nothing).
type Health struct {
	checks   []Check
	log      *slog.Logger
	draining atomic.Bool

	mu    sync.Mutex
	since map[string]time.Time // when the checks that fail were first seen to
}

// NewHealth returns a node's health, which is ready if every check passes.
func NewHealth(log *slog.Logger, checks ...Check) *Health {
	return &Health{checks: checks, log: log, since: map[string]time.Time{}}
}

// Drain makes the node not ready from here on, so that a load balancer stops
// sending requests before the listeners close.
func (h *Health) Drain() { h.draining.Store(true) }

// Mount adds GET /healthz and GET /readyz.
func (h *Health) Mount(mux *http.ServeMux) {
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, report{Status: ok})
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		answer(w, h.look(r.Context()))
	})
}

// The states of a node that can work.
const (
	ok       = "ok"
	degraded = "degraded" // not all of it
)

// report is the body of both answers.
type report struct {
	Status string            `json:"status"` // "ok", "degraded", "unavailable" or "draining"
	Checks map[string]string `json:"checks,omitempty"`
}

func (h *Health) look(ctx context.Context) report {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	errs := make([]error, len(h.checks))
	var wg sync.WaitGroup
	for i, c := range h.checks {
		wg.Go(func() { errs[i] = c.Func(ctx) })
	}
	wg.Wait()
	out := report{Status: ok, Checks: map[string]string{}}
	for i, c := range h.checks {
		out.Checks[c.Name] = ok
		failing := h.failing(c.Name, errs[i])
		if errs[i] == nil {
			continue
		}
		out.Checks[c.Name] = fault.Public(errs[i]).Msg
		if failing < c.Patience {
			if out.Status == ok {
				out.Status = degraded
			}
			h.log.LogAttrs(ctx, slog.LevelWarn, "degraded", slog.String("check", c.Name), slog.Any("err", errs[i]))
			continue
		}
		out.Status = "unavailable"
		h.log.LogAttrs(ctx, slog.LevelWarn, "not ready", slog.String("check", c.Name), slog.Any("err", errs[i]))
	}
	if h.draining.Load() {
		out.Status = "draining"
	}
	return out
}

// failing is how long a check has failed by now.
func (h *Health) failing(check string, err error) time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err == nil {
		delete(h.since, check)
		return 0
	}
	if h.since[check].IsZero() {
		h.since[check] = time.Now()
	}
	return time.Since(h.since[check])
}

func answer(w http.ResponseWriter, r report) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	if r.Status != ok && r.Status != degraded {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	_ = json.NewEncoder(w).Encode(r) // the prober may be gone
}
