package observe

import (
	"math"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// Endings shows what is about to end. ending tells how many apps end soon, and in how long
// the first of all does, if any; overdue counts keys whose successors are late. It is
// called once.
func (m *Metrics) Endings(ending func() (soon int, first time.Duration, ok bool), overdue func() int) {
	to := promauto.With(m.registry)
	to.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "carnet_apps_ending", Help: "Enabled apps whose last secret or key ends within 14 days, or has ended.",
	}, func() float64 {
		soon, _, _ := ending()
		return float64(soon)
	})
	to.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "carnet_app_end_seconds", Help: "Time until the first enabled app has no secret or key left; negative if one has none, +Inf if none ever ends.",
	}, func() float64 {
		_, first, ok := ending()
		if !ok {
			return math.Inf(1)
		}
		return first.Seconds()
	})
	to.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "carnet_keys_overdue", Help: "Keys that sign for longer than their set's rotation period since their successors could not be made.",
	}, func() float64 { return float64(overdue()) })
}
