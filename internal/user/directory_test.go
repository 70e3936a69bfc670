package user

import (
	"cmp"
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/secret"
)

var (
	noon     = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)
	password = secret.FromString("correct horse battery")
)

// memory is a store in memory.
type memory struct {
	mu    sync.Mutex
	users map[ID]User
	ended []string // subjects whose sign-ins were ended
	err   error

	editing func(*User) // what another does before each edit
}

func (m *memory) AddUser(_ context.Context, u User) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, o := range m.users {
		if o.Name == u.Name {
			return fault.New(fault.Conflict, "the name is taken")
		}
	}
	m.users[u.ID] = u
	return m.err
}

func (m *memory) EditUser(_ context.Context, id ID, edit func(*User) error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	u, ok := m.users[id]
	if !ok {
		return fault.New(fault.NotFound, "no such user")
	}
	if m.editing != nil {
		m.editing(&u)
	}
	if err := edit(&u); err != nil {
		return err
	}
	m.users[id] = u
	return m.err
}

func (m *memory) User(_ context.Context, id ID) (User, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if u, ok := m.users[id]; ok {
		return u, m.err
	}
	return User{}, fault.New(fault.NotFound, "no such user")
}

func (m *memory) UserByName(_ context.Context, name string) (User, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, u := range m.users {
		if u.Name == name {
			return u, m.err
		}
	}
	return User{}, fault.New(fault.NotFound, "no such user")
}

func (m *memory) Users(context.Context) ([]User, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var all []User
	for _, u := range m.users {
		all = append(all, u)
	}
	return all, m.err
}

func (m *memory) EndAll(_ context.Context, subject string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.ended = append(m.ended, subject)
	return m.err
}

func open(t *testing.T) (*Directory, *memory) {
	t.Helper()
	m := &memory{users: map[ID]User{}}
	d, err := New(Config{Store: m, SignIns: m, Cost: cheap, Clock: func() time.Time { return noon }})
	if err != nil {
		t.Fatal(err)
	}
	return d, m
}

func add(t *testing.T, d *Directory, name string) User {
	t.Helper()
	u, err := d.Add(t.Context(), name, password, []string{"chat"})
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func TestNewRefusesCost(t *testing.T) {
	t.Parallel()
	for _, c := range []Cost{
		{Memory: 7, Passes: 1, Threads: 1},
		{Memory: 19456, Passes: 0, Threads: 1},
		{Memory: 19456, Passes: 2},
		{Memory: maxMemory + 1, Passes: 1, Threads: 1},
	} {
		if _, err := New(Config{Cost: c}); err == nil {
			t.Errorf("New() takes the cost %+v", c)
		}
	}
	if d, err := New(Config{}); err != nil || d.hasher.cost != DefaultCost {
		t.Errorf("New() without a cost: %v", err)
	}
}

func TestAdd(t *testing.T) {
	t.Parallel()
	d, m := open(t)
	u := add(t, d, "Ada@Example.com")
	want := User{ID: u.ID, Name: "ada@example.com", Password: u.Password, Scopes: []string{"chat"}, Created: noon}
	if diff := gocmp.Diff(want, m.users[u.ID]); diff != "" {
		t.Errorf("stored (-want +got):\n%s", diff)
	}
	if !strings.HasPrefix(string(u.ID), "usr_") || len(u.ID) != 20 {
		t.Errorf("ID = %q", u.ID)
	}
	if _, err := d.Add(t.Context(), "ADA@example.com", password, nil); fault.KindOf(err) != fault.Conflict {
		t.Errorf("the same name in other letters: %v", err)
	}
}

func TestAddRefuses(t *testing.T) {
	t.Parallel()
	d, _ := open(t)
	for name, tc := range map[string]struct {
		name     string
		password string
		scopes   []string
		field    string
	}{
		"no name":            {"", "long enough", nil, "username"},
		"blank in name":      {"ada lovelace", "long enough", nil, "username"},
		"no-break space":     {"ada\u00a0l", "long enough", nil, "username"},
		"control in name":    {"ada\x00", "long enough", nil, "username"},
		"broken name":        {"ada\xff", "long enough", nil, "username"},
		"long name":          {strings.Repeat("a", 129), "long enough", nil, "username"},
		"no password":        {"ada", "", nil, "password"},
		"7 bytes":            {"ada", "1234567", nil, "password"},
		"1025 bytes":         {"ada", strings.Repeat("x", 1025), nil, "password"},
		"broken password":    {"ada", "12345678\xff", nil, "password"},
		"scope with a blank": {"ada", "long enough", []string{"chat", "a b"}, "scopes[1]"},
		"empty scope":        {"ada", "long enough", []string{""}, "scopes[0]"},
	} {
		_, err := d.Add(t.Context(), tc.name, secret.FromString(tc.password), tc.scopes)
		if e, ok := errors.AsType[*fault.Error](err); !ok || e.Kind != fault.Invalid || e.Field != tc.field {
			t.Errorf("%s: Add() error = %v, want a fault of %s", name, err, tc.field)
		}
	}
}

func TestAuthenticate(t *testing.T) {
	t.Parallel()
	d, _ := open(t)
	ada, off := add(t, d, "ada"), add(t, d, "off")
	if err := d.Disable(t.Context(), off.ID); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"ada", "ADA"} {
		if got, err := d.Authenticate(t.Context(), name, password); err != nil || got.ID != ada.ID {
			t.Errorf("Authenticate(%q) = %v, %v", name, got.ID, err)
		}
	}
	for name, tc := range map[string]struct{ name, password string }{
		"unknown":        {"eve", string(password.Reveal())},
		"no name":        {"", string(password.Reveal())},
		"broken name":    {"ada\xff", string(password.Reveal())},
		"wrong":          {"ada", "correct horse batterz"},
		"no password":    {"ada", ""},
		"long password":  {"ada", strings.Repeat("x", 1<<16)},
		"disabled":       {"off", string(password.Reveal())},
		"disabled wrong": {"off", "something else"},
	} {
		u, err := d.Authenticate(t.Context(), tc.name, secret.FromString(tc.password))
		if fault.KindOf(err) != fault.Unauthenticated || u.ID != "" {
			t.Errorf("%s: Authenticate() = %v, %v, want unauthenticated", name, u.ID, err)
		}
		if got := fault.Public(err).Msg; got != "the username or the password is wrong" {
			t.Errorf("%s: refused with %q", name, got)
		}
	}
}

// TestUnknownUserTakesTheSameWork compares the least times of several tries at
// the real cost: without the stand-in hash they differ by orders of magnitude.
func TestUnknownUserTakesTheSameWork(t *testing.T) {
	t.Parallel()
	m := &memory{users: map[ID]User{}}
	d, err := New(Config{Store: m, SignIns: m})
	if err != nil {
		t.Fatal(err)
	}
	off := add(t, d, "off")
	add(t, d, "ada")
	if err := d.Disable(t.Context(), off.ID); err != nil {
		t.Fatal(err)
	}
	least := map[string]time.Duration{}
	short := func(name string) bool { return least[name] < least["ada"]/4 }
	// By turns, so that what else runs slows all of them down, and for longer if one had luck.
	for try := 0; try < 6 || try < 60 && (short("nobody") || short("off")); try++ {
		for _, name := range []string{"ada", "nobody", "off"} {
			begin := time.Now()
			if _, err := d.Authenticate(t.Context(), name, secret.FromString("wrong password")); err == nil {
				t.Error("a wrong password is right")
			}
			took := time.Since(begin)
			if best, ok := least[name]; !ok || took < best {
				least[name] = took
			}
		}
	}
	for _, name := range []string{"nobody", "off"} {
		if short(name) {
			t.Errorf("%q is refused in %v, a known user in %v", name, least[name], least["ada"])
		}
	}
}

func TestAuthenticateHidesNothingOfTheStore(t *testing.T) {
	t.Parallel()
	d, m := open(t)
	u := add(t, d, "ada")
	m.err = errors.New("disk on fire")
	if _, err := d.Authenticate(t.Context(), "ada", password); fault.KindOf(err) != fault.Internal || !errors.Is(err, m.err) {
		t.Errorf("Authenticate() error = %v, want the store's", err)
	}
	m.err = nil
	u.Password = "plain"
	m.users[u.ID] = u
	if _, err := d.Authenticate(t.Context(), "ada", secret.FromString("plain")); fault.KindOf(err) != fault.Internal {
		t.Errorf("a stored password that is no hash: %v", err)
	}
}

func TestRehash(t *testing.T) {
	t.Parallel()
	d, m := open(t)
	u := add(t, d, "ada")
	d.hasher.cost = Cost{Memory: 16, Passes: 1, Threads: 1}
	if _, err := d.Authenticate(t.Context(), "ada", secret.FromString("wrong password")); err == nil {
		t.Fatal("a wrong password is right")
	}
	if m.users[u.ID].Password != u.Password {
		t.Fatal("a wrong password changed the hash")
	}
	if _, err := d.Authenticate(t.Context(), "ada", password); err != nil {
		t.Fatal(err)
	}
	h, err := parseHash(m.users[u.ID].Password)
	if err != nil || h.Cost != d.hasher.cost || !h.matches(password) {
		t.Errorf("the hash after sign-in is %+v, %v", h.Cost, err)
	}
}

func TestSetPassword(t *testing.T) {
	t.Parallel()
	d, _ := open(t)
	u := add(t, d, "ada")
	next := secret.FromString("another password")
	if err := d.SetPassword(t.Context(), u.ID, next); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Authenticate(t.Context(), "ada", next); err != nil {
		t.Errorf("new password: %v", err)
	}
	if _, err := d.Authenticate(t.Context(), "ada", password); err == nil {
		t.Error("the old password still signs in")
	}
	if err := d.SetPassword(t.Context(), u.ID, secret.FromString("short")); fault.KindOf(err) != fault.Invalid {
		t.Errorf("short password: %v", err)
	}
	if err := d.SetPassword(t.Context(), "usr_nobody", next); fault.KindOf(err) != fault.NotFound {
		t.Errorf("unknown user: %v", err)
	}
}

func TestChangePassword(t *testing.T) {
	t.Parallel()
	next := secret.FromString("another password")
	for name, tc := range map[string]struct {
		before     func(*testing.T, *Directory, *memory, ID)
		id         ID // empty: the user's
		old, fresh secret.Bytes
		want       fault.Kind
		field      string
	}{
		"right":     {old: password, fresh: next},
		"wrong":     {old: next, fresh: next, want: fault.Unauthenticated},
		"none":      {fresh: next, want: fault.Unauthenticated},
		"too short": {old: password, fresh: secret.FromString("short"), want: fault.Invalid, field: "password"},
		"nobody":    {id: "usr_nobody", old: password, fresh: next, want: fault.NotFound},
		"disabled": {
			before: func(t *testing.T, d *Directory, _ *memory, id ID) {
				t.Helper()
				if err := d.Disable(t.Context(), id); err != nil {
					t.Fatal(err)
				}
			},
			old: password, fresh: next, want: fault.Unauthenticated,
		},
		"changed meanwhile": {
			before: func(_ *testing.T, _ *Directory, m *memory, id ID) {
				m.editing = func(u *User) { u.Password = "$argon2id$another" }
			},
			old: password, fresh: next, want: fault.Conflict,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d, m := open(t)
			u := add(t, d, "ada")
			if tc.before != nil {
				tc.before(t, d, m, u.ID)
			}
			m.ended = nil
			err := d.ChangePassword(t.Context(), cmp.Or(tc.id, u.ID), tc.old, tc.fresh)
			if name == "right" {
				if err != nil {
					t.Fatal(err)
				}
				if _, err := d.Authenticate(t.Context(), "ada", next); err != nil {
					t.Errorf("the new password: %v", err)
				}
				if _, err := d.Authenticate(t.Context(), "ada", password); err == nil {
					t.Error("the old password still signs in")
				}
			} else if fault.KindOf(err) != tc.want || fault.Public(err).Field != tc.field {
				t.Errorf("ChangePassword() error = %v, want %v of %q", err, tc.want, tc.field)
			}
			if len(m.ended) != 0 {
				t.Error("the one who changes it is signed out")
			}
		})
	}
}

func TestWhatEndsSignIns(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		change func(ctx context.Context, d *Directory, id ID) error
		ends   bool
	}{
		"sign out":    {func(ctx context.Context, d *Directory, id ID) error { return d.SignOut(ctx, id) }, true},
		"disable":     {func(ctx context.Context, d *Directory, id ID) error { return d.Disable(ctx, id) }, true},
		"enable":      {func(ctx context.Context, d *Directory, id ID) error { return d.Enable(ctx, id) }, false},
		"password":    {func(ctx context.Context, d *Directory, id ID) error { return d.SetPassword(ctx, id, password) }, true},
		"same scopes": {func(ctx context.Context, d *Directory, id ID) error { return d.SetScopes(ctx, id, []string{"chat"}) }, false},
		"another scope": {func(ctx context.Context, d *Directory, id ID) error {
			return d.SetScopes(ctx, id, []string{"x", "chat"})
		}, false},
		"one for one": {func(ctx context.Context, d *Directory, id ID) error { return d.SetScopes(ctx, id, []string{"x"}) }, true},
		"no scope":    {func(ctx context.Context, d *Directory, id ID) error { return d.SetScopes(ctx, id, nil) }, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d, m := open(t)
			u := add(t, d, "ada")
			if err := tc.change(t.Context(), d, u.ID); err != nil {
				t.Fatal(err)
			}
			var want []string
			if tc.ends {
				want = []string{string(u.ID)}
			}
			if diff := gocmp.Diff(want, m.ended); diff != "" {
				t.Errorf("sign-ins ended of (-want +got):\n%s", diff)
			}
			m.err = errors.New("disk on fire")
			if err := tc.change(t.Context(), d, u.ID); err == nil {
				t.Error("the store's error is hidden")
			}
		})
	}
}

func TestSetScopes(t *testing.T) {
	t.Parallel()
	d, m := open(t)
	u := add(t, d, "ada")
	if err := d.SetScopes(t.Context(), u.ID, []string{"chat", "orders"}); err != nil {
		t.Fatal(err)
	}
	u.Scopes = []string{"chat", "orders"}
	if diff := gocmp.Diff(u, m.users[u.ID]); diff != "" {
		t.Errorf("stored (-want +got):\n%s", diff)
	}
	for name, tc := range map[string]struct {
		id     ID
		scopes []string
		want   fault.Kind
	}{
		"blank in scope": {u.ID, []string{"chat", "a b"}, fault.Invalid},
		"empty scope":    {u.ID, []string{""}, fault.Invalid},
		"nobody":         {"usr_nobody", nil, fault.NotFound},
	} {
		if err := d.SetScopes(t.Context(), tc.id, tc.scopes); fault.KindOf(err) != tc.want {
			t.Errorf("%s: error = %v, want kind %v", name, err, tc.want)
		}
	}
	if diff := gocmp.Diff(u, m.users[u.ID]); diff != "" {
		t.Errorf("refused, but stored (-want +got):\n%s", diff)
	}
}

func TestDisableAndEnable(t *testing.T) {
	t.Parallel()
	d, m := open(t)
	u := add(t, d, "ada")
	for _, step := range []struct {
		change func(context.Context, ID) error
		want   bool
	}{{d.Disable, false}, {d.Disable, false}, {d.Enable, true}} {
		if err := step.change(t.Context(), u.ID); err != nil {
			t.Fatal(err)
		}
		if got, err := d.Active(t.Context(), string(u.ID)); err != nil || got != step.want {
			t.Errorf("Active() = %v, %v, want %v", got, err, step.want)
		}
	}
	if got, err := d.Active(t.Context(), "usr_nobody"); err != nil || got {
		t.Errorf("Active() of nobody = %v, %v", got, err)
	}
	m.err = errors.New("disk on fire")
	if got, err := d.Active(t.Context(), string(u.ID)); err == nil || got {
		t.Errorf("Active() without a store = %v, %v", got, err)
	}
}

func TestByNameAndAll(t *testing.T) {
	t.Parallel()
	d, _ := open(t)
	u := add(t, d, "ada")
	if got, err := d.ByName(t.Context(), "ADA"); err != nil || got.ID != u.ID {
		t.Errorf("ByName() = %v, %v", got.ID, err)
	}
	if _, err := d.ByName(t.Context(), "eve"); fault.KindOf(err) != fault.NotFound {
		t.Errorf("ByName() of nobody: %v", err)
	}
	if all, err := d.All(t.Context()); err != nil || len(all) != 1 {
		t.Errorf("All() = %v, %v", all, err)
	}
}
