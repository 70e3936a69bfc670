package observe

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/carnetproject/carnet/internal/fault"
)

func probe(t *testing.T, h *Health, path string) (int, report) {
	t.Helper()
	mux := http.NewServeMux()
	h.Mount(mux)
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", path, nil))
	var r report
	if err := json.Unmarshal(w.Body.Bytes(), &r); err != nil {
		t.Fatalf("%s: %v in %q", path, err, w.Body)
	}
	return w.Code, r
}

func TestHealth(t *testing.T) {
	t.Parallel()
	well := Check{Name: "store", Func: func(context.Context) error { return nil }}
	ill := Check{Name: "keys", Func: func(context.Context) error { return errors.New("dial 10.0.0.7") }}
	told := Check{Name: "bus", Func: func(context.Context) error { return fault.New(fault.Unavailable, "not reached for 30s") }}
	for name, tc := range map[string]struct {
		checks []Check
		drain  bool
		status int
		want   report
	}{
		"nothing to check":     {nil, false, 200, report{Status: "ok"}},
		"well":                 {[]Check{well}, false, 200, report{"ok", map[string]string{"store": "ok"}}},
		"one fails":            {[]Check{well, ill}, false, 503, report{"unavailable", map[string]string{"store": "ok", "keys": "internal error"}}},
		"one fails, in public": {[]Check{told}, false, 503, report{"unavailable", map[string]string{"bus": "not reached for 30s"}}},
		"one may fail": {
			[]Check{well, {Name: "bus", Func: told.Func, Patience: Forever}},
			false, 200,
			report{"degraded", map[string]string{"store": "ok", "bus": "not reached for 30s"}},
		},
		"one may fail, another not": {
			[]Check{ill, {Name: "bus", Func: told.Func, Patience: Forever}},
			false, 503,
			report{"unavailable", map[string]string{"keys": "internal error", "bus": "not reached for 30s"}},
		},
		"draining": {[]Check{well}, true, 503, report{"draining", map[string]string{"store": "ok"}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var logged bytes.Buffer
			h := NewHealth(slog.New(slog.NewTextHandler(&logged, nil)), tc.checks...)
			if tc.drain {
				h.Drain()
			}
			status, got := probe(t, h, "/readyz")
			if diff := cmp.Diff(tc.want, got); diff != "" || status != tc.status {
				t.Errorf("/readyz = %d, want %d (-want +got):\n%s", status, tc.status, diff)
			}
			if failed := tc.want.Status == "unavailable"; strings.Contains(logged.String(), "not ready") != failed {
				t.Errorf("logged %q", &logged)
			}
			if status, _ := probe(t, h, "/healthz"); status != http.StatusOK {
				t.Errorf("/healthz = %d, want 200 whatever the checks say", status)
			}
		})
	}
}

func TestReadinessDoesNotWaitForEver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		stuck := func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
		began := time.Now()
		status, _ := probe(t, NewHealth(slog.New(slog.DiscardHandler), Check{Name: "a", Func: stuck}, Check{Name: "b", Func: stuck}), "/readyz")
		if took := time.Since(began); status != http.StatusServiceUnavailable || took != checkTimeout {
			t.Errorf("/readyz = %d after %v, want 503 after %v", status, took, checkTimeout)
		}
	})
}

// TestPatience: what has failed for too long, without a break, makes a node unready. The log
// has changes alone.
func TestPatience(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var broken atomic.Bool
		var logged bytes.Buffer
		h := NewHealth(slog.New(slog.NewTextHandler(&logged, nil)), Check{Name: "store", Patience: 30 * time.Second, Func: func(context.Context) error {
			if broken.Load() {
				return errors.New("away")
			}
			return nil
		}})
		for i, step := range []struct {
			broken bool
			status int
			want   string
		}{
			{false, 200, "ok"},
			{true, 200, "degraded"},
			{true, 200, "degraded"},
			{false, 200, "ok"},
			{true, 200, "degraded"},
			{true, 200, "degraded"},
			{true, 200, "degraded"},
			{true, 503, "unavailable"},
			{false, 200, "ok"},
		} {
			broken.Store(step.broken)
			if status, got := probe(t, h, "/readyz"); status != step.status || got.Status != step.want {
				t.Errorf("look %d: %d %s, want %d %s", i, status, got.Status, step.status, step.want)
			}
			time.Sleep(10 * time.Second)
		}
		var told []string
		for line := range strings.Lines(logged.String()) {
			_, line, _ = strings.Cut(line, "msg=")
			told = append(told, line)
		}
		want := []string{
			"degraded check=store err=away\n", "\"well again\" check=store\n",
			"degraded check=store err=away\n", "\"not ready\" check=store err=away\n", "\"well again\" check=store\n",
		}
		if diff := cmp.Diff(want, told); diff != "" {
			t.Errorf("the log (-want +got):\n%s", diff)
		}
	})
}
