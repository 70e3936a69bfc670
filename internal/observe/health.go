package observe

import (
	"cmp"
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
	told  map[string]string    // how checks stood by the log's last word, if not well
}

// NewHealth returns a node's health, which is ready if every check passes.
func NewHealth(log *slog.Logger, checks ...Check) *Health {
	return &Health{checks: checks, log: log, since: map[string]time.Time{}, told: map[string]string{}}
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

// How a check stands, and a node: what it can do of its work.
const (
	ok          = "ok"
	degraded    = "degraded"    // not all of it
	unavailable = "unavailable" // nor is it to be sent any
)

// report is the body of both answers.
type report struct {
	Status string            `json:"status"` // as above, or "draining"
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
			h.tell(ctx, c.Name, ok, nil)
			continue
		}
		out.Checks[c.Name] = fault.Public(errs[i]).Msg
		status := unavailable
		if failing < c.Patience {
			status = degraded
		}
		if out.Status != unavailable {
			out.Status = status
		}
		h.tell(ctx, c.Name, status, errs[i])
	}
	if h.draining.Load() {
		out.Status = "draining"
	}
	return out
}

// tell logs how a check stands when that has changed: a node is asked every second.
func (h *Health) tell(ctx context.Context, check, status string, err error) {
	h.mu.Lock()
	before := cmp.Or(h.told[check], ok)
	h.told[check] = status
	h.mu.Unlock()
	if status == before {
		return
	}
	if status == ok {
		h.log.LogAttrs(ctx, slog.LevelInfo, "well again", slog.String("check", check))
		return
	}
	text := "not ready"
	if status == degraded {
		text = degraded
	}
	h.log.LogAttrs(ctx, slog.LevelWarn, text, slog.String("check", check), slog.Any("err", err))
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
