package storetest

import (
	"crypto/sha256"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/token"
)

func testFamilyRoundTrip(t *testing.T, open Opener) {
	s, ctx := open(t), t.Context()
	f := sampleFamily("f1")
	must(t, s.AddFamily(ctx, f))
	wantKind(t, s.AddFamily(ctx, token.Family{ID: "f1", Subject: "usurper"}), fault.Conflict)
	got, err := s.Family(ctx, "f1")
	must(t, err)
	wantEqual(t, "family", got, f)
}

func testRotateFamily(t *testing.T, open Opener) {
	s, ctx := open(t), t.Context()
	first, second := sha256.Sum256([]byte("first")), sha256.Sum256([]byte("second"))
	end := epoch.Add(time.Hour)
	for name, tc := range map[string]struct {
		edit    func(*token.Family)
		current [32]byte
		now     time.Time
		want    bool
	}{
		"right":                    {func(*token.Family) {}, first, epoch, true},
		"last millisecond":         {func(*token.Family) {}, first, end.Add(-time.Millisecond), true},
		"expires now":              {func(*token.Family) {}, first, end, false},
		"expired":                  {func(*token.Family) {}, first, end.Add(time.Hour), false},
		"another hash":             {func(*token.Family) {}, second, epoch, false},
		"no hash":                  {func(*token.Family) {}, [32]byte{}, epoch, false},
		"revoked":                  {func(f *token.Family) { f.Revoked = epoch }, first, epoch, false},
		"revoked in the future":    {func(f *token.Family) { f.Revoked = end }, first, epoch, false},
		"a family without an end":  {func(f *token.Family) { f.Expires = time.Time{} }, first, epoch, false},
		"unknown":                  {func(f *token.Family) { f.ID += "x" }, first, epoch, false},
		"expired and another hash": {func(*token.Family) {}, second, end, false},
	} {
		t.Run(name, func(t *testing.T) {
			id := token.FamilyID(name)
			f := sampleFamily(id)
			tc.edit(&f)
			must(t, s.AddFamily(ctx, f))
			got, err := s.RotateFamily(ctx, id, tc.current, second, end.Add(time.Hour), tc.now)
			must(t, err)
			if got != tc.want {
				t.Errorf("RotateFamily() = %t, want %t", got, tc.want)
			}
			if tc.want {
				f.Hash, f.Expires, f.Rotated = second, end.Add(time.Hour), tc.now
			}
			after, err := s.Family(ctx, f.ID)
			must(t, err)
			wantEqual(t, "family", after, f)
		})
	}
}

// testRotateFamilyRace shows the same refresh token many times at once.
func testRotateFamilyRace(t *testing.T, open Opener) {
	const callers = 64
	s, ctx := open(t), t.Context()
	current := sha256.Sum256([]byte("first"))
	must(t, s.AddFamily(ctx, sampleFamily("f")))
	for round := range 5 {
		var won atomic.Int32
		var winner [32]byte
		var wg sync.WaitGroup
		start := make(chan struct{})
		for i := range callers {
			wg.Go(func() {
				<-start
				next := sha256.Sum256(fmt.Append(nil, round, "/", i))
				ok, err := s.RotateFamily(ctx, "f", current, next, epoch.Add(time.Hour), epoch)
				if err != nil {
					t.Error(err)
				}
				if ok && won.Add(1) == 1 {
					winner = next
				}
			})
		}
		close(start)
		wg.Wait()
		if n := won.Load(); n != 1 {
			t.Fatalf("round %d: %d of %d rotations won, want 1", round, n, callers)
		}
		f, err := s.Family(ctx, "f")
		must(t, err)
		if f.Hash != winner {
			t.Fatalf("round %d: the family's hash is not the winner's", round)
		}
		current = winner
	}
}

func testRevokeFamily(t *testing.T, open Opener) {
	s, ctx := open(t), t.Context()
	f := sampleFamily("f")
	must(t, s.AddFamily(ctx, f))
	must(t, s.RevokeFamily(ctx, "f", epoch.Add(time.Second)))
	must(t, s.RevokeFamily(ctx, "f", epoch.Add(time.Minute)))
	must(t, s.RevokeFamily(ctx, "unknown", epoch))
	f.Revoked = epoch.Add(time.Second)
	got, err := s.Family(ctx, "f")
	must(t, err)
	wantEqual(t, "family", got, f)
	ok, err := s.RotateFamily(ctx, "f", f.Hash, [32]byte{1}, epoch.Add(time.Hour), epoch)
	must(t, err)
	if ok {
		t.Error("a revoked family rotated")
	}
}

func testRevokeFamiliesOf(t *testing.T, open Opener) {
	s, ctx := open(t), t.Context()
	one, two, earlier, other, without := sampleFamily("f1"), sampleFamily("f2"), sampleFamily("f3"), sampleFamily("f4"), sampleFamily("f5")
	earlier.Revoked, other.Subject, two.Session, without.Session = epoch, "u", "ses_2", ""
	families := []*token.Family{&one, &two, &earlier, &other, &without}
	for _, f := range families {
		must(t, s.AddFamily(ctx, *f))
	}
	must(t, s.RevokeFamiliesOf(ctx, "u1", "ses_1", epoch.Add(time.Second)))
	must(t, s.RevokeFamiliesOf(ctx, "unknown", "", epoch))
	must(t, s.RevokeFamiliesOf(ctx, "", "", epoch))
	two.Revoked, without.Revoked = epoch.Add(time.Second), epoch.Add(time.Second)
	check := func() {
		t.Helper()
		for _, f := range families {
			got, err := s.Family(ctx, f.ID)
			must(t, err)
			wantEqual(t, "family", got, *f)
		}
	}
	check()
	must(t, s.RevokeFamiliesOf(ctx, "u1", "", epoch.Add(time.Minute)))
	one.Revoked = epoch.Add(time.Minute)
	check()
}

func testDeleteExpiredFamilies(t *testing.T, open Opener) {
	s, ctx := open(t), t.Context()
	for i, expires := range []time.Time{epoch.Add(-time.Millisecond), epoch.Add(-time.Hour), epoch, {}} {
		f := sampleFamily(token.FamilyID(fmt.Sprint("f", i)))
		f.Expires = expires
		must(t, s.AddFamily(ctx, f))
	}
	for _, want := range []int{2, 0} {
		n, err := s.DeleteExpiredFamilies(ctx, epoch)
		must(t, err)
		if n != want {
			t.Errorf("DeleteExpiredFamilies() = %d, want %d", n, want)
		}
	}
	for id, want := range map[token.FamilyID]bool{"f0": false, "f1": false, "f2": true, "f3": true} {
		if _, err := s.Family(ctx, id); (err == nil) != want {
			t.Errorf("family %s: error = %v, want it there: %t", id, err, want)
		}
	}
}
