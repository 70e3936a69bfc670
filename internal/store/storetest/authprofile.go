package storetest

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/carnetproject/carnet/internal/authprofile"
	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/securesession"
)

// AuthProfiles is what a store does for sign-ins with providers.
type AuthProfiles interface {
	AddSignIn(ctx context.Context, s authprofile.SignIn) error
	TakeSignIn(ctx context.Context, state [32]byte, now time.Time) (authprofile.SignIn, error)
	PutGrant(ctx context.Context, k securesession.Key, g authprofile.Grant) error
	Grant(ctx context.Context, k securesession.Key, now time.Time) (authprofile.Grant, error)
	SwapGrant(ctx context.Context, k securesession.Key, g authprofile.Grant) (authprofile.Grant, bool, error)
	DeleteGrant(ctx context.Context, k securesession.Key, version int64) (bool, error)
}

func authProfileTests() map[string]func(*testing.T, Opener) {
	return map[string]func(*testing.T, Opener){
		"a sign-in is taken once":                    testTakeSignIn,
		"of many who take a sign-in one gets it":     testTakeSignInRace,
		"a conversation has its newest grant":        testGrant,
		"a grant is swapped by who knows it":         testSwapGrant,
		"of many swaps of a grant one is made":       testSwapGrantRace,
		"grants end with the session, or by the day": testGrantEnds,
	}
}

func sampleSignIn(state byte) authprofile.SignIn {
	return authprofile.SignIn{
		State: [32]byte{state, 31: 1}, Browser: [32]byte{3, 31: 4}, Key: pair("c1"), Profile: "bank",
		Sealed: []byte("\x00\xffsealed"), Expires: epoch.Add(time.Minute + 1),
	}
}

func sampleGrant() authprofile.Grant {
	return authprofile.Grant{
		Profile: "bank", Hint: [32]byte{5, 31: 6}, Sealed: []byte("\x00\xfftokens"), Version: 1, Expires: epoch.Add(time.Hour + 1),
	}
}

func noSignIn(t *testing.T, s Store, state [32]byte, now time.Time) {
	t.Helper()
	if _, err := s.TakeSignIn(t.Context(), state, now); fault.KindOf(err) != fault.NotFound {
		t.Errorf("sign-in at %v: %v", now, err)
	}
}

func testTakeSignIn(t *testing.T, open Opener) {
	s, ctx := open(t), t.Context()
	a, b := sampleSignIn(1), sampleSignIn(2)
	must(t, s.AddSignIn(ctx, a))
	must(t, s.AddSignIn(ctx, b))
	if err := s.AddSignIn(ctx, a); err == nil {
		t.Error("a state is there twice")
	}
	got, err := open(t).TakeSignIn(ctx, a.State, a.Expires.Add(-1))
	must(t, err)
	wantEqual(t, "sign-in", got, a)
	noSignIn(t, s, a.State, epoch)
	noSignIn(t, s, [32]byte{9}, epoch)
	noSignIn(t, s, b.State, b.Expires)
	_, err = s.DeleteExpiredSecureSessions(ctx, b.Expires.Add(1))
	must(t, err)
	noSignIn(t, s, b.State, epoch)
}

func testTakeSignInRace(t *testing.T, open Opener) {
	one, two, ctx := open(t), open(t), t.Context()
	must(t, one.AddSignIn(ctx, sampleSignIn(1)))
	var taken atomic.Int32
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			_, err := []Store{one, two}[i%2].TakeSignIn(ctx, sampleSignIn(1).State, epoch)
			switch {
			case err == nil:
				taken.Add(1)
			case fault.KindOf(err) != fault.NotFound:
				t.Error(err)
			}
		})
	}
	wg.Wait()
	wantEqual(t, "taken", taken.Load(), int32(1))
}

func testGrant(t *testing.T, open Opener) {
	s, ctx, k, g := open(t), t.Context(), pair("c1"), sampleGrant()
	noGrant(t, s, k, epoch)
	must(t, s.PutGrant(ctx, k, g))
	got, err := open(t).Grant(ctx, k, g.Expires.Add(-1))
	must(t, err)
	wantEqual(t, "grant", got, g)
	noGrant(t, s, k, g.Expires)
	noGrant(t, s, pair("c2"), epoch)
	noGrant(t, s, securesession.Key{Bot: "other", Conversation: "c1"}, epoch)

	newer := authprofile.Grant{Profile: "other", Hint: [32]byte{7}, Sealed: []byte{1}, Expires: epoch.Add(2 * time.Hour)}
	must(t, s.PutGrant(ctx, k, newer))
	newer.Version = 2
	got, err = s.Grant(ctx, k, epoch)
	must(t, err)
	wantEqual(t, "newer grant", got, newer)
	if _, ok, err := s.SwapGrant(ctx, k, g); ok || err != nil {
		t.Errorf("who knew the older one swapped the newer: %t, %v", ok, err)
	}
	deletes(t, s, k, g.Version, false)
	got, err = s.Grant(ctx, k, epoch)
	must(t, err)
	wantEqual(t, "after who knew the older one deleted it", got, newer)
	deletes(t, s, k, 2, true)
	noGrant(t, s, k, epoch)
	deletes(t, s, k, 2, false)
}

func deletes(t *testing.T, s Store, k securesession.Key, version int64, want bool) {
	t.Helper()
	if got, err := s.DeleteGrant(t.Context(), k, version); got != want || err != nil {
		t.Errorf("DeleteGrant(%d) = %t, %v", version, got, err)
	}
}

func noGrant(t *testing.T, s Store, k securesession.Key, now time.Time) {
	t.Helper()
	if _, err := s.Grant(t.Context(), k, now); fault.KindOf(err) != fault.NotFound {
		t.Errorf("grant of %v: %v", k, err)
	}
}

func testSwapGrant(t *testing.T, open Opener) {
	s, ctx, k, g := open(t), t.Context(), pair("c1"), sampleGrant()
	if _, ok, err := s.SwapGrant(ctx, k, g); ok || err != nil {
		t.Errorf("swapped what is not there: %t, %v", ok, err)
	}
	must(t, s.PutGrant(ctx, k, g))
	g.Sealed, g.Expires = []byte("newer"), epoch.Add(3*time.Hour)
	got, ok, err := s.SwapGrant(ctx, k, g)
	must(t, err)
	g.Version = 2
	wantEqual(t, "swapped", ok, true)
	wantEqual(t, "what is returned", got, g)
	got, err = open(t).Grant(ctx, k, epoch)
	must(t, err)
	wantEqual(t, "what is kept", got, g)
}

func testSwapGrantRace(t *testing.T, open Opener) {
	one, two, ctx, k := open(t), open(t), t.Context(), pair("c1")
	must(t, one.PutGrant(ctx, k, sampleGrant()))
	var swapped atomic.Int32
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			g := sampleGrant()
			g.Sealed = fmt.Append(nil, i)
			_, ok, err := []Store{one, two}[i%2].SwapGrant(ctx, k, g)
			if err != nil {
				t.Error(err)
			}
			if ok {
				swapped.Add(1)
			}
		})
	}
	wg.Wait()
	wantEqual(t, "swapped", swapped.Load(), int32(1))
}

func testGrantEnds(t *testing.T, open Opener) {
	s, ctx, g := open(t), t.Context(), sampleGrant()
	for _, conversation := range []string{"c1", "c2", "c3"} {
		must(t, s.PutGrant(ctx, pair(conversation), g))
		g.Expires = g.Expires.Add(time.Hour)
	}
	must(t, s.DeleteSecureSession(ctx, pair("c3")))
	noGrant(t, s, pair("c3"), epoch)
	_, err := s.DeleteExpiredSecureSessions(ctx, sampleGrant().Expires.Add(1))
	must(t, err)
	noGrant(t, s, pair("c1"), epoch)
	_, err = s.Grant(ctx, pair("c2"), epoch)
	must(t, err)
}
