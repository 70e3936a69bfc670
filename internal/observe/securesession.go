package observe

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/carnetproject/carnet/internal/securesession"
)

// SecureSessions counts what the gate of secure sessions does. Safe for concurrent use.
type SecureSessions struct {
	decisions, blocked *prometheus.CounterVec
	grace              prometheus.Counter
}

// SecureSessions shows a gate, which stats looks at. It is called once.
func (m *Metrics) SecureSessions(stats func() securesession.Stats) *SecureSessions {
	figures := []figure[securesession.Stats]{
		gauge("carnet_securesession_inflight", "Conversations whose user is being checked.",
			func(s securesession.Stats) float64 { return float64(s.Calls) }),
		gauge("carnet_securesession_waiters", "Messages that wait for a check.",
			func(s securesession.Stats) float64 { return float64(s.Waiting) }),
	}
	for state, name := range map[securesession.State]string{
		securesession.None: "none", securesession.Allowed: "allowed", securesession.Denied: "denied", securesession.Failed: "failed",
	} {
		figures = append(figures, gauge("carnet_securesession_sessions", "Conversations in memory, by what was found last.",
			func(s securesession.Stats) float64 { return float64(s.Sessions[state]) }, "state", name))
	}
	show(m, stats, figures...)
	to := promauto.With(m.registry)
	return &SecureSessions{
		decisions: to.NewCounterVec(prometheus.CounterOpts{
			Name: "carnet_securesession_decisions_total", Help: "Decisions about messages, by result (allow, deny or fail), what they rest on, and the reason of a refusal.",
		}, []string{"bot", "result", "source", "reason"}),
		blocked: to.NewCounterVec(prometheus.CounterOpts{
			Name: "carnet_securesession_blocked_messages_total", Help: "Messages that were not let in.",
		}, []string{"bot", "reason"}),
		grace: to.NewCounter(prometheus.CounterOpts{
			Name: "carnet_securesession_grace_allowed_total", Help: "Messages that were let in past the interval, since nobody could be asked.",
		}),
	}
}

// Decided counts a decision.
func (s *SecureSessions) Decided(d securesession.Decision) {
	s.decisions.WithLabelValues(d.Key.Bot, d.Reason.Result(), string(d.Source), string(d.Reason)).Inc()
	if d.Reason != "" {
		s.blocked.WithLabelValues(d.Key.Bot, string(d.Reason)).Inc()
	}
	if d.Source == securesession.ByGrace {
		s.grace.Inc()
	}
}
