package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/carnetproject/carnet/internal/app"
	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/key"
	"github.com/carnetproject/carnet/internal/token"
	"github.com/carnetproject/carnet/internal/user"
)

func testVersion(t *testing.T, open Opener) {
	s, ctx := open(t), t.Context()
	k := sampleKey(t, "access")
	last, err := s.Version(ctx)
	must(t, err)
	for _, step := range []struct {
		name  string
		do    func() error
		fails bool
		moves bool
	}{
		{"save keys", func() error { return saveKeys(ctx, s, k) }, false, true},
		{"save keys again", func() error { return saveKeys(ctx, s, k) }, false, true},
		{"add app", func() error { return s.AddApp(ctx, sampleApp("shop")) }, false, true},
		{"add app in vain", func() error { return s.AddApp(ctx, sampleApp("shop")) }, true, false},
		{"edit app", func() error { return s.EditApp(ctx, "shop", func(*app.App) error { return nil }) }, false, true},
		{"add user", func() error { return s.AddUser(ctx, sampleUser("u1", "alice")) }, false, true},
		{"add user in vain", func() error { return s.AddUser(ctx, sampleUser("u1", "alice")) }, true, false},
		{"edit user", func() error { return s.EditUser(ctx, "u1", func(*user.User) error { return nil }) }, false, true},
		{"edit user in vain", func() error { return s.EditUser(ctx, "u9", func(*user.User) error { return nil }) }, true, false},
		{"add family", func() error { return s.AddFamily(ctx, sampleFamily("f")) }, false, false},
		{"revoke family", func() error { return s.RevokeFamily(ctx, "f", epoch) }, false, false},
		{"read", func() error { _, err := s.Apps(ctx); return err }, false, false},
	} {
		if err := step.do(); (err != nil) != step.fails {
			t.Fatalf("%s: error = %v, want one: %t", step.name, err, step.fails)
		}
		n, err := s.Version(ctx)
		must(t, err)
		if n < last || (n > last) != step.moves {
			t.Errorf("%s: version from %d to %d, want it to move: %t", step.name, last, n, step.moves)
		}
		last = n
	}
}

// testFailuresAreAlone mixes writes that fail among writes that do not, all at
// once, so that they share transactions where the store has such.
func testFailuresAreAlone(t *testing.T, open Opener) {
	s, ctx := open(t), t.Context()
	must(t, s.AddUser(ctx, sampleUser("taken", "taken")))
	var wg sync.WaitGroup
	for i := range 100 {
		wg.Go(func() {
			id := user.ID(fmt.Sprintf("u%02d", i))
			if i%3 == 0 {
				if err := s.AddUser(ctx, sampleUser(id, "taken")); fault.KindOf(err) != fault.Conflict {
					t.Errorf("user %d: error = %v, want a conflict", i, err)
				}
				return
			}
			if err := s.AddUser(ctx, sampleUser(id, string(id))); err != nil {
				t.Errorf("user %d: %v", i, err)
			}
		})
	}
	wg.Wait()
	all, err := s.Users(ctx)
	must(t, err)
	if want := 1 + 66; len(all) != want {
		t.Errorf("%d users, want %d", len(all), want)
	}
}

// testCancel cancels writes at any moment: one that reports the cancellation must
// not have happened, one that reports success must have.
func testCancel(t *testing.T, open Opener) {
	s := open(t)
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.AddFamily(over, sampleFamily("never")); !errors.Is(err, context.Canceled) {
		t.Errorf("write with a cancelled context: error = %v, want %v", err, context.Canceled)
	}
	const writes = 200
	written := make([]bool, writes)
	var wg sync.WaitGroup
	for i := range writes {
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i)*20*time.Microsecond)
			defer cancel()
			err := s.AddFamily(ctx, sampleFamily(familyID(i)))
			if err != nil && !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("write %d: %v", i, err)
			}
			written[i] = err == nil
		})
	}
	wg.Wait()
	for i, want := range written {
		if _, err := s.Family(t.Context(), familyID(i)); (err == nil) != want {
			t.Errorf("write %d returned nil: %t, but reading it: %v", i, want, err)
		}
	}
	if _, err := s.Family(t.Context(), "never"); fault.KindOf(err) != fault.NotFound {
		t.Errorf("the cancelled write: error = %v, want not found", err)
	}
}

func familyID(i int) token.FamilyID { return token.FamilyID(fmt.Sprintf("f%03d", i)) }

func testReopen(t *testing.T, open Opener) {
	s, ctx := open(t), t.Context()
	k, a, u, f := sampleKey(t, "access"), sampleApp("shop"), sampleUser("u1", "alice"), sampleFamily("f")
	must(t, saveKeys(ctx, s, k))
	must(t, s.AddApp(ctx, a))
	must(t, s.AddUser(ctx, u))
	must(t, s.AddFamily(ctx, f))
	before, err := s.Version(ctx)
	must(t, err)
	must(t, s.Close())
	if err := s.Ping(ctx); err == nil {
		t.Error("a closed store answers")
	}
	if err := s.AddUser(ctx, sampleUser("u2", "bob")); err == nil {
		t.Error("a closed store writes")
	}

	s = open(t)
	must(t, s.Ping(ctx))
	keys, err := s.Keys(ctx)
	must(t, err)
	wantEqual(t, "keys", keys, []key.Key{k})
	apps, err := s.Apps(ctx)
	must(t, err)
	wantEqual(t, "apps", apps, []app.App{a})
	users, err := s.Users(ctx)
	must(t, err)
	wantEqual(t, "users", users, []user.User{u})
	family, err := s.Family(ctx, "f")
	must(t, err)
	wantEqual(t, "family", family, f)
	after, err := s.Version(ctx)
	must(t, err)
	wantEqual(t, "version", after, before)
}

// testTwoStores is a server and a command line on the same data.
func testTwoStores(t *testing.T, open Opener) {
	one, two, ctx := open(t), open(t), t.Context()
	before, err := one.Version(ctx)
	must(t, err)
	must(t, two.AddUser(ctx, sampleUser("u1", "alice")))
	after, err := one.Version(ctx)
	must(t, err)
	if after <= before {
		t.Errorf("version from %d to %d after the other store's write", before, after)
	}
	if _, err := one.UserByName(ctx, "alice"); err != nil {
		t.Errorf("the other store's user: %v", err)
	}
	wantKind(t, one.AddUser(ctx, sampleUser("u2", "alice")), fault.Conflict)

	var wg sync.WaitGroup
	for i := range 100 {
		wg.Go(func() {
			s := []Store{one, two}[i%2]
			if err := s.AddFamily(ctx, sampleFamily(familyID(i))); err != nil {
				t.Errorf("write %d: %v", i, err)
			}
		})
	}
	wg.Wait()
	for i := range 100 {
		if _, err := one.Family(ctx, familyID(i)); err != nil {
			t.Errorf("read %d: %v", i, err)
		}
	}
}
