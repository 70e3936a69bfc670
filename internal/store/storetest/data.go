package storetest

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/carnetproject/carnet/internal/app"
	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/jose"
	"github.com/carnetproject/carnet/internal/key"
	"github.com/carnetproject/carnet/internal/user"
)

func testKeysRoundTrip(t *testing.T, open Opener) {
	s, ctx := open(t), t.Context()
	first := sampleKey(t, "access")
	bare := key.Key{Set: "device", Public: sampleKey(t, "device").Public, Created: epoch.Add(time.Second)}
	must(t, saveKeys(ctx, s, first, bare))

	got, err := s.Keys(ctx)
	must(t, err)
	wantEqual(t, "keys", got, []key.Key{first, bare})

	first.Retire, first.Expire, first.Revoked = time.Time{}, time.Time{}, epoch.Add(3*time.Minute)
	must(t, saveKeys(ctx, s, first))
	got, err = s.Keys(ctx)
	must(t, err)
	wantEqual(t, "keys after an update", got, []key.Key{first, bare})
}

func testKidIsOneKey(t *testing.T, open Opener) {
	s, ctx := open(t), t.Context()
	numbered := func() key.Key {
		k, err := jose.Generate(jose.ES256, "device_key1")
		must(t, err)
		return key.Key{Set: "device", Public: k.Public(), Created: epoch}
	}
	first := numbered()
	must(t, saveKeys(ctx, s, first))
	wantKind(t, saveKeys(ctx, s, numbered()), fault.Conflict)

	elsewhere := numbered()
	elsewhere.Set = "other"
	must(t, saveKeys(ctx, s, elsewhere))
	got, err := s.Keys(ctx)
	must(t, err)
	wantEqual(t, "keys", got, []key.Key{first, elsewhere})
}

func testRevocationStays(t *testing.T, open Opener) {
	s, ctx := open(t), t.Context()
	k := sampleKey(t, "access")
	k.Revoked = epoch.Add(time.Second)
	must(t, saveKeys(ctx, s, k))

	stale := k
	stale.Revoked = time.Time{}
	must(t, saveKeys(ctx, s, stale))
	got, err := s.Keys(ctx)
	must(t, err)
	wantEqual(t, "keys", got, []key.Key{k})
}

func testKeysAllOrNone(t *testing.T, open Opener) {
	s, ctx := open(t), t.Context()
	k := sampleKey(t, "access")
	must(t, saveKeys(ctx, s, k))
	usurper, err := jose.Generate(jose.ES256, k.Public.ID())
	must(t, err)
	other := key.Key{Set: "access", Public: usurper.Public(), Created: epoch}
	wantKind(t, saveKeys(ctx, s, sampleKey(t, "access"), other), fault.Conflict)
	got, err := s.Keys(ctx)
	must(t, err)
	wantEqual(t, "keys", got, []key.Key{k})
}

// saveKeys saves keys as who has just looked.
func saveKeys(ctx context.Context, s Store, keys ...key.Key) error {
	seen, err := s.Keys(ctx)
	if err != nil {
		return err
	}
	return s.SaveKeys(ctx, seen, keys...)
}

func testKeysPlannedAtOnce(t *testing.T, open Opener) {
	s, ctx := open(t), t.Context()
	const nodes = 8
	for round := range 3 {
		seen, err := s.Keys(ctx)
		must(t, err)
		slices.Reverse(seen)
		errs := make([]error, nodes)
		var all sync.WaitGroup
		for i := range nodes {
			k := sampleKey(t, "access")
			all.Go(func() { errs[i] = s.SaveKeys(ctx, seen, k) })
		}
		all.Wait()
		saved := 0
		for _, err := range errs {
			if err == nil {
				saved++
				continue
			}
			wantKind(t, err, fault.Conflict)
		}
		keys, err := s.Keys(ctx)
		must(t, err)
		if saved != 1 || len(keys) != round+1 {
			t.Fatalf("round %d: %d of %d were saved, the store has %d keys", round, saved, nodes, len(keys))
		}
	}
	seen, err := s.Keys(ctx)
	must(t, err)
	retired := seen[0]
	retired.Retire = retired.Retire.Add(time.Minute)
	must(t, s.SaveKeys(ctx, seen, retired))
	wantKind(t, s.SaveKeys(ctx, seen, sampleKey(t, "access")), fault.Conflict)
}

func testAppsRoundTrip(t *testing.T, open Opener) {
	s, ctx := open(t), t.Context()
	full, bare := sampleApp("shop"), app.App{ID: "bare", Created: epoch.Add(time.Second)}
	must(t, s.AddApp(ctx, full))
	must(t, s.AddApp(ctx, bare))
	got, err := s.Apps(ctx)
	must(t, err)
	wantEqual(t, "apps", got, []app.App{full, bare})
}

func testAppConflict(t *testing.T, open Opener) {
	s, ctx := open(t), t.Context()
	must(t, s.AddApp(ctx, sampleApp("shop")))
	wantKind(t, s.AddApp(ctx, app.App{ID: "shop", Name: "usurper"}), fault.Conflict)
	got, err := s.Apps(ctx)
	must(t, err)
	wantEqual(t, "apps", got, []app.App{sampleApp("shop")})
}

func testAppSecretsReplaced(t *testing.T, open Opener) {
	s, ctx := open(t), t.Context()
	a, other := sampleApp("shop"), sampleApp("zoo")
	must(t, s.AddApp(ctx, a))
	must(t, s.AddApp(ctx, other))
	a.Secrets = []app.Secret{{ID: "s3", NotBefore: epoch}, a.Secrets[0]}
	a.Name, a.Disabled, a.Origins = "renamed", false, nil
	must(t, s.EditApp(ctx, "shop", func(now *app.App) error {
		wantEqual(t, "app in the edit", *now, sampleApp("shop"))
		*now = a
		return nil
	}))
	got, err := s.Apps(ctx)
	must(t, err)
	wantEqual(t, "apps", got, []app.App{a, other})
}

func testUsersRoundTrip(t *testing.T, open Opener) {
	s, ctx := open(t), t.Context()
	alice, bob := sampleUser("u2", "alice"), user.User{ID: "u1", Name: "bob"}
	must(t, s.AddUser(ctx, bob))
	must(t, s.AddUser(ctx, alice))
	all, err := s.Users(ctx)
	must(t, err)
	wantEqual(t, "users", all, []user.User{alice, bob})

	bob.Name, bob.Scopes = "robert", []string{"a", "b"}
	must(t, s.EditUser(ctx, "u1", func(u *user.User) error {
		u.Name, u.Scopes = bob.Name, bob.Scopes
		return nil
	}))
	byID, err := s.User(ctx, "u1")
	must(t, err)
	wantEqual(t, "user by id", byID, bob)
	byName, err := s.UserByName(ctx, "robert")
	must(t, err)
	wantEqual(t, "user by name", byName, bob)
	_, err = s.UserByName(ctx, "bob")
	wantKind(t, err, fault.NotFound)
}

func testUserConflict(t *testing.T, open Opener) {
	s, ctx := open(t), t.Context()
	must(t, s.AddUser(ctx, sampleUser("u1", "alice")))
	must(t, s.AddUser(ctx, sampleUser("u2", "bob")))
	wantKind(t, s.AddUser(ctx, sampleUser("u3", "alice")), fault.Conflict)
	wantKind(t, s.AddUser(ctx, sampleUser("u1", "carol")), fault.Conflict)
	wantKind(t, s.EditUser(ctx, "u2", func(u *user.User) error { u.Name = "alice"; return nil }), fault.Conflict)
	all, err := s.Users(ctx)
	must(t, err)
	wantEqual(t, "users", all, []user.User{sampleUser("u1", "alice"), sampleUser("u2", "bob")})
}

// testEditRace counts a hundred edits that read before they write.
func testEditRace(t *testing.T, open Opener) {
	s, ctx := open(t), t.Context()
	must(t, s.AddUser(ctx, sampleUser("u1", "alice")))
	must(t, s.AddApp(ctx, app.App{ID: "shop", Created: epoch}))
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() {
			err := s.EditUser(ctx, "u1", func(u *user.User) error { u.Password += "x"; return nil })
			if err == nil {
				err = s.EditApp(ctx, "shop", func(a *app.App) error { a.Name += "x"; return nil })
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	u, err := s.User(ctx, "u1")
	must(t, err)
	apps, err := s.Apps(ctx)
	must(t, err)
	if got := len(u.Password) - len(sampleUser("u1", "alice").Password); got != 100 || len(apps[0].Name) != 100 {
		t.Errorf("of 100 edits %d of the user and %d of the app are there", got, len(apps[0].Name))
	}
}

func testEditFails(t *testing.T, open Opener) {
	s, ctx := open(t), t.Context()
	must(t, s.AddUser(ctx, sampleUser("u1", "alice")))
	must(t, s.AddApp(ctx, sampleApp("shop")))
	no := fault.New(fault.Denied, "no")
	wantKind(t, s.EditUser(ctx, "u1", func(u *user.User) error { u.Name = "eve"; return no }), fault.Denied)
	wantKind(t, s.EditApp(ctx, "shop", func(a *app.App) error { a.Name = "eve"; return no }), fault.Denied)
	wantKind(t, s.EditUser(ctx, "u9", func(*user.User) error { return nil }), fault.NotFound)
	wantKind(t, s.EditApp(ctx, "", func(*app.App) error { return nil }), fault.NotFound)
	u, err := s.User(ctx, "u1")
	must(t, err)
	wantEqual(t, "user", u, sampleUser("u1", "alice"))
	apps, err := s.Apps(ctx)
	must(t, err)
	wantEqual(t, "apps", apps, []app.App{sampleApp("shop")})
}

func testNotFound(t *testing.T, open Opener) {
	s, ctx := open(t), t.Context()
	must(t, s.AddUser(ctx, sampleUser("u1", "alice")))
	for name, find := range map[string]func() error{
		"user by id":    func() error { _, err := s.User(ctx, "alice"); return err },
		"user by name":  func() error { _, err := s.UserByName(ctx, "Alice"); return err },
		"empty name":    func() error { _, err := s.UserByName(ctx, ""); return err },
		"wildcard name": func() error { _, err := s.UserByName(ctx, "a%"); return err },
		"family":        func() error { _, err := s.Family(ctx, "f"); return err },
	} {
		if err := find(); fault.KindOf(err) != fault.NotFound {
			t.Errorf("%s: error = %v, want kind %v", name, err, fault.NotFound)
		}
	}
}
