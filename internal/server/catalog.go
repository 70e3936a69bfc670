package server

import (
	"context"
	"net/http"
	"runtime/debug"

	"github.com/carnetproject/carnet/internal/api/kong"
	"github.com/carnetproject/carnet/internal/gateway"
	"github.com/carnetproject/carnet/internal/httpx"
	"github.com/carnetproject/carnet/internal/secret"
)

// catalog makes the catalog of what the file and the store say of the gateway. It puts
// that in force on g; nil: there is no gateway on this node.
func (c *Core) catalog(g *gateway.Gateway) *kong.Catalog {
	o := kong.CatalogConfig{
		Store: c.store, Clock: c.now, Consumers: c.Consumers, File: c.Config.Gateway, FileName: c.Config.File(), Log: c.log,
		Check: func(_ context.Context, merged gateway.Config) error { return merged.Validate() },
		Apply: func(ctx context.Context, merged gateway.Config) error {
			if g != nil {
				if err := g.Reload(ctx, merged); err != nil {
					return err
				}
			}
			running := *c.Config
			running.Gateway = merged
			c.Consumers.Reserve(reserved(&running, &merged))
			return nil
		},
	}
	if g != nil {
		o.Check = g.Check
	}
	return kong.NewCatalog(o)
}

// Catalog returns the catalog of this node, beside the node itself if that is running.
func (c *Core) Catalog(ctx context.Context) (*kong.Catalog, error) {
	_, catalog, err := c.gatewayWithCatalog(ctx)
	return catalog, err
}

// gatewayWithCatalog makes a gateway that serves nothing, with what the store adds.
func (c *Core) gatewayWithCatalog(ctx context.Context) (*gateway.Gateway, *kong.Catalog, error) {
	o := c.gatewayOptions()
	o.Internal["device"] = http.NotFoundHandler()
	o.Shared = c.bus.newUnseen()
	g, err := c.newGateway(ctx, o)
	if err != nil {
		return nil, nil, err
	}
	catalog := c.catalog(g)
	return g, catalog, catalog.Load(ctx)
}

// kongAPI is Kong's Admin API for the operator's listener.
func (s *Server) kongAPI(adminSecret secret.Bytes) http.Handler {
	c := s.core.Config
	build := ""
	if info, ok := debug.ReadBuildInfo(); ok {
		build = info.Main.Version
	}
	return kong.New(kong.Config{
		Catalog: s.catalog, Registry: s.core.Consumers, Secret: adminSecret, Open: c.Admin.Open(),
		Version: c.Admin.KongVersion, ShowSecrets: c.Admin.ShowSecrets, Build: build, Ping: s.core.store.Ping,
		Audit: s.core.Audit, ClientAddr: httpx.ClientAddr(c.TrustedProxies),
	})
}
