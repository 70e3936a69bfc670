// Package gateway admits HTTP requests: it finds a request's route, runs the
// route's checks in order, and passes the request on to the upstream with the
// headers that say who asks.
//
// A request walks one way: normal path, route, stages (jwt, acl, rate-limiting), proxy. Each
// refusal is a documented one, and nothing that a client sends makes a 5xx.
package gateway

import (
	"context"
	"errors"
	"log"
	"log/slog"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/carnetproject/carnet"
	"github.com/carnetproject/carnet/internal/consumer"
	"github.com/carnetproject/carnet/internal/limit"
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
	// Registry are the consumers and credentials that Config has not; nil: none.
	Registry registry
	// Used is called for each request that is admitted by a credential; nil: not.
	Used func(c *consumer.Credential, now time.Time)
	// Revocations are the tokens that were taken back; nil: none.
	Revocations revocations

	Cache    *carnet.Cache    // for verified tokens; nil: none
	Counters *limit.Counters  // for rate-limiting; nil: a table of 1 MiB
	Shared   *limit.Shared    // for what nodes count together; nil: a Config that wants that is refused
	Clock    func() time.Time // nil: time.Now
	Log      *slog.Logger     // nil: none
	Observe  func(Outcome)    // called after each request; nil: not

	Trusts     func(*http.Request) bool       // whether the peer is a proxy whose X-Forwarded-* is passed on; nil: never
	ClientAddr func(*http.Request) netip.Addr // who is behind the proxies; nil: the peer
}

// Outcome is how one request ended.
type Outcome struct {
	Route    string // "" if none matched
	Refused  string // "path", "route", "https", "verify", "refused_per_ip" or the name of a stage; "" if admitted
	Status   int    // 499 if the client hung up
	Duration time.Duration
}

// Gateway is the [http.Handler] of the gateway's listener. Safe for concurrent use.
type Gateway struct {
	vault    vault
	internal map[string]http.Handler
	cache    *carnet.Cache
	counters counters
	clock    func() time.Time
	log      *slog.Logger
	errorLog *log.Logger // the same, for ReverseProxy
	observe  func(Outcome)
	used     func(c *consumer.Credential, now time.Time)
	buffers  buffers

	revocations revocations // nil: none

	strangers  *limit.Counters // tokens refused, by network
	trusts     func(*http.Request) bool
	clientAddr func(*http.Request) netip.Addr

	sockets *sockets

	ring  keyring
	table atomic.Pointer[table]

	mu     sync.Mutex // one change at a time
	roster *roster
}

// New opens the secrets that the configuration names and compiles its routes. It
// starts nothing.
func New(ctx context.Context, o Options) (*Gateway, error) {
	g := &Gateway{
		vault:    vault{issuer: o.Issuer, audience: o.Audience, secret: o.Secret, keySet: o.KeySet},
		sockets:  newSockets(),
		internal: o.Internal, cache: o.Cache, counters: counters{o.Counters, o.Shared}, clock: o.Clock, log: o.Log, observe: o.Observe, used: o.Used,
		revocations: o.Revocations, trusts: o.Trusts, clientAddr: o.ClientAddr,
		strangers: limit.NewCounters(networkTable),
	}
	if g.counters.here == nil {
		g.counters.here = limit.NewCounters(1 << 20)
	}
	g.ring.registry = o.Registry
	if g.vault.audience == "" {
		g.vault.audience = o.Issuer
	}
	if g.clock == nil {
		g.clock = time.Now
	}
	if g.trusts == nil {
		g.trusts = func(*http.Request) bool { return false }
	}
	if g.log == nil {
		g.log = slog.New(slog.DiscardHandler)
	}
	g.vault.clock, g.vault.transport = g.clock, newStraight()
	g.errorLog = slog.NewLogLogger(g.log.Handler(), slog.LevelDebug)
	return g, g.Reload(ctx, o.Config)
}

// Reload puts c in force for the requests that come after it, those on their way
// are not disturbed. If c cannot be used, its mistakes are returned as
// [Config.Validate] returns them and nothing changes. The verified tokens stay in
// the cache unless the credentials differ.
func (g *Gateway) Reload(ctx context.Context, c Config) error {
	if err := g.replace(ctx, &c); err != nil {
		return err
	}
	g.warn(ctx, &c) // the registry may take its time: nobody waits for that
	return nil
}

func (g *Gateway) replace(ctx context.Context, c *Config) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	roster, snapshot, next, err := g.prepare(ctx, c)
	if err != nil {
		return err
	}
	g.ring.replace(snapshot)
	g.roster = roster
	last := g.table.Swap(next)
	last.release(next)
	return nil
}

// Check reports why [Gateway.Reload] would refuse c, nil if it would not.
func (g *Gateway) Check(ctx context.Context, c Config) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	_, _, _, err := g.prepare(ctx, &c)
	return err
}

// prepare makes all that c needs to be in force.
func (g *Gateway) prepare(ctx context.Context, c *Config) (*roster, *snapshot, *table, error) {
	v := c.validate()
	for _, at := range v.sharing {
		if g.counters.shared == nil {
			v.bad(at, NothingShared)
		}
	}
	if err := errors.Join(v.errs...); err != nil {
		return nil, nil, nil, err
	}
	roster, err := g.vault.roster(ctx, c.Consumers, g.roster)
	if err != nil {
		return nil, nil, nil, err
	}
	snapshot, err := g.vault.snapshot(roster)
	if err != nil {
		return nil, nil, nil, err
	}
	next, err := g.compile(c, snapshot.set, g.table.Load())
	return roster, snapshot, next, err
}

// SetsChanged reads the key sets again. Call it whenever a key is published,
// retired or revoked. If they cannot be read, what was read last stays in force.
func (g *Gateway) SetsChanged() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	snapshot, err := g.vault.snapshot(g.roster)
	if err != nil {
		return err
	}
	g.ring.replace(snapshot)
	return nil
}
