package token

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/carnetproject/carnet/internal/app"
	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/jose"
	"github.com/carnetproject/carnet/internal/secret"
)

// memory is a store of families in memory.
type memory struct {
	mu   sync.Mutex
	rows map[FamilyID]Family
	err  error // what every call fails with
}

func (m *memory) AddFamily(_ context.Context, f Family) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.rows[f.ID] = f
	return m.err
}

func (m *memory) Family(_ context.Context, id FamilyID) (Family, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if f, ok := m.rows[id]; ok {
		return f, m.err
	}
	return Family{}, fault.New(fault.NotFound, "no such family")
}

func (m *memory) RotateFamily(_ context.Context, id FamilyID, old, next [32]byte, expires, now time.Time) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f, ok := m.rows[id]
	if !ok || f.Hash != old || !f.Revoked.IsZero() || !now.Before(f.Expires) {
		return false, m.err
	}
	f.Hash, f.Expires, f.Rotated = next, expires, now
	m.rows[id] = f
	return true, m.err
}

func (m *memory) RevokeFamily(_ context.Context, id FamilyID, now time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	f := m.rows[id]
	f.Revoked = now
	m.rows[id] = f
	return m.err
}

// only returns the one row.
func (m *memory) only(t *testing.T) Family {
	t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.rows) != 1 {
		t.Fatalf("%d rows, want 1", len(m.rows))
	}
	for _, f := range m.rows {
		return f
	}
	return Family{}
}

// people knows who may not go on.
type people struct {
	disabled string
	err      error
}

func (p *people) Active(_ context.Context, subject string) (bool, error) {
	return subject != p.disabled, p.err
}

func (f *fixture) signIn(t *testing.T) Pair {
	t.Helper()
	p, err := f.SignIn(t.Context(), AccessRequest{App: "app_1", Subject: "usr_1", Scope: "chat orders", Algorithm: jose.ES256})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// scopeOf returns the scope in an access token of the set "access".
func (f *fixture) scopeOf(t *testing.T, p Pair) string {
	t.Helper()
	k := f.ring.keys[AccessSet][jose.ES256]
	_, claims := verify(t, p.Token, k, k.Public().Crypto())
	scope, _ := claims["scope"].(string)
	if p.Scope != scope {
		t.Errorf("the answer says scope %q, the token %q", p.Scope, scope)
	}
	return scope
}

func TestSignInLeavesOneRowWithoutTheSecret(t *testing.T) {
	t.Parallel()
	f := open(t)
	p := f.signIn(t)
	row := f.families.only(t)
	parsed, ok := parseRefresh(p.Refresh)
	if !ok {
		t.Fatal("the refresh token cannot be read")
	}
	want := Family{
		ID: parsed.id(), App: "app_1", Subject: "usr_1", Scope: "chat orders", Algorithm: jose.ES256,
		Hash: parsed.hash(), Created: noon, Expires: noon.Add(24 * time.Hour),
	}
	if diff := cmp.Diff(want, row); diff != "" {
		t.Errorf("row (-want +got):\n%s", diff)
	}
	if text, err := json.Marshal(p); err != nil || strings.Contains(string(text), string(p.Refresh.Reveal())) {
		t.Error("a pair prints its refresh token")
	}
}

func TestRefreshRotates(t *testing.T) {
	t.Parallel()
	f := open(t)
	p := f.signIn(t)
	for n := range 5 {
		f.sleep(23 * time.Hour) // the life slides: five times this is far beyond 24 h
		next, err := f.Refresh(t.Context(), p.Refresh, "app_1", "")
		if err != nil {
			t.Fatalf("refresh %d: %v", n, err)
		}
		if next.Refresh.Equal(p.Refresh) || next.Token == p.Token {
			t.Fatalf("refresh %d gave an old token", n)
		}
		if got := f.scopeOf(t, next); got != "chat orders" {
			t.Errorf("refresh %d: scope %q", n, got)
		}
		p = next
	}
	f.families.only(t)
}

func TestReuseEndsTheFamily(t *testing.T) {
	t.Parallel()
	f := open(t)
	first := f.signIn(t)
	second, err := f.Refresh(t.Context(), first.Refresh, "app_1", "")
	if err != nil {
		t.Fatal(err)
	}
	f.sleep(Grace)
	for _, token := range []secret.Bytes{first.Refresh, second.Refresh, first.Refresh} {
		if _, err := f.Refresh(t.Context(), token, "app_1", ""); !errors.Is(err, ErrGrant) {
			t.Errorf("Refresh() error = %v, want ErrGrant", err)
		}
		if f.families.only(t).Revoked.IsZero() {
			t.Error("the family goes on after an old token was shown")
		}
	}
}

// TestLostAnswer shows a token again whose answer got lost.
func TestLostAnswer(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		after  time.Duration
		before func(t *testing.T, f *fixture, second Pair)
		good   bool
	}{
		"at once":      {0, nil, true},
		"just in time": {Grace - time.Second, nil, true},
		"too late":     {Grace, nil, false},
		"the answer had arrived": {time.Second, func(t *testing.T, f *fixture, second Pair) {
			if _, err := f.Refresh(t.Context(), second.Refresh, "app_1", ""); err != nil {
				t.Fatal(err)
			}
		}, false},
		"it was revoked": {0, func(t *testing.T, f *fixture, second Pair) {
			if err := f.Revoke(t.Context(), second.Refresh, "app_1"); err != nil {
				t.Fatal(err)
			}
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := open(t)
			first := f.signIn(t)
			second, err := f.Refresh(t.Context(), first.Refresh, "app_1", "")
			if err != nil {
				t.Fatal(err)
			}
			f.sleep(tc.after)
			if tc.before != nil {
				tc.before(t, f, second)
			}
			again, err := f.Refresh(t.Context(), first.Refresh, "app_1", "")
			switch {
			case !tc.good && (!errors.Is(err, ErrGrant) || f.families.only(t).Revoked.IsZero()):
				t.Errorf("Refresh() error = %v, family %+v; want it ended", err, f.families.only(t))
			case tc.good && (err != nil || !again.Refresh.Equal(second.Refresh)):
				t.Errorf("Refresh() = %v; want the refresh token of the first answer", err)
			case tc.good && again.Token == second.Token:
				t.Error("the access token is the one that was lost")
			}
		})
	}
}

// TestRefreshTokensNeedTheKey shows that who has a refresh token cannot make the next one.
func TestRefreshTokensNeedTheKey(t *testing.T) {
	t.Parallel()
	first := newRefresh()
	a, b := secret.FromString("one key"), secret.FromString("another key")
	if again := first; again.next(a) != first.next(a) {
		t.Error("one key makes two tokens of one")
	}
	if first.next(a) == first.next(b) || first.next(a) == first.next(a).next(a) {
		t.Error("the next token does not depend on the key and the token")
	}
	if first.next(a).id() != first.id() {
		t.Error("the next token is of another family")
	}
}

// TestConcurrentRefresh uses one token many times at once, as several tabs do: all get
// the same one for it.
func TestConcurrentRefresh(t *testing.T) {
	t.Parallel()
	f := open(t)
	p := f.signIn(t)
	var mu sync.Mutex
	var won []Pair
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			next, err := f.Refresh(t.Context(), p.Refresh, "app_1", "")
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			won = append(won, next)
		})
	}
	wg.Wait()
	for _, one := range won {
		if !one.Refresh.Equal(won[0].Refresh) {
			t.Error("two uses of one token were answered by two")
		}
	}
	if _, err := f.Refresh(t.Context(), won[0].Refresh, "app_1", ""); err != nil {
		t.Errorf("the family does not go on: %v", err)
	}
}

func TestRefreshRefuses(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		before func(*fixture)
		token  func(secret.Bytes) secret.Bytes
		client app.ID
	}{
		"other client":     {client: "app_2"},
		"no client":        {client: ""},
		"expired":          {before: func(f *fixture) { f.sleep(24 * time.Hour) }, client: "app_1"},
		"disabled subject": {before: func(f *fixture) { f.subjects.disabled = "usr_1" }, client: "app_1"},
		"unknown family":   {token: func(secret.Bytes) secret.Bytes { return newRefresh().text() }, client: "app_1"},
		"malformed":        {token: func(secret.Bytes) secret.Bytes { return secret.FromString("rt_x") }, client: "app_1"},
		"empty":            {token: func(secret.Bytes) secret.Bytes { return secret.Bytes{} }, client: "app_1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := open(t)
			good := f.signIn(t).Refresh
			shown := good
			if tc.token != nil {
				shown = tc.token(good)
			}
			if tc.before != nil {
				tc.before(f)
			}
			_, err := f.Refresh(t.Context(), shown, tc.client, "")
			if !errors.Is(err, ErrGrant) || fault.Public(err).Msg != "the refresh token is not good" {
				t.Errorf("Refresh() error = %v", err)
			}
			if strings.Contains(err.Error(), string(shown.Reveal())) && shown.Len() > 0 {
				t.Error("the error shows the token")
			}
			f.now, f.subjects.disabled = noon, ""
			if _, err := f.Refresh(t.Context(), good, "app_1", ""); err != nil {
				t.Errorf("the refusal ended the good token: %v", err)
			}
		})
	}
}

func TestRefreshScope(t *testing.T) {
	t.Parallel()
	f := open(t)
	p := f.signIn(t)
	if _, err := f.Refresh(t.Context(), p.Refresh, "app_1", "chat admin"); fault.KindOf(err) != fault.Invalid || errors.Is(err, ErrGrant) {
		t.Fatalf("wider scope: %v", err)
	}
	narrow, err := f.Refresh(t.Context(), p.Refresh, "app_1", "orders")
	if err != nil {
		t.Fatalf("a refused scope cost the token: %v", err)
	}
	if got := f.scopeOf(t, narrow); got != "orders" {
		t.Errorf("scope %q, want orders", got)
	}
	wide, err := f.Refresh(t.Context(), narrow.Refresh, "app_1", "")
	if err != nil || f.scopeOf(t, wide) != "chat orders" {
		t.Errorf("a narrow access token narrowed the family (RFC 6749 §6): %v", err)
	}
}

// TestRefreshKeepsWhatTheAppMayHave narrows an app whose sign-ins go on, and widens it again.
func TestRefreshKeepsWhatTheAppMayHave(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		session      string // in which the person consented
		granted, may string
		asked        string
		want         string // "": refused
		kind         fault.Kind
	}{
		"all":                      {"ses_1", "chat orders", "chat orders more", "", "chat orders", 0},
		"narrowed":                 {"ses_1", "chat orders", "orders", "", "orders", 0},
		"less of what is left":     {"ses_1", "chat orders", "orders chat", "chat", "chat", 0},
		"what it may have no more": {"ses_1", "chat orders", "orders", "chat", "", fault.Invalid},
		"nothing is left":          {"ses_1", "chat orders", "more", "", "", fault.Unauthenticated},
		"there was never any":      {"ses_1", "", "chat", "", "-", 0},
		"without consent":          {"", "chat orders", "orders", "", "chat orders", 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := open(t)
			may := tc.may
			f.c.Kept = func(client app.ID, scope string) string {
				if client != "app_1" {
					t.Errorf("asked about %q", client)
				}
				return strings.Join(slices.DeleteFunc(strings.Fields(scope), func(s string) bool { return !slices.Contains(strings.Fields(may), s) }), " ")
			}
			p, family, err := f.Begin(t.Context(), AccessRequest{App: "app_1", Subject: "usr_1", Scope: tc.granted, Algorithm: jose.ES256})
			if err != nil {
				t.Fatal(err)
			}
			family.Session = tc.session
			if err := f.families.AddFamily(t.Context(), family); err != nil {
				t.Fatal(err)
			}
			got, err := f.Refresh(t.Context(), p.Refresh, "app_1", tc.asked)
			if tc.want != "" {
				if err != nil || f.scopeOf(t, got) != strings.Trim(tc.want, "-") {
					t.Errorf("scope %q, want %q; %v", got.Scope, tc.want, err)
				}
				return
			}
			if fault.KindOf(err) != tc.kind || errors.Is(err, ErrGrant) != (tc.kind == fault.Unauthenticated) {
				t.Errorf("Refresh() error = %v", err)
			}
			told, good, err := f.Inspect(t.Context(), p.Refresh, "app_1")
			if err != nil || good != (tc.kind == fault.Invalid) || good && told.Scope != "orders" {
				t.Errorf("Inspect() = %+v, %v, %v", told, good, err)
			}
			may = tc.granted
			if wide, err := f.Refresh(t.Context(), p.Refresh, "app_1", ""); err != nil || f.scopeOf(t, wide) != tc.granted {
				t.Errorf("a sign-in that was refused is lost: %v", err)
			}
		})
	}
}

func TestTemporaryFaultsKeepTheToken(t *testing.T) {
	t.Parallel()
	busy := fault.New(fault.Unavailable, "busy")
	for name, set := range map[string]func(*fixture, error){
		"signer":   func(f *fixture, err error) { f.ring.err = err },
		"store":    func(f *fixture, err error) { f.families.err = err },
		"subjects": func(f *fixture, err error) { f.subjects.err = err },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := open(t)
			p := f.signIn(t)
			set(f, busy)
			if _, err := f.Refresh(t.Context(), p.Refresh, "app_1", ""); fault.KindOf(err) != fault.Unavailable {
				t.Errorf("Refresh() error = %v, want unavailable", err)
			}
			set(f, nil)
			if _, err := f.Refresh(t.Context(), p.Refresh, "app_1", ""); err != nil {
				t.Errorf("after it: %v", err)
			}
		})
	}
}

func TestReuseIsStoredEvenIfTheCallerHangsUp(t *testing.T) {
	t.Parallel()
	f := open(t)
	p := f.signIn(t)
	if _, err := f.Refresh(t.Context(), p.Refresh, "app_1", ""); err != nil {
		t.Fatal(err)
	}
	f.sleep(Grace)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := f.Refresh(ctx, p.Refresh, "app_1", ""); !errors.Is(err, ErrGrant) {
		t.Errorf("Refresh() error = %v", err)
	}
	if f.families.only(t).Revoked.IsZero() {
		t.Error("the family goes on")
	}
}

func TestRevoke(t *testing.T) {
	t.Parallel()
	f := open(t)
	p := f.signIn(t)
	for name, token := range map[string]secret.Bytes{
		"malformed": secret.FromString("x"), "unknown": newRefresh().text(),
	} {
		if err := f.Revoke(t.Context(), token, "app_1"); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := f.Revoke(t.Context(), p.Refresh, "app_2"); !errors.Is(err, ErrGrant) {
		t.Errorf("another client's: %v", err)
	}
	if err := f.Revoke(t.Context(), p.Refresh, "app_1"); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Refresh(t.Context(), p.Refresh, "app_1", ""); !errors.Is(err, ErrGrant) {
		t.Errorf("a revoked family goes on: %v", err)
	}
}

func FuzzParseRefresh(f *testing.F) {
	f.Add(string(newRefresh().text().Reveal()))
	f.Add("rt_" + strings.Repeat("A", 64))
	f.Add("rt_" + strings.Repeat("A", 62) + "\n\n")
	f.Fuzz(func(t *testing.T, s string) {
		if r, ok := parseRefresh(secret.FromString(s)); ok && string(r.text().Reveal()) != s {
			t.Errorf("%q prints as another token", s)
		}
	})
}
