package server

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/carnetproject/carnet/internal/app"
	"github.com/carnetproject/carnet/internal/config"
	"github.com/carnetproject/carnet/internal/device"
	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/jose"
	"github.com/carnetproject/carnet/internal/key"
	"github.com/carnetproject/carnet/internal/revocation"
	"github.com/carnetproject/carnet/internal/token"
)

// deviceGateway admits devices and access tokens.
const deviceGateway = `
keys:
  mobile: {algorithms: [ES256], issuer_prefix: mobilev2, kid_prefix: mobile_}
devices: {sets: [mobile]}
gateway:
  consumers:
  - {username: access, jwt_secrets: [{key_set: access}]}
  - {username: devices, jwt_secrets: [{key: mobilev2, key_set: mobile}]}
  services:
  - {name: echo, url: "internal://echo", routes: [{name: all, paths: [/]}], plugins: {jwt: {issuer_prefixes: [mobilev2]}}}
`

// issued are tokens that a node admits.
type issued struct{ access, jti, kid, device string }

func issue(t *testing.T, core *Core) (i issued) {
	t.Helper()
	var err error
	if i.access, err = accessToken(t.Context(), core); err != nil {
		t.Fatal(err)
	}
	var parsed jose.Unverified
	var claims jose.Object
	if err := parsed.Parse(i.access); err != nil {
		t.Fatal(err)
	}
	if err := parsed.Claims(&claims); err != nil {
		t.Fatal(err)
	}
	i.jti, _ = claims.Lookup("jti").Text()
	i.kid = parsed.KeyID
	r, err := device.New(device.Config{Keys: core.Keys, Sets: map[key.SetName]device.Set{"mobile": {Algorithm: jose.ES256, IssuerPrefix: "mobilev2"}}})
	if err != nil {
		t.Fatal(err)
	}
	if i.device, err = r.Register(t.Context(), "mobile", "dev-1"); err != nil {
		t.Fatal(err)
	}
	return i
}

// operator asks the Admin API of a node.
func operator(t *testing.T, core *Core, base, method, path, body string) (status int, id int64) {
	t.Helper()
	secret, err := os.ReadFile(filepath.Join(core.Config.Data, "admin.secret"))
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), method, base+"/carnet/v1/revocations"+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(secret)))
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	var answer struct{ ID int64 }
	_ = json.NewDecoder(resp.Body).Decode(&answer)
	return resp.StatusCode, answer.ID
}

// TestRevocations revokes tokens that the gateway has in its cache, in each way, and
// lets them in again. Through the Admin API both are in force when it has answered.
func TestRevocations(t *testing.T) {
	t.Parallel()
	c := load(t, t.TempDir(), deviceGateway)
	c.PollInterval = config.Duration(time.Hour) // nothing comes by following
	serve(t, c, func(core *Core, base []string) {
		i := issue(t, core)
		want := func(when string, device, access int) {
			t.Helper()
			for range 2 {
				if got := get(t, base[1]+"/x", i.device); got != device {
					t.Errorf("%s: the device's token is answered with %d, want %d", when, got, device)
				}
				if got := get(t, base[1]+"/x", i.access); got != access {
					t.Errorf("%s: the access token is answered with %d, want %d", when, got, access)
				}
			}
		}
		// In whole seconds an access token says when it was issued.
		const later = `"issued_before":"%s"`
		before := fmt.Sprintf(later, time.Now().Add(2*time.Second).Format(time.RFC3339))
		for body, tc := range map[string]struct{ device, access int }{
			`"kind":"token","name":"` + i.jti + `"`:                                            {200, 401},
			`"kind":"subject","issuer":"http://issuer.test","name":"usr_1",` + before:          {200, 401},
			`"kind":"app","name":"carnet",` + before:                                           {200, 401},
			`"kind":"issuer","name":"http://issuer.test",` + before:                            {200, 401},
			`"kind":"credential","name":"http://issuer.test",` + before:                        {200, 401},
			`"kind":"key","name":"` + i.kid + `"`:                                              {200, 401},
			`"kind":"device","issuer":"mobilev2","name":"dev-1",` + before:                     {401, 200},
			`"kind":"issuer","name":"mobilev2",` + before:                                      {401, 200},
			`"kind":"credential","name":"mobilev2",` + before:                                  {401, 200},
			`"kind":"key","name":"mobile_1"`:                                                   {401, 200},
			`"kind":"token","name":"another"`:                                                  {200, 200},
			`"kind":"device","issuer":"mobilev2","name":"dev-2",` + before:                     {200, 200},
			`"kind":"issuer","name":"mobilev2","issued_before":"2026-01-01T00:00:00Z"`:         {200, 200},
			`"kind":"subject","issuer":"http://other","name":"usr_1",` + before:                {200, 200},
			`"kind":"app","name":"carnet","issued_before":"2026-01-01T00:00:00Z"`:              {200, 200},
			`"kind":"credential","name":"mobilev2","issued_before":"2026-01-01T00:00:00.001Z"`: {200, 200},
		} {
			want("before "+body, 200, 200)
			status, id := operator(t, core, base[2], "POST", "", "{"+body+"}")
			if status != http.StatusCreated {
				t.Fatalf("%s is answered with %d", body, status)
			}
			want(body, tc.device, tc.access)
			if status, _ := operator(t, core, base[2], "DELETE", fmt.Sprint("/", id), ""); status != http.StatusNoContent {
				t.Fatalf("the removal of %s is answered with %d", body, status)
			}
			want("after "+body, 200, 200)
		}
		if !strings.Contains(body(t.Context(), base[2]+"/metrics"), "\ncarnet_revocations 0\n") {
			t.Error("/metrics does not say that no revocation is left")
		}
	})
}

// TestRevocationsAreFollowed revokes as another process does, and takes it back. What
// was revoked before the start is in force from the start.
func TestRevocationsAreFollowed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := load(t, dir, deviceGateway)
	target := revocation.Target{Kind: revocation.ByDevice, Issuer: "mobilev2", Name: "dev-1"}
	elsewhere := func(do func(context.Context, *revocation.List) (revocation.Entry, error)) (e revocation.Entry) {
		run(t, load(t, dir, deviceGateway), func(ctx context.Context, other *Core) (err error) {
			e, err = do(ctx, other.Revocations)
			return err
		})
		return e
	}
	var i issued
	run(t, load(t, dir, deviceGateway), func(_ context.Context, core *Core) error {
		i = issue(t, core)
		return nil
	})
	revoke := func(ctx context.Context, l *revocation.List) (revocation.Entry, error) {
		return l.Add(ctx, revocation.Draft{Target: target, Before: time.Now().Add(2 * time.Second)})
	}
	first := elsewhere(revoke)
	serve(t, c, func(_ *Core, base []string) {
		answer := func() int { return get(t, base[1]+"/x", i.device) }
		if got := answer(); got != http.StatusUnauthorized {
			t.Errorf("revoked before the start, it is answered with %d, want 401", got)
		}
		elsewhere(func(ctx context.Context, l *revocation.List) (revocation.Entry, error) {
			return l.Remove(ctx, first.ID)
		})
		waitFor(t, "the removal", func() bool { return answer() == http.StatusOK })
		elsewhere(revoke)
		waitFor(t, "the revocation", func() bool { return answer() == http.StatusUnauthorized })
	})
}

// TestSessionsByAccessToken: the JWT service makes no more of an access token than it is
// good for. What another app was given for something else opens no conversations.
func TestSessionsByAccessToken(t *testing.T) {
	t.Parallel()
	run(t, load(t, t.TempDir(), ""), func(ctx context.Context, core *Core) error {
		issuer, err := issuerOf(core)
		if err != nil {
			return err
		}
		verifier, err := newAccessVerifier(core, nil)
		if err != nil {
			return err
		}
		for name, tc := range map[string]struct {
			request token.AccessRequest
			good    bool
		}{
			"of Carnet's own sign-in":           {token.AccessRequest{Subject: "usr_1"}, true},
			"of the app itself":                 {token.AccessRequest{Subject: "usr_1", App: "app_page"}, true},
			"of another app, for the chat":      {token.AccessRequest{Subject: "usr_1", App: "app_shop", Scope: "orders chat"}, true},
			"of another app, for something":     {token.AccessRequest{Subject: "usr_1", App: "app_shop", Scope: "orders chats"}, false},
			"of another app, which is its user": {token.AccessRequest{Subject: "app_shop", App: "app_shop"}, false},
		} {
			access, err := issuer.Access(ctx, tc.request)
			if err != nil {
				return err
			}
			switch subject, err := verifier.Subject(ctx, access.Token, "app_page"); {
			case tc.good && (err != nil || subject != tc.request.Subject):
				t.Errorf("%s: %q, %v", name, subject, err)
			case !tc.good && (fault.KindOf(err) != fault.Unauthenticated || subject != ""):
				t.Errorf("%s: %q, %v", name, subject, err)
			}
		}
		return nil
	})
}

// TestRevokedVisitors: neither the JWT service nor the chat takes a token that was
// taken back.
func TestRevokedVisitors(t *testing.T) {
	t.Parallel()
	run(t, load(t, t.TempDir(), ""), func(ctx context.Context, core *Core) error {
		issuer, err := issuerOf(core)
		if err != nil {
			return err
		}
		a, _, err := core.Apps.Add(ctx, app.Registration{Name: "shop", SessionAlgorithm: jose.ES256})
		if err != nil {
			return err
		}
		session, err := issuer.Session(ctx, token.SessionRequest{App: &a, Subject: "ann"})
		if err != nil {
			return err
		}
		access, err := issuer.Access(ctx, token.AccessRequest{Subject: "usr_1", Scope: "chat", App: a.ID})
		if err != nil {
			return err
		}
		visitors, err := newVisitors(core)
		if err != nil {
			return err
		}
		verifier, err := newAccessVerifier(core, nil)
		if err != nil {
			return err
		}
		want := func(when string, sessionKind, accessKind fault.Kind) {
			t.Helper()
			kind := func(err error) fault.Kind {
				if err == nil {
					return 0
				}
				return fault.KindOf(err)
			}
			_, sessionErr := visitors.identify(ctx, session)
			_, chatErr := visitors.identify(ctx, access.Token)
			_, stsErr := verifier.Subject(ctx, access.Token, a.ID)
			if kind(sessionErr) != sessionKind || kind(chatErr) != accessKind || kind(stsErr) != accessKind {
				t.Errorf("%s: session token %v; access token in the chat %v, in the JWT service %v", when, sessionErr, chatErr, stsErr)
			}
		}
		refused, soon := fault.Unauthenticated, time.Now().Add(2*time.Second)
		for _, tc := range []struct {
			target          revocation.Target
			session, access fault.Kind
		}{
			{revocation.Target{Kind: revocation.BySubject, Issuer: string(a.ID), Name: "ann"}, refused, 0},
			{revocation.Target{Kind: revocation.BySubject, Issuer: core.Config.Issuer, Name: "usr_1"}, 0, refused},
			{revocation.Target{Kind: revocation.ByApp, Name: string(a.ID)}, refused, refused},
		} {
			want("before", 0, 0)
			e, err := core.Revocations.Add(ctx, revocation.Draft{Target: tc.target, Before: soon})
			if err != nil {
				return err
			}
			want(fmt.Sprint(tc.target), tc.session, tc.access)
			if _, err := core.Revocations.Remove(ctx, e.ID); err != nil {
				return err
			}
		}
		id, err := visitors.identify(ctx, session)
		if err != nil || id.Token.Subject != "ann" || id.Token.App != string(a.ID) || id.Token.ID == "" {
			t.Errorf("a connection is known by %+v: %v", id.Token, err)
		}
		return nil
	})
}

func TestTokenLife(t *testing.T) {
	t.Parallel()
	run(t, load(t, t.TempDir(), "tokens: {access_ttl: 10m, sts_ttl: 20m, refresh_ttl: 48h}"), func(ctx context.Context, core *Core) error {
		add := func(alg jose.Algorithm) string {
			a, _, err := core.Apps.Add(ctx, app.Registration{Name: "shop", SessionAlgorithm: alg})
			if err != nil {
				t.Fatal(err)
			}
			return string(a.ID)
		}
		ours, shared := add(jose.ES256), add(jose.HS256)
		const session, signIn = 20 * time.Minute, 48 * time.Hour
		for target, want := range map[revocation.Target]time.Duration{
			{Kind: revocation.ByToken, Name: "j"}:                                   session,
			{Kind: revocation.BySubject, Issuer: core.Config.Issuer, Name: "usr_1"}: signIn,
			{Kind: revocation.BySubject, Issuer: ours, Name: "ann"}:                 session,
			{Kind: revocation.BySubject, Issuer: shared, Name: "ann"}:               0,
			{Kind: revocation.BySubject, Issuer: "https://other", Name: "ann"}:      0,
			{Kind: revocation.ByApp, Name: ours}:                                    signIn,
			{Kind: revocation.ByApp, Name: string(token.Itself)}:                    signIn,
			{Kind: revocation.ByApp, Name: shared}:                                  0,
			{Kind: revocation.ByApp, Name: "other"}:                                 0,
			{Kind: revocation.ByIssuer, Name: core.Config.Issuer}:                   signIn,
			{Kind: revocation.ByIssuer, Name: "mobilev2"}:                           0,
			{Kind: revocation.ByDevice, Issuer: "mobilev2", Name: "dev-1"}:          0,
			{Kind: revocation.ByCredential, Name: core.Config.Issuer}:               0,
			{Kind: revocation.ByKey, Name: "kid"}:                                   0,
		} {
			if got := tokenLife(core.Config.Tokens, core.Config.Issuer, core.Apps, target); got != want {
				t.Errorf("tokenLife(%v) = %v, want %v", target, got, want)
			}
		}
		return nil
	})
}
