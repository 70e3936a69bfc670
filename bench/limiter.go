package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/carnetproject/carnet/internal/limit"
)

// limiterGroup measures the check of a rate limit, for one of 10,000 devices.
func limiterGroup() group {
	return group{[]string{"limiter/check"}, func(_ context.Context, report func(Result)) error {
		const devices = 10_000
		names := make([]string, devices)
		for i := range names {
			names[i] = fmt.Sprintf("mobilev2-dev.sunbird.app-%09d-1591600000000", i)
		}
		counters := limit.NewCounters(64 << 20)
		scope := counters.Key("route", "service")
		rule := &limit.Rule{Quotas: limit.Quotas{limit.Hour: limit.MaxN}}
		now := time.Now()
		refused, i := 0, 0
		check := func() {
			if !counters.Take(counters.Under(scope, names[i%devices]), rule, now).OK {
				refused++
			}
			i++
		}
		plain := plainLimiter{counts: map[string]int{}, quota: limit.MaxN}
		value, reference := alternate(check, func() {
			plain.take(names[i%devices])
			i++
		})
		if refused > 0 {
			return errors.New("a request under the limit was refused")
		}
		allocs := testing.AllocsPerRun(1000, check)
		report(Result{
			"limiter/check", value, "ns", reference, value / reference,
			"≤ 300 ns, 0 allocs", value <= 300 && allocs == 0,
		})
		return nil
	}}
}

// plainLimiter is the least that counts by name: a map under a lock, whose windows
// never end and whose memory has no bound.
type plainLimiter struct {
	mu     sync.Mutex
	counts map[string]int
	quota  int
}

func (l *plainLimiter) take(name string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.counts[name] >= l.quota {
		return false
	}
	l.counts[name]++
	return true
}
