package key

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/jose"
)

func TestRotatePublishesAhead(t *testing.T) {
	t.Parallel()
	b := newBench(t, access())
	b.pass(time.Hour)
	b.must(b.Rotate(t.Context(), "access", RotateOptions{}))
	first, second := b.kid("access", jose.ES256, 0), b.kid("access", jose.ES256, 1)
	for _, step := range []struct {
		after  time.Duration
		states []State
		signer string
	}{
		{0, []State{Active, Pending}, first},
		{10*time.Minute - 1, []State{Active, Pending}, first},
		{1, []State{Retiring, Active}, second},
		{24*time.Hour - 1, []State{Retiring, Active}, second},
		{1, []State{Retired, Active}, second},
		{1e5 * time.Hour, []State{Retired, Active}, second},
	} {
		b.pass(step.after)
		b.wantStates(jose.ES256, step.states...)
		b.wantStates(jose.EdDSA, step.states...)
		if got := b.signedBy("access", jose.ES256); got != step.signer {
			t.Errorf("%v: signed by %s, want %s", step.states, got, step.signer)
		}
	}
}

func TestRotateOneAlgorithm(t *testing.T) {
	t.Parallel()
	b := newBench(t, access())
	b.pass(time.Second)
	b.must(b.Rotate(t.Context(), "access", RotateOptions{Algorithm: jose.EdDSA}))
	b.wantStates(jose.ES256, Active)
	b.wantStates(jose.EdDSA, Active, Pending)
}

func TestRotateWhilePending(t *testing.T) {
	t.Parallel()
	b := newBench(t, access())
	b.pass(time.Second)
	b.must(b.Rotate(t.Context(), "access", RotateOptions{Algorithm: jose.ES256}))
	b.pass(time.Second)
	b.wantKind(b.Rotate(t.Context(), "access", RotateOptions{}), fault.Conflict)
	b.wantStates(jose.ES256, Active, Pending)
	b.wantStates(jose.EdDSA, Active) // all or none

	b.must(b.Rotate(t.Context(), "access", RotateOptions{Algorithm: jose.ES256, Now: true}))
	b.wantStates(jose.ES256, Retiring, Active)
	b.pass(24 * time.Hour)
	b.wantStates(jose.ES256, Retired, Active)
}

func TestRotateNow(t *testing.T) {
	t.Parallel()
	b := newBench(t, access())
	b.pass(time.Second)
	b.must(b.Rotate(t.Context(), "access", RotateOptions{Now: true}))
	b.wantStates(jose.ES256, Retiring, Active)
	b.wantStates(jose.EdDSA, Retiring, Active)
}

func TestForeverNeverExpires(t *testing.T) {
	t.Parallel()
	b := newBench(t, device())
	for range 3 {
		b.pass(time.Hour)
		b.must(b.Rotate(t.Context(), "mobile_device", RotateOptions{Now: true}))
	}
	b.pass(1e6 * time.Hour)
	if got := len(b.Published("mobile_device", b.clock())); got != 4 {
		t.Errorf("%d keys verify, want all 4", got)
	}
	if got := b.kid("mobile_device", jose.ES256, 3); got != "mobilev2_key4" {
		t.Errorf("the fourth kid is %s", got)
	}
}

// TestNumbersAreTakenOnce lets another process rotate between this one's look and
// its save.
func TestNumbersAreTakenOnce(t *testing.T) {
	t.Parallel()
	b := newBench(t, device())
	other := b.another(masterKey(t, 1), device())
	b.pass(time.Second)
	b.store.before = func() { b.must(other.Rotate(t.Context(), "mobile_device", RotateOptions{Now: true})) }
	b.must(b.Rotate(t.Context(), "mobile_device", RotateOptions{Now: true}))
	keys := b.List("mobile_device")
	if len(keys) != 3 || keys[1].Public.ID() == keys[2].Public.ID() {
		t.Fatalf("%d keys, want 3 with numbers of their own", len(keys))
	}
	b.must(other.Load(t.Context()))
	token, err := other.Sign(t.Context(), "mobile_device", "", "", []byte(`{}`))
	b.must(err)
	if !verifies(b.List("mobile_device")[2].Public, token) && !verifies(keys[1].Public, token) {
		t.Error("the other process signs with a key that is not in the set")
	}
}

func TestRetire(t *testing.T) {
	t.Parallel()
	b := newBench(t, access())
	first := b.kid("access", jose.ES256, 0)
	b.wantKind(b.Retire(t.Context(), first), fault.Conflict)
	b.wantStates(jose.ES256, Active)

	b.pass(time.Second)
	b.must(b.Rotate(t.Context(), "access", RotateOptions{}))
	second := b.kid("access", jose.ES256, 1)
	b.wantKind(b.Retire(t.Context(), second), fault.Conflict) // it is pending
	b.must(b.Retire(t.Context(), first))
	b.wantStates(jose.ES256, Retiring, Active)
	b.wantStates(jose.EdDSA, Active, Pending)
	b.wantKind(b.Retire(t.Context(), first), fault.Conflict) // it does already
	b.pass(24 * time.Hour)
	b.wantStates(jose.ES256, Retired, Active)
	b.wantKind(b.Retire(t.Context(), second), fault.Conflict)
}

func TestRevoke(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		before func(*bench) // ends with ES256 keys in some states
		revoke int
		want   []State
	}{
		"the only signer": {func(*bench) {}, 0, []State{Revoked, Active}},
		"the signer, a successor pending": {func(b *bench) {
			b.must(b.Rotate(b.t.Context(), "access", RotateOptions{}))
		}, 0, []State{Revoked, Active}},
		"the successor": {func(b *bench) {
			b.must(b.Rotate(b.t.Context(), "access", RotateOptions{}))
		}, 1, []State{Active, Revoked}},
		"one that only verifies": {func(b *bench) {
			b.must(b.Rotate(b.t.Context(), "access", RotateOptions{Now: true}))
		}, 0, []State{Revoked, Active}},
		"one that is gone": {func(b *bench) {
			b.must(b.Rotate(b.t.Context(), "access", RotateOptions{Now: true}))
			b.pass(48 * time.Hour)
		}, 0, []State{Revoked, Active}},
		"the new signer": {func(b *bench) {
			b.must(b.Rotate(b.t.Context(), "access", RotateOptions{Now: true}))
		}, 1, []State{Retiring, Revoked, Active}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, access())
			b.pass(time.Minute)
			tc.before(b)
			b.pass(time.Minute)
			kid := b.kid("access", jose.ES256, tc.revoke)
			b.must(b.Revoke(t.Context(), kid))
			b.wantStates(jose.ES256, tc.want...)
			b.must(b.Revoke(t.Context(), kid)) // once more changes nothing
			b.wantStates(jose.ES256, tc.want...)
			if got := b.signedBy("access", jose.ES256); got == kid {
				t.Error("the revoked key signs")
			}
			b.pass(20 * time.Minute) // when the rotation would have been over
			b.signedBy("access", jose.ES256)
		})
	}
}

func TestRotateDue(t *testing.T) {
	t.Parallel()
	b := newBench(t, access(), device())
	due := func() {
		t.Helper()
		b.must(b.RotateDue(t.Context()))
	}
	b.pass(90*24*time.Hour - 10*time.Minute - time.Millisecond)
	due()
	b.wantStates(jose.ES256, Active)
	b.pass(time.Millisecond)
	due()
	due()
	b.wantStates(jose.ES256, Active, Pending)
	b.wantStates(jose.EdDSA, Active, Pending)
	b.pass(10 * time.Minute)
	due()
	b.wantStates(jose.ES256, Retiring, Active) // it signed for as long as it should
	b.pass(24 * time.Hour)
	b.wantStates(jose.ES256, Retired, Active)
	b.pass(1e5 * time.Hour)
	due()
	b.wantStates(jose.ES256, Retired, Active, Pending)
	if got := len(b.List("mobile_device")); got != 1 {
		t.Errorf("a set without a rotation period has %d keys, want 1", got)
	}
}

// TestDecided tells what each change of a ring is about, if nobody asked for it.
func TestDecided(t *testing.T) {
	t.Parallel()
	var told []string
	b := &bench{t: t, store: &memory{}, now: epoch}
	open := func(specs ...Spec) {
		t.Helper()
		r, err := New(Config{Specs: specs, Store: b.store, Box: masterKey(t, 1), Clock: b.clock, Decided: func(_ context.Context, changed []Key) {
			for _, k := range changed {
				told = append(told, fmt.Sprintf("%s %s %v %v %v", k.Public.Algorithm(), k.State(b.now), k.Active.Sub(b.now), k.Retire.Sub(epoch) > 0, k.Expire.Sub(k.Retire)))
			}
		}})
		b.must(err)
		b.Ring = r
	}
	did := func(what string, err error, want ...string) {
		t.Helper()
		b.must(err)
		if !slices.Equal(told, want) {
			t.Errorf("%s: told %q, want %q", what, told, want)
		}
		told = nil
	}
	one := access()
	one.Algorithms = []jose.Algorithm{jose.ES256}
	open(one)
	did("first keys", b.Ensure(t.Context()))
	did("nothing to do", b.RotateDue(t.Context()))
	b.pass(90*24*time.Hour - 10*time.Minute)
	did("a rotation is due", b.RotateDue(t.Context()), "ES256 active -2159h50m0s true 24h0m0s", "ES256 pending 10m0s false 0s")
	did("it is planned", b.RotateDue(t.Context()))
	b.pass(time.Hour)
	did("by hand", b.Rotate(t.Context(), "access", RotateOptions{}))
	did("by hand, at once", b.Rotate(t.Context(), "access", RotateOptions{Now: true}))
	did("by hand, too", b.Revoke(t.Context(), b.kid("access", jose.ES256, 2)))
	one.Algorithms = append(one.Algorithms, jose.ES384)
	open(one)
	did("an algorithm more", b.Ensure(t.Context()), "ES384 active 0s false 0s")
}

func TestRotateDueAddsNewAlgorithms(t *testing.T) {
	t.Parallel()
	b := newBench(t, access())
	wider := access()
	wider.Algorithms = append(wider.Algorithms, jose.ES384)
	r := b.another(masterKey(t, 1), wider)
	b.must(r.RotateDue(t.Context()))
	if _, err := r.Sign(t.Context(), "access", jose.ES384, "", []byte(`{}`)); err != nil {
		t.Errorf("sign with the new algorithm: %v", err)
	}
}

func TestSavedChangesAreTakenOverThoughTheCallerLeft(t *testing.T) {
	t.Parallel()
	b := newBench(t, access())
	failing := errors.New("disk full")
	b.store.before = func() { b.store.broken = failing }
	if err := b.Rotate(t.Context(), "access", RotateOptions{Now: true}); !errors.Is(err, failing) {
		t.Errorf("error = %v, want %v", err, failing)
	}
	b.store.broken = nil
	b.wantStates(jose.ES256, Active) // what was not saved is not in force
}

// TestTwoFirstKeys starts two nodes at once on an empty store: one makes the keys.
func TestTwoFirstKeys(t *testing.T) {
	t.Parallel()
	b := &bench{t: t, store: &memory{}, now: epoch}
	b.Ring = b.another(masterKey(t, 1), access())
	other := b.another(masterKey(t, 1), access())
	b.store.before = func() { b.must(other.Ensure(t.Context())) }
	b.must(b.Ensure(t.Context()))
	b.wantStates(jose.ES256, Active)

	token, err := other.Sign(t.Context(), "access", jose.ES256, "", []byte(`{}`))
	b.must(err)
	signer := b.signedBy("access", jose.ES256)
	if !slices.ContainsFunc(b.List("access"), func(k Key) bool { return k.Public.ID() == signer && verifies(k.Public, token) }) {
		t.Error("the nodes sign with different keys")
	}
}

// TestRotationTellsOfRotate: what it shows is what Rotate then does, but for the kids of
// keys that are not made yet.
func TestRotationTellsOfRotate(t *testing.T) {
	t.Parallel()
	numbered := access()
	numbered.KidPrefix = "k"
	for name, tc := range map[string]struct {
		spec Spec
		o    RotateOptions
	}{
		"all":           {access(), RotateOptions{}},
		"one algorithm": {access(), RotateOptions{Algorithm: jose.EdDSA}},
		"now":           {access(), RotateOptions{Now: true}},
		"numbered":      {numbered, RotateOptions{}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, tc.spec)
			b.pass(time.Hour)
			before := b.List("access")
			shown, err := b.Rotation(t.Context(), "access", tc.o)
			b.must(err)
			if !slices.EqualFunc(before, b.List("access"), Key.Equal) {
				t.Fatal("it changed something")
			}
			b.must(b.Rotate(t.Context(), "access", tc.o))
			var did []Key
			for _, k := range b.List("access") {
				if !slices.ContainsFunc(before, k.Equal) {
					did = append(did, k)
				}
			}
			type row struct {
				kid                     string
				alg                     jose.Algorithm
				active, retire, expired time.Time
			}
			rows := func(keys []Key) (rows []row) {
				for _, k := range keys {
					kid := k.Public.ID()
					if tc.spec.KidPrefix == "" && k.Created.Equal(b.clock()) {
						kid = NewKid
					}
					rows = append(rows, row{kid, k.Public.Algorithm(), k.Active, k.Retire, k.Expire})
				}
				slices.SortFunc(rows, func(x, y row) int { return strings.Compare(x.kid+string(x.alg), y.kid+string(y.alg)) })
				return rows
			}
			if got, want := rows(shown), rows(did); len(want) == 0 || !slices.Equal(got, want) {
				t.Errorf("Rotation() = %v, want what Rotate did: %v", got, want)
			}
		})
	}
}

func TestRotationRefusesWhatRotateRefuses(t *testing.T) {
	t.Parallel()
	b := newBench(t, access())
	b.pass(time.Second)
	b.must(b.Rotate(t.Context(), "access", RotateOptions{}))
	_, err := b.Rotation(t.Context(), "access", RotateOptions{})
	b.wantKind(err, fault.Conflict)
	_, err = b.Rotation(t.Context(), "nosuch", RotateOptions{})
	b.wantKind(err, fault.NotFound)
	_, err = b.another(nil, access()).Rotation(t.Context(), "access", RotateOptions{Algorithm: jose.RS256})
	b.wantKind(err, fault.Invalid)
	c := newBench(t, access())
	_, err = c.another(nil, access()).Rotation(t.Context(), "access", RotateOptions{})
	c.wantKind(err, fault.Denied) // no master key
}
