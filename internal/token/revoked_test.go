package token

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/revocation"
)

// taken revokes what was issued before a moment, and notes what it was asked about and
// told to take back.
type taken struct {
	before time.Time
	err    error

	mu    sync.Mutex
	asked []revocation.Token
	added []revocation.Target
}

func (r *taken) Add(_ context.Context, d revocation.Draft) (revocation.Entry, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.added = append(r.added, d.Target)
	return revocation.Entry{}, r.err
}

func (r *taken) Revoked(t revocation.Token) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked = append(r.asked, t)
	return t.IssuedAt.Before(r.before)
}

// TestRevokedSignIn: a refresh token does not carry on what was revoked; a sign-in
// after the revocation does, and so does the old one when the revocation is removed.
func TestRevokedSignIn(t *testing.T) {
	t.Parallel()
	f := open(t)
	list := &taken{}
	f.c.Revocations = list
	old := f.signIn(t)
	f.sleep(time.Minute)
	list.before = f.now
	if _, err := f.Refresh(t.Context(), old.Refresh, "app_1", ""); !errors.Is(err, ErrGrant) || fault.Public(err).Msg != "the refresh token is not good" {
		t.Errorf("Refresh() error = %v, want a refusal like any other", err)
	}
	want := []revocation.Token{{SignIn: f.families.only(t).ID.SignIn(), Issuer: issuerURL, Subject: "usr_1", App: "app_1", IssuedAt: noon}}
	if diff := cmp.Diff(want, list.asked); diff != "" {
		t.Errorf("asked about (-want +got):\n%s", diff)
	}
	again, err := f.SignIn(t.Context(), AccessRequest{Subject: "usr_1"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Refresh(t.Context(), again.Refresh, "", ""); err != nil {
		t.Errorf("a sign-in after the revocation is refused: %v", err)
	}
	if got := list.asked[len(list.asked)-1].App; got != string(Itself) {
		t.Errorf("asked about the app %q, want %q as in the access token", got, Itself)
	}
	list.before = time.Time{}
	if _, err := f.Refresh(t.Context(), old.Refresh, "app_1", ""); err != nil {
		t.Errorf("refused after the revocation was removed: %v", err)
	}
}

// TestEndedSignIn ends families in each way: their access tokens, which begin with a name
// of the family's, are taken back, and nothing that tells what refreshes it.
func TestEndedSignIn(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(t *testing.T, f *fixture, p Pair){
		"revoked": func(t *testing.T, f *fixture, p Pair) {
			t.Helper()
			if err := f.Revoke(t.Context(), p.Refresh, "app_1"); err != nil {
				t.Fatal(err)
			}
		},
		"used twice": func(t *testing.T, f *fixture, p Pair) {
			t.Helper()
			if _, err := f.Refresh(t.Context(), p.Refresh, "app_1", ""); err != nil {
				t.Fatal(err)
			}
			f.sleep(Grace)
			if _, err := f.Refresh(t.Context(), p.Refresh, "app_1", ""); !errors.Is(err, ErrGrant) {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, list := open(t), &taken{}
			f.c.Revocations = list
			p := f.signIn(t)
			family := f.families.only(t)
			signIn, _, ok := strings.Cut(p.ID, ".")
			if !ok || signIn != family.ID.SignIn() || strings.Contains(p.ID, string(family.ID)) {
				t.Errorf("the access token's id is %q, of the family %q", p.ID, family.ID.SignIn())
			}
			end(t, f, p)
			if diff := cmp.Diff([]revocation.Target{{Kind: revocation.ByToken, Name: signIn}}, list.added); diff != "" {
				t.Errorf("taken back (-want +got):\n%s", diff)
			}
			list.err = errors.New("disk on fire")
			if err := f.Revoke(t.Context(), p.Refresh, "app_1"); !errors.Is(err, list.err) {
				t.Errorf("nobody is told that access tokens stay good: %v", err)
			}
		})
	}
}

// TestBegin issues a pair whose family is the caller's to add.
func TestBegin(t *testing.T) {
	t.Parallel()
	f := open(t)
	p, family, err := f.Begin(t.Context(), AccessRequest{App: "app_1", Subject: "usr_1", Scope: "chat"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Refresh(t.Context(), p.Refresh, "app_1", ""); !errors.Is(err, ErrGrant) {
		t.Errorf("before it is added: %v", err)
	}
	if err := f.families.AddFamily(t.Context(), family); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Refresh(t.Context(), p.Refresh, "app_1", ""); err != nil {
		t.Error(err)
	}
	f.ring.err = errors.New("no key")
	if _, _, err := f.Begin(t.Context(), AccessRequest{Subject: "usr_1"}); err == nil {
		t.Error("Begin() without a key")
	}
}
