package token

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/carnetproject/carnet"
	"github.com/carnetproject/carnet/internal/app"
	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/jose"
	"github.com/carnetproject/carnet/internal/revocation"
)

// verified is an access token of these claims, as a verifier gives it back.
func (f *fixture) verified(t *testing.T, text string) *carnet.Verified {
	t.Helper()
	k := f.ring.keys[AccessSet][jose.ES256]
	public, err := k.Public().MarshalJWK()
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := carnet.ParseJWK(public)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := carnet.StaticKeys(parsed)
	if err != nil {
		t.Fatal(err)
	}
	v, err := carnet.NewVerifier(carnet.VerifierConfig{Keys: keys, Policy: carnet.SignatureOnly()})
	if err != nil {
		t.Fatal(err)
	}
	got, err := v.Verify(t.Context(), text)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// shown is a user's token of a service, with more claims if there are any.
func (f *fixture) shown(t *testing.T, more map[string]any) *carnet.Verified {
	t.Helper()
	claims := map[string]any{
		"iss": issuerURL, "sub": "usr_1", "aud": "https://api.example", "client_id": "app_1", "jti": "j1",
		"scope": "chat orders", "iat": noon.Unix(), "exp": noon.Add(5 * time.Minute).Unix(),
	}
	for name, value := range more {
		claims[name] = value
	}
	text, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := f.ring.keys[AccessSet][jose.ES256].Sign(accessType, text)
	if err != nil {
		t.Fatal(err)
	}
	return f.verified(t, signed)
}

// TestExchange goes by RFC 8693: a delegated token is never wider and never longer.
func TestExchange(t *testing.T) {
	t.Parallel()
	at := func(d time.Duration) int64 { return noon.Add(d).Unix() }
	type m = map[string]any
	for name, tc := range map[string]struct {
		subject m
		actor   m // nil: none
		edit    func(*Exchange)
		want    m // what differs from the plain one
		field   string
	}{
		"plain":              {},
		"less scope":         {edit: func(x *Exchange) { x.Scope = "orders" }, want: m{"scope": "orders"}},
		"more scope":         {edit: func(x *Exchange) { x.Scope = "orders admin" }, field: "scope"},
		"no scope at all":    {subject: m{"scope": ""}, want: m{"scope": nil}},
		"scope for none":     {subject: m{"scope": ""}, edit: func(x *Exchange) { x.Scope = "orders" }, field: "scope"},
		"another audience":   {edit: func(x *Exchange) { x.Audience = "https://stock.example" }, want: m{"aud": "https://stock.example"}},
		"longer than ours":   {subject: m{"exp": at(time.Hour)}, want: m{"exp": float64(at(15 * time.Minute))}},
		"ends with actor's":  {actor: m{"sub": "app_8", "exp": at(time.Minute)}, want: m{"exp": float64(at(time.Minute)), "act": m{"sub": "app_8"}}},
		"about to expire":    {subject: m{"exp": at(0)}, field: "subject_token"},
		"actor's about to":   {actor: m{"exp": at(0)}, field: "subject_token"},
		"by an actor":        {actor: m{"sub": "usr_2"}, want: m{"act": m{"sub": "usr_2"}}},
		"by a delegate":      {actor: m{"sub": "usr_2", "act": m{"sub": "x"}}, field: "actor_token"},
		"a second time":      {subject: m{"act": m{"sub": "app_1"}}, want: m{"act": m{"sub": "app_9", "act": m{"sub": "app_1"}}}},
		"as often as may be": {subject: m{"act": m{"sub": "3", "act": m{"sub": "2", "act": m{"sub": "1"}}}}, want: m{"act": m{"sub": "app_9", "act": m{"sub": "3", "act": m{"sub": "2", "act": m{"sub": "1"}}}}}},
		"too often":          {subject: m{"act": m{"sub": "4", "act": m{"sub": "3", "act": m{"sub": "2", "act": m{"sub": "1"}}}}}, field: "subject_token"},
		"act is no object":   {subject: m{"act": "app_1"}, field: "subject_token"},
		"may act":            {subject: m{"may_act": m{"sub": "app_9"}}},
		"may act, with iss":  {subject: m{"may_act": m{"sub": "app_9", "iss": issuerURL}}},
		"another may":        {subject: m{"may_act": m{"sub": "app_8"}}, field: "subject_token"},
		"another issuer's":   {subject: m{"may_act": m{"sub": "app_9", "iss": "https://x"}}, field: "subject_token"},
		"actor may":          {subject: m{"may_act": m{"sub": "usr_2"}}, actor: m{"sub": "usr_2"}, want: m{"act": m{"sub": "usr_2"}}},
		"client, not actor":  {subject: m{"may_act": m{"sub": "app_9"}}, actor: m{"sub": "usr_2"}, field: "subject_token"},
		"may without sub":    {subject: m{"may_act": m{"iss": issuerURL}}, field: "subject_token"},
		"may by more":        {subject: m{"may_act": m{"sub": "app_9", "acr": "2"}}, field: "subject_token"},
		"may is no object":   {subject: m{"may_act": []string{"app_9"}}, field: "subject_token"},
		"may sub no text":    {subject: m{"may_act": m{"sub": 9}}, field: "subject_token"},
		"of a sign-in":       {subject: m{"jti": "s1.x"}, want: m{"jti": "s1.x."}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := open(t)
			x := Exchange{App: &app.App{ID: "app_9", AccessAlgorithm: jose.ES256}, Subject: f.shown(t, tc.subject)}
			if tc.actor != nil {
				x.Actor = f.shown(t, tc.actor)
			}
			if tc.edit != nil {
				tc.edit(&x)
			}
			got, err := f.Exchange(t.Context(), x)
			if tc.field != "" {
				if e, ok := errors.AsType[*fault.Error](err); !ok || e.Kind != fault.Invalid || e.Field != tc.field {
					t.Errorf("Exchange() error = %v, want a fault of %s", err, tc.field)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			want := m{
				"iss": issuerURL, "sub": "usr_1", "aud": "https://api.example", "client_id": "app_9", "jti": "j1.",
				"scope": "chat orders", "iat": float64(at(0)), "exp": float64(at(5 * time.Minute)), "act": m{"sub": "app_9"},
			}
			for name, value := range tc.want {
				want[name] = value
				if value == nil {
					delete(want, name)
				}
			}
			var claims m
			if err := json.Unmarshal(f.verified(t, got.Token).Claims(), &claims); err != nil {
				t.Fatal(err)
			}
			if id := claims["jti"].(string); strings.HasPrefix(id, want["jti"].(string)) {
				want["jti"] = id
			}
			if diff := cmp.Diff(want, claims); diff != "" {
				t.Errorf("claims (-want +got):\n%s", diff)
			}
			if got.ExpiresIn != time.Duration(claims["exp"].(float64)-float64(at(0)))*time.Second {
				t.Errorf("expires in %v", got.ExpiresIn)
			}
		})
	}
}

// TestRevokedOrigin: what was made of a token goes with it.
func TestRevokedOrigin(t *testing.T) {
	t.Parallel()
	f := open(t)
	access, err := f.Exchange(t.Context(), Exchange{App: &app.App{ID: "app_9"}, Subject: f.shown(t, nil)})
	if err != nil {
		t.Fatal(err)
	}
	if of := revocation.Of(f.verified(t, access.Token)); of.SignIn != "j1" {
		t.Errorf("the token counts to %q, want j1", of.SignIn)
	}
}

func TestCustomClaims(t *testing.T) {
	t.Parallel()
	f := open(t)
	access, err := f.Access(t.Context(), AccessRequest{App: "app_1", Subject: "app_1", Claims: map[string]any{"org": "acme", "n": json.Number("12345678901234567890")}})
	if err != nil {
		t.Fatal(err)
	}
	text := string(f.verified(t, access.Token).Claims())
	if want := `"client_id":"app_1","n":12345678901234567890,"org":"acme"}`; !strings.HasSuffix(text, want) {
		t.Errorf("claims = %s, want them to end with %s", text, want)
	}
}

func TestRevokeAccess(t *testing.T) {
	t.Parallel()
	f := open(t)
	list := &taken{}
	f.c.Revocations = list
	shown := f.shown(t, nil)
	if err := f.RevokeAccess(t.Context(), shown, "app_2"); !errors.Is(err, ErrGrant) || len(list.added) != 0 {
		t.Errorf("another client's: %v, %v", err, list.added)
	}
	if err := f.RevokeAccess(t.Context(), shown, "app_1"); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]revocation.Target{{Kind: revocation.ByToken, Name: "j1"}}, list.added); diff != "" {
		t.Errorf("revoked (-want +got):\n%s", diff)
	}
	list.err = fault.New(fault.Unavailable, "store is down")
	if err := f.RevokeAccess(t.Context(), shown, "app_1"); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("store down: %v", err)
	}
}

func TestInspect(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		before func(t *testing.T, f *fixture, p Pair)
		client app.ID
		want   bool
	}{
		"good":             {nil, "app_1", true},
		"another client's": {nil, "app_2", false},
		"expired":          {func(_ *testing.T, f *fixture, _ Pair) { f.sleep(24 * time.Hour) }, "app_1", false},
		"used": {func(t *testing.T, f *fixture, p Pair) {
			if _, err := f.Refresh(t.Context(), p.Refresh, "app_1", ""); err != nil {
				t.Fatal(err)
			}
		}, "app_1", false},
		"revoked": {func(t *testing.T, f *fixture, p Pair) {
			if err := f.Revoke(t.Context(), p.Refresh, "app_1"); err != nil {
				t.Fatal(err)
			}
		}, "app_1", false},
		"user revoked": {func(_ *testing.T, f *fixture, _ Pair) { f.c.Revocations = &taken{before: noon.Add(time.Hour)} }, "app_1", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := open(t)
			p := f.signIn(t)
			if tc.before != nil {
				tc.before(t, f, p)
			}
			family, good, err := f.Inspect(t.Context(), p.Refresh, tc.client)
			if err != nil || good != tc.want || good && family.Scope != "chat orders" {
				t.Errorf("Inspect() = %+v, %t, %v", family, good, err)
			}
		})
	}
	f := open(t)
	if _, good, err := f.Inspect(t.Context(), newRefresh().text(), "app_1"); good || err != nil {
		t.Errorf("of no family: %t, %v", good, err)
	}
	p := f.signIn(t)
	f.families.err = fault.New(fault.Unavailable, "store is down")
	if _, _, err := f.Inspect(t.Context(), p.Refresh, "app_1"); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("store down: %v", err)
	}
}
