package server

import (
	"context"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/carnetproject/carnet/internal/bus/local"
	"github.com/carnetproject/carnet/internal/bus/redis"
	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/limit"
	"github.com/carnetproject/carnet/internal/observe"
)

// bus is what carries hints between nodes.
type bus struct {
	events
	ping func(context.Context) error // nil for one in this process
	run  []func(context.Context) error
	news news

	limits *limit.Shared // what nodes count together; nil for one in this process
}

type events interface {
	Publish(ctx context.Context, subject string, data []byte) error
	Subscribe(subject string, f func(data []byte)) (cancel func())
}

// newBus returns the bus that the configuration names. Nodes of one organization share
// it.
func (c *Core) newBus() (*bus, error) {
	b := &bus{events: local.New(), news: newNews()}
	if c.Config.Bus == "local" {
		return b, nil
	}
	client, err := redis.New(c.Config.Bus, c.log)
	if err != nil {
		return nil, c.Config.Locate("bus", err)
	}
	shared := redis.NewBus(client, "carnet:"+strings.ToLower(c.Config.Organization))
	b.events, b.ping = shared, client.Ping
	b.run = []func(context.Context) error{client.Run, shared.Run}
	b.limits = limit.NewShared(limit.SharedConfig{
		Remote: redis.NewCounters(client, "carnet:"+strings.ToLower(c.Config.Organization)), Bytes: countersBytes(c.Config), Clock: c.now, Log: c.log,
	})
	return b, nil
}

// others carries to the nodes beside this one; nil if there are none.
func (b *bus) others() events {
	if b.ping == nil {
		return nil
	}
	return b
}

// storePatience is for how long a node that has lost the store takes requests: it verifies
// by what it knows, and that grows old.
const storePatience = 30 * time.Second

// checks are what a node needs to do all of its work.
func (c *Core) checks() []observe.Check {
	checks := []observe.Check{{Name: "store", Func: c.store.Ping, Patience: storePatience}}
	if c.bus.ping != nil {
		checks = append(checks, observe.Check{Name: "bus", Func: c.bus.reached, Patience: observe.Forever})
	}
	return checks
}

// reached is nil if the bus answers.
func (b *bus) reached(ctx context.Context) error {
	if err := b.ping(ctx); err != nil {
		return fault.Wrap(fault.Unavailable, "the bus is not reached", err)
	}
	return nil
}

// Run keeps the bus going until ctx ends and what this node has written is told.
func (b *bus) Run(ctx context.Context) error {
	carry, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	g, carry := errgroup.WithContext(carry)
	for _, run := range b.run {
		g.Go(func() error { return run(carry) })
	}
	g.Go(func() error {
		defer stop()
		return b.news.spread(ctx, func() error { return b.Publish(carry, newsSubject, nil) })
	})
	return g.Wait()
}
