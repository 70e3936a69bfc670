package server

import (
	"cmp"
	"context"
	"log/slog"
	"slices"

	"github.com/carnetproject/carnet/internal/config"
	"github.com/carnetproject/carnet/internal/consumer"
	"github.com/carnetproject/carnet/internal/gateway"
)

// consumers makes the registry of the store's consumers, beside those of the file.
func (c *Core) consumers() (*consumer.Registry, error) {
	r, err := consumer.NewRegistry(consumer.RegistryConfig{
		Store: c.store, Clock: c.now, Box: c.sealed, CacheBytes: credentialCacheBytes(c.Config),
	})
	if err != nil {
		return nil, err
	}
	r.Reserve(reserved(c.Config, &c.Config.Gateway))
	return r, nil
}

func credentialCacheBytes(c *config.Config) int64 {
	return cmp.Or(int64(c.Gateway.CredentialCache), consumer.DefaultCache)
}

// reserved is what nothing in the store may clash with: what the file says of
// consumers, and the prefixes of devices, of which g, with what the store has, may have
// more than the file.
func reserved(c *config.Config, g *gateway.Config) consumer.Reserved {
	all := consumer.Reserved{Consumers: map[string]bool{}, CustomIDs: map[string]bool{}, Keys: map[string]bool{}}
	for i := range c.Gateway.Consumers {
		who := &c.Gateway.Consumers[i]
		all.Consumers[who.Username] = true
		if who.CustomID != "" {
			all.CustomIDs[who.CustomID] = true
		}
		for j := range who.JWTSecrets {
			all.Keys[cmp.Or(who.JWTSecrets[j].Key, c.Issuer)] = true
		}
	}
	all.Prefixes = append(issuerPrefixes(c), g.IssuerPrefixes()...)
	slices.Sort(all.Prefixes)
	all.Prefixes = slices.Compact(all.Prefixes)
	return all
}

// tend runs what the registry does in the background.
func (c *Core) tend(ctx context.Context) error {
	return c.Consumers.Run(ctx, func(err error) {
		c.log.LogAttrs(ctx, slog.LevelError, "consumers not tended", slog.Any("err", err))
	})
}
