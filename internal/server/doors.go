package server

import (
	"cmp"
	"context"
	"log/slog"
	"maps"
	"net/http"
	"slices"

	"github.com/carnetproject/carnet"
	"github.com/carnetproject/carnet/internal/api/oauth"
	"github.com/carnetproject/carnet/internal/api/sts"
	"github.com/carnetproject/carnet/internal/app"
	"github.com/carnetproject/carnet/internal/config"
	"github.com/carnetproject/carnet/internal/gateway"
	"github.com/carnetproject/carnet/internal/httpx"
	"github.com/carnetproject/carnet/internal/jose"
	"github.com/carnetproject/carnet/internal/key"
	"github.com/carnetproject/carnet/internal/limit"
	"github.com/carnetproject/carnet/internal/signin"
	"github.com/carnetproject/carnet/internal/token"
)

// How many callers each limiter remembers, at about 40 bytes each.
const (
	addrsRemembered = 1 << 18
	appsRemembered  = 1 << 12
	usersRemembered = 1 << 16
)

// networksPerUser is from how many networks somebody must try to be a user at once,
// to keep the user out.
const networksPerUser = 10

// stsCache is for the access tokens that callers of the JWT service show, and those that
// apps ask about.
const stsCache = 4 << 20

// InternalHandlers are the names that a service's internal:// URL may have, each with
// the door that must be open for it, "" for none.
func InternalHandlers() map[string]string {
	return map[string]string{"device": config.Issue, "echo": ""}
}

// kept is what of a scope that a person has granted an app it may still have; nothing of an
// app that is no more.
func (c *Core) kept(id app.ID, scope string) string {
	a, ok := c.Apps.Find(id)
	if !ok {
		return ""
	}
	return signin.Kept(a, scope)
}

// issueDoor mounts the token service.
func (s *Server) issueDoor(mux *http.ServeMux) error {
	c := s.core.Config
	people := s.people()
	next, err := s.core.sealed.Derive("refresh tokens")
	if err != nil {
		return err
	}
	tokens, err := token.New(token.Config{
		Issuer: c.Issuer, Audience: c.Audience, IdentityAlgorithm: identityAlgorithm(c),
		AccessTTL: c.Tokens.AccessTTL.Std(), RefreshTTL: c.Tokens.RefreshTTL.Std(), SessionTTL: c.Tokens.STSTTL.Std(),
		Keys: s.signer(), Apps: s.core.Apps, Families: s.core.store, Subjects: people,
		Revocations: s.core.Revocations, Kept: s.core.kept, Next: next, Clock: s.core.now,
	})
	if err != nil {
		return err
	}
	cache := carnet.NewCache(stsCache)
	access, err := newAccessVerifier(s.core, cache)
	if err != nil {
		return err
	}
	issued, err := newIssuedVerifier(s.core, cache)
	if err != nil {
		return err
	}
	assertions, err := token.NewAssertions(token.AssertionConfig{
		Issuer: c.Issuer, Keys: s.core.Apps.Keys(), Used: s.core.store, Clock: s.core.now,
	})
	if err != nil {
		return err
	}
	s.warnOfLateKeys()
	clientAddr := httpx.ClientAddr(c.TrustedProxies)
	oauth.New(oauth.Config{
		Issuer: c.Issuer, Audience: c.Audience, Title: c.Login.Title, ClientAddr: clientAddr, Clock: s.core.now,
		Apps: s.core.Apps, Users: people, Tokens: tokens, Access: issued, Assertions: assertions, SignIns: s.core.SignIns, Keys: s.core.Keys,
		LoginPerAddr: limit.New(c.Limits.LoginPerIP, addrsRemembered),
		LoginPerUser: limit.New(c.Limits.LoginPerUser, usersRemembered),
		LoginPerName: limit.New(limit.Rate{N: networksPerUser * c.Limits.LoginPerUser.N, Per: c.Limits.LoginPerUser.Per}, usersRemembered),
		TokenPerApp:  limit.New(c.Limits.TokenPerApp, appsRemembered),
		AboutPerApp:  limit.New(c.Limits.AboutPerApp, appsRemembered),
		Observe:      func(g app.Grant, err error) { s.metrics.TokenAsked(g.Short(), err) }, Audit: s.core.Audit,
	}).Mount(mux)
	sts.New(sts.Config{
		Apps: s.core.Apps, Issuer: tokens, Verifier: access, ClientAddr: clientAddr, Clock: s.core.now,
		Connector:   s.connectors.Connector,
		PerAddr:     limit.New(c.Limits.STSPerIP, addrsRemembered),
		PerApp:      limit.New(c.Limits.STSPerApp, appsRemembered),
		PerIdentity: limit.New(c.Limits.STSPerIdentity, usersRemembered),
		Secure:      httpx.Secure(c.TrustedProxies),
		Observe:     func(_ app.Identity, err error) { s.metrics.TokenAsked("sts", err) }, Audit: s.core.Audit,
	}).Mount(mux)
	return nil
}

// identityAlgorithm is that of ID tokens: RS256, which every client knows (OpenID Connect
// Core §15.1), if the access set has it.
func identityAlgorithm(c *config.Config) jose.Algorithm {
	if algs := c.Keys[config.AccessSet].Algorithms; !slices.Contains(algs, jose.RS256) {
		return algs[0]
	}
	return jose.RS256
}

// warnOfLateKeys names the key sets whose new keys sign before every verifier that
// follows their JWKS must have them.
func (s *Server) warnOfLateKeys() {
	for _, name := range slices.Sorted(maps.Keys(s.core.Config.Keys)) {
		if ahead := s.core.Config.Keys[name].PublishAhead.Std(); ahead < oauth.KeysMaxAge {
			s.core.log.Warn("publish_ahead is shorter than a JWKS may be cached: after a rotation, verifiers may refuse good tokens",
				slog.String("set", string(name)), slog.Duration("publish_ahead", ahead), slog.Duration("cached", oauth.KeysMaxAge))
		}
	}
}

// admitDoor is the gateway.
func (s *Server) admitDoor(ctx context.Context) (*gateway.Gateway, error) {
	o := s.core.gatewayOptions()
	o.Observe = s.metrics.Admitted
	s.metrics.Cache(o.Cache.Stats)
	o.Counters = limit.NewCounters(countersBytes(s.core.Config))
	s.metrics.Counters(o.Counters.Stats)
	if o.Shared = s.core.bus.limits; o.Shared != nil {
		s.metrics.SharedCounters(o.Shared.Stats)
	}
	if s.core.signs() {
		h, err := s.deviceDoor(ctx)
		if err != nil {
			return nil, err
		}
		o.Internal["device"] = h
	}
	return s.core.newGateway(ctx, o)
}

// Gateway returns the configured gateway for a look at its rules. It serves nothing.
func (c *Core) Gateway(ctx context.Context) (*gateway.Gateway, error) {
	if err := c.Revocations.Follow(ctx); err != nil {
		return nil, err
	}
	g, _, err := c.gatewayWithCatalog(ctx)
	return g, err
}

func (c *Core) newGateway(ctx context.Context, o gateway.Options) (*gateway.Gateway, error) {
	g, err := gateway.New(ctx, o)
	return g, c.Config.Locate("gateway", err)
}

func (c *Core) gatewayOptions() gateway.Options {
	return gateway.Options{
		Config: c.Config.Gateway, Issuer: c.Config.Issuer, Audience: c.Config.Audience,
		Secret: c.Secrets.Resolve, KeySet: c.publicKeys, Revocations: c.Revocations,
		Registry: c.Consumers, Used: c.Consumers.Used,
		Internal: map[string]http.Handler{"echo": http.HandlerFunc(echo)},
		Cache:    carnet.NewCache(cacheBytes(c.Config)), Clock: c.now, Log: c.log,
		Trusts: httpx.Trusts(c.Config.TrustedProxies), ClientAddr: httpx.ClientAddr(c.Config.TrustedProxies),
	}
}

// defaultCache is the gateway's token cache if the configuration states none.
const defaultCache = 40 << 20

func cacheBytes(c *config.Config) int64 {
	if c.Gateway.Cache == 0 {
		return defaultCache
	}
	return int64(c.Gateway.Cache)
}

// defaultCounters is the memory for rate limits if the configuration states none: for
// two million identities in one period.
const defaultCounters = 64 << 20

func countersBytes(c *config.Config) int64 {
	return cmp.Or(int64(c.Gateway.Counters), defaultCounters)
}

// publicKeys are the JWKs of a key set that verify now, the newest first.
func (c *Core) publicKeys(set string) ([][]byte, error) {
	published := c.Keys.Published(key.SetName(set), c.now())
	jwks := make([][]byte, len(published))
	for i, k := range published {
		text, err := k.MarshalJWK()
		if err != nil {
			return nil, err
		}
		jwks[len(published)-1-i] = text
	}
	return jwks, nil
}
