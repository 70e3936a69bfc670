package observe

import (
	"context"
	"encoding/json"
	"log/slog"
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
}

// Health answers the two questions of an orchestrator: does the process live
// (if not, restart it), and can it work now (if not, send it nothing).
type Health struct {
	checks   []Check
	log      *slog.Logger
	draining atomic.Bool
}

// NewHealth returns a node's health, which is ready if every check passes.
func NewHealth(log *slog.Logger, checks ...Check) *Health {
	return &Health{checks: checks, log: log}
}

// Drain makes the node not ready from here on, so that a load balancer stops
// sending requests before the listeners close.
func (h *Health) Drain() { h.draining.Store(true) }

// Mount adds GET /healthz and GET /readyz.
func (h *Health) Mount(mux *http.ServeMux) {
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, report{Status: "ok"})
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		answer(w, h.look(r.Context()))
	})
}

// report is the body of both answers.
type report struct {
	Status string            `json:"status"` // "ok", "unavailable" or "draining"
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
	out := report{Status: "ok", Checks: map[string]string{}}
	for i, c := range h.checks {
		out.Checks[c.Name] = "ok"
		if errs[i] != nil {
			out.Status = "unavailable"
			out.Checks[c.Name] = fault.Public(errs[i]).Msg
			h.log.LogAttrs(ctx, slog.LevelWarn, "not ready", slog.String("check", c.Name), slog.Any("err", errs[i]))
		}
	}
	if h.draining.Load() {
		out.Status = "draining"
	}
	return out
}

func answer(w http.ResponseWriter, r report) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	if r.Status != "ok" {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	_ = json.NewEncoder(w).Encode(r) // the prober may be gone
}
