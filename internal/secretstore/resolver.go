package secretstore

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"log/slog"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/secret"
)

// How long what is known of a secret is good.
const (
	TTL      = time.Minute      // give or take a tenth: then it is looked for anew
	MaxStale = 15 * time.Minute // how old a value may become while its provider does not answer
	retry    = 5 * time.Second  // after a failure, and between two looks of [Resolver.Refresh]
	patience = 10 * time.Second // for one look
)

// Config requires Organization. The zero value of everything else has no secrets in it.
type Config struct {
	Organization string       // the one that every SRN must name
	Providers    []string     // where to look, in this order; [Env, File] by default
	Dir          string       // files are {Dir}/{organization}/{name}
	Environ      []string     // as os.Environ gives it
	Vault        *VaultConfig // for the provider Vault
	Safe         *Safe        // for the provider Builtin
	Log          *slog.Logger // nil: slog.Default()
	Clock        func() time.Time
}

// Resolver finds secrets where the configuration says. It keeps each for [TTL], so that
// a new value is in force within that; many calls for one secret are one look. When a
// provider fails, the last value stays in force for [MaxStale]; a secret that is gone is
// gone at once. It remembers each ref that it was asked for: they stand in the
// configuration, never in requests. Safe for concurrent use.
type Resolver struct {
	organization string
	order        []string
	providers    map[string]provider
	log          *slog.Logger
	clock        func() time.Time
	looks        singleflight.Group

	mu      sync.Mutex
	known   map[secret.SRN]*entry
	observe func(provider, result string)
}

// Secret is a value and where it comes from.
type Secret struct {
	Value    secret.Bytes
	Version  string // empty if the provider has no versions
	Provider string
}

// New returns a resolver. It reads the CA certificates of a Vault, and calls nobody.
func New(c Config) (*Resolver, error) {
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.Clock == nil {
		c.Clock = time.Now
	}
	if c.Providers == nil {
		c.Providers = []string{Env, File}
	}
	r := &Resolver{
		organization: c.Organization, order: c.Providers, log: c.Log, clock: c.Clock, known: map[secret.SRN]*entry{},
		providers: map[string]provider{Env: newEnvironment(c.Environ), File: &files{dir: c.Dir, log: c.Log}},
	}
	if c.Vault != nil {
		v, err := newVault(*c.Vault, r.local, c.Clock)
		if err != nil {
			return nil, err
		}
		r.providers[Vault] = v
	}
	if c.Safe != nil {
		r.providers[Builtin] = c.Safe
	}
	for _, name := range c.Providers {
		if r.providers[name] == nil {
			return nil, fault.Newf(fault.Invalid, "the provider of secrets %q is not configured", name)
		}
	}
	return r, nil
}

// Observe has f told of each look: the provider, "none" if no one has the secret, and the
// result, which is ok, stale, not_found or error. What is answered from memory is no look.
func (r *Resolver) Observe(f func(provider, result string)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.observe = f
}

// Value returns the secret that s names if s starts with "srn:", else s itself.
func (r *Resolver) Value(ctx context.Context, s string) (secret.Bytes, error) {
	if !secret.IsRef(s) {
		return secret.FromString(s), nil
	}
	return r.Resolve(ctx, s)
}

// Resolve is [Resolver.Find] for who wants the value alone.
func (r *Resolver) Resolve(ctx context.Context, ref string) (secret.Bytes, error) {
	s, err := r.Find(ctx, ref)
	return s.Value, err
}

// Certificate returns the certificate that ref names, for TLS.
func (r *Resolver) Certificate(ctx context.Context, ref string) (tls.Certificate, error) {
	if err := secret.CheckRef(ref, r.organization, secret.ForCertificate); err != nil {
		return tls.Certificate{}, err
	}
	s, err := r.Find(ctx, ref)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.X509KeyPair(s.Value.Reveal(), s.Value.Reveal())
}

// Find returns the secret that a ref of the resolver's organization names: see [Fit]. A
// secret that is nowhere is a fault of kind NotFound. Errors name the ref and say where
// it was sought, never what was found.
func (r *Resolver) Find(ctx context.Context, ref string) (Secret, error) {
	n, err := r.parse(ctx, ref)
	if err != nil {
		return Secret{}, err
	}
	now := r.clock()
	e := r.entry(n.SRN)
	if e == nil || !now.Before(e.due) {
		if e, err = r.look(ctx, n.SRN); err != nil {
			return Secret{}, err
		}
	}
	return narrow(e, now, n)
}

// Version is unlike that of another value of the secret: the provider's, or a digest where
// that has none, which is as confidential as the value. It is of what was last found for a
// ref, old or not, and looks for nothing: it is empty if the secret was not found.
func (r *Resolver) Version(ref string) string {
	n, err := secret.ParseRef(ref)
	if err != nil {
		return ""
	}
	if e := r.entry(n.SRN); e != nil {
		return e.mark
	}
	return ""
}

// mark tells the value from others, on all nodes alike.
func (s Secret) mark() string {
	if s.Version != "" {
		return s.Version
	}
	sum := sha256.Sum256(s.Value.Reveal())
	return hex.EncodeToString(sum[:])
}

// Refresh tells whether there is a newer value than the one that the caller has used
// without success; Find then returns it. It looks at once, but at most every 5 seconds.
func (r *Resolver) Refresh(ctx context.Context, ref string, used secret.Bytes) (newer bool, err error) {
	n, err := r.parse(ctx, ref)
	if err != nil {
		return false, err
	}
	now := r.clock()
	if e := r.entry(n.SRN); e != nil {
		s, err := narrow(e, now, n)
		newer = err == nil && !s.Value.Equal(used)
		if newer || now.Sub(e.seen) < retry {
			return newer, err
		}
	}
	e, err := r.look(ctx, n.SRN)
	if err != nil {
		return false, err
	}
	s, err := narrow(e, now, n)
	return err == nil && !s.Value.Equal(used), err
}

// Expire has everything looked for anew when it is next asked for. What is known stays
// in force where that fails.
func (r *Resolver) Expire() { r.expire(func(*entry) bool { return true }) }

// StoreChanged is [Resolver.Expire] for what the node's store may now answer otherwise.
func (r *Resolver) StoreChanged() {
	builtin := slices.Index(r.order, Builtin)
	if builtin < 0 {
		return
	}
	r.expire(func(e *entry) bool { return e.err != nil || slices.Index(r.order, e.Provider) >= builtin })
}

func (r *Resolver) expire(which func(*entry) bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for n, e := range r.known {
		if which(e) {
			again := *e
			again.due, again.seen = time.Time{}, time.Time{}
			r.known[n] = &again
		}
	}
}

// Run keeps the login to a Vault alive until ctx ends, whoever asks for secrets or not.
func (r *Resolver) Run(ctx context.Context) error {
	if v, ok := r.providers[Vault].(*vault); ok {
		return v.run(ctx, r.log)
	}
	<-ctx.Done()
	return nil
}

func (r *Resolver) parse(ctx context.Context, ref string) (secret.Ref, error) {
	if err := ctx.Err(); err != nil {
		return secret.Ref{}, err
	}
	n, err := secret.ParseRef(ref)
	if err != nil {
		return secret.Ref{}, err
	}
	return n, n.Belongs(r.organization)
}
