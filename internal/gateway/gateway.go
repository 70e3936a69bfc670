// Package gateway admits HTTP requests: it finds a request's route, runs the
// route's checks in order, and passes the request on to the upstream with the
// headers that say who asks.
//
// A request walks one way: normal path, route, stages (jwt, acl), proxy. Each
// refusal is a documented one, and nothing that a client sends makes a 5xx.
package gateway

import (
	"context"
	"log"
	"log/slog"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/carnetproject/carnet"
	"github.com/carnetproject/carnet/internal/secret"
)

// Options are what a gateway is made of. Config and, if a credential uses the key
// set "access", Issuer are required; every other zero value is safe.
type Options struct {
	Config   Config
	Issuer   string // of this deployment's access tokens
	Audience string // of the same; the issuer if ""

	// Secret opens a secret that the configuration names by SRN.
	Secret func(ctx context.Context, srn string) (secret.Bytes, error)
	// KeySet returns the public JWKs of a key set that verify now, best first.
	KeySet func(name string) ([][]byte, error)
	// Internal are the upstreams of internal://NAME. They get requests as an
	// upstream gets them and are reached in no other way.
	Internal map[string]http.Handler

	Cache   *carnet.Cache    // for verified tokens; nil: none
	Clock   func() time.Time // nil: time.Now
	Log     *slog.Logger     // nil: none
	Observe func(Outcome)    // called after each request; nil: not

	Trusted    []netip.Prefix                 // proxies whose X-Forwarded-* is passed on
	ClientAddr func(*http.Request) netip.Addr // who is behind the proxies; nil: the peer
}

// Outcome is how one request ended.
type Outcome struct {
	Route    string // "" if none matched
	Refused  string // "path", "route" or the name of a stage; "" if admitted
	Status   int    // 499 if the client hung up
	Duration time.Duration
}

// Gateway is the [http.Handler] of the gateway's listener. Safe for concurrent use.
type Gateway struct {
	vault    vault
	internal map[string]http.Handler
	cache    *carnet.Cache
	clock    func() time.Time
	log      *slog.Logger
	errorLog *log.Logger // the same, for ReverseProxy
	observe  func(Outcome)
	buffers  buffers

	trusted    trust
	clientAddr func(*http.Request) netip.Addr

	ring  keyring
	table atomic.Pointer[table]

	mu          sync.Mutex // one change at a time
	credentials []*credential
}

// New opens the secrets that the configuration names and compiles its routes. It
// starts nothing.
func New(ctx context.Context, o Options) (*Gateway, error) {
	g := &Gateway{
		vault:    vault{issuer: o.Issuer, audience: o.Audience, secret: o.Secret, keySet: o.KeySet},
		internal: o.Internal, cache: o.Cache, clock: o.Clock, log: o.Log, observe: o.Observe,
		trusted: o.Trusted, clientAddr: o.ClientAddr,
	}
	if g.vault.audience == "" {
		g.vault.audience = o.Issuer
	}
	if g.clock == nil {
		g.clock = time.Now
	}
	if g.log == nil {
		g.log = slog.New(slog.DiscardHandler)
	}
	g.errorLog = slog.NewLogLogger(g.log.Handler(), slog.LevelDebug)
	return g, g.Reload(ctx, o.Config)
}

// Reload puts c in force for the requests that come after it, those on their way
// are not disturbed. If c cannot be used, its mistakes are returned as
// [Config.Validate] returns them and nothing changes. The verified tokens stay in
// the cache unless the credentials differ.
func (g *Gateway) Reload(ctx context.Context, c Config) error {
	if err := c.Validate(); err != nil {
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	credentials, err := g.vault.credentials(ctx, c.Consumers)
	if err != nil {
		return err
	}
	snapshot, err := g.vault.snapshot(credentials)
	if err != nil {
		return err
	}
	last := g.table.Load()
	next, err := g.compile(&c, snapshot.set, last)
	if err != nil {
		return err
	}
	g.ring.replace(snapshot)
	g.credentials = credentials
	g.table.Store(next)
	last.release(next)
	return nil
}

// SetsChanged reads the key sets again. Call it whenever a key is published,
// retired or revoked. If they cannot be read, what was read last stays in force.
func (g *Gateway) SetsChanged() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	snapshot, err := g.vault.snapshot(g.credentials)
	if err != nil {
		return err
	}
	g.ring.replace(snapshot)
	return nil
}
