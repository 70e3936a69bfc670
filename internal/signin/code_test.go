package signin_test

import (
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/carnetproject/carnet/internal/app"
	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/secret"
	"github.com/carnetproject/carnet/internal/signin"
	"github.com/carnetproject/carnet/internal/token"
)

// The example of RFC 7636 appendix B.
const (
	verifier  = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
	challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
)

var request = signin.Request{
	App: "app_shop", RedirectURI: "https://shop.example/back", Scope: "openid chat", Nonce: "n", Challenge: challenge,
}

// authorize makes a code in a new session.
func (d *desk) authorize(t *testing.T) (signin.Session, signin.Redemption) {
	t.Helper()
	s, _ := d.begin(t, "usr_ada", signin.Session{})
	code, err := d.Authorize(t.Context(), s, request)
	if err != nil {
		t.Fatal(err)
	}
	return s, signin.Redemption{Code: code, App: request.App, RedirectURI: request.RedirectURI, Verifier: verifier}
}

func TestRedeem(t *testing.T) {
	t.Parallel()
	d := open(t)
	s, r := d.authorize(t)
	got, err := d.Redeem(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	want := signin.Code{
		Hash: got.Hash, App: "app_shop", Session: s.ID, Subject: "usr_ada", Name: "Ada", Scope: "openid chat",
		RedirectURI: "https://shop.example/back", Challenge: challenge, Nonce: "n", AuthTime: noon, Expires: noon.Add(time.Minute),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("code (-want +got):\n%s", diff)
	}
	if r.Code.Len() != 43 {
		t.Errorf("a code has %d characters, want 256 bits", r.Code.Len())
	}
}

func TestRedeemRefuses(t *testing.T) {
	t.Parallel()
	for name, edit := range map[string]func(*testing.T, *desk, *signin.Redemption){
		"another code":        func(_ *testing.T, _ *desk, r *signin.Redemption) { r.Code = secret.FromString("x") },
		"no code":             func(_ *testing.T, _ *desk, r *signin.Redemption) { r.Code = secret.Bytes{} },
		"another app":         func(_ *testing.T, _ *desk, r *signin.Redemption) { r.App = "app_other" },
		"another address":     func(_ *testing.T, _ *desk, r *signin.Redemption) { r.RedirectURI += "/" },
		"no address":          func(_ *testing.T, _ *desk, r *signin.Redemption) { r.RedirectURI = "" },
		"another verifier":    func(_ *testing.T, _ *desk, r *signin.Redemption) { r.Verifier = strings.Repeat("v", 43) },
		"the challenge again": func(_ *testing.T, _ *desk, r *signin.Redemption) { r.Verifier = challenge },
		"no verifier":         func(_ *testing.T, _ *desk, r *signin.Redemption) { r.Verifier = "" },
		"too late":            func(_ *testing.T, d *desk, _ *signin.Redemption) { d.now = noon.Add(signin.CodeLife) },
		"revoked since":       func(_ *testing.T, d *desk, _ *signin.Redemption) { d.taken.before = noon.Add(time.Second) },
		"the session ended": func(t *testing.T, d *desk, _ *signin.Redemption) {
			t.Helper()
			if err := d.EndAll(t.Context(), "usr_ada"); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := open(t)
			_, r := d.authorize(t)
			edit(t, d, &r)
			c, err := d.Redeem(t.Context(), r)
			if !errors.Is(err, token.ErrGrant) || c.App != "" {
				t.Errorf("Redeem() = %v, %v", c, err)
			}
			if got := fault.Public(err).Msg; got != "the code is not good" {
				t.Errorf("refused with %q", got)
			}
			if len(d.taken.names) > 1 { // the session's, where it was ended
				t.Errorf("taken back: %q", d.taken.names)
			}
		})
	}
}

// TestUse uses a code twice, with and without a family: what was given for it ends.
func TestUse(t *testing.T) {
	t.Parallel()
	for name, family := range map[string]*token.Family{
		"with a refresh token": {ID: "f1", Subject: "usr_ada", Expires: noon.Add(time.Hour)},
		"without":              nil,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := open(t)
			s, r := d.authorize(t)
			c, err := d.Redeem(t.Context(), r)
			if err != nil {
				t.Fatal(err)
			}
			if err := d.Use(t.Context(), c, token.Access{ID: s.ID + ".1"}, family); err != nil {
				t.Fatal(err)
			}
			given := s.ID + ".1"
			if family != nil {
				given = family.ID.SignIn()
				if f, err := d.store.Family(t.Context(), "f1"); err != nil || f.Session != s.ID {
					t.Errorf("family %+v, %v", f, err)
				}
			}
			for _, again := range []func() error{
				func() error { _, err := d.Redeem(t.Context(), r); return err },
				func() error { return d.Use(t.Context(), c, token.Access{ID: s.ID + ".2"}, nil) },
			} {
				d.taken.names = nil
				if err := again(); !errors.Is(err, token.ErrGrant) {
					t.Errorf("error = %v, want ErrGrant", err)
				}
				if diff := cmp.Diff([]string{given}, d.taken.names); diff != "" {
					t.Errorf("taken back (-want +got):\n%s", diff)
				}
			}
			if family != nil {
				if f, _ := d.store.Family(t.Context(), "f1"); f.Revoked.IsZero() {
					t.Error("the family goes on")
				}
			}
			d.taken.err = errors.New("disk on fire")
			if _, err := d.Redeem(t.Context(), r); errors.Is(err, token.ErrGrant) || err == nil {
				t.Errorf("what was given stays good, and nobody is told: %v", err)
			}
		})
	}
}

// TestUseTooLate is of a code that was good when it was shown, and is not any more: it
// was not used before, so that nothing is taken back.
func TestUseTooLate(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(t *testing.T, d *desk, s signin.Session){
		"it has expired": func(_ *testing.T, d *desk, _ signin.Session) { d.now = noon.Add(signin.CodeLife) },
		"the session has ended": func(t *testing.T, d *desk, s signin.Session) {
			t.Helper()
			if err := d.store.DeleteSession(t.Context(), s.ID); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := open(t)
			s, r := d.authorize(t)
			c, err := d.Redeem(t.Context(), r)
			if err != nil {
				t.Fatal(err)
			}
			end(t, d, s)
			if err := d.Use(t.Context(), c, token.Access{ID: s.ID + ".1"}, nil); !errors.Is(err, token.ErrGrant) {
				t.Errorf("Use() error = %v, want ErrGrant", err)
			}
			if len(d.taken.names) > 0 {
				t.Errorf("taken back: %q", d.taken.names)
			}
		})
	}
}

// TestUseAtOnce uses one code many times at once: one call at most brings tokens.
func TestUseAtOnce(t *testing.T) {
	t.Parallel()
	d := open(t)
	_, r := d.authorize(t)
	c, err := d.Redeem(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	var won atomic.Int32
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			switch err := d.Use(t.Context(), c, token.Access{ID: "a.1"}, nil); {
			case err == nil:
				won.Add(1)
			case !errors.Is(err, token.ErrGrant):
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if won.Load() != 1 {
		t.Errorf("%d calls won, want 1", won.Load())
	}
}

func TestCodesWithoutStore(t *testing.T) {
	t.Parallel()
	d := open(t)
	s, r := d.authorize(t)
	c, err := d.Redeem(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	d.store.Fail(errors.New("disk on fire"))
	if _, err := d.Redeem(t.Context(), r); fault.KindOf(err) != fault.Internal || errors.Is(err, token.ErrGrant) {
		t.Errorf("Redeem() error = %v", err)
	}
	if err := d.Use(t.Context(), c, token.Access{}, nil); errors.Is(err, token.ErrGrant) || err == nil {
		t.Errorf("Use() error = %v", err)
	}
	if _, err := d.Authorize(t.Context(), s, request); err == nil {
		t.Error("Authorize() without a store")
	}
}

func TestProves(t *testing.T) {
	t.Parallel()
	if !signin.Proves(verifier, challenge) {
		t.Error("the example of RFC 7636 appendix B does not")
	}
	for name, v := range map[string]string{
		"short": verifier[1:], "long": strings.Repeat("a", 129), "empty": "", "a blank": verifier[1:] + " ", "padding": verifier + "=", "a line end": verifier + "\n",
	} {
		if signin.Proves(v, challenge) {
			t.Errorf("%s: %q proves it", name, v)
		}
	}
	for text, want := range map[string]bool{
		challenge: true, challenge[1:]: false, challenge + "A": false, "": false, challenge[:42] + "N": false, challenge[:42] + "=": false,
		challenge[:42] + "\n": false, challenge + "\n": false, strings.Repeat("A", 43): true,
	} {
		if got := signin.ValidChallenge(text); got != want {
			t.Errorf("ValidChallenge(%q) = %t", text, got)
		}
	}
}

func TestScope(t *testing.T) {
	t.Parallel()
	shop := &app.App{UserScopes: []string{"chat", "orders", "admin"}, RedirectURIs: []string{"https://shop.example/"}}
	ada := signin.Session{Scopes: []string{"orders", "chat"}}
	for name, tc := range map[string]struct {
		asked  []string
		grants []app.Grant
		want   string
	}{
		"none: all that may be":        {nil, nil, "chat orders"},
		"some":                         {[]string{"chat"}, nil, "chat"},
		"with those of OpenID Connect": {[]string{"openid", "profile", "chat"}, nil, "openid profile chat"},
		"more than the person has":     {[]string{"chat", "admin"}, nil, "chat"},
		"more than the app may":        {[]string{"chat", "everything"}, nil, "chat"},
		"a refresh token":              {[]string{"offline_access"}, nil, "offline_access"},
		"without that grant":           {[]string{"openid", "offline_access"}, []app.Grant{app.AuthorizationCode}, "openid"},
	} {
		a := *shop
		a.Grants = tc.grants
		if got := ada.Scope(signin.Wanted(&a, tc.asked)); got != tc.want {
			t.Errorf("%s: %q, want %q", name, got, tc.want)
		}
	}
	if strings.Join(shop.UserScopes, " ") != "chat orders admin" {
		t.Error("the app's scopes have changed")
	}
}
