package audit_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/carnetproject/carnet/internal/audit"
	"github.com/carnetproject/carnet/internal/audit/audittest"
	"github.com/carnetproject/carnet/internal/fault"
)

var (
	v4 = netip.MustParseAddr("192.0.2.77")
	v6 = netip.MustParseAddr("2001:db8:1:2:3::4")
)

func signIn(name string) audit.Entry {
	return audit.Entry{Actor: audit.Actor{Kind: audit.User}, Action: audit.UserSignIn, Object: name, Outcome: audit.Refused}
}

func TestRecord(t *testing.T) {
	t.Parallel()
	var s audittest.Store
	noon := time.Date(2026, 6, 1, 12, 0, 0, 123456789, time.FixedZone("", 3600))
	l, _ := audittest.New(t, &s, audit.Config{Node: "n1", Clock: func() time.Time { return noon }})
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // the caller has hung up
	given := audit.Entry{
		Actor: audit.Actor{Kind: audit.Operator, Name: "root"}, Action: audit.AppAdd, Object: "app_1",
		Details: map[audit.Detail]string{audit.Command: "apps add", audit.Name: ""},
	}
	if err := l.Record(ctx, given, v4); err != nil {
		t.Fatal(err)
	}
	want := given
	want.At, want.Node, want.Outcome, want.Address = noon.UTC().Truncate(time.Millisecond), "n1", audit.OK, "192.0.2.77"
	want.Details = map[audit.Detail]string{audit.Command: "apps add"}
	if diff := cmp.Diff([]audit.Entry{want}, s.Entries()); diff != "" {
		t.Errorf("entries (-want +got):\n%s", diff)
	}
	away := fault.New(fault.Unavailable, "the store is away")
	s.Fail(away)
	err := l.Record(t.Context(), given, v4)
	if err == nil || !strings.Contains(err.Error(), "app.add was done, and is missing in the audit log") || !errors.Is(err, away) {
		t.Errorf("Record() error = %v, want one that tells of both", err)
	}
	var none *audit.Log
	if err := none.Record(t.Context(), given, v4); err != nil || none.Tokens() {
		t.Errorf("no log: %v", err)
	}
	none.Note(given, v4)
}

func TestTextsAreCut(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ given, want string }{
		"as it is":      {"ann – 店", "ann – 店"},
		"longest":       {strings.Repeat("x", audit.MaxText), strings.Repeat("x", audit.MaxText)},
		"too long":      {strings.Repeat("x", audit.MaxText+1), strings.Repeat("x", audit.MaxText-3) + "…"},
		"in a rune":     {strings.Repeat("店", 100), strings.Repeat("店", 84) + "…"},
		"much too long": {strings.Repeat("x", 1<<20), strings.Repeat("x", audit.MaxText-3) + "…"},
		"lines":         {"ann\n7 2030 admin", "ann 7 2030 admin"},
		"NUL":           {"a\x00b", "a b"},
		"not UTF-8":     {"a\xffb", "a b"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var s audittest.Store
			l, _ := audittest.New(t, &s, audit.Config{})
			e := signIn(tc.given)
			e.Actor.Name, e.Details = tc.given, map[audit.Detail]string{audit.Name: tc.given}
			if err := l.Record(t.Context(), e, v4); err != nil {
				t.Fatal(err)
			}
			got := s.Entries()[0]
			for _, text := range []string{got.Object, got.Actor.Name, got.Details[audit.Name]} {
				if text != tc.want || !utf8.ValidString(text) || len(text) > audit.MaxText {
					t.Errorf("%q, want %q", text, tc.want)
				}
			}
		})
	}
}

func TestAddresses(t *testing.T) {
	t.Parallel()
	for keep, want := range map[audit.Addresses][2]string{
		"":            {"192.0.2.77", "2001:db8:1:2:3::4"},
		audit.Full:    {"192.0.2.77", "2001:db8:1:2:3::4"},
		audit.Network: {"192.0.2.0/24", "2001:db8:1::/48"},
		audit.None:    {"", ""},
	} {
		var s audittest.Store
		l, _ := audittest.New(t, &s, audit.Config{Addresses: keep})
		for i, addr := range []netip.Addr{v4, v6, {}} {
			if err := l.Record(t.Context(), signIn("ann"), addr); err != nil {
				t.Fatal(err)
			}
			if got := s.Entries()[i].Address; i < 2 && got != want[i] || i == 2 && got != "" {
				t.Errorf("%q: %s is kept as %q", keep, addr, got)
			}
		}
	}
}

// TestAlikeEventsAreOne has many tries to be two users, from two addresses.
func TestAlikeEventsAreOne(t *testing.T) {
	t.Parallel()
	var s audittest.Store
	l, lines := audittest.New(t, &s, audit.Config{})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 500 {
				l.Note(signIn("ann"), v4)
				l.Note(signIn("ann"), v6)
			}
		})
	}
	wg.Wait()
	l.Note(signIn("bob"), v4)
	got := strings.Join(lines(), "\n")
	for _, want := range []string{
		"user user.sign_in ann refused 192.0.2.77 count=2000", "user user.sign_in ann refused 2001:db8:1:2:3::4 count=2000",
		"user user.sign_in bob refused 192.0.2.77",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is missing in\n%s", want, got)
		}
	}
	if strings.Count(got, "\n") != 2 || l.Dropped() != 0 {
		t.Errorf("%d dropped, and written\n%s", l.Dropped(), got)
	}
}

// TestRunWrites shows when events are written, what a store that is away costs, and what
// is too much.
func TestRunWrites(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var s audittest.Store
		l, _ := audittest.New(t, &s, audit.Config{})
		seen := 0
		l.Observe(func(a audit.Action, o audit.Outcome) {
			if a != audit.UserSignIn || o != audit.Refused {
				t.Errorf("observed %s %s", a, o)
			}
			seen++
		})
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- l.Run(ctx) }()
		after := func(d time.Duration, want int, why string) {
			t.Helper()
			time.Sleep(d) // of the bubble
			synctest.Wait()
			if got := len(s.Entries()); got != want {
				t.Errorf("%s: %d entries, want %d", why, got, want)
			}
		}
		l.Note(signIn("ann"), v4)
		after(900*time.Millisecond, 0, "before a second")
		after(200*time.Millisecond, 1, "after a second")
		s.Fail(errors.New("away"))
		l.Note(signIn("ann"), v4)
		after(time.Second, 1, "away")
		l.Note(signIn("ann"), v4)
		after(time.Second, 1, "still away")
		for i := range 1100 {
			l.Note(signIn(fmt.Sprint(i)), v4)
		}
		if got := l.Dropped(); got != 77 { // 1024 have room, one of them ann
			t.Errorf("%d events are dropped, want 77", got)
		}
		s.Fail(nil)
		after(time.Second, 1+1024, "there again")
		if count := s.Entries()[1].Details[audit.Count]; count != "2" {
			t.Errorf("count of what waited = %q, want 2", count)
		}
		l.Note(signIn("last"), v4)
		stop()
		if err := <-ended; err != nil || len(s.Entries()) != 1+1024+1 || seen != 1026 {
			t.Errorf("Run() = %v, with %d entries and %d observed", err, len(s.Entries()), seen)
		}
	})
}

func TestOutcomeOf(t *testing.T) {
	t.Parallel()
	for want, errs := range map[audit.Outcome][]error{
		audit.OK:      {nil},
		audit.Refused: {fault.New(fault.Unauthenticated, ""), fault.New(fault.Denied, ""), fault.New(fault.Invalid, "")},
		audit.Limited: {fault.New(fault.Limited, "")},
		audit.Failed:  {errors.New("x"), fault.New(fault.Unavailable, "")},
	} {
		for _, err := range errs {
			if got := audit.OutcomeOf(err); got != want {
				t.Errorf("OutcomeOf(%v) = %s, want %s", err, got, want)
			}
		}
	}
}
