package server

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/carnetproject/carnet/internal/api/kore"
	"github.com/carnetproject/carnet/internal/app"
	"github.com/carnetproject/carnet/internal/bot"
	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/httpx"
	"github.com/carnetproject/carnet/internal/jose"
	"github.com/carnetproject/carnet/internal/limit"
	"github.com/carnetproject/carnet/internal/seal"
	"github.com/carnetproject/carnet/internal/token"
)

// koreDoor composes the surface for pages of Kore's web SDK. It is not mounted: it stands
// before the mux ([kore.Handler.Wrap]).
func (s *Server) koreDoor(ctx context.Context, d *carrier) (*kore.Handler, error) {
	c := s.core.Config
	o := kore.Config{
		Engine: d.engine, Apps: s.core.Apps, Keys: s.core.assertionKeys, Bot: d.called.find(d.engine.Knows),
		Box: s.core.sealed, Revocations: s.core.Revocations, Clock: s.core.now,
		Alone:      !shared(c),
		ClientAddr: httpx.ClientAddr(c.TrustedProxies), Secure: behindTLS(c.Issuer),
		Prefix: c.Chat.Kore.Prefix, TokenTTL: c.Chat.Kore.TokenTTL.Std(), PerAddr: c.Chat.ConnectionsPerIP,
		Requests: limit.New(c.Chat.ConnectsPerIP, addrsRemembered), Log: s.core.log,
	}
	if ref := c.Chat.Kore.AssertionKey; ref != "" {
		key, err := s.core.privateKey(ctx, ref)
		if err != nil {
			return nil, fault.Wrap(fault.Invalid, "chat.kore.assertion_key cannot be used", err)
		}
		o.Encrypted = key
	}
	return kore.New(o), nil
}

// assertionKeys may have signed a session token of a: its secrets if it signs with them,
// else the key set that signs for all apps.
func (c *Core) assertionKeys(ctx context.Context, a *app.App, kid string, now time.Time) ([]*jose.Key, error) {
	if a.SessionAlgorithm.Symmetric() {
		return c.Apps.VerificationKeys(ctx, a, kid, now)
	}
	return c.Keys.Published(token.SessionSet, now), nil
}

// privateKey opens what was sealed to its public half.
func (c *Core) privateKey(ctx context.Context, ref string) (*seal.Nested, error) {
	text, err := c.Secrets.Resolve(ctx, ref)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text.Reveal())
	if block == nil {
		return nil, fault.New(fault.Invalid, "there is no PEM block in it")
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	return seal.NewNested(key)
}

// koreNames are what pages call bots: an _id or a name. Safe for concurrent use.
type koreNames struct {
	latest atomic.Pointer[map[string]bot.ID]
}

// use puts the configured names in force.
func (n *koreNames) use(configured map[string]bot.ID) { n.latest.Store(&configured) }

// find finds a bot by what is configured for it or, if that is nothing, by its own name.
func (n *koreNames) find(known func(bot.ID) bool) func(id, name string) (bot.ID, bool) {
	return func(id, name string) (bot.ID, bool) {
		configured := *n.latest.Load()
		for _, called := range []string{id, name} {
			b, ok := configured[called]
			if !ok {
				b = bot.ID(called)
			}
			if known(b) {
				return b, true
			}
		}
		return "", false
	}
}

// behindTLS tells whether a browser came by TLS, which may end before this node: then the
// issuer's URL says so.
func behindTLS(issuer string) func(*http.Request) bool {
	u, err := url.Parse(issuer)
	return func(r *http.Request) bool {
		return r.TLS != nil || err == nil && u.Scheme == "https" && strings.EqualFold(u.Host, r.Host)
	}
}
