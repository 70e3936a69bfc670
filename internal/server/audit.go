package server

import (
	"context"
	"log/slog"
	"net/netip"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/carnetproject/carnet/internal/audit"
	"github.com/carnetproject/carnet/internal/config"
	"github.com/carnetproject/carnet/internal/key"
)

// newAudit is the log of this host. A host without a name is none in the entries.
func (c *Core) newAudit() *audit.Log {
	host, _ := os.Hostname()
	return audit.New(audit.Config{
		Store: c.store, Node: host, Addresses: c.Config.Audit.Addresses, Tokens: c.Config.Audit.Tokens, Clock: c.now,
	})
}

// audited writes the log until the function that it returns is called, which waits for
// the last entries.
func (c *Core) audited(ctx context.Context) (end func()) {
	ctx, stop := context.WithCancel(ctx)
	var writing sync.WaitGroup
	writing.Go(func() { _ = c.Audit.Run(ctx) }) // nil, always
	return func() {
		stop()
		writing.Wait()
	}
}

// reloaded records a reload of the configuration, whether or not it took force.
func (c *Core) reloaded(ctx context.Context, by audit.Actor, changed []string, err error) {
	c.record(ctx, audit.Entry{
		Actor: by, Action: audit.ConfigReload, Outcome: audit.OutcomeOf(err),
		Details: map[audit.Detail]string{audit.Changed: strings.Join(changed, " ")},
	})
}

// rotated records what the key ring has decided by itself, with the times from which the
// states of the keys follow.
func (c *Core) rotated(ctx context.Context, changed []key.Key) {
	for _, k := range changed {
		e := audit.Entry{Actor: audit.Actor{Kind: audit.System}, Action: audit.KeyRotate, Object: string(k.Set), Details: map[audit.Detail]string{
			audit.Key: k.Public.ID(), audit.At: instant(k.Active),
		}}
		if !k.Retire.IsZero() {
			e.Action, e.Object, e.Details = audit.KeyRetire, k.Public.ID(), map[audit.Detail]string{
				audit.Of: string(k.Set), audit.At: instant(k.Retire), audit.Until: instant(k.Expire),
			}
		}
		c.record(ctx, e)
	}
}

// instant is t in an entry, and nothing if there is none.
func instant(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

// record is for what is in force even if the log cannot be written.
func (c *Core) record(ctx context.Context, e audit.Entry) {
	if err := c.Audit.Record(ctx, e, netip.Addr{}); err != nil {
		c.log.LogAttrs(ctx, slog.LevelError, "audit log not written", slog.Any("err", err))
	}
}

// Entries returns what a query chooses of the audit log.
func (c *Core) Entries(ctx context.Context, q audit.Query) ([]audit.Entry, error) {
	return c.store.Entries(ctx, q)
}

// forgetEntries deletes what the audit log keeps no longer.
func (c *Core) forgetEntries(ctx context.Context, now time.Time) (int, error) {
	keep := c.Config.Audit.Retention
	if keep == config.Forever {
		return 0, nil
	}
	return c.store.ForgetEntries(ctx, now.Add(-keep.Std()))
}
