package server

import (
	"context"
	"testing"
	"time"

	"github.com/carnetproject/carnet/internal/app"
	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/secret"
	"github.com/carnetproject/carnet/internal/token"
)

// TestProvidedSecretOnTwoNodes changes the value of an app's secret while one node signs
// session tokens and another verifies them.
func TestProvidedSecretOnTwoNodes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := load(t, dir, "")
	run(t, c, func(ctx context.Context, signs *Core) error {
		put := func(value string) {
			if _, err := signs.Safe.Put(ctx, "shop", secret.Plain, secret.FromString(value)); err != nil {
				t.Fatal(err)
			}
		}
		put("the first value, long enough to sign with")
		a, _, err := signs.Apps.Add(ctx, app.Registration{Name: "shop", Secret: "srn:vault::default:secret:shop"})
		if err != nil {
			return err
		}
		issuer, err := token.New(token.Config{
			Issuer: c.Issuer, AccessTTL: time.Hour, RefreshTTL: time.Hour, SessionTTL: time.Hour,
			Keys: signs.Keys, Apps: signs.Apps, Families: signs.store, Subjects: signs.Users, Revocations: signs.Revocations,
		})
		if err != nil {
			return err
		}
		session := func() string {
			text, err := issuer.Session(ctx, token.SessionRequest{App: &a, Subject: "ann"})
			if err != nil {
				t.Fatal(err)
			}
			return text
		}
		run(t, load(t, dir, ""), func(ctx context.Context, verifies *Core) error {
			v, err := newVisitors(verifies)
			if err != nil {
				return err
			}
			identify := func(when, text string, want fault.Kind) {
				t.Helper()
				if _, err := v.identify(ctx, text); (err == nil) != (want == 0) || err != nil && fault.KindOf(err) != want {
					t.Errorf("%s: identify() error = %v, want %v", when, err, want)
				}
			}
			before, later := session(), session()
			identify("before the change", before, 0)
			put("the second value, long enough to sign with")
			signs.Secrets.Expire()
			verifies.Secrets.Expire()
			after := session()
			identify("the new value", after, 0)
			identify("the value before", later, 0)
			identify("another signature", after[:len(after)-4]+"AAAA", fault.Unauthenticated)
			if err := signs.Safe.Delete(ctx, "shop", 0); err != nil {
				return err
			}
			unseen := session()
			verifies.Secrets.Expire()
			identify("nobody has the value", unseen, fault.Unavailable)
			return nil
		})
		return nil
	})
}
