package storetest

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/carnetproject/carnet/internal/securesession"
)

// SecureSessions is what a store does for secure sessions.
type SecureSessions interface {
	LeaseSecureSession(ctx context.Context, k securesession.Key, holder string, now, until time.Time) (bool, error)
	SecureSession(ctx context.Context, k securesession.Key, now time.Time) (securesession.Record, error)
	SaveSecureSession(ctx context.Context, k securesession.Key, holder string, r securesession.Record, expires time.Time) (securesession.Record, error)
	ReleaseSecureSession(ctx context.Context, k securesession.Key, holder string) error
	DeleteSecureSession(ctx context.Context, k securesession.Key) error
	DeleteExpiredSecureSessions(ctx context.Context, before time.Time) (int, error)
}

func secureSessionTests() map[string]func(*testing.T, Opener) {
	return map[string]func(*testing.T, Opener){
		"secure sessions keep all that they are":       testSecureSessionRoundTrip,
		"the newest secure session stands":             testSecureSessionNewest,
		"of many secure sessions the newest stands":    testSecureSessionRace,
		"secure sessions expire":                       testSecureSessionExpires,
		"the lease of a secure session has one holder": testSecureSessionLease,
		"of many leases of a session one is given":     testSecureSessionLeaseRace,
		"secure sessions are deleted":                  testSecureSessionDelete,
	}
}

// pair is a conversation as a bot of secured sessions knows it.
func pair(conversation string) securesession.Key {
	return securesession.Key{Bot: "teller", Conversation: conversation}
}

// sampleRecord has every member set.
func sampleRecord(began time.Time) securesession.Record {
	return securesession.Record{
		State: securesession.Denied,
		Print: securesession.Print{Inputs: [32]byte{1, 31: 2}, Revision: [32]byte{3, 31: 4}},
		Began: began, Until: began.Add(time.Minute + 1), At: began.Add(time.Second + 1),
		Reason: securesession.Unauthorized, Denials: 3, Failures: 4,
	}
}

func saveRecord(t *testing.T, s Store, k securesession.Key, r securesession.Record) securesession.Record {
	t.Helper()
	stands, err := s.SaveSecureSession(t.Context(), k, "n1", r, epoch.Add(time.Hour))
	must(t, err)
	return stands
}

func loadRecord(t *testing.T, s Store, k securesession.Key, now time.Time) securesession.Record {
	t.Helper()
	r, err := s.SecureSession(t.Context(), k, now)
	must(t, err)
	return r
}

func testSecureSessionRoundTrip(t *testing.T, open Opener) {
	s := open(t)
	wantEqual(t, "unknown record", loadRecord(t, s, pair("c1"), epoch), securesession.Record{})
	full, empty := sampleRecord(epoch.Add(1)), securesession.Record{Began: epoch}
	for conversation, r := range map[string]securesession.Record{"c1": full, "c2": empty} {
		wantEqual(t, "saved", saveRecord(t, s, pair(conversation), r), r)
		wantEqual(t, "loaded", loadRecord(t, open(t), pair(conversation), epoch), r)
	}
	other := securesession.Key{Bot: "other", Conversation: "c1"}
	wantEqual(t, "another bot's", loadRecord(t, s, other, epoch), securesession.Record{})
}

func testSecureSessionNewest(t *testing.T, open Opener) {
	s, k := open(t), pair("c1")
	first, second := sampleRecord(epoch.Add(1)), sampleRecord(epoch.Add(2))
	second.State, second.Reason = securesession.Allowed, ""
	saveRecord(t, s, k, first)
	wantEqual(t, "newer by a nanosecond", saveRecord(t, s, k, second), second)
	wantEqual(t, "older", saveRecord(t, s, k, first), second)
	same := sampleRecord(second.Began)
	wantEqual(t, "as old", saveRecord(t, s, k, same), second)
	wantEqual(t, "in the end", loadRecord(t, s, k, epoch), second)
}

func testSecureSessionRace(t *testing.T, open Opener) {
	const savers = 32
	one, two, ctx := open(t), open(t), t.Context()
	var wg sync.WaitGroup
	for i := range savers {
		wg.Go(func() {
			r := sampleRecord(epoch.Add(time.Duration(i)))
			stands, err := []Store{one, two}[i%2].SaveSecureSession(ctx, pair("c1"), fmt.Sprint(i), r, epoch.Add(time.Hour))
			if err != nil || stands.Began.Before(r.Began) {
				t.Errorf("save %d: %v stands, %v", i, stands.Began, err)
			}
		})
	}
	wg.Wait()
	got := loadRecord(t, one, pair("c1"), epoch)
	wantEqual(t, "newest", got.Began, epoch.Add(savers-1))
}

func testSecureSessionExpires(t *testing.T, open Opener) {
	s, ctx, end := open(t), t.Context(), epoch.Add(time.Hour)
	r := sampleRecord(epoch)
	for i := range 3 {
		_, err := s.SaveSecureSession(ctx, pair(fmt.Sprint("c", i)), "n1", r, end.Add(time.Duration(i)*time.Minute))
		must(t, err)
	}
	wantEqual(t, "just before", loadRecord(t, s, pair("c0"), end.Add(-1)), r)
	wantEqual(t, "at its end", loadRecord(t, s, pair("c0"), end), securesession.Record{})
	for _, want := range []int{2, 0} {
		n, err := s.DeleteExpiredSecureSessions(ctx, end.Add(2*time.Minute))
		must(t, err)
		wantEqual(t, "deleted", n, want)
	}
	wantEqual(t, "what is left", loadRecord(t, s, pair("c2"), epoch), r)
	wantEqual(t, "what went", loadRecord(t, s, pair("c1"), epoch), securesession.Record{})
}

func testSecureSessionLease(t *testing.T, open Opener) {
	one, two, ctx, k := open(t), open(t), t.Context(), pair("c1")
	end := epoch.Add(time.Minute)
	lease := func(s Store, holder string, now time.Time, want bool) {
		t.Helper()
		got, err := s.LeaseSecureSession(ctx, k, holder, now, now.Add(time.Minute))
		must(t, err)
		if got != want {
			t.Errorf("lease for %s at %v = %t, want %t", holder, now, got, want)
		}
	}
	lease(one, "n1", epoch, true)
	lease(two, "n2", epoch, false)
	lease(two, "n2", end.Add(-1), false)
	lease(two, "n2", end, true)
	lease(one, "n1", end, false)
	lease(two, "n2", end, true)
	must(t, one.ReleaseSecureSession(ctx, k, "n1"))
	lease(one, "n1", end, false)
	must(t, one.ReleaseSecureSession(ctx, k, "n2"))
	lease(one, "n1", end, true)
	_, err := two.SaveSecureSession(ctx, k, "n2", sampleRecord(epoch), end)
	must(t, err)
	lease(two, "n2", end, false)
	_, err = one.SaveSecureSession(ctx, k, "n1", sampleRecord(epoch.Add(-1)), end)
	must(t, err)
	lease(two, "n2", end, true)
}

func testSecureSessionLeaseRace(t *testing.T, open Opener) {
	const nodes = 16
	one, two, ctx := open(t), open(t), t.Context()
	for round := range 5 {
		k := pair(fmt.Sprint("c", round))
		var given atomic.Int32
		var wg sync.WaitGroup
		for i := range nodes {
			wg.Go(func() {
				ok, err := []Store{one, two}[i%2].LeaseSecureSession(ctx, k, fmt.Sprint("n", i), epoch, epoch.Add(time.Minute))
				if err != nil {
					t.Error(err)
				}
				if ok {
					given.Add(1)
				}
			})
		}
		wg.Wait()
		if n := given.Load(); n != 1 {
			t.Errorf("round %d: the lease was given to %d", round, n)
		}
	}
}

func testSecureSessionDelete(t *testing.T, open Opener) {
	s, ctx, k := open(t), t.Context(), pair("c1")
	must(t, s.DeleteSecureSession(ctx, k))
	saveRecord(t, s, k, sampleRecord(epoch))
	saveRecord(t, s, pair("c2"), sampleRecord(epoch))
	_, err := s.LeaseSecureSession(ctx, k, "n1", epoch, epoch.Add(time.Minute))
	must(t, err)
	must(t, s.DeleteSecureSession(ctx, k))
	wantEqual(t, "deleted", loadRecord(t, s, k, epoch), securesession.Record{})
	wantEqual(t, "another", loadRecord(t, s, pair("c2"), epoch), sampleRecord(epoch))
	free, err := s.LeaseSecureSession(ctx, k, "n2", epoch, epoch.Add(time.Minute))
	must(t, err)
	wantEqual(t, "lease is free", free, true)
	older := sampleRecord(epoch.Add(-time.Hour))
	wantEqual(t, "begun anew", saveRecord(t, s, k, older), older)
}
