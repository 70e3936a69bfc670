package observe

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/carnetproject/carnet"
	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/gateway"
	"github.com/carnetproject/carnet/internal/limit"
	"github.com/carnetproject/carnet/internal/securesession"
)

// scrape returns the exposition's lines of Carnet's own metrics.
func scrape(t *testing.T, m *Metrics) string {
	t.Helper()
	w := httptest.NewRecorder()
	m.Exposition().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	if w.Code != http.StatusOK {
		t.Fatalf("status = %d", w.Code)
	}
	return w.Body.String()
}

func wantLines(t *testing.T, text string, lines ...string) {
	t.Helper()
	for _, line := range lines {
		if !strings.Contains(text, line+"\n") {
			t.Errorf("no line %s in:\n%s", line, text)
		}
	}
}

// TestOneLookAScrape: what several metrics tell is of one moment.
func TestOneLookAScrape(t *testing.T) {
	t.Parallel()
	m := NewMetrics()
	var looks, sessions uint64
	m.Cache(func() carnet.CacheStats {
		looks++
		return carnet.CacheStats{Hits: looks, Misses: 10 * looks, Bytes: int64(100 * looks)}
	})
	m.SecureSessions(func() (s securesession.Stats) {
		sessions++
		s.Calls = int(sessions)
		return s
	})
	for range 2 {
		scrape(t, m)
	}
	wantLines(t, scrape(t, m), "carnet_token_cache_hits_total 3", "carnet_token_cache_misses_total 30",
		"carnet_token_cache_bytes 300", "carnet_securesession_inflight 3")
	if looks != 3 || sessions != 3 {
		t.Errorf("three scrapes looked %d and %d times", looks, sessions)
	}
}

func TestMetricsSecrets(t *testing.T) {
	t.Parallel()
	m := NewMetrics()
	m.SecretSought("vault", "ok")
	m.SecretSought("none", "not_found")
	m.SecretSought("vault", "ok")
	wantLines(t, scrape(t, m),
		`carnet_secrets_resolve_total{provider="vault",result="ok"} 2`,
		`carnet_secrets_resolve_total{provider="none",result="not_found"} 1`)
}

func TestMetricsHandler(t *testing.T) {
	t.Parallel()
	m := NewMetrics()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /keysets/{name}", func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusEarlyHints)
		if r.PathValue("name") == "none" {
			w.WriteHeader(http.StatusNotFound)
		}
		_, _ = w.Write([]byte("x"))
		if err := http.NewResponseController(w).Flush(); err != nil {
			t.Errorf("Flush() = %v", err)
		}
	})
	mux.HandleFunc("/keysets/{name}", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusMethodNotAllowed) })
	mux.HandleFunc("/", http.NotFound)
	h := m.Handler("issue", mux)
	for _, path := range []string{"/keysets/a", "/keysets/b", "/keysets/none", "/wp-login.php", "/x"} {
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", path, nil))
	}
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("PUT", "/keysets/a", nil))
	text := scrape(t, m)
	wantLines(t, text,
		`carnet_http_requests_total{class="2xx",door="issue",route="/keysets/{name}"} 2`,
		`carnet_http_requests_total{class="4xx",door="issue",route="/keysets/{name}"} 2`,
		`carnet_http_requests_total{class="4xx",door="issue",route="other"} 2`,
		`carnet_http_request_duration_seconds_count{door="issue",route="other"} 2`,
	)
	if strings.Contains(text, "wp-login") {
		t.Error("a path that a client made up is a label")
	}
}

func TestMetricsCounts(t *testing.T) {
	t.Parallel()
	m := NewMetrics()
	m.Admitted(gateway.Outcome{Route: "demo", Status: 200, Duration: 2 * time.Second})
	m.Admitted(gateway.Outcome{Route: "demo", Refused: "jwt", Status: 401})
	m.Admitted(gateway.Outcome{Refused: "route", Status: 404})
	m.TokenAsked("refresh_token", nil)
	m.TokenAsked("refresh_token", fault.New(fault.Unauthenticated, "no"))
	m.TokenAsked("password", errors.New("store is gone"))
	m.Signed("access", "ES256", 60*time.Microsecond)
	m.Reload(true)
	m.Reload(false)
	m.Cache(func() carnet.CacheStats { return carnet.CacheStats{Hits: 7, Misses: 3, Bytes: 512} })
	m.Revocations(func() int { return 12 })
	m.Counters(func() limit.CountersStats { return limit.CountersStats{Bytes: 1 << 20, Evicted: 2} })
	m.SharedCounters(func() limit.SharedStats {
		return limit.SharedStats{Counters: limit.CountersStats{Bytes: 1 << 21}, Up: true, Alone: 4}
	})
	wantLines(t, scrape(t, m),
		`carnet_rate_limit_shared_up 1`,
		`carnet_rate_limit_alone_total 4`,
		`carnet_rate_limit_shared_table_bytes 2.097152e+06`,
		`carnet_signature_duration_seconds_bucket{alg="ES256",set="access",le="5e-05"} 0`,
		`carnet_signature_duration_seconds_bucket{alg="ES256",set="access",le="0.0001"} 1`,
		`carnet_revocations 12`,
		`carnet_rate_limit_table_bytes 1.048576e+06`,
		`carnet_rate_limit_evictions_total 2`,
		`carnet_gateway_admissions_total{outcome="admitted"} 1`,
		`carnet_gateway_admissions_total{outcome="jwt"} 1`,
		`carnet_gateway_admissions_total{outcome="route"} 1`,
		`carnet_http_requests_total{class="2xx",door="admit",route="demo"} 1`,
		`carnet_http_requests_total{class="4xx",door="admit",route="other"} 1`,
		`carnet_http_request_duration_seconds_bucket{door="admit",route="demo",le="1"} 1`,
		`carnet_http_request_duration_seconds_bucket{door="admit",route="demo",le="2.5"} 2`,
		`carnet_token_requests_total{grant="refresh_token",outcome="ok"} 1`,
		`carnet_token_requests_total{grant="refresh_token",outcome="unauthenticated"} 1`,
		`carnet_token_requests_total{grant="password",outcome="internal"} 1`,
		`carnet_config_reloads_total{outcome="ok"} 1`,
		`carnet_config_reloads_total{outcome="failed"} 1`,
		`carnet_token_cache_hits_total 7`,
		`carnet_token_cache_misses_total 3`,
		`carnet_token_cache_bytes 512`,
	)
}

func TestMetricsSayWhatRuns(t *testing.T) {
	t.Parallel()
	text := scrape(t, NewMetrics())
	for _, name := range []string{"carnet_build_info{", "go_goroutines ", "process_open_fds "} {
		if !strings.Contains(text, "\n"+name) {
			t.Errorf("no %s in the exposition", name)
		}
	}
}
