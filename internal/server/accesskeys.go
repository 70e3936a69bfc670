package server

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/carnetproject/carnet"
	"github.com/carnetproject/carnet/internal/app"
	"github.com/carnetproject/carnet/internal/egress"
	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/key"
	"github.com/carnetproject/carnet/internal/revocation"
	"github.com/carnetproject/carnet/internal/token"
)

// accessVerifier checks access tokens of this issuer with its own key ring.
type accessVerifier struct{ v *carnet.Verifier }

func newAccessVerifier(c *Core, cache *carnet.Cache) (*accessVerifier, error) {
	v, err := carnet.NewVerifier(carnet.VerifierConfig{
		Keys: &ringKeys{ring: c.Keys, set: token.AccessSet, clock: c.now}, Clock: c.now,
		Policy: carnet.AccessTokens(c.Config.Issuer, c.Config.Audience), Cache: cache, Revocations: revoked{c.Revocations},
	})
	return &accessVerifier{v}, err
}

// newIssuedVerifier takes access tokens for whatever audience.
func newIssuedVerifier(c *Core, cache *carnet.Cache) (*carnet.Verifier, error) {
	policy := carnet.AccessTokens(c.Config.Issuer, "")
	policy.AnyAudience = true
	return carnet.NewVerifier(carnet.VerifierConfig{
		Keys: &ringKeys{ring: c.Keys, set: token.AccessSet, clock: c.now}, Clock: c.now,
		Policy: policy, Cache: cache, Revocations: revoked{c.Revocations},
	})
}

// keyFetchTime is how long a connection to a server with an app's keys may take to be
// made, and its TLS again.
const keyFetchTime = 2 * time.Second

// keyFetcher makes the client that fetches the keys which an app publishes at a host, on
// the port that its URL names.
func (c *Core) keyFetcher(host string) *http.Client {
	guard := c.Config.Egress.Guard()
	guard.Ports, guard.Networks = nil, append(slices.Clone(guard.Networks), egress.Named(host)...)
	return egress.New(egress.Config{Host: host, Guard: guard, Connect: keyFetchTime, Conns: 1})
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
