package server

import (
	"context"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carnetproject/carnet/internal/app"
)

func TestEndings(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log logBuffer
		var stuck atomic.Pointer[[]string] // the days that pass are not seen as an order
		stuck.Store(&[]string{})
		ends := time.Now().Add(app.Warning)
		a := &app.App{ID: "app_shop", Name: "shop", Secrets: []app.Secret{{NotAfter: ends}}}
		e := endings{
			apps: func(now time.Time) ([]*app.App, time.Duration, bool) {
				left := ends.Sub(now)
				if left < app.Warning {
					return []*app.App{a}, left, true
				}
				return nil, left, true
			},
			keys: func() []string { return *stuck.Load() },
			now:  time.Now,
			log:  slog.New(slog.NewTextHandler(&log, nil)),
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- e.run(ctx) }()
		synctest.Wait()
		if early := log.String(); early != "" {
			t.Errorf("warned too early: %s", early)
		}
		if soon, first, ok := e.ending(); soon != 0 || first != app.Warning || !ok {
			t.Errorf("ending() = %d, %v, %v", soon, first, ok)
		}
		stuck.Store(&[]string{"access/ES256", "sts/RS256"})
		time.Sleep(3*warnEvery + time.Hour)
		synctest.Wait()
		for line, want := range map[string]int{
			`app=app_shop name=shop ends=` + ends.UTC().Format("2006-01-02"): 3,
			`keys=access/ES256,sts/RS256`:                                    3,
			`level=WARN`:                                                     6,
		} {
			if got := strings.Count(log.String(), line); got != want {
				t.Errorf("%d lines in three days have %q, want %d:\n%s", got, line, want, log.String())
			}
		}
		if soon, _, _ := e.ending(); soon != 1 || e.overdue() != 2 {
			t.Errorf("%d end and %d are overdue, want 1 and 2", soon, e.overdue())
		}
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run() = %v", err)
		}
	})
}
