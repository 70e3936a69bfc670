package server

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/carnetproject/carnet/internal/app"
	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/jose"
	"github.com/carnetproject/carnet/internal/token"
)

// issuerOf is an issuer like the core's own, all of whose tokens are good for an hour.
func issuerOf(core *Core) (*token.Issuer, error) {
	return token.New(token.Config{
		Issuer: core.Config.Issuer, AccessTTL: time.Hour, RefreshTTL: time.Hour, SessionTTL: time.Hour,
		Keys: core.Keys, Apps: core.Apps, Families: core.store, Subjects: core.Users, Revocations: core.Revocations,
	})
}

// TestVisitors shows which tokens open a conversation, and for whom.
func TestVisitors(t *testing.T) {
	t.Parallel()
	run(t, load(t, t.TempDir(), ""), func(ctx context.Context, core *Core) error {
		issuer, err := issuerOf(core)
		if err != nil {
			return err
		}
		add := func(r app.Registration) *app.App {
			a, _, err := core.Apps.Add(ctx, r)
			if err != nil {
				t.Fatal(err)
			}
			found, _ := core.Apps.Find(a.ID)
			return found
		}
		session := func(a *app.App, audience string) string {
			s, err := issuer.Session(ctx, token.SessionRequest{App: a, Subject: "ann", Audience: audience})
			if err != nil {
				t.Fatal(err)
			}
			return s
		}
		access := func(scope string, audience string) string {
			a, err := issuer.Access(ctx, token.AccessRequest{Subject: "usr_1", Scope: scope, Audience: audience})
			if err != nil {
				t.Fatal(err)
			}
			return a.Token
		}
		asymmetric := add(app.Registration{Name: "es", SessionAlgorithm: jose.ES256, Origins: []string{"https://shop.test"}})
		symmetric := add(app.Registration{Name: "hs", SessionAlgorithm: jose.HS256})
		other := add(app.Registration{Name: "other", SessionAlgorithm: jose.ES256, Audience: "https://elsewhere.test"})
		disabled := add(app.Registration{Name: "gone", SessionAlgorithm: jose.ES256})
		fromGone := session(disabled, "")
		if err := core.Apps.Disable(ctx, disabled.ID); err != nil {
			return err
		}
		beforeRotation := session(symmetric, "")
		if _, err := core.Apps.Rotate(ctx, symmetric.ID, app.RotateOptions{Overlap: time.Minute}); err != nil {
			return err
		}
		good := session(asymmetric, "")
		visitor, err := issuer.Session(ctx, token.SessionRequest{App: asymmetric, Subject: "v", Anonymous: true})
		if err != nil {
			return err
		}

		v, err := newVisitors(core)
		if err != nil {
			return err
		}
		for name, tc := range map[string]struct {
			token  string
			iss    string // "" if it is refused
			kind   fault.Kind
			origin string
		}{
			"session":                     {good, string(asymmetric.ID), 0, "https://shop.test"},
			"session of a visitor":        {visitor, string(asymmetric.ID), 0, "https://shop.test"},
			"session, shared secret":      {session(symmetric, ""), string(symmetric.ID), 0, ""},
			"session, before a rotation":  {beforeRotation, string(symmetric.ID), 0, ""},
			"session for its own chat":    {session(other, ""), string(other.ID), 0, ""},
			"session for another chat":    {session(asymmetric, "https://elsewhere.test"), "", fault.Unauthenticated, ""},
			"session of a disabled app":   {fromGone, "", fault.Unauthenticated, ""},
			"session, another signature":  {good[:len(good)-4] + "AAAA", "", fault.Unauthenticated, ""},
			"access with the scope":       {access("chat demo", ""), core.Config.Issuer, 0, ""},
			"access without the scope":    {access("chatter", ""), "", fault.Denied, ""},
			"access for another audience": {access("chat", "https://elsewhere.test"), "", fault.Unauthenticated, ""},
			"no token":                    {"", "", fault.Unauthenticated, ""},
			"junk":                        {strings.Repeat("x", 20_000), "", fault.Unauthenticated, ""},
		} {
			id, err := v.identify(ctx, tc.token)
			switch {
			case tc.iss == "":
				if err == nil || fault.KindOf(err) != tc.kind {
					t.Errorf("%s: identify() = %+v, %v; want %v", name, id, err, tc.kind)
				}
			case err != nil || id.User.Issuer != tc.iss || id.Expires.Before(time.Now()):
				t.Errorf("%s: identify() = %+v, %v; want the issuer %s", name, id, err, tc.iss)
			case id.Anonymous != strings.Contains(name, "visitor") || (id.App == tc.iss) != strings.HasPrefix(name, "session"):
				t.Errorf("%s: anonymous %t, of the app %q", name, id.Anonymous, id.App)
			case tc.origin != "" && (len(id.Origins) != 1 || id.Origins[0] != tc.origin):
				t.Errorf("%s: origins %v, want %s", name, id.Origins, tc.origin)
			}
		}
		return nil
	})
}
