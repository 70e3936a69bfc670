package server

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/carnetproject/carnet"
	"github.com/carnetproject/carnet/internal/app"
	"github.com/carnetproject/carnet/internal/config"
	"github.com/carnetproject/carnet/internal/egress"
	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/key"
	"github.com/carnetproject/carnet/internal/revocation"
	"github.com/carnetproject/carnet/internal/token"
)

// accessVerifier checks access tokens of this issuer with its own key ring.
type accessVerifier struct{ v *carnet.Verifier }

func newAccessVerifier(c *Core, cache *carnet.Cache) (*accessVerifier, error) {
	v, err := c.verifier(c.keysOf(token.AccessSet), carnet.AccessTokens(c.Config.Issuer, c.Config.Audience), cache)
	return &accessVerifier{v}, err
}

// newIssuedVerifier takes access tokens for whatever audience.
func newIssuedVerifier(c *Core, cache *carnet.Cache) (*carnet.Verifier, error) {
	policy := carnet.AccessTokens(c.Config.Issuer, "")
	policy.AnyAudience = true
	return c.verifier(c.keysOf(token.AccessSet), policy, cache)
}

// verifier checks tokens with keys of this deployment, and that nobody has taken them back.
func (c *Core) verifier(keys carnet.KeySource, policy carnet.Policy, cache *carnet.Cache) (*carnet.Verifier, error) {
	return carnet.NewVerifier(carnet.VerifierConfig{
		Keys: keys, Clock: c.now, Policy: policy, Cache: cache, Revocations: revoked{c.Revocations},
	})
}

// keyFetchTime is how long a connection to a server with an app's keys may take to be
// made, and its TLS again.
const keyFetchTime = 2 * time.Second

// keyFetcher makes the client that fetches the keys which an app publishes at a host.
func (c *Core) keyFetcher(host string) *http.Client {
	return egress.New(egress.Config{Host: host, Guard: &c.keyGuard, Connect: keyFetchTime, Conns: 1})
}

// keyGuard lets those fetches go where egress allows it now, on the port that the URL names,
// and where the URL itself says.
type keyGuard struct{ inForce atomic.Pointer[egress.Guard] }

func (g *keyGuard) use(e config.Egress) {
	next := e.Guard()
	next.Ports = nil
	g.inForce.Store(&next)
}

// Check is that of the guard in force.
func (g *keyGuard) Check(host string, to netip.AddrPort) error {
	guard := *g.inForce.Load()
	guard.Networks = slices.Concat(guard.Networks, egress.Named(host))
	return guard.Check(host, to)
}

// Subject is whom the token is about. A session can open conversations: what another app
// than the session's was given must be good for that. Every refusal is one fault; the
// reason is its hidden cause.
func (a *accessVerifier) Subject(ctx context.Context, accessToken string, session app.ID) (string, error) {
	t, err := a.v.Verify(ctx, accessToken)
	if err == nil && !t.HasScope(chatScope) {
		if client := app.ID(revocation.Of(t).App); client != session && client != token.Itself {
			err = carnet.ErrScope
		}
	}
	if err != nil {
		return "", fault.Wrap(fault.Unauthenticated, "access token is not valid", err)
	}
	return t.Subject(), nil
}

// ringKeys is one set of the ring as a [carnet.KeySource]. It reads the set again when
// the ring's generation has moved.
type ringKeys struct {
	ring  *key.Ring
	set   key.SetName
	clock func() time.Time

	mu      sync.Mutex // one reads at a time
	current atomic.Pointer[generationOfKeys]
}

// keysOf is that set as it is at each time.
func (c *Core) keysOf(set key.SetName) *ringKeys {
	return &ringKeys{ring: c.Keys, set: set, clock: c.now}
}

type generationOfKeys struct {
	number uint64
	source carnet.KeySource
}

// Generation is the ring's.
func (r *ringKeys) Generation() uint64 { return r.ring.Generation() }

// Find looks in the set as it is now.
func (r *ringKeys) Find(ctx context.Context, h carnet.Hint) ([]*carnet.Key, error) {
	g := r.current.Load()
	if g == nil || g.number != r.ring.Generation() {
		var err error
		if g, err = r.read(); err != nil {
			return nil, err
		}
	}
	return g.source.Find(ctx, h)
}

func (r *ringKeys) read() (*generationOfKeys, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	number := r.ring.Generation() // before the keys, so that a change in between shows
	document, err := r.ring.JWKS(r.set, r.clock())
	if err != nil {
		return nil, err
	}
	source, err := carnet.ParseJWKS(document)
	if err != nil {
		return nil, fmt.Errorf("key set %s: %w", r.set, err)
	}
	g := &generationOfKeys{number, source}
	r.current.Store(g)
	return g, nil
}
