package server

import (
	"context"
	"log/slog"
	"reflect"
	"strings"
	"sync/atomic"

	"github.com/carnetproject/carnet/internal/app"
	"github.com/carnetproject/carnet/internal/authprofile"
	"github.com/carnetproject/carnet/internal/config"
	"github.com/carnetproject/carnet/internal/connector"
	"github.com/carnetproject/carnet/internal/observe"
)

// Connectors are clients of the configured connectors, by their aliases in lower case.
// They ask no restriction group, call nobody yet, and are the caller's to close.
func (c *Core) Connectors() (map[string]*connector.Client, error) {
	apis, err := readAPIs(c.Config)
	if err != nil {
		return nil, err
	}
	clients := map[string]*connector.Client{}
	for _, alias := range apis.Names() {
		clients[alias], err = connector.NewClient(apis.Connectors[alias], connector.Config{
			Secrets: c.Secrets, Guard: c.Config.Egress.Guard(),
		})
		if err != nil {
			return nil, c.Config.Locate("connectors", err)
		}
	}
	return clients, nil
}

// readAPIs reads the files that a configuration names.
func readAPIs(c *config.Config) (config.APIs, error) {
	apis, err := c.APIs()
	return apis, c.Locate("", err)
}

// Restrictions are the configured restriction groups, over this node's store.
func (c *Core) Restrictions() (*connector.Restrictions, error) {
	apis, err := readAPIs(c.Config)
	if err != nil {
		return nil, err
	}
	return connector.NewRestrictions(connector.RestrictionsConfig{Groups: apis.Groups, Store: c.store, Clock: c.now, Log: c.log})
}

// hasConnector tells whether the configuration has a connector of that alias.
func (c *Core) hasConnector(alias string) bool {
	apis, err := c.Config.APIs()
	return err == nil && apis.Connectors[strings.ToLower(alias)] != nil
}

// connectors are the clients of a node that serves. A reload replaces those whose
// documents have changed. Safe for concurrent use.
type connectors struct {
	core    *Core
	metrics *observe.Metrics
	latest  atomic.Pointer[clients]
}

// clients are what files of connectors said at one moment, ready to be called.
type clients struct {
	egress       config.Egress
	groups       []*connector.Group
	restrictions *connector.Restrictions
	profiles     map[string]*authprofile.Profile // by their aliases in lower case
	byAlias      map[string]*connector.Client    // in lower case
}

// newConnectors makes the clients of the core's configuration.
func newConnectors(core *Core, m *observe.Metrics) (*connectors, error) {
	c := &connectors{core: core, metrics: m}
	first, err := c.prepare(core.Config)
	if err != nil {
		return nil, err
	}
	c.use(first)
	return c, nil
}

// Connector finds a client by its alias, in any letter case. Ask it for each call: what is
// found is the client of the document that is in force now.
func (c *connectors) Connector(alias string) (*connector.Client, bool) {
	cl, ok := c.latest.Load().byAlias[strings.ToLower(alias)]
	return cl, ok
}

// prepare makes the clients of a configuration. Those whose documents are as they were
// are the same ones, with what they know of their API.
func (c *connectors) prepare(cfg *config.Config) (*clients, error) {
	apis, err := readAPIs(cfg)
	if err != nil {
		return nil, err
	}
	was := c.latest.Load()
	same := was != nil && reflect.DeepEqual(was.egress, cfg.Egress) && reflect.DeepEqual(was.groups, apis.Groups)
	next := &clients{egress: cfg.Egress, groups: apis.Groups, profiles: apis.Profiles, byAlias: map[string]*connector.Client{}}
	if same {
		next.restrictions = was.restrictions
	} else if next.restrictions, err = connector.NewRestrictions(connector.RestrictionsConfig{
		Groups: apis.Groups, Store: c.core.store, Clock: c.core.now, Log: c.core.log, Failed: c.metrics.RestrictionsFailed,
	}); err != nil {
		return nil, cfg.Locate("connectors", err)
	}
	for alias, doc := range apis.Connectors {
		if same && was.byAlias[alias] != nil && was.byAlias[alias].Connector.Revision() == doc.Revision() {
			next.byAlias[alias] = was.byAlias[alias]
			continue
		}
		if next.byAlias[alias], err = c.client(cfg, doc, next.restrictions); err != nil {
			return nil, cfg.Locate("connectors", err)
		}
	}
	return next, nil
}

func (c *connectors) client(cfg *config.Config, doc *connector.Connector, r *connector.Restrictions) (*connector.Client, error) {
	var cl *connector.Client
	cl, err := connector.NewClient(doc, connector.Config{
		Secrets: c.core.Secrets, Guard: cfg.Egress.Guard(), Groups: r,
		Observe: func(r connector.Result) { c.metrics.ConnectorCalled(doc.Alias, r, cl.Open()) },
	})
	return cl, err
}

// use puts clients in force. Calls that run go on with those that they began with.
func (c *connectors) use(next *clients) {
	c.core.keyGuard.use(next.egress)
	was := c.latest.Swap(next)
	c.warnOfApps()
	if was == nil {
		return
	}
	for alias, old := range was.byAlias {
		if next.byAlias[alias] != old {
			old.Close()
		}
	}
}

// warnOfApps names the apps that no visitor can be confirmed to, for want of a connector.
func (c *connectors) warnOfApps() {
	for _, a := range c.core.Apps.All() {
		if _, ok := c.Connector(a.Connector); a.Identity == app.Connector && !a.Disabled && !ok {
			c.core.log.Warn("an app's connector is not there: nobody can be confirmed to it",
				slog.String("app", string(a.ID)), slog.String("connector", a.Connector))
		}
	}
}

// applyFile puts in force what changed files say of the gateway, with what the store adds
// to it, of connectors, and of bots: all of it, or nothing.
func (s *Server) applyFile(ctx context.Context, c *config.Config) error {
	s.core.Secrets.Expire() // whoever reloads has perhaps changed one
	next, err := s.connectors.prepare(c)
	if err != nil {
		return err
	}
	carry, err := s.prepareCarry(ctx, c, next)
	if err != nil {
		return err
	}
	if err := c.Locate("gateway", s.catalog.SetFile(ctx, c.Gateway)); err != nil {
		return err
	}
	s.connectors.use(next)
	carry()
	return nil
}

// prepareCarry returns what puts in force what a configuration says of the carry door.
func (s *Server) prepareCarry(ctx context.Context, c *config.Config, next *clients) (use func(), err error) {
	if s.carrier == nil {
		return func() {}, nil
	}
	posts, err := s.preparePosts(c, next)
	if err != nil {
		return nil, err
	}
	tokens, err := s.pushTokens(ctx, c)
	if err != nil {
		return nil, err
	}
	bots, err := s.recast(ctx, c, s.carrier.cast)
	if err != nil {
		return nil, err
	}
	return func() {
		s.broker.Use(next.profiles, next.egress.Guard())
		s.posts.use(ctx, posts)
		s.push.Use(tokens)
		s.carrier.socket.Publish(botKeys(c.Chat.Bots))
		s.carrier.called.use(c.Chat.Kore.Bots)
		s.carrier.use(bots)
	}, nil
}
