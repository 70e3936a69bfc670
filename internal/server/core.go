// Package server composes a node: it opens the store, wires the domain services to
// it, serves the doors that the configuration opens, and owns every goroutine.
package server

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/carnetproject/carnet/internal/app"
	"github.com/carnetproject/carnet/internal/audit"
	"github.com/carnetproject/carnet/internal/config"
	"github.com/carnetproject/carnet/internal/consumer"
	"github.com/carnetproject/carnet/internal/key"
	"github.com/carnetproject/carnet/internal/revocation"
	"github.com/carnetproject/carnet/internal/seal"
	"github.com/carnetproject/carnet/internal/secretstore"
	"github.com/carnetproject/carnet/internal/signin"
	"github.com/carnetproject/carnet/internal/user"
)

// Options is what a node is made of. Config must be one that config.Load returned.
type Options struct {
	Config  *config.Config
	Environ []string      // as os.Environ gives it
	Stdin   *bufio.Reader // of the whole process: master keys take their lines, and no more
	Log     *slog.Logger
	// NoFirstKeys leaves key sets that have no keys as they are, for who brings some.
	NoFirstKeys bool
	Clock       func() time.Time // this machine's; nil: time.Now
}

// Core is the store and the services over it: what every command of a node needs,
// serving or not. Keys signs only where the issue door is open.
type Core struct {
	Config *config.Config
	Keys   *key.Ring
	Apps   *app.Directory
	Users  *user.Directory
	// SignIns is where it stands who is signed in.
	SignIns *signin.Book
	// Secrets finds what the configuration names; Safe is the built-in vault.
	Secrets *secretstore.Resolver
	Safe    *secretstore.Safe
	// Consumers are those of the store, which the gateway looks up.
	Consumers *consumer.Registry
	// Revocations are empty until a server or a gateway is made of the core.
	Revocations *revocation.List
	// Audit is the audit log, which [Core.Run] writes.
	Audit *audit.Log

	store    store
	bus      *bus
	sealed   *seal.Box // under the data master key
	clock    *clock
	log      *slog.Logger
	noFirst  bool // keys are not made
	keyGuard keyGuard
}

// Open opens the store, makes the data directory and the master keys if this is
// the first start, and returns the services. They are empty until [Core.Run].
func Open(ctx context.Context, o Options) (*Core, error) {
	c := o.Config
	if err := os.MkdirAll(c.Data, 0o700); err != nil {
		return nil, fmt.Errorf("make data directory: %w", err)
	}
	core := &Core{Config: c, clock: newClock(o.Clock), log: o.Log, noFirst: o.NoFirstKeys}
	core.keyGuard.use(c.Egress)
	masterKeys, err := core.keyReader(o)
	if err != nil {
		return nil, err
	}
	if core.store, err = openStore(ctx, c.Store); err != nil {
		return nil, err
	}
	if err := core.compose(ctx, masterKeys, o.Environ); err != nil {
		return nil, errors.Join(err, core.store.Close())
	}
	return core, nil
}

// compose makes the services over the store.
func (c *Core) compose(ctx context.Context, masterKeys *keyReader, environ []string) error {
	if err := c.compareClocks(ctx); err != nil {
		return err
	}
	used, err := whatIsSealed(ctx, c.store)
	if err != nil {
		return err
	}
	if c.bus, err = c.newBus(); err != nil {
		return err
	}
	c.store.Tell(c.bus.news.note)
	boxes, err := masterKeys.open(ctx, c.Config, used)
	if err != nil {
		return err
	}
	c.sealed = boxes.data
	c.store.SealContexts(boxes.data)
	c.Audit = c.newAudit()
	c.Safe = secretstore.NewSafe(c.Config.Organization, c.store, boxes.data, c.now)
	if c.Secrets, err = c.secrets(environ, c.Safe); err != nil {
		return err
	}
	if c.Consumers, err = c.consumers(); err != nil {
		return err
	}
	c.Apps = app.New(app.Config{Store: c.store, Clock: c.now, Box: boxes.data, Secrets: c.Secrets, HasConnector: c.hasConnector, Fetch: c.keyFetcher, Signed: app.Signed{
		Session: c.Config.Keys[config.STSSet].Algorithms, Access: c.Config.Keys[config.AccessSet].Algorithms,
	}})
	if c.Keys, err = key.New(key.Config{Specs: specs(c.Config), Store: c.store, Clock: c.now, Box: boxes.signing, Decided: c.rotated}); err != nil {
		return err
	}
	c.Revocations = revocation.New(revocation.Config{Store: c.store, Clock: c.now, Life: func(t revocation.Target) time.Duration {
		return tokenLife(c.Config.Tokens, c.Config.Issuer, c.Apps, t)
	}})
	known, err := boxes.data.Derive("known browsers")
	if err != nil {
		return err
	}
	c.SignIns = signin.New(signin.Config{
		Issuer: c.Config.Issuer, Store: c.store, Revocations: c.Revocations, Key: known, Life: c.Config.Login.SessionTTL.Std(), Clock: c.now,
	})
	c.Users, err = user.New(user.Config{Store: c.store, SignIns: c.SignIns, Clock: c.now})
	return err
}

// specs are the configured key sets.
func specs(c *config.Config) []key.Spec {
	var list []key.Spec
	for name, s := range c.Keys {
		list = append(list, s.Spec(name))
	}
	return list
}

// Run loads the services, runs f while the store takes writes, and closes the store.
// It returns what f returns, or why the store failed, which ends f's context.
// Run is called once.
func (c *Core) Run(ctx context.Context, f func(context.Context) error) error {
	defer func() {
		if err := c.store.Close(); err != nil {
			c.log.LogAttrs(ctx, slog.LevelError, "store not closed", slog.Any("err", err))
		}
	}()
	g, ctx := errgroup.WithContext(ctx)
	// The writer outlives the signal to stop: what f still has to say is written.
	writing, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	g.Go(func() error { return c.store.Run(writing) })
	g.Go(func() error { return c.bus.Run(writing) })
	g.Go(func() error {
		defer stop()
		if err := c.load(ctx); err != nil {
			return err
		}
		defer c.audited(writing)()
		return f(ctx)
	})
	return g.Wait()
}

// load fills the services, and makes first keys where this node signs.
func (c *Core) load(ctx context.Context) error {
	if err := errors.Join(c.Apps.Load(ctx), c.Keys.Load(ctx), c.Consumers.Follow(ctx)); err != nil {
		return err
	}
	if !c.signs() || c.noFirst {
		return nil
	}
	return c.Keys.Ensure(ctx)
}

// signs reports whether this node holds private keys.
func (c *Core) signs() bool { return slices.Contains(c.Config.Doors, config.Issue) }
