package observe

import (
	"cmp"
	"net/http"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/carnetproject/carnet"
	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/gateway"
	"github.com/carnetproject/carnet/internal/jose"
	"github.com/carnetproject/carnet/internal/key"
	"github.com/carnetproject/carnet/internal/limit"
)

// latency has the bounds of duration histograms, in seconds: from a cached token
// to an upstream that nobody waits for any more.
var latency = []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}

// signing has the bounds of signatures' durations, in seconds: from ES256 on an idle
// processor to the end of the queue.
var signing = []float64{.00005, .0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1}

// Metrics counts what a node does. Labels are names of the configuration and of
// the program, never what a request says, so that their number is bounded and
// nobody can be recognized. Safe for concurrent use.
type Metrics struct {
	registry *prometheus.Registry
	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec
	admitted *prometheus.CounterVec
	asked    *prometheus.CounterVec
	reloads  *prometheus.CounterVec
	signed   *prometheus.HistogramVec
	secrets  *prometheus.CounterVec
	apis     apis
}

// NewMetrics returns metrics at zero, with those of the Go runtime and the process.
func NewMetrics() *Metrics {
	m := &Metrics{registry: prometheus.NewRegistry()}
	m.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	to := promauto.With(m.registry)
	m.requests = to.NewCounterVec(prometheus.CounterOpts{
		Name: "carnet_http_requests_total", Help: "Requests by door, route and class of the status.",
	}, []string{"door", "route", "class"})
	m.duration = to.NewHistogramVec(prometheus.HistogramOpts{
		Name: "carnet_http_request_duration_seconds", Help: "Time from the request's header to the end of the answer.", Buckets: latency,
	}, []string{"door", "route"})
	m.admitted = to.NewCounterVec(prometheus.CounterOpts{
		Name: "carnet_gateway_admissions_total", Help: `Requests by the check that refused them, or "admitted".`,
	}, []string{"outcome"})
	m.asked = to.NewCounterVec(prometheus.CounterOpts{
		Name: "carnet_token_requests_total", Help: `Requests for a token by grant, and by "ok" or the reason of the refusal.`,
	}, []string{"grant", "outcome"})
	m.reloads = to.NewCounterVec(prometheus.CounterOpts{
		Name: "carnet_config_reloads_total", Help: "Reloads of the configuration that took force, or did not.",
	}, []string{"outcome"})
	m.signed = to.NewHistogramVec(prometheus.HistogramOpts{
		Name: "carnet_signature_duration_seconds", Help: "Time to sign a token, waiting for a processor included.", Buckets: signing,
	}, []string{"set", "alg"})
	m.secrets = to.NewCounterVec(prometheus.CounterOpts{
		Name: "carnet_secrets_resolve_total", Help: `Looks for secrets, by provider ("none" has it) and result: ok, stale, not_found or error.`,
	}, []string{"provider", "result"})
	m.apis = newAPIs(to)
	to.NewGaugeVec(prometheus.GaugeOpts{
		Name: "carnet_build_info", Help: "Always 1; the labels say what runs.",
	}, []string{"version", "go"}).WithLabelValues(version(), runtime.Version()).Set(1)
	return m
}

// version is that of the program.
func version() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		return info.Main.Version
	}
	return "unknown"
}

// Exposition answers a scrape.
func (m *Metrics) Exposition() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}

// Handler counts the requests that h serves. Their route is the path of the pattern
// that matched in h's mux, "other" if none did.
func (m *Metrics) Handler(door string, h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began := time.Now()
		s := &statusWriter{ResponseWriter: w, status: http.StatusOK}
		h.ServeHTTP(s, r)
		m.request(door, cmp.Or(routeOf(r), "other"), s.status, time.Since(began))
	})
}

// routeOf is the path of the pattern that matched r, "" if none did.
func routeOf(r *http.Request) string {
	route := r.Pattern
	if _, path, ok := strings.Cut(route, " "); ok { // after the method
		route = path
	}
	if route == "/" {
		return ""
	}
	return route
}

// Admitted counts a request of the gateway.
func (m *Metrics) Admitted(o gateway.Outcome) {
	route, outcome := o.Route, o.Refused
	if route == "" {
		route = "other"
	}
	if outcome == "" {
		outcome = "admitted"
	}
	m.admitted.WithLabelValues(outcome).Inc()
	m.request("admit", route, o.Status, o.Duration)
}

func (m *Metrics) request(door, route string, status int, took time.Duration) {
	m.requests.WithLabelValues(door, route, strconv.Itoa(status/100)+"xx").Inc()
	m.duration.WithLabelValues(door, route).Observe(took.Seconds())
}

// TokenAsked counts a request for a token; err says why there is none.
func (m *Metrics) TokenAsked(grant string, err error) {
	outcome := "ok"
	if err != nil {
		outcome = fault.KindOf(err).String()
	}
	m.asked.WithLabelValues(grant, outcome).Inc()
}

// Signed counts a signature that a key set made.
func (m *Metrics) Signed(set key.SetName, alg jose.Algorithm, took time.Duration) {
	m.signed.WithLabelValues(string(set), string(alg)).Observe(took.Seconds())
}

// SecretSought counts a look for a secret.
func (m *Metrics) SecretSought(provider, result string) {
	m.secrets.WithLabelValues(provider, result).Inc()
}

// Reload counts a reload of the configuration.
func (m *Metrics) Reload(ok bool) {
	outcome := "ok"
	if !ok {
		outcome = "failed"
	}
	m.reloads.WithLabelValues(outcome).Inc()
}

// Cache shows a cache of verified tokens, which stats looks at. It is called once.
func (m *Metrics) Cache(stats func() carnet.CacheStats) {
	show(m, stats,
		counter("carnet_token_cache_hits_total", "Tokens whose signature was checked before.",
			func(s carnet.CacheStats) float64 { return float64(s.Hits) }),
		counter("carnet_token_cache_misses_total", "Tokens whose signature had to be checked.",
			func(s carnet.CacheStats) float64 { return float64(s.Misses) }),
		gauge("carnet_token_cache_bytes", "Memory that verified tokens take.",
			func(s carnet.CacheStats) float64 { return float64(s.Bytes) }))
}

// Counters shows the table of rate limits, which stats looks at. It is called once.
func (m *Metrics) Counters(stats func() limit.CountersStats) {
	show(m, stats,
		gauge("carnet_rate_limit_table_bytes", "Memory for the counters of rate limits, used or not.",
			func(s limit.CountersStats) float64 { return float64(s.Bytes) }),
		counter("carnet_rate_limit_evictions_total", "Counters that gave way to others before their window ended: the table is too small.",
			func(s limit.CountersStats) float64 { return float64(s.Evicted) }))
}

// SharedCounters shows what nodes count together, which stats looks at. It is called once.
func (m *Metrics) SharedCounters(stats func() limit.SharedStats) {
	show(m, stats,
		gauge("carnet_rate_limit_shared_up", "1 while Redis answers what nodes count together, else 0.",
			func(s limit.SharedStats) float64 {
				if s.Up {
					return 1
				}
				return 0
			}),
		counter("carnet_rate_limit_alone_total", "Requests that this node counted by itself since Redis did not answer.",
			func(s limit.SharedStats) float64 { return float64(s.Alone) }),
		gauge("carnet_rate_limit_shared_table_bytes", "Memory for this node's part of what nodes count together, used or not.",
			func(s limit.SharedStats) float64 { return float64(s.Counters.Bytes) }))
}

// Traces shows the spans that were recorded, which stats looks at. It is called once.
func (m *Metrics) Traces(stats func() TraceStats) {
	const name, help = "carnet_trace_spans_total", "Spans that the collector took, or that were dropped since it did not."
	show(m, stats,
		counter(name, help, func(s TraceStats) float64 { return float64(s.Sent) }, "outcome", "sent"),
		counter(name, help, func(s TraceStats) float64 { return float64(s.Dropped) }, "outcome", "dropped"))
}

// Sockets shows how many chat connections there are. It is called once.
func (m *Metrics) Sockets(count func() int) {
	promauto.With(m.registry).NewGaugeFunc(prometheus.GaugeOpts{
		Name: "carnet_chat_connections", Help: "Open chat connections.",
	}, func() float64 { return float64(count()) })
}

// Revocations shows how many revocations are in force. It is called once.
func (m *Metrics) Revocations(count func() int) {
	promauto.With(m.registry).NewGaugeFunc(prometheus.GaugeOpts{
		Name: "carnet_revocations", Help: "Revocations in force.",
	}, func() float64 { return float64(count()) })
}

// statusWriter remembers the status.
type statusWriter struct {
	http.ResponseWriter
	status int
	sent   bool
}

func (w *statusWriter) WriteHeader(status int) {
	if !w.sent && status >= http.StatusOK { // informational ones come before
		w.status, w.sent = status, true
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *statusWriter) Write(b []byte) (int, error) {
	w.sent = true
	return w.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController reach what the connection can do.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
