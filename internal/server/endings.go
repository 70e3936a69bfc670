package server

import (
	"context"
	"log/slog"
	"net/netip"
	"strings"
	"time"

	"github.com/carnetproject/carnet/internal/app"
	"github.com/carnetproject/carnet/internal/audit"
)

// warnEvery is how often the log names what is about to end.
const warnEvery = 24 * time.Hour

// endings warns of apps that are about to be unable to prove who they are, and of keys whose
// rotation is stuck.
type endings struct {
	apps func(now time.Time) (soon []*app.App, first time.Duration, ok bool)
	keys func() (lines []string)
	now  func() time.Time
	log  *slog.Logger
	told *audit.Log // nil: none
}

func (c *Core) endings() endings {
	return endings{c.Apps.Ending, c.Keys.Overdue, c.now, c.log, c.Audit}
}

// ending is for metrics.
func (e endings) ending() (soon int, first time.Duration, ok bool) {
	apps, first, ok := e.apps(e.now())
	return len(apps), first, ok
}

func (e endings) overdue() int { return len(e.keys()) }

// run warns now and once a day.
func (e endings) run(ctx context.Context) error {
	tick := time.NewTicker(warnEvery)
	defer tick.Stop()
	for {
		e.warn(ctx)
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func (e endings) warn(ctx context.Context) {
	soon, _, _ := e.apps(e.now())
	for _, a := range soon {
		e.log.LogAttrs(ctx, slog.LevelWarn, "the app's last secret or key ends: rotate it",
			slog.String("app", string(a.ID)), slog.String("name", a.Name), slog.Time("ends", a.Ends()))
		e.told.Note(audit.Entry{
			Actor: audit.Actor{Kind: audit.System}, Action: audit.AppEnding, Object: string(a.ID),
			Details: map[audit.Detail]string{audit.Name: a.Name, audit.At: a.Ends().UTC().Format(time.RFC3339)},
		}, netip.Addr{})
	}
	if lines := e.keys(); len(lines) > 0 {
		e.log.LogAttrs(ctx, slog.LevelWarn, "keys sign for longer than their rotation period: successors could not be made",
			slog.String("keys", strings.Join(lines, ",")))
	}
}
