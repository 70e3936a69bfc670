package storetest

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/revocation"
)

// Revocations is what a store does for revocations.
type Revocations interface {
	AddRevocation(ctx context.Context, e revocation.Entry) (revocation.Entry, error)
	RemoveRevocation(ctx context.Context, id int64, until time.Time) (revocation.Entry, error)
	Revocations(ctx context.Context, k revocation.Kind, after int64, limit int) ([]revocation.Entry, error)
	DeleteExpiredRevocations(ctx context.Context, before time.Time) (int, error)
}

func revocationTests() map[string]func(*testing.T, Opener) {
	return map[string]func(*testing.T, Opener){
		"revocations keep all that they are":       testRevocationRoundTrip,
		"a target has one revocation":              testRevocationOver,
		"a removed revocation stands as removed":   testRemoveRevocation,
		"revocations are read on from the last id": testRevocationPages,
		"expired revocations are forgotten":        testDeleteExpiredRevocations,
		"ids of revocations are never used again":  testRevocationIDs,
		"revocations appear in order":              testRevocationsInOrder,
	}
}

// sampleRevocation has every member set.
func sampleRevocation(name string) revocation.Entry {
	return revocation.Entry{
		Target: revocation.Target{Kind: revocation.BySubject, Issuer: "https://issuer.test", Name: name},
		Before: epoch, Expires: epoch.Add(time.Hour), Created: epoch.Add(time.Millisecond),
		Reason: "lost \"phone\" – 店", By: "ann",
	}
}

func addRevocation(t *testing.T, s Store, e revocation.Entry) revocation.Entry {
	t.Helper()
	saved, err := s.AddRevocation(t.Context(), e)
	must(t, err)
	return saved
}

func allRevocations(t *testing.T, s Store) []revocation.Entry {
	t.Helper()
	all, err := s.Revocations(t.Context(), 0, 0, 1000)
	must(t, err)
	return all
}

func testRevocationRoundTrip(t *testing.T, open Opener) {
	s := open(t)
	bare := revocation.Entry{Target: revocation.Target{Kind: revocation.ByKey, Name: "kid"}, Created: epoch}
	want := []revocation.Entry{sampleRevocation("u1"), bare}
	for i := range want {
		saved := addRevocation(t, s, want[i])
		if saved.ID <= 0 {
			t.Errorf("saved under id %d", saved.ID)
		}
		want[i].ID = saved.ID
		wantEqual(t, "what was added", saved, want[i])
	}
	wantEqual(t, "revocations", allRevocations(t, s), want)
}

// testRevocationOver: the store keeps what [revocation.Entry.Over] makes of two.
func testRevocationOver(t *testing.T, open Opener) {
	s := open(t)
	first := addRevocation(t, s, sampleRevocation("u1"))
	other := sampleRevocation("u1")
	other.Issuer = "another issuer"
	other = addRevocation(t, s, other)
	narrow := sampleRevocation("u1")
	narrow.Before, narrow.Expires, narrow.Reason = epoch.Add(-time.Hour), epoch.Add(time.Minute), "again"
	got := addRevocation(t, s, narrow)
	want := first
	want.ID, want.Reason = got.ID, "again"
	wantEqual(t, "the second revocation", got, want)
	if got.ID <= other.ID {
		t.Errorf("the id is %d after %d", got.ID, other.ID)
	}
	wantEqual(t, "revocations", allRevocations(t, s), []revocation.Entry{other, got})
}

func testRemoveRevocation(t *testing.T, open Opener) {
	s, ctx, until := open(t), t.Context(), epoch.Add(24*time.Hour)
	e := addRevocation(t, s, sampleRevocation("u1"))
	_, err := s.RemoveRevocation(ctx, e.ID+1, until)
	wantKind(t, err, fault.NotFound)
	removed, err := s.RemoveRevocation(ctx, e.ID, until)
	must(t, err)
	if removed.ID <= e.ID {
		t.Errorf("removed under id %d after %d: nobody would notice", removed.ID, e.ID)
	}
	want := e
	want.ID, want.Removed, want.Expires = removed.ID, true, until
	wantEqual(t, "what was removed", removed, want)
	wantEqual(t, "revocations", allRevocations(t, s), []revocation.Entry{want})
	for _, id := range []int64{e.ID, removed.ID} {
		_, err := s.RemoveRevocation(ctx, id, until)
		wantKind(t, err, fault.NotFound)
	}
	again := addRevocation(t, s, sampleRevocation("u1"))
	want = sampleRevocation("u1")
	want.ID = again.ID
	wantEqual(t, "revocations after another one", allRevocations(t, s), []revocation.Entry{want})
}

func testRevocationPages(t *testing.T, open Opener) {
	s, ctx := open(t), t.Context()
	var subjects, all []string
	for i := range 7 {
		e := sampleRevocation(fmt.Sprint("u", i))
		if i%3 == 2 {
			e.Target = revocation.Target{Kind: revocation.ByApp, Name: e.Name}
		} else {
			subjects = append(subjects, e.Name)
		}
		addRevocation(t, s, e)
		all = append(all, e.Name)
	}
	for kind, want := range map[revocation.Kind][]string{0: all, revocation.BySubject: subjects, revocation.ByToken: nil} {
		var got []string
		for after := int64(0); ; {
			page, err := s.Revocations(ctx, kind, after, 2)
			must(t, err)
			if len(page) > 2 {
				t.Fatalf("a page of %d, want at most 2", len(page))
			}
			if len(page) == 0 {
				break
			}
			for _, e := range page {
				got = append(got, e.Name)
				after = e.ID
			}
		}
		if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("pages of kind %v (-want +got):\n%s", kind, diff)
		}
	}
}

func testDeleteExpiredRevocations(t *testing.T, open Opener) {
	s, ctx := open(t), t.Context()
	for i, expires := range []time.Time{epoch.Add(-time.Millisecond), epoch.Add(-time.Hour), epoch, {}} {
		e := sampleRevocation(fmt.Sprint("u", i))
		e.Expires = expires
		addRevocation(t, s, e)
	}
	gone := addRevocation(t, s, sampleRevocation("u4"))
	_, err := s.RemoveRevocation(ctx, gone.ID, epoch.Add(-time.Second))
	must(t, err)
	for _, want := range []int{3, 0} {
		n, err := s.DeleteExpiredRevocations(ctx, epoch)
		must(t, err)
		if n != want {
			t.Errorf("DeleteExpiredRevocations() = %d, want %d", n, want)
		}
	}
	var left []string
	for _, e := range allRevocations(t, s) {
		left = append(left, e.Name)
	}
	wantEqual(t, "revocations", left, []string{"u2", "u3"})
}

// testRevocationIDs deletes the newest one: a node that had seen it would miss what
// came next under the same id.
func testRevocationIDs(t *testing.T, open Opener) {
	s, ctx := open(t), t.Context()
	e := addRevocation(t, s, sampleRevocation("u1"))
	n, err := s.DeleteExpiredRevocations(ctx, epoch.Add(2*time.Hour))
	must(t, err)
	if n != 1 {
		t.Fatalf("deleted %d, want 1", n)
	}
	if again := addRevocation(t, s, sampleRevocation("u2")); again.ID <= e.ID {
		t.Errorf("id %d was used again: %d", e.ID, again.ID)
	}
}

// testRevocationsInOrder reads on while several add: who has read an id must not miss a
// lower one.
func testRevocationsInOrder(t *testing.T, open Opener) {
	const writers, each = 8, 25
	s, ctx := open(t), t.Context()
	var adding sync.WaitGroup
	for w := range writers {
		adding.Go(func() {
			for i := range each {
				if _, err := s.AddRevocation(ctx, sampleRevocation(fmt.Sprint(w, "/", i))); err != nil {
					t.Error(err)
				}
			}
		})
	}
	done := make(chan struct{})
	go func() { adding.Wait(); close(done) }()
	seen, last := map[string]bool{}, int64(0)
	for finished := false; ; {
		page, err := s.Revocations(ctx, 0, last, 1000)
		must(t, err)
		for _, e := range page {
			seen[e.Name], last = true, e.ID
		}
		if finished {
			break
		}
		select {
		case <-done:
			finished = true // and one more look
		default:
		}
	}
	if len(seen) != writers*each {
		t.Errorf("saw %d of %d revocations", len(seen), writers*each)
	}
}
