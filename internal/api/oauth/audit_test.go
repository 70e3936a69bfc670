package oauth

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/carnetproject/carnet/internal/audit"
	"github.com/carnetproject/carnet/internal/audit/audittest"
	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/limit"
	"github.com/carnetproject/carnet/internal/token"
)

// TestAudit does what the audit log is for, and looks for all that must not be in it.
func TestAudit(t *testing.T) {
	t.Parallel()
	const refresh, from = "grant_type=refresh_token&refresh_token=", "192.0.2.1"
	for name, tc := range map[string]struct {
		do     func(t *testing.T, f *fixture) (hidden []string)
		tokens bool
		want   []string // the lines but for the sign-ins of ada in browsers, "usr_ada" for her subject
	}{
		"sign-ins": {func(t *testing.T, f *fixture) []string {
			granted(t, f.form(t, "/login", "username=ada&password=correct+horse"))
			f.form(t, "/login", "username=ada&password=wrong+horse&client_id=app_shop", "From", "203.0.113.9")
			f.form(t, "/login", "username=nobody%0Aann&password=x")
			f.form(t, "/login", "username=ada&password=") // no try
			f.people.err = fault.New(fault.Unavailable, "busy")
			f.form(t, "/login", "username=ada&password=correct+horse")
			return []string{"horse"}
		}, false, []string{
			"user user.sign_in ada failed " + from + " reason=unavailable",
			"user user.sign_in ada refused 203.0.113.9 app=app_shop reason=unauthenticated",
			"user user.sign_in nobody ann refused " + from + " reason=unauthenticated",
			"user:ada user.sign_in ada ok " + from,
		}},
		"in a page": {func(t *testing.T, f *fixture) []string {
			v := f.visitor(t)
			v.get("/account")
			v.enter("ada", "wrong horse")
			v.enter("ada", "")
			return []string{"horse"}
		}, false, []string{"user user.sign_in ada refused " + from + " reason=unauthenticated"}},
		"clients": {func(t *testing.T, f *fixture) []string {
			wrong := []string{"Authorization", basicHeader("app_shop", "guessed-secret")}
			for range 3 {
				f.form(t, "/oauth2/token", "grant_type=client_credentials", wrong...)
			}
			f.form(t, "/oauth2/introspect", "token=some-token", wrong...)
			f.form(t, "/oauth2/token", "grant_type=client_credentials&client_id=app_none&client_secret=guessed-secret")
			f.form(t, "/oauth2/token", "grant_type=client_credentials&scope=none", shopBasic...)
			return []string{"guessed", "some-token", "right"}
		}, false, []string{
			"app app.authenticate app_none refused " + from, "app app.authenticate app_shop refused " + from + " count=4",
		}},
		"replays": {func(t *testing.T, f *fixture) []string {
			v := f.signedIn(t)
			code := v.admitted(asking("scope=openid offline_access"))
			one := granted(t, f.form(t, "/oauth2/token", redeeming(code), shopBasic...))
			two := granted(t, f.form(t, "/oauth2/token", refresh+one.RefreshToken, shopBasic...))
			f.sleep(token.Grace)
			f.form(t, "/oauth2/token", refresh+one.RefreshToken, shopBasic...)
			f.form(t, "/oauth2/token", refresh+two.RefreshToken, shopBasic...) // revoked now, which is no replay
			f.form(t, "/oauth2/token", redeeming(code), shopBasic...)
			proof := "grant_type=client_credentials" + f.byAssertion(t, nil)
			granted(t, f.form(t, "/oauth2/token", proof))
			f.form(t, "/oauth2/token", proof)
			grant := grantBearer + "&assertion=" + f.assertion(t, claims{"sub": "usr_ada", "jti": "another"})
			granted(t, f.form(t, "/oauth2/token", grant))
			f.form(t, "/oauth2/token", grant)
			return []string{code, one.RefreshToken, two.RefreshToken, "eyJ"}
		}, false, []string{
			"app assertion.replay refused " + from, "app assertion.replay refused " + from + " grant=jwt-bearer",
			"app:app_shop code.replay app_shop refused " + from + " grant=authorization_code",
			"app:app_shop refresh_token.replay app_shop refused " + from + " grant=refresh_token",
		}},
		"an account": {func(t *testing.T, f *fixture) []string {
			v := f.signedIn(t)
			v.get("/account")
			path, form := formOf(t, v.last, strings.Count(v.last.Body.String(), "<form")-1)
			form.Set("old", "wrong horse")
			form.Set("new", "battery staple")
			v.post(path, form)
			form.Set("old", "correct horse")
			v.post(path, form)
			v.get("/account")
			path, form = formOf(t, v.last, strings.Count(v.last.Body.String(), "<form")-2)
			v.post(path, form)
			return []string{"horse", "staple", v.f.ring.keys["ES256"].ID()}
		}, false, []string{
			"user:ada user.password usr_ada ok " + from, "user:ada user.password usr_ada refused " + from + " reason=unauthenticated",
			"user:ada user.sign_out usr_ada ok " + from,
		}},
		"tokens, if wished for": {func(t *testing.T, f *fixture) []string {
			granted(t, f.form(t, "/oauth2/token", "grant_type=client_credentials", shopBasic...))
			return []string{"right", "eyJ"}
		}, true, []string{"app:app_shop token.issue app_shop ok " + from + " grant=client_credentials"}},
		"tokens": {func(t *testing.T, f *fixture) []string {
			granted(t, f.form(t, "/oauth2/token", "grant_type=client_credentials", shopBasic...))
			return nil
		}, false, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var kept audittest.Store
			log, lines := audittest.New(t, &kept, audit.Config{Tokens: tc.tokens})
			f := open(t, func(c *Config) { c.Audit = log })
			hidden := tc.do(t, f)
			seen := map[string]bool{}
			for _, line := range lines() {
				if !strings.HasPrefix(line, "user:ada user.sign_in") || name == "sign-ins" {
					seen[line] = true
				}
				for _, h := range hidden {
					if strings.Contains(line, h) {
						t.Errorf("%q shows %q", line, h)
					}
				}
			}
			if diff := cmp.Diff(tc.want, slices.Sorted(maps.Keys(seen))); diff != "" {
				t.Errorf("entries (-want +got):\n%s", diff)
			}
		})
	}
}

// TestAuditOfManyTries has a name guessed at until the limiter stops it: two entries.
func TestAuditOfManyTries(t *testing.T) {
	t.Parallel()
	var kept audittest.Store
	log, lines := audittest.New(t, &kept, audit.Config{Addresses: audit.None})
	f := open(t, func(c *Config) {
		c.Audit, c.LoginPerUser = log, limit.New(limit.Rate{N: 5, Per: 60e9}, 16)
	})
	for i := range 50 {
		f.form(t, "/login", fmt.Sprintf("username=ada&password=guess-%d", i))
	}
	got := lines()
	slices.Sort(got)
	want := []string{"user user.sign_in ada limited count=45 reason=limited", "user user.sign_in ada refused count=5 reason=unauthenticated"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("entries (-want +got):\n%s", diff)
	}
}
