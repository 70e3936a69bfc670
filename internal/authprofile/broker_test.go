package authprofile

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/securesession"
)

func TestSignIn(t *testing.T) {
	t.Parallel()
	for name, edit := range map[string]func(*Profile){
		"as it comes":        nil,
		"secret in the body": func(p *Profile) { p.Post = true },
		"without PKCE":       func(p *Profile) { p.Plain = true },
		"without an issuer":  func(p *Profile) { p.Issuer = "" },
		"with scopes":        func(p *Profile) { p.Scopes = []string{"profile", "accounts:read"} },
		"nobody to ask":      func(p *Profile) { p.UserInfo = "" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDesk(t, edit)
			d.issuer.set(func(i *issuer) { i.basic = !d.profile.Post })
			to := d.start(t, ann, "browser")
			q := query(t, to)
			if got := q.Get("redirect_uri"); got != "https://carnet.example/auth/v1/callback/bank" {
				t.Errorf("redirect_uri %q", got)
			}
			if got, want := q.Get("scope"), strings.Join(d.profile.Scopes, " "); got != want {
				t.Errorf("scope %q, want %q", got, want)
			}
			if d.profile.Plain == q.Has("code_challenge") || q.Has("code_verifier") {
				t.Errorf("authorization request %q", q)
			}
			a := d.authorizer(t)
			hint := d.hint(t, d.issuer.signIn(t, to))
			for range 2 { // what was shown is good until the sign-in ends
				want(t, "check", check(t, a, ann, hint), securesession.Yes)
			}
		})
	}
}

func query(t *testing.T, address string) url.Values {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return u.Query()
}

func TestStartRefuses(t *testing.T) {
	t.Parallel()
	d := newDesk(t, nil)
	good := d.sealed(t, ann)
	raw, _ := base64.RawURLEncoding.DecodeString(good)
	raw[len(raw)-1] ^= 1
	stranger, err := d.Invite("gone", ann)
	if err != nil {
		t.Fatal(err)
	}
	_, gone, _ := strings.Cut(stranger, "?for=")
	for name, sealed := range map[string]string{
		"nothing": "", "no base64": good + "!", "changed": base64.RawURLEncoding.EncodeToString(raw), "unknown profile": gone,
	} {
		if to, err := d.Start(t.Context(), sealed, "browser"); !errors.Is(err, ErrLink) || to != "" {
			t.Errorf("%s: %q, %v", name, to, err)
		}
	}
	d.pass(LinkLife - time.Second)
	if _, err := d.Start(t.Context(), good, "browser"); err != nil {
		t.Errorf("at the end of its life: %v", err)
	}
	d.pass(time.Second)
	if _, err := d.Start(t.Context(), good, "browser"); !errors.Is(err, ErrLink) {
		t.Errorf("too old: %v", err)
	}
	if n := len(d.shelf.signIns); n != 1 {
		t.Errorf("%d sign-ins are kept", n)
	}
}

func TestReturnRefused(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		edit func(*desk, *Return)
		want error
		page bool // the person is shown the way to the page
	}{
		"another browser":          {func(_ *desk, r *Return) { r.Browser = "mallory's" }, ErrReturn, false},
		"no browser":               {func(_ *desk, r *Return) { r.Browser = "" }, ErrReturn, false},
		"another profile's route":  {func(_ *desk, r *Return) { r.Profile = "other" }, ErrReturn, false},
		"a profile that is not":    {func(_ *desk, r *Return) { r.Profile = "none" }, ErrReturn, false},
		"no state":                 {func(_ *desk, r *Return) { r.State = "" }, ErrReturn, false},
		"unknown state":            {func(_ *desk, r *Return) { r.State += "x" }, ErrReturn, false},
		"too late":                 {func(d *desk, _ *Return) { d.pass(SignInLife) }, ErrReturn, false},
		"another issuer (mix-up)":  {func(_ *desk, r *Return) { r.Issuer = "https://mallory.example" }, ErrReturn, false},
		"no issuer":                {func(_ *desk, r *Return) { r.Issuer = "" }, ErrReturn, false},
		"the user says no":         {func(_ *desk, r *Return) { r.Code, r.Error = "", "access_denied" }, ErrDenied, true},
		"an error besides a code":  {func(_ *desk, r *Return) { r.Error = "server_error" }, ErrDenied, true},
		"no code":                  {func(_ *desk, r *Return) { r.Code = "" }, ErrDenied, true},
		"a code that is not":       {func(_ *desk, r *Return) { r.Code = "code-0" }, ErrNoToken, true},
		"the client is not known":  {func(d *desk, _ *Return) { d.profile.Client = "other" }, ErrNoToken, true},
		"the secret is not there":  {func(d *desk, _ *Return) { d.profile.Secret = "srn:vault::acme:secretdoc:gone" }, ErrNoToken, true},
		"what was sealed is moved": {func(d *desk, _ *Return) { swapSealed(d) }, nil, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDesk(t, nil)
			d.start(t, mallory, "browser")
			r := d.issuer.signIn(t, d.start(t, ann, "browser"))
			first := r
			tc.edit(d, &r)
			to, page, err := d.Finish(t.Context(), r)
			if to != "" || err == nil || (page == d.profile.Return) != tc.page {
				t.Fatalf("Finish() = %q, %q, %v", to, page, err)
			}
			if tc.want != nil && fault.Public(err) != fault.Public(tc.want) {
				t.Errorf("Finish() error = %v, want %v", err, tc.want)
			}
			if len(d.shelf.grants) != 0 {
				t.Error("there is a grant")
			}
			if r.State == first.State && r.Profile != "none" {
				if _, _, err := d.Finish(t.Context(), first); !errors.Is(err, ErrReturn) {
					t.Errorf("the right return after the wrong one: %v", err)
				}
			}
			if text := fmt.Sprint(err); strings.Contains(text, "ann@") || strings.Contains(text, "code-") || strings.Contains(text, "://") {
				t.Errorf("the error says %q", text)
			}
		})
	}
}

// swapSealed gives each sign-in what was sealed for the other.
func swapSealed(d *desk) {
	var states [][32]byte
	for state := range d.shelf.signIns {
		states = append(states, state)
	}
	a, b := d.shelf.signIns[states[0]], d.shelf.signIns[states[1]]
	a.Sealed, b.Sealed = b.Sealed, a.Sealed
	d.shelf.signIns[states[0]], d.shelf.signIns[states[1]] = a, b
}

func TestReturnCountsOnce(t *testing.T) {
	t.Parallel()
	d := newDesk(t, nil)
	r := d.issuer.signIn(t, d.start(t, ann, "browser"))
	d.hint(t, r)
	r.Code = d.issuer.signIn(t, d.start(t, ann, "browser")).Code
	if _, _, err := d.Finish(t.Context(), r); !errors.Is(err, ErrReturn) {
		t.Errorf("the second return: %v", err)
	}
}

// TestPKCE puts the code of one sign-in into another: the provider sees that the verifier
// is not its own.
func TestPKCE(t *testing.T) {
	t.Parallel()
	d := newDesk(t, nil)
	stolen := d.issuer.signIn(t, d.start(t, ann, "ann's"))
	r := d.issuer.signIn(t, d.start(t, mallory, "browser"))
	r.Code = stolen.Code
	if _, _, err := d.Finish(t.Context(), r); fault.KindOf(err) != ErrNoToken.Kind {
		t.Errorf("Finish() error = %v", err)
	}
	if len(d.shelf.grants) != 0 {
		t.Error("there is a grant")
	}
}

// TestFixation has mallory send ann the link of his own conversation, in each way that
// there is. Whatever she does with it, his conversation is not secured by her sign-in.
func TestFixation(t *testing.T) {
	t.Parallel()
	d := newDesk(t, nil)
	a := d.authorizer(t)
	secured := func(what, hint string) {
		t.Helper()
		for _, guess := range []string{hint, "", "x"} {
			if got := a.Check(t.Context(), mallory, subject(guess)); got.Class == securesession.Yes && guess != hint {
				t.Errorf("%s: mallory is in with %q", what, guess)
			}
		}
		want(t, what+": in ann's own conversation", check(t, a, ann, hint), securesession.No)
	}
	// She follows it to the end. What came of it is in her browser alone.
	secured("ann follows the link", d.hint(t, d.issuer.signIn(t, d.start(t, mallory, "browser"))))

	// He begins, and she goes on: her browser is not the one that began.
	r := d.issuer.signIn(t, d.start(t, mallory, "mallory's"))
	if _, _, err := d.Finish(t.Context(), r); !errors.Is(err, ErrReturn) {
		t.Errorf("ann goes on for mallory: %v", err)
	}
	// He signs in, and has her browser come back with his code: nothing of hers is his.
	mine := d.issuer.signIn(t, d.start(t, ann, "mallory's"))
	mine.Browser = "ann's"
	if _, _, err := d.Finish(t.Context(), mine); !errors.Is(err, ErrReturn) {
		t.Errorf("mallory signs in for ann: %v", err)
	}
	// He has her page show a hint of his.
	hint := d.hint(t, d.issuer.signIn(t, d.start(t, mallory, "browser")))
	want(t, "ann shows mallory's hint", check(t, a, ann, hint), securesession.No)
	// He shows the hint of a conversation of hers in his.
	hint = d.signedIn(t)
	want(t, "mallory shows ann's hint", check(t, a, mallory, hint), securesession.No)
	want(t, "ann shows her hint", check(t, a, ann, hint), securesession.Yes)
}

func subject(hint string) securesession.Subject {
	return securesession.Subject{Context: fmt.Appendf(nil, `{"userToken":%q}`, hint)}
}

func TestHintIsShownInTime(t *testing.T) {
	t.Parallel()
	for after, class := range map[time.Duration]securesession.Class{HintLife - 1: securesession.Yes, HintLife: securesession.No} {
		d := newDesk(t, nil)
		d.issuer.set(func(i *issuer) { i.lasts = "" })
		hint := d.signedIn(t)
		d.pass(after)
		want(t, after.String(), check(t, d.authorizer(t), ann, hint), class)
	}
}

func TestTokenAnswers(t *testing.T) {
	t.Parallel()
	text := func(status int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			_, _ = w.Write([]byte(body))
		}
	}
	for name, answer := range map[string]http.HandlerFunc{
		"no JSON":           text(200, "access_token=x&token_type=bearer"),
		"no token":          text(200, `{"token_type":"Bearer"}`),
		"no type":           text(200, `{"access_token":"x"}`),
		"another type":      text(200, `{"access_token":"x","token_type":"DPoP"}`),
		"token with a line": text(200, `{"access_token":"x\r\nX: y","token_type":"Bearer"}`),
		"not 200":           text(201, `{"access_token":"x","token_type":"Bearer"}`),
		"oversized":         text(200, `{"access_token":"`+strings.Repeat("x", maxAnswer)+`","token_type":"Bearer"}`),
		"breaks down":       text(503, ""),
		"an error":          text(400, `{"error":"invalid_request"}`),
		"cut off": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			_, _ = w.Write([]byte(`{"access_token":"x","token_type":"Bearer"}`))
		},
		"moved": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDesk(t, nil)
			d.issuer.set(func(i *issuer) { i.answer = answer })
			_, page, err := d.Finish(t.Context(), d.issuer.signIn(t, d.start(t, ann, "browser")))
			if fault.KindOf(err) != ErrNoToken.Kind || page == "" || len(d.shelf.grants) != 0 {
				t.Errorf("Finish() error = %v, page %q", err, page)
			}
			if calls := d.issuer.asked(); calls != "token authorization_code" {
				t.Errorf("calls: %s", calls)
			}
		})
	}
}

func TestIDToken(t *testing.T) {
	t.Parallel()
	token := func(format string, args ...any) string {
		return "e30." + base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, format, args...)) + ".c2ln"
	}
	for name, tc := range map[string]struct {
		claims func(i *issuer, nonce string) string
		ok     bool
	}{
		"right":            {func(i *issuer, n string) string { return token(`{"iss":%q,"aud":"carnet","nonce":%q}`, i.URL, n) }, true},
		"right, in a list": {func(i *issuer, n string) string { return token(`{"iss":%q,"aud":["carnet"],"nonce":%q}`, i.URL, n) }, true},
		"of another nonce": {func(i *issuer, n string) string { return token(`{"iss":%q,"aud":"carnet","nonce":"%sx"}`, i.URL, n) }, false},
		"no nonce":         {func(i *issuer, _ string) string { return token(`{"iss":%q,"aud":"carnet"}`, i.URL) }, false},
		"for another":      {func(i *issuer, n string) string { return token(`{"iss":%q,"aud":"other","nonce":%q}`, i.URL, n) }, false},
		"for two": {func(i *issuer, n string) string {
			return token(`{"iss":%q,"aud":["carnet","other"],"nonce":%q}`, i.URL, n)
		}, false},
		"of another issuer": {func(_ *issuer, n string) string { return token(`{"iss":"https://x","aud":"carnet","nonce":%q}`, n) }, false},
		"no object":         {func(*issuer, string) string { return token(`7`) }, false},
		"no audience":       {func(i *issuer, n string) string { return token(`{"iss":%q,"nonce":%q}`, i.URL, n) }, false},
		"no token":          {func(*issuer, string) string { return "" }, false},
		"two parts":         {func(*issuer, string) string { return "e30.e30" }, false},
		"no base64":         {func(*issuer, string) string { return "e30.{}.c2ln" }, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDesk(t, func(p *Profile) { p.Scopes = []string{"openid"} })
			d.issuer.set(func(i *issuer) {
				i.idToken = func(q url.Values) string { return tc.claims(i, q.Get("nonce")) }
			})
			to := d.start(t, ann, "browser")
			if query(t, to).Get("nonce") == "" {
				t.Fatal("no nonce was sent")
			}
			if _, _, err := d.Finish(t.Context(), d.issuer.signIn(t, to)); (err == nil) != tc.ok {
				t.Errorf("Finish() error = %v", err)
			}
		})
	}
}

func TestNew(t *testing.T) {
	t.Parallel()
	if _, err := New(Config{}); err == nil {
		t.Error("New() without a store")
	}
	d := newDesk(t, nil)
	if _, err := d.Authorizer(&securesession.Policy{Alias: "none"}, nil); err == nil {
		t.Error("Authorizer() of no profile")
	}
	d.profile.Connector = "ask-bank"
	if _, err := d.Authorizer(d.policy, nil); err == nil {
		t.Error("Authorizer() without the profile's connector")
	}
}
