package observe

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/carnetproject/carnet/internal/connector"
)

// apis counts calls of API connectors.
type apis struct {
	calls    *prometheus.CounterVec
	duration *prometheus.HistogramVec
	open     *prometheus.GaugeVec
	failed   prometheus.Counter
}

func newAPIs(to promauto.Factory) apis {
	return apis{
		calls: to.NewCounterVec(prometheus.CounterOpts{
			Name: "carnet_securesession_authorizer_requests_total",
			Help: "Calls of API connectors, for secure sessions and for all else, by class of the status or what came in its place.",
		}, []string{"connector", "class"}),
		duration: to.NewHistogramVec(prometheus.HistogramOpts{
			Name: "carnet_securesession_authorizer_duration_seconds", Help: "Time of calls of API connectors that went out.", Buckets: latency,
		}, []string{"connector"}),
		open: to.NewGaugeVec(prometheus.GaugeOpts{
			Name: "carnet_securesession_breaker_state", Help: "1 if an API connector's circuit breaker is open, 0 if it is closed, as its last call left it.",
		}, []string{"connector"}),
		failed: to.NewCounter(prometheus.CounterOpts{
			Name: "carnet_restrictions_failed_total", Help: "Times that a restriction group could not be asked, and restricted nobody.",
		}),
	}
}

// ConnectorCalled counts an execution of a connector, and shows whether its breaker is
// open since.
func (m *Metrics) ConnectorCalled(alias string, r connector.Result, open bool) {
	class, out := r.Class()
	m.apis.calls.WithLabelValues(alias, class).Inc()
	if out {
		m.apis.duration.WithLabelValues(alias).Observe(r.Duration.Seconds())
	}
	state := 0.0
	if open {
		state = 1
	}
	m.apis.open.WithLabelValues(alias).Set(state)
}

// RestrictionsFailed counts a restriction group that could not be asked.
func (m *Metrics) RestrictionsFailed() { m.apis.failed.Inc() }
