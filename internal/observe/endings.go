package observe

import (
	"math"
	"time"
)

// Endings shows what is about to end. ending tells how many apps end soon, and in how long
// the first of all does, if any; overdue counts keys whose successors are late. It is
// called once.
func (m *Metrics) Endings(ending func() (soon int, first time.Duration, ok bool), overdue func() int) {
	type ends struct {
		soon    int
		first   float64
		overdue int
	}
	show(m, func() ends {
		soon, first, ok := ending()
		if !ok {
			return ends{soon, math.Inf(1), overdue()}
		}
		return ends{soon, first.Seconds(), overdue()}
	},
		gauge("carnet_apps_ending", "Enabled apps whose last secret or key ends within 14 days, or has ended.",
			func(e ends) float64 { return float64(e.soon) }),
		gauge("carnet_app_end_seconds", "Time until the first enabled app has no secret or key left; negative if one has none, +Inf if none ever ends.",
			func(e ends) float64 { return e.first }),
		gauge("carnet_keys_overdue", "Keys that sign for longer than their set's rotation period since their successors could not be made.",
			func(e ends) float64 { return float64(e.overdue) }))
}
