package server

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/carnetproject/carnet/internal/api/kong"
)

// follow keeps this node's snapshots up with the store, which other nodes and the
// command line change too (docs/adr/0003), and with the clock, which takes keys out
// of their sets. It looks at each poll interval, and soon after another node says that
// it has written. changed is called when verification keys may have changed. While the
// store is out of reach the last snapshots stay; readiness tells of it.
func (c *Core) follow(ctx context.Context, catalog *kong.Catalog, changed func()) error {
	tick := time.NewTicker(c.Config.PollInterval.Std())
	defer tick.Stop()
	heard := newNews()
	defer c.bus.Subscribe(newsSubject, func([]byte) { heard.note() })()
	seen := int64(-1) // so that what changed since the start is read
	generation := c.Keys.Generation()
	failing := false
	for {
		if now := c.Keys.Generation(); now != generation {
			generation = now
			changed()
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		case <-heard:
			pause(ctx, newsEvery)
		}
		version, err := c.store.Version(ctx)
		if err == nil && version != seen {
			c.Secrets.StoreChanged()
			if err = errors.Join(c.reload(ctx), catalog.Follow(ctx)); err == nil {
				seen = version
			}
		}
		err = errors.Join(err, c.compareClocks(ctx), c.Revocations.Follow(ctx), c.Consumers.Follow(ctx))
		if err != nil && !failing && ctx.Err() == nil {
			c.log.LogAttrs(ctx, slog.LevelError, "store cannot be followed, the last known state stays", slog.Any("err", err))
		} else if err == nil && failing {
			c.log.LogAttrs(ctx, slog.LevelInfo, "store is followed again")
		}
		failing = err != nil
	}
}

// reload takes over what it can: an app that cannot be read keeps no key in force that
// was revoked.
func (c *Core) reload(ctx context.Context) error {
	return errors.Join(c.Apps.Load(ctx), c.Keys.Load(ctx))
}

// housekeepingEvery is how often due rotations and expired rows are looked for. A
// rotation is planned days ahead by its times, so that minutes do not matter.
const housekeepingEvery = time.Minute

// housekeep rotates key sets that are due and deletes sign-ins, revocations, standings
// in restriction groups, used assertions and audit entries that have expired.
func (c *Core) housekeep(ctx context.Context) error {
	tick := time.NewTicker(housekeepingEvery)
	defer tick.Stop()
	for {
		if err := c.Keys.RotateDue(ctx); err != nil && ctx.Err() == nil {
			c.log.LogAttrs(ctx, slog.LevelError, "keys not rotated", slog.Any("err", err))
		}
		for _, rows := range []struct {
			what   string
			forget func(ctx context.Context, before time.Time) (int, error)
		}{
			{"sign-ins", c.store.DeleteExpiredFamilies},
			{"sessions", c.store.DeleteExpiredSessions},
			{"revocations", c.store.DeleteExpiredRevocations},
			{"restrictions", c.store.DeleteExpiredStandings},
			{"assertions", c.store.DeleteExpiredAssertions},
			{"audit entries", c.forgetEntries},
		} {
			if n, err := rows.forget(ctx, c.now()); err != nil && ctx.Err() == nil {
				c.log.LogAttrs(ctx, slog.LevelError, "expired "+rows.what+" not deleted", slog.Any("err", err))
			} else if n > 0 {
				c.log.LogAttrs(ctx, slog.LevelDebug, "expired "+rows.what+" deleted", slog.Int("count", n))
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}
