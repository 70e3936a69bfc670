package token

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/revocation"
)

// taken revokes what was issued before a moment, and notes what it was asked about.
type taken struct {
	before time.Time
	asked  []revocation.Token
}

func (r *taken) Revoked(t revocation.Token) bool {
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
	want := []revocation.Token{{Issuer: issuerURL, Subject: "usr_1", App: "app_1", IssuedAt: noon}}
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
