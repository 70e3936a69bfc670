package app

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/carnetproject/carnet"
	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/jose"
	"github.com/carnetproject/carnet/internal/secret"
)

// store is where the apps are kept. EditApp changes an app as it is when it commits:
// of two edits at once, wherever they come from, none is lost.
type store interface {
	Apps(ctx context.Context) ([]App, error)
	AddApp(ctx context.Context, a App) error                         // fault.Conflict if the ID is taken
	EditApp(ctx context.Context, id ID, edit func(*App) error) error // fault.NotFound
}

// box seals under the data master key; what was sealed for one purpose does not
// open for another.
type box interface {
	Seal(purpose string, plain []byte) (string, error)
	Open(purpose, sealed string) ([]byte, error)
}

// Config requires all but HasConnector, Fetch and Clock.
type Config struct {
	Store   store
	Box     box
	Signed  Signed
	Secrets vault // where the secrets lie that are named by SRN
	// HasConnector tells whether there is an API connector of that alias; nil: any is.
	HasConnector func(alias string) bool
	// Fetch makes the client that fetches the keys which an app publishes at a host; nil:
	// the standard library's.
	Fetch func(host string) *http.Client
	Clock func() time.Time // nil: time.Now
}

// Signed is what the key sets sign, of each kind of token. The first is the default.
type Signed struct{ Session, Access []jose.Algorithm }

// Directory is every app of the deployment in memory: apps are few and asked for
// with each request. It answers from a snapshot that [Directory.Load] and its own
// changes replace, so what another process changes is seen after the next Load.
// It is safe for concurrent use. An *App that it hands out is shared: nobody
// changes it.
type Directory struct {
	store   store
	box     box
	secrets vault
	clock   func() time.Time
	signed  Signed
	has     func(alias string) bool
	fetch   func(host string) *http.Client
	keys    *keySource
	values  values
	latest  atomic.Pointer[snapshot]
	change  sync.Mutex // held from a read or write of the store to the snapshot of it
}

// New returns an empty directory; Load fills it.
func New(c Config) *Directory {
	d := &Directory{store: c.Store, box: c.Box, secrets: c.Secrets, clock: c.Clock, signed: c.Signed, has: c.HasConnector, fetch: c.Fetch}
	d.values.all = map[string][]value{}
	d.keys = &keySource{d: d, remote: map[location]*carnet.Remote{}}
	if d.clock == nil {
		d.clock = time.Now
	}
	if d.has == nil {
		d.has = func(string) bool { return true }
	}
	if d.fetch == nil {
		d.fetch = func(string) *http.Client { return http.DefaultClient }
	}
	d.latest.Store(newSnapshot(nil))
	return d
}

// Load replaces the snapshot by what the store has. After an error the old
// snapshot stays.
func (d *Directory) Load(ctx context.Context) error {
	d.change.Lock() // an older answer of the store must not replace a newer one
	defer d.change.Unlock()
	return d.load(ctx)
}

func (d *Directory) load(ctx context.Context) error {
	apps, err := d.store.Apps(ctx)
	if err != nil {
		return fmt.Errorf("load apps: %w", err)
	}
	d.latest.Store(newSnapshot(apps))
	kept := map[string]bool{}
	for _, a := range apps {
		for _, s := range a.Secrets {
			kept[s.ID] = true
		}
	}
	d.values.forget(func(id string) bool { return !kept[id] })
	return nil
}

// Find returns the app, disabled or not.
func (d *Directory) Find(id ID) (*App, bool) {
	e, ok := d.latest.Load().entries[id]
	if !ok {
		return nil, false
	}
	return &e.App, true
}

// All lists the apps by their IDs.
func (d *Directory) All() []*App {
	entries := d.latest.Load().entries
	apps := make([]*App, 0, len(entries))
	for _, id := range slices.Sorted(maps.Keys(entries)) {
		apps = append(apps, &entries[id].App)
	}
	return apps
}

// AllowsOrigin tells whether any enabled app lists origin. A preflight does not
// say which app it is for.
func (d *Directory) AllowsOrigin(origin string) bool {
	origins := d.latest.Load().origins
	return origins[origin] || origins[onAnyPort(origin)]
}

// AllowsCookies tells whether a page of origin may show its visitor's cookies: any enabled
// app that lists the origin has a connector look at some.
func (d *Directory) AllowsCookies(origin string) bool {
	cookied := d.latest.Load().cookied
	return cookied[origin] || cookied[onAnyPort(origin)]
}

// Authenticate returns the enabled app whose secret this is at now. Every
// refusal is the same [fault.Unauthenticated], and costs the same as far as what
// is unknown goes: the app, the secret, or both. Where a secret lies with a provider that
// cannot say what it is, there is no refusal but [fault.Unavailable].
func (d *Directory) Authenticate(ctx context.Context, id ID, given secret.Bytes, now time.Time) (*App, error) {
	hash := sha256.Sum256(given.Reveal())
	e, ok := d.latest.Load().entries[id]
	if !ok {
		e = nobody
	}
	match := 0
	for i := range e.Secrets {
		s := &e.Secrets[i]
		same := subtle.ConstantTimeCompare(hash[:], s.Hash[:])
		if s.Ref == "" && s.Valid(now) {
			match |= same
		}
	}
	good := match == 1
	if !good && !e.Disabled {
		var err error
		if good, err = d.matches(ctx, &e.App, given, now); err != nil {
			return nil, err
		}
	}
	if !good || e.Disabled {
		return nil, fault.New(fault.Unauthenticated, "client authentication failed")
	}
	return &e.App, nil
}

// nobody stands in for an app that does not exist; its secret matches nothing
// that anybody could find.
var nobody = &entry{App: App{Disabled: true, Secrets: make([]Secret, 1)}}

// Add makes an app with its first secret, which is returned here and never again. A
// public app has none, and one that lies with a provider is not returned.
func (d *Directory) Add(ctx context.Context, r Registration) (App, secret.Bytes, error) {
	r = r.withDefaults(d.signed)
	if err := d.check(r, ""); err != nil {
		return App{}, secret.Bytes{}, err
	}
	if r.Secret != "" {
		var err error
		if r.Secret, err = d.checkRef(ctx, r.Secret, r.SessionAlgorithm); err != nil {
			return App{}, secret.Bytes{}, err
		}
	}
	d.change.Lock()
	defer d.change.Unlock()
	now := d.clock()
	a := App{ID: ID("app_" + strings.ToLower(rand.Text()[:16])), Created: now}
	r.settle(&a)
	var plain secret.Bytes
	if !a.Public {
		s, fresh, err := d.newSecret(&a, r.Secret, now)
		if err != nil {
			return App{}, secret.Bytes{}, err
		}
		plain, a.Secrets = fresh, []Secret{s}
	}
	if err := d.store.AddApp(ctx, a); err != nil {
		return App{}, secret.Bytes{}, fmt.Errorf("add app: %w", err)
	}
	d.put(a)
	return a, plain, nil
}

// Set changes what an operator said of the app. change gets that as it is now; its
// member Public, and a session algorithm that the app's secrets were not made for,
// cannot be set any more.
func (d *Directory) Set(ctx context.Context, id ID, change func(*Registration)) error {
	return d.edit(ctx, id, func(a *App) error {
		r := a.registration()
		change(&r)
		if err := d.check(r, a.Connector); err != nil {
			return err
		}
		if r.Secret != "" {
			return fault.BadField("secret", "cannot be set: rotate to it")
		}
		if r.Public != a.Public {
			return fault.BadField("public", "cannot change: add another app")
		}
		if r.SessionAlgorithm.Symmetric() && r.SessionAlgorithm != a.SessionAlgorithm {
			return fault.BadField("session_algorithm", fmt.Sprintf("cannot become %s, which the app's secrets were not made for: add another app", r.SessionAlgorithm))
		}
		r.settle(a)
		return nil
	})
}

// check refuses what cannot be. The connector of r must be there, unless it is the one
// that the app had: what became of that must not be in the way of other changes.
func (d *Directory) check(r Registration, had string) error {
	if err := r.validate(d.signed); err != nil {
		return err
	}
	if r.Connector == "" || r.Connector == had || d.has(r.Connector) {
		return nil
	}
	return fault.BadField("connector", fmt.Sprintf("there is no connector %q: carnet connectors list shows them", r.Connector))
}

// Disable makes the app unable to authenticate, to get tokens and to have its
// origins believed. Tokens that are out stay good until they expire.
func (d *Directory) Disable(ctx context.Context, id ID) error {
	return d.edit(ctx, id, func(a *App) error { a.Disabled = true; return nil })
}

// Enable undoes Disable.
func (d *Directory) Enable(ctx context.Context, id ID) error {
	return d.edit(ctx, id, func(a *App) error { a.Disabled = false; return nil })
}

// edit changes the app as the store has it now, not as the snapshot remembers it.
func (d *Directory) edit(ctx context.Context, id ID, change func(*App) error) error {
	d.change.Lock()
	defer d.change.Unlock()
	var edited App
	err := d.store.EditApp(ctx, id, func(a *App) error {
		err := change(a)
		edited = *a
		return err
	})
	if err != nil {
		return fmt.Errorf("change app %s: %w", id, err)
	}
	d.put(edited)
	return nil
}

// put shows a saved app in the snapshot. It asks the store nothing: an error
// after the change was saved would have callers throw a new secret away.
func (d *Directory) put(a App) {
	apps := []App{a}
	for id, e := range d.latest.Load().entries {
		if id != a.ID {
			apps = append(apps, e.App)
		}
	}
	d.latest.Store(newSnapshot(apps))
}
