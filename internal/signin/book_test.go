package signin_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/revocation"
	"github.com/carnetproject/carnet/internal/secret"
	"github.com/carnetproject/carnet/internal/signin"
	"github.com/carnetproject/carnet/internal/signin/signintest"
	"github.com/carnetproject/carnet/internal/token"
	"github.com/carnetproject/carnet/internal/user"
)

var noon = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)

// taken notes what is taken back, and revokes who signed in before a moment.
type taken struct {
	mu     sync.Mutex
	names  []string
	before time.Time
	err    error
}

func (l *taken) Add(_ context.Context, d revocation.Draft) (revocation.Entry, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.names = append(l.names, d.Name)
	return revocation.Entry{}, l.err
}

func (l *taken) Revoked(t revocation.Token) bool {
	return t.Issuer == "https://id.example" && t.Subject == "usr_ada" && t.IssuedAt.Before(l.before)
}

// desk is a book with all that it needs.
type desk struct {
	*signin.Book
	store signintest.Store
	taken taken
	now   time.Time
}

func open(t *testing.T) *desk {
	t.Helper()
	d := &desk{now: noon}
	d.Book = signin.New(signin.Config{
		Issuer: "https://id.example", Store: &d.store, Revocations: &d.taken, Life: time.Hour, Clock: func() time.Time { return d.now },
	})
	return d
}

func (d *desk) begin(t *testing.T, id user.ID, old signin.Session) (signin.Session, secret.Bytes) {
	t.Helper()
	s, cookie, err := d.Begin(t.Context(), user.User{ID: id, Name: "Ada", Scopes: []string{"chat"}}, signin.Place{Agent: "Firefox", Network: "203.0.113.0/24"}, old)
	if err != nil {
		t.Fatal(err)
	}
	return s, cookie
}

// family adds one of a subject, which began in a session or in none.
func (d *desk) family(t *testing.T, id token.FamilyID, subject, session string) {
	t.Helper()
	f := token.Family{ID: id, App: "app_shop", Session: session, Subject: subject, Created: d.now, Expires: noon.Add(24 * time.Hour)}
	if err := d.store.AddFamily(t.Context(), f); err != nil {
		t.Fatal(err)
	}
}

// places are the ids of where a subject is signed in.
func (d *desk) places(t *testing.T, subject string) []string {
	t.Helper()
	list, err := d.List(t.Context(), subject)
	if err != nil {
		t.Fatal(err)
	}
	ids := []string{}
	for _, s := range list {
		ids = append(ids, s.ID)
	}
	return ids
}

func TestSession(t *testing.T) {
	t.Parallel()
	d := open(t)
	s, cookie := d.begin(t, "usr_ada", signin.Session{})
	want := signin.Session{
		ID: s.ID, Hash: s.Hash, Subject: "usr_ada", Name: "Ada", Scopes: []string{"chat"},
		Place: signin.Place{Agent: "Firefox", Network: "203.0.113.0/24"}, Created: noon, Expires: noon.Add(time.Hour),
	}
	got, err := d.Find(t.Context(), cookie)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("session (-want +got):\n%s", diff)
	}
	for name, change := range map[string]func(*desk){
		"expired":        func(d *desk) { d.now = noon.Add(time.Hour) },
		"revoked since":  func(d *desk) { d.taken.before = noon.Add(time.Second) },
		"another cookie": func(*desk) { cookie = secret.FromString("x") },
	} {
		d.now, d.taken.before = noon, time.Time{}
		kept := cookie
		change(d)
		if s, err := d.Find(t.Context(), cookie); fault.KindOf(err) != fault.Unauthenticated || s.ID != "" {
			t.Errorf("%s: Find() = %v, %v", name, s, err)
		}
		cookie = kept
	}
	d.store.Fail(errors.New("disk on fire"))
	if _, err := d.Find(t.Context(), cookie); fault.KindOf(err) != fault.Internal {
		t.Errorf("without a store: %v", err)
	}
}

// TestBeginAgain is of a browser in which somebody is signed in already.
func TestBeginAgain(t *testing.T) {
	t.Parallel()
	d := open(t)
	first, old := d.begin(t, "usr_ada", signin.Session{})
	d.now = noon.Add(time.Minute)
	same, cookie := d.begin(t, "usr_ada", first)
	if same.ID != first.ID || !same.Created.Equal(d.now) || cookie.Equal(old) {
		t.Errorf("the same person: %+v after %+v", same, first)
	}
	if _, err := d.Find(t.Context(), old); err == nil {
		t.Error("the cookie from before is good")
	}
	other, _ := d.begin(t, "usr_bob", same)
	if other.ID == first.ID {
		t.Error("another person has the session")
	}
	if _, err := d.Find(t.Context(), cookie); err == nil {
		t.Error("the session of the person before goes on")
	}
}

func TestEnd(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		end   func(t *testing.T, d *desk, here, there signin.Session) error
		left  []string // by what the test calls them
		taken []string
	}{
		"a browser": {
			func(t *testing.T, d *desk, _, there signin.Session) error {
				return d.End(t.Context(), "usr_ada", there.ID)
			},
			[]string{"here", "f_here", "f_none"},
			[]string{"there", "f_there"},
		},
		"an app": {
			func(t *testing.T, d *desk, _, _ signin.Session) error {
				return d.End(t.Context(), "usr_ada", token.FamilyID("f_there").SignIn())
			},
			[]string{"here", "there", "f_here", "f_none"},
			[]string{"f_there"},
		},
		"all others": {
			func(t *testing.T, d *desk, here, _ signin.Session) error { return d.EndOthers(t.Context(), here) },
			[]string{"here", "f_here"},
			[]string{"there", "f_none", "f_there"},
		},
		"all": {
			func(t *testing.T, d *desk, _, _ signin.Session) error { return d.EndAll(t.Context(), "usr_ada") },
			[]string{},
			[]string{"here", "there", "f_here", "f_none", "f_there"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := open(t)
			here, _ := d.begin(t, "usr_ada", signin.Session{})
			there, _ := d.begin(t, "usr_ada", signin.Session{})
			bob, _ := d.begin(t, "usr_bob", signin.Session{})
			d.family(t, "f_here", "usr_ada", here.ID)
			d.family(t, "f_there", "usr_ada", there.ID)
			d.family(t, "f_none", "usr_ada", "")
			d.family(t, "f_bob", "usr_bob", bob.ID)
			if err := d.Agree(t.Context(), "usr_ada", "app_shop", "chat"); err != nil {
				t.Fatal(err)
			}
			ids := map[string]string{
				"here": here.ID, "there": there.ID, "f_here": token.FamilyID("f_here").SignIn(),
				"f_there": token.FamilyID("f_there").SignIn(), "f_none": token.FamilyID("f_none").SignIn(),
			}
			named := func(names []string) []string {
				list := []string{}
				for _, n := range names {
					list = append(list, ids[n])
				}
				slices.Sort(list)
				return list
			}
			if err := tc.end(t, d, here, there); err != nil {
				t.Fatal(err)
			}
			left := d.places(t, "usr_ada")
			slices.Sort(left)
			slices.Sort(d.taken.names)
			if diff := cmp.Diff(named(tc.left), left); diff != "" {
				t.Errorf("left (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(named(tc.taken), d.taken.names); diff != "" {
				t.Errorf("taken back (-want +got):\n%s", diff)
			}
			if len(d.places(t, "usr_bob")) != 2 {
				t.Error("another person is signed out, too")
			}
			ok, err := d.Consented(t.Context(), "usr_ada", "app_shop", "chat")
			if err != nil || ok == (name == "an app") {
				t.Errorf("Consented() = %t, %v", ok, err)
			}
		})
	}
}

// TestEndOthersOfMany is of somebody who knows the password, and has signed in more often
// than are looked at one by one: none of that outlives its change.
func TestEndOthersOfMany(t *testing.T) {
	t.Parallel()
	d := open(t)
	here, _ := d.begin(t, "usr_ada", signin.Session{})
	const many = 600
	for i := range many {
		d.family(t, token.FamilyID(fmt.Sprint("f", i)), "usr_ada", []string{"", "elsewhere"}[i%2])
	}
	d.family(t, "f_here", "usr_ada", here.ID)
	if err := d.EndOthers(t.Context(), here); err != nil {
		t.Fatal(err)
	}
	want := []string{here.ID, token.FamilyID("f_here").SignIn()}
	if diff := cmp.Diff(want, d.places(t, "usr_ada")); diff != "" {
		t.Errorf("left (-want +got):\n%s", diff)
	}
}

func TestEndRefuses(t *testing.T) {
	t.Parallel()
	d := open(t)
	bob, _ := d.begin(t, "usr_bob", signin.Session{})
	for name, id := range map[string]string{"another person's": bob.ID, "unknown": "x", "none": ""} {
		if err := d.End(t.Context(), "usr_ada", id); fault.KindOf(err) != fault.NotFound {
			t.Errorf("%s: %v", name, err)
		}
	}
	d.taken.err = errors.New("disk on fire")
	d.family(t, "f_bob", "usr_bob", "")
	if err := d.End(t.Context(), "usr_bob", bob.ID); !errors.Is(err, d.taken.err) {
		t.Errorf("End() hides that tokens stay good: %v", err)
	}
	if err := d.EndAll(t.Context(), "usr_bob"); !errors.Is(err, d.taken.err) {
		t.Errorf("EndAll() hides that tokens stay good: %v", err)
	}
	d.store.Fail(errors.New("disk on fire"))
	if d.EndAll(t.Context(), "usr_bob") == nil || d.EndOthers(t.Context(), bob) == nil {
		t.Error("nobody is told that the store is away")
	}
}

func TestConsent(t *testing.T) {
	t.Parallel()
	d := open(t)
	check := func(scope string, want bool) {
		t.Helper()
		if got, err := d.Consented(t.Context(), "usr_ada", "app_shop", scope); err != nil || got != want {
			t.Errorf("Consented(%q) = %t, %v", scope, got, err)
		}
	}
	check("", false)
	check("chat", false)
	for _, scope := range []string{"openid", "chat openid"} {
		if err := d.Agree(t.Context(), "usr_ada", "app_shop", scope); err != nil {
			t.Fatal(err)
		}
	}
	check("", true)
	check("openid chat", true)
	check("openid chat orders", false)
	if got, err := d.Consented(t.Context(), "usr_bob", "app_shop", "chat"); err != nil || got {
		t.Errorf("another person: %t, %v", got, err)
	}
	d.store.Fail(errors.New("disk on fire"))
	if got, err := d.Consented(t.Context(), "usr_ada", "app_shop", "chat"); err == nil || got {
		t.Errorf("without a store: %t, %v", got, err)
	}
	if d.Agree(t.Context(), "usr_ada", "app_shop", "chat") == nil {
		t.Error("Agree() without a store")
	}
}
