package app

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/jose"
	"github.com/carnetproject/carnet/internal/secret"
)

var noon = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)

// memory is a store in memory.
type memory struct {
	mu   sync.Mutex
	apps map[ID]App
	err  error // what the next call fails with
}

func (m *memory) Apps(context.Context) ([]App, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var apps []App
	for _, a := range m.apps {
		apps = append(apps, a)
	}
	return apps, m.err
}

func (m *memory) AddApp(_ context.Context, a App) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, taken := m.apps[a.ID]; taken {
		return fault.New(fault.Conflict, "taken")
	}
	m.apps[a.ID] = a
	return m.err
}

func (m *memory) EditApp(_ context.Context, id ID, edit func(*App) error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	a, ok := m.apps[id]
	if !ok {
		return fault.New(fault.NotFound, "no such app")
	}
	a.Secrets = slices.Clone(a.Secrets)
	if err := edit(&a); err != nil {
		return err
	}
	m.apps[id] = a
	return m.err
}

// envelope is a box whose "sealing" shows the purpose, and which counts openings.
type envelope struct {
	mu     sync.Mutex
	opened int
}

func (*envelope) Seal(purpose string, plain []byte) (string, error) {
	return purpose + "|" + string(plain), nil
}

func (e *envelope) Open(purpose, sealed string) ([]byte, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.opened++
	plain, ok := strings.CutPrefix(sealed, purpose+"|")
	if !ok {
		return nil, errors.New("sealed for another purpose")
	}
	return []byte(plain), nil
}

// fixture is a directory over a memory store whose clock stands at now.
type fixture struct {
	*Directory
	store *memory
	box   *envelope
	now   time.Time
}

// keySets sign with other algorithms each.
var keySets = Signed{
	Session: []jose.Algorithm{jose.ES256, jose.EdDSA},
	Access:  []jose.Algorithm{jose.ES256, jose.RS256},
}

func open(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{store: &memory{apps: map[ID]App{}}, box: &envelope{}, now: noon}
	f.Directory = New(Config{Store: f.store, Box: f.box, Signed: keySets, Clock: func() time.Time { return f.now }})
	return f
}

func (f *fixture) add(t *testing.T, r Registration) (App, secret.Bytes) {
	t.Helper()
	if r.Name == "" {
		r.Name = "demo"
	}
	a, s, err := f.Add(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	return a, s
}

func TestAdd(t *testing.T) {
	t.Parallel()
	f := open(t)
	a, s := f.add(t, Registration{Name: "Web chat", Origins: []string{"https://www.example.com"}})
	if !strings.HasPrefix(string(a.ID), "app_") || len(a.ID) != 20 || strings.ToLower(string(a.ID)) != string(a.ID) {
		t.Errorf("ID = %q", a.ID)
	}
	if plain := string(s.Reveal()); !strings.HasPrefix(plain, "cs_") || len(plain) != 46 {
		t.Errorf("the secret has %d bytes, want cs_ and 43", len(plain))
	}
	want := App{
		ID: a.ID, Name: "Web chat", Created: noon, Identity: Anonymous, Origins: []string{"https://www.example.com"},
		SessionAlgorithm: jose.HS256, AccessAlgorithm: jose.ES256, Secrets: a.Secrets,
	}
	if diff := cmp.Diff(want, f.store.apps[a.ID]); diff != "" {
		t.Errorf("stored (-want +got):\n%s", diff)
	}
	if got, ok := f.Find(a.ID); !ok || got.Name != "Web chat" {
		t.Errorf("Find() = %v, %v", got, ok)
	}
	b, other := f.add(t, Registration{})
	if b.ID == a.ID || other.Equal(s) {
		t.Error("two apps share their ID or secret")
	}
	ids := []ID{a.ID, b.ID}
	slices.Sort(ids)
	if all := f.All(); len(all) != 2 || all[0].ID != ids[0] || all[1].ID != ids[1] {
		t.Errorf("All() = %v, want %v", all, ids)
	}
}

func TestSecretThatOnlyAuthenticatesIsNotKept(t *testing.T) {
	t.Parallel()
	f := open(t)
	a, s := f.add(t, Registration{SessionAlgorithm: jose.ES256})
	if got := a.Secrets[0].Sealed; got != "" {
		t.Error("a secret that never signs is kept in a form that can be read")
	}
	if shown := fmt.Sprintf("%+v", a); strings.Contains(shown, string(s.Reveal())) {
		t.Error("the app prints its secret")
	}
}

func TestPublicAppHasNoSecret(t *testing.T) {
	t.Parallel()
	f := open(t)
	a, s := f.add(t, Registration{Public: true})
	if s.Len() != 0 || len(a.Secrets) != 0 || !a.Public || a.SessionAlgorithm != jose.ES256 {
		t.Errorf("a secret of %d bytes with %+v", s.Len(), a)
	}
	for _, given := range []secret.Bytes{{}, secret.New(make([]byte, 32)), s} {
		if _, err := f.Authenticate(t.Context(), a.ID, given, noon); fault.KindOf(err) != fault.Unauthenticated {
			t.Errorf("Authenticate() error = %v, want unauthenticated", err)
		}
	}
	if _, err := f.Rotate(t.Context(), a.ID, RotateOptions{}); fault.KindOf(err) != fault.Conflict || len(f.store.apps[a.ID].Secrets) != 0 {
		t.Errorf("Rotate() error = %v, want a conflict and no secret", err)
	}
}

func TestSet(t *testing.T) {
	t.Parallel()
	f := open(t)
	a, s := f.add(t, Registration{Origins: []string{"https://a.example"}, Scopes: []string{"chat"}})
	changed := f.store.apps[a.ID] // by another process
	changed.Disabled = true
	f.store.apps[a.ID] = changed
	if err := f.Set(t.Context(), a.ID, func(r *Registration) { r.Name, r.Origins, r.Scopes = "renamed", nil, []string{"read"} }); err != nil {
		t.Fatal(err)
	}
	a.Name, a.Origins, a.Scopes, a.Disabled = "renamed", nil, []string{"read"}, true
	if diff := cmp.Diff(a, f.store.apps[a.ID]); diff != "" {
		t.Errorf("stored (-want +got):\n%s", diff)
	}
	if f.AllowsOrigin("https://a.example") {
		t.Error("the snapshot has the old origins")
	}
	if err := f.Enable(t.Context(), a.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Authenticate(t.Context(), a.ID, s, noon); err != nil {
		t.Errorf("the secret is gone: %v", err)
	}
}

func TestSetRefuses(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		change func(*Registration)
		field  string // "" if it is fine
	}{
		"session by the key set": {func(r *Registration) { r.SessionAlgorithm = jose.EdDSA }, ""},
		"session as it is":       {func(r *Registration) { r.SessionAlgorithm = jose.HS256 }, ""},
		"session by a secret":    {func(r *Registration) { r.SessionAlgorithm = jose.HS512 }, "session_algorithm"},
		"access":                 {func(r *Registration) { r.AccessAlgorithm = jose.RS256 }, ""},
		"access of no key":       {func(r *Registration) { r.AccessAlgorithm = jose.PS256 }, "access_algorithm"},
		"public":                 {func(r *Registration) { r.Public, r.SessionAlgorithm = true, jose.ES256 }, "public"},
		"no name":                {func(r *Registration) { r.Name = "" }, "name"},
		"networks, anonymous":    {func(r *Registration) { r.TrustedNetworks = make([]netip.Prefix, 1) }, "trusted_networks"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := open(t)
			a, _ := f.add(t, Registration{})
			err := f.Set(t.Context(), a.ID, tc.change)
			wantField(t, err, tc.field)
			if diff := cmp.Diff(a, f.store.apps[a.ID]); err != nil && diff != "" {
				t.Errorf("refused, but stored (-want +got):\n%s", diff)
			}
		})
	}
	if err := open(t).Set(t.Context(), "app_nobody", func(*Registration) {}); fault.KindOf(err) != fault.NotFound {
		t.Errorf("Set() of an unknown app: %v", err)
	}
}

func TestAuthenticate(t *testing.T) {
	t.Parallel()
	f := open(t)
	a, s := f.add(t, Registration{})
	off, offSecret := f.add(t, Registration{})
	if err := f.Disable(t.Context(), off.ID); err != nil {
		t.Fatal(err)
	}
	if got, err := f.Authenticate(t.Context(), a.ID, s, noon); err != nil || got.ID != a.ID {
		t.Errorf("Authenticate() = %v, %v", got, err)
	}
	var refusal string
	for name, tc := range map[string]struct {
		id     ID
		secret secret.Bytes
		now    time.Time
	}{
		"unknown app":     {"app_nobody", s, noon},
		"no app":          {"", s, noon},
		"wrong secret":    {a.ID, secret.FromString("cs_wrong"), noon},
		"no secret":       {a.ID, secret.Bytes{}, noon},
		"other's secret":  {a.ID, offSecret, noon},
		"disabled app":    {off.ID, offSecret, noon},
		"secret not yet":  {a.ID, s, noon.Add(-time.Second)},
		"unknown, secret": {"app_nobody", secret.Bytes{}, noon},
	} {
		_, err := f.Authenticate(t.Context(), tc.id, tc.secret, tc.now)
		if fault.KindOf(err) != fault.Unauthenticated {
			t.Fatalf("%s: Authenticate() error = %v, want unauthenticated", name, err)
		}
		if refusal == "" {
			refusal = err.Error()
		}
		if err.Error() != refusal {
			t.Errorf("%s: refused with %q, others with %q", name, err, refusal)
		}
	}
}

func TestDisableAndEnable(t *testing.T) {
	t.Parallel()
	f := open(t)
	a, s := f.add(t, Registration{Origins: []string{"https://a.example"}})
	if !f.AllowsOrigin("https://a.example") || f.AllowsOrigin("https://b.example") || f.AllowsOrigin("") {
		t.Error("AllowsOrigin() does not follow the app's list")
	}
	if err := f.Disable(t.Context(), a.ID); err != nil {
		t.Fatal(err)
	}
	if f.AllowsOrigin("https://a.example") {
		t.Error("the origin of a disabled app is believed")
	}
	if err := f.Enable(t.Context(), a.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Authenticate(t.Context(), a.ID, s, noon); err != nil || !f.AllowsOrigin("https://a.example") {
		t.Errorf("after Enable: %v", err)
	}
	for name, change := range map[string]func(context.Context, ID) error{"Disable": f.Disable, "Enable": f.Enable} {
		if err := change(t.Context(), "app_nobody"); fault.KindOf(err) != fault.NotFound {
			t.Errorf("%s of an unknown app: %v", name, err)
		}
	}
}

// TestConnectorIsThere wants a connector that is named to be one, and leaves one alone
// that has gone since.
func TestConnectorIsThere(t *testing.T) {
	t.Parallel()
	f := open(t)
	f.has = func(alias string) bool { return alias == "me" }
	confirmed := Registration{Name: "shop", Identity: Connector, Connector: "you"}
	_, _, err := f.Add(t.Context(), confirmed)
	wantField(t, err, "connector")
	confirmed.Connector = "me"
	a, _ := f.add(t, confirmed)
	wantField(t, f.Set(t.Context(), a.ID, func(r *Registration) { r.Connector = "you" }), "connector")
	f.has = func(string) bool { return false }
	wantField(t, f.Set(t.Context(), a.ID, func(r *Registration) { r.Name, r.Cookies = "renamed", []string{"sid"} }), "")
	if got := f.store.apps[a.ID]; got.Connector != "me" || got.Name != "renamed" || !slices.Equal(got.Cookies, []string{"sid"}) {
		t.Errorf("stored: %+v", got)
	}
}

func TestAllowsCookies(t *testing.T) {
	t.Parallel()
	f := open(t)
	a, _ := f.add(t, Registration{Identity: Connector, Connector: "me", Cookies: []string{"sid"}, Origins: []string{"https://a.example", "http://localhost:*"}})
	f.add(t, Registration{Identity: Connector, Connector: "me", Origins: []string{"https://b.example"}})
	f.add(t, Registration{Origins: []string{"https://c.example"}})
	for origin, want := range map[string]bool{
		"https://a.example": true, "http://localhost:3000": true, "https://b.example": false, "https://c.example": false,
		"https://d.example": false, "": false, "null": false,
	} {
		if got := f.AllowsCookies(origin); got != want {
			t.Errorf("AllowsCookies(%q) = %v, want %v", origin, got, want)
		}
	}
	if err := f.Disable(t.Context(), a.ID); err != nil || f.AllowsCookies("https://a.example") {
		t.Errorf("after Disable (%v) the cookies of its pages are taken", err)
	}
}

// TestChangesOfOthersAreKept edits an app that another process changed after the
// last Load.
func TestChangesOfOthersAreKept(t *testing.T) {
	t.Parallel()
	f := open(t)
	a, _ := f.add(t, Registration{})
	changed := f.store.apps[a.ID]
	changed.Disabled = true
	f.store.apps[a.ID] = changed
	if _, err := f.Rotate(t.Context(), a.ID, RotateOptions{Overlap: time.Hour}); err != nil {
		t.Fatal(err)
	}
	if !f.store.apps[a.ID].Disabled {
		t.Error("Rotate enabled an app that another process had disabled")
	}
}

func TestLoadKeepsTheOldSnapshotOnError(t *testing.T) {
	t.Parallel()
	f := open(t)
	a, s := f.add(t, Registration{})
	f.store.err = errors.New("disk on fire")
	if err := f.Load(t.Context()); err == nil {
		t.Error("Load() hides the store's error")
	}
	if _, err := f.Authenticate(t.Context(), a.ID, s, noon); err != nil {
		t.Errorf("after a failed Load: %v", err)
	}
	if err := f.Disable(t.Context(), a.ID); err == nil {
		t.Error("Disable() hides the store's error")
	}
	if _, _, err := f.Add(t.Context(), Registration{Name: "x"}); err == nil {
		t.Error("Add() hides the store's error")
	}
}

func TestConcurrentUse(t *testing.T) {
	t.Parallel()
	f := open(t)
	a, s := f.add(t, Registration{})
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 50 {
				if _, err := f.Authenticate(t.Context(), a.ID, s, noon); err != nil {
					t.Error(err)
				}
				found, _ := f.Find(a.ID)
				if _, err := f.SigningKey(t.Context(), found, noon); err != nil {
					t.Error(err)
				}
				if err := f.Load(t.Context()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}
