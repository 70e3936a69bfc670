package observe

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/carnetproject/carnet/internal/audit"
)

// Audit counts what a log writes, and what it does not. Call it once.
func (m *Metrics) Audit(l *audit.Log) {
	to := promauto.With(m.registry)
	entries := to.NewCounterVec(prometheus.CounterOpts{
		Name: "carnet_audit_entries_total", Help: "Entries that this node wrote into the audit log.",
	}, []string{"action", "outcome"})
	l.Observe(func(a audit.Action, o audit.Outcome) { entries.WithLabelValues(string(a), string(o)).Inc() })
	to.NewCounterFunc(prometheus.CounterOpts{
		Name: "carnet_audit_dropped_total", Help: "Events that are missing in the audit log, because too many waited to be written.",
	}, func() float64 { return float64(l.Dropped()) })
}
