package storetest

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/carnetproject/carnet/internal/app"
	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/signin"
	"github.com/carnetproject/carnet/internal/token"
)

// SignIns is what a store does for people in browsers.
type SignIns interface {
	PutSession(ctx context.Context, s signin.Session) error
	Session(ctx context.Context, hash [32]byte, now time.Time) (signin.Session, error)
	Sessions(ctx context.Context, subject string, now time.Time) ([]signin.Session, error)
	DeleteSession(ctx context.Context, id string) error
	DeleteExpiredSessions(ctx context.Context, before time.Time) (int, error)
	Families(ctx context.Context, subject string, now time.Time, limit int) ([]token.Family, error)

	AddCode(ctx context.Context, c signin.Code) error
	Code(ctx context.Context, hash [32]byte) (signin.Code, error)
	UseCode(ctx context.Context, hash [32]byte, given string, f *token.Family, now time.Time) (bool, error)

	Consent(ctx context.Context, subject string, a app.ID) (signin.Consent, error)
	PutConsent(ctx context.Context, c signin.Consent) error
	Consents(ctx context.Context, subject string) ([]signin.Consent, error)
	DeleteConsent(ctx context.Context, subject string, a app.ID) error
}

func signInTests() map[string]func(*testing.T, Opener) {
	return map[string]func(*testing.T, Opener){
		"a session is found by its cookie":          testSession,
		"a person's sessions are listed":            testSessions,
		"a person's families are listed":            testFamilies,
		"a session ends with its codes":             testDeleteSession,
		"expired sessions and codes are forgotten":  testDeleteExpiredSessions,
		"codes keep all that they are":              testCode,
		"a code is used if all is right":            testUseCode,
		"of many who use a code one does":           testUseCodeRace,
		"a consent takes the place of the one then": testConsent,
	}
}

// sampleSession has every member set.
func sampleSession(n byte) signin.Session {
	return signin.Session{
		ID: fmt.Sprint("ses_", n), Hash: [32]byte{n, 31: 1}, Subject: "u1", Name: "Ann 店", Scopes: []string{"chat", "orders"},
		Place:   signin.Place{Agent: "Firefox, Linux", Network: "203.0.113.0/24"},
		Created: epoch, Expires: epoch.Add(time.Hour),
	}
}

// sampleCode has every member set that a code has before it is used.
func sampleCode(n byte) signin.Code {
	return signin.Code{
		Hash: [32]byte{n, 31: 2}, App: "shop", Session: "ses_1", Subject: "u1", Name: "Ann 店", Scope: "openid chat",
		RedirectURI: "https://shop.example/back", Challenge: "E9Mel", Nonce: "n", AuthTime: epoch, Expires: epoch.Add(time.Minute),
	}
}

func testSession(t *testing.T, open Opener) {
	s, ctx, want := open(t), t.Context(), sampleSession(1)
	must(t, s.PutSession(ctx, want))
	got, err := open(t).Session(ctx, want.Hash, want.Expires.Add(-time.Millisecond))
	must(t, err)
	wantEqual(t, "session", got, want)
	for what, at := range map[string]struct {
		hash [32]byte
		now  time.Time
	}{"expired": {want.Hash, want.Expires}, "unknown": {[32]byte{1}, epoch}} {
		_, err := s.Session(ctx, at.hash, at.now)
		if fault.KindOf(err) != fault.NotFound {
			t.Errorf("%s: %v", what, err)
		}
	}

	again := signin.Session{ID: want.ID, Hash: [32]byte{9}, Subject: "u1", Created: epoch.Add(time.Minute), Expires: epoch.Add(2 * time.Hour)}
	must(t, s.PutSession(ctx, again))
	got, err = s.Session(ctx, again.Hash, epoch)
	must(t, err)
	wantEqual(t, "signed in again", got, again)
	_, err = s.Session(ctx, want.Hash, epoch)
	wantKind(t, err, fault.NotFound)
	usurper := sampleSession(2)
	usurper.Hash = again.Hash
	if s.PutSession(ctx, usurper) == nil {
		t.Error("two sessions have one cookie")
	}
}

func testSessions(t *testing.T, open Opener) {
	s, ctx := open(t), t.Context()
	one, two, ended, other := sampleSession(1), sampleSession(2), sampleSession(3), sampleSession(4)
	two.Created = epoch.Add(time.Minute)
	ended.Expires, other.Subject = epoch, "u2"
	for _, session := range []signin.Session{one, two, ended, other} {
		must(t, s.PutSession(ctx, session))
	}
	got, err := s.Sessions(ctx, "u1", epoch)
	must(t, err)
	wantEqual(t, "sessions", got, []signin.Session{two, one})
}

func testFamilies(t *testing.T, open Opener) {
	s, ctx := open(t), t.Context()
	one, two, revoked, ended, other := sampleFamily("f1"), sampleFamily("f2"), sampleFamily("f3"), sampleFamily("f4"), sampleFamily("f5")
	two.Expires = epoch.Add(2 * time.Hour)
	revoked.Revoked, ended.Expires, other.Subject = epoch, epoch, "u2"
	for _, f := range []token.Family{one, two, revoked, ended, other} {
		must(t, s.AddFamily(ctx, f))
	}
	for limit, want := range map[int][]token.Family{5: {two, one}, 1: {two}} {
		got, err := s.Families(ctx, "u1", epoch, limit)
		must(t, err)
		wantEqual(t, "families", got, want)
	}
}

func testDeleteSession(t *testing.T, open Opener) {
	s, ctx := open(t), t.Context()
	must(t, s.PutSession(ctx, sampleSession(1)))
	must(t, s.PutSession(ctx, sampleSession(2)))
	other := sampleCode(2)
	other.Session = "ses_2"
	must(t, s.AddCode(ctx, sampleCode(1)))
	must(t, s.AddCode(ctx, other))
	must(t, s.DeleteSession(ctx, "ses_1"))
	must(t, s.DeleteSession(ctx, "ses_1"))
	_, err := s.Session(ctx, sampleSession(1).Hash, epoch)
	wantKind(t, err, fault.NotFound)
	_, err = s.Code(ctx, sampleCode(1).Hash)
	wantKind(t, err, fault.NotFound)
	wantKind(t, s.AddCode(ctx, sampleCode(1)), fault.NotFound)
	_, err = s.Session(ctx, sampleSession(2).Hash, epoch)
	must(t, err)
	_, err = s.Code(ctx, other.Hash)
	must(t, err)
}

func testDeleteExpiredSessions(t *testing.T, open Opener) {
	s, ctx := open(t), t.Context()
	for i := range byte(3) {
		session, code := sampleSession(i), sampleCode(i)
		session.Expires = epoch.Add(time.Duration(i) * time.Hour)
		code.Session, code.Expires = session.ID, session.Expires
		must(t, s.PutSession(ctx, session))
		must(t, s.AddCode(ctx, code))
	}
	for _, want := range []int{2, 0} {
		n, err := s.DeleteExpiredSessions(ctx, epoch.Add(time.Hour))
		must(t, err)
		wantEqual(t, "deleted", n, want)
	}
	for i := range byte(3) {
		_, err := s.Code(ctx, sampleCode(i).Hash)
		wantEqual(t, fmt.Sprint("code is there ", i), err == nil, i > 0)
	}
}

func testCode(t *testing.T, open Opener) {
	s, ctx, want := open(t), t.Context(), sampleCode(1)
	must(t, s.PutSession(ctx, sampleSession(1)))
	must(t, s.AddCode(ctx, want))
	if s.AddCode(ctx, want) == nil {
		t.Error("a code is there twice")
	}
	got, err := open(t).Code(ctx, want.Hash)
	must(t, err)
	wantEqual(t, "code", got, want)
	_, err = s.Code(ctx, [32]byte{9})
	wantKind(t, err, fault.NotFound)
}

func testUseCode(t *testing.T, open Opener) {
	s, ctx := open(t), t.Context()
	must(t, s.PutSession(ctx, sampleSession(1)))
	for i := range byte(3) {
		must(t, s.AddCode(ctx, sampleCode(i)))
	}
	use := func(what string, n byte, f *token.Family, at time.Duration, want bool) {
		t.Helper()
		ok, err := s.UseCode(ctx, sampleCode(n).Hash, fmt.Sprint("given ", n), f, epoch.Add(at))
		must(t, err)
		wantEqual(t, what, ok, want)
	}
	family := sampleFamily("f1")
	use("with a family", 0, &family, time.Minute-time.Millisecond, true)
	late := sampleFamily("f2")
	use("again", 0, &late, 0, false)
	use("without a family", 1, nil, 0, true)
	use("expired", 2, &late, time.Minute, false)
	use("unknown", 7, &late, 0, false)

	want := sampleCode(0)
	want.Used, want.Given, want.Family = epoch.Add(time.Minute-time.Millisecond), "given 0", "f1"
	got, err := s.Code(ctx, want.Hash)
	must(t, err)
	wantEqual(t, "used", got, want)
	added, err := s.Family(ctx, "f1")
	must(t, err)
	wantEqual(t, "family", added, family)
	_, err = s.Family(ctx, "f2")
	wantKind(t, err, fault.NotFound)

	if _, err = s.UseCode(ctx, sampleCode(2).Hash, "", &family, epoch); fault.KindOf(err) != fault.Conflict {
		t.Errorf("a family that is there: %v", err)
	}
	got, err = s.Code(ctx, sampleCode(2).Hash)
	must(t, err)
	wantEqual(t, "a code whose family could not be added", got, sampleCode(2))
}

func testUseCodeRace(t *testing.T, open Opener) {
	one, two, ctx := open(t), open(t), t.Context()
	must(t, one.PutSession(ctx, sampleSession(1)))
	must(t, one.AddCode(ctx, sampleCode(1)))
	var used atomic.Int32
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			f := sampleFamily(token.FamilyID(fmt.Sprint("f", i)))
			ok, err := []Store{one, two}[i%2].UseCode(ctx, sampleCode(1).Hash, "given", &f, epoch)
			if err != nil {
				t.Error(err)
			}
			if ok {
				used.Add(1)
			}
		})
	}
	wg.Wait()
	wantEqual(t, "used", used.Load(), int32(1))
	families, err := one.Families(ctx, "u1", epoch, 16)
	must(t, err)
	wantEqual(t, "families", len(families), 1)
}

func testConsent(t *testing.T, open Opener) {
	s, ctx := open(t), t.Context()
	first := signin.Consent{Subject: "u1", App: "shop", Scope: "openid", Given: epoch}
	_, err := s.Consent(ctx, "u1", "shop")
	wantKind(t, err, fault.NotFound)
	must(t, s.PutConsent(ctx, first))
	more := first
	more.Scope, more.Given = "openid chat", epoch.Add(time.Minute)
	must(t, s.PutConsent(ctx, more))
	other := signin.Consent{Subject: "u1", App: "other", Scope: "chat", Given: epoch}
	must(t, s.PutConsent(ctx, other))
	must(t, s.PutConsent(ctx, signin.Consent{Subject: "u2", App: "other", Scope: "chat", Given: epoch}))
	got, err := open(t).Consent(ctx, "u1", "shop")
	must(t, err)
	wantEqual(t, "consent", got, more)
	all, err := open(t).Consents(ctx, "u1")
	must(t, err)
	wantEqual(t, "consents", all, []signin.Consent{more, other})
	must(t, s.DeleteConsent(ctx, "u1", "shop"))
	must(t, s.DeleteConsent(ctx, "u1", "shop"))
	_, err = s.Consent(ctx, "u1", "shop")
	wantKind(t, err, fault.NotFound)
	_, err = s.Consent(ctx, "u1", "other")
	must(t, err)
}
