package server

import (
	"context"
	"strings"

	"github.com/carnetproject/carnet/internal/bus/local"
	"github.com/carnetproject/carnet/internal/bus/redis"
)

// bus is what carries hints between nodes, and what keeps it going.
type bus struct {
	events
	run []func(context.Context) error // nothing for one in this process
}

type events interface {
	Publish(ctx context.Context, subject string, data []byte) error
	Subscribe(subject string, f func(data []byte)) (cancel func())
}

// newBus returns the bus that the configuration names. Nodes of one organization share
// it.
func (c *Core) newBus() (bus, error) {
	if c.Config.Bus == "local" {
		return bus{events: local.New()}, nil
	}
	client, err := redis.New(c.Config.Bus, c.log)
	if err != nil {
		return bus{}, err
	}
	b := redis.NewBus(client, "carnet:"+strings.ToLower(c.Config.Organization))
	return bus{events: b, run: []func(context.Context) error{client.Run, b.Run}}, nil
}
