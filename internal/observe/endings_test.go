package observe

import (
	"testing"
	"time"
)

func TestMetricsEndings(t *testing.T) {
	t.Parallel()
	m, ends := NewMetrics(), false
	m.Endings(func() (int, time.Duration, bool) {
		if !ends {
			return 0, 0, false
		}
		return 2, -time.Minute, true
	}, func() int { return 3 })
	wantLines(t, scrape(t, m), "carnet_apps_ending 0", "carnet_app_end_seconds +Inf", "carnet_keys_overdue 3")
	ends = true
	wantLines(t, scrape(t, m), "carnet_apps_ending 2", "carnet_app_end_seconds -60")
}
