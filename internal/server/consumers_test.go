package server

import (
	"context"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/carnetproject/carnet/internal/consumer"
	"github.com/carnetproject/carnet/internal/jose"
	"github.com/carnetproject/carnet/internal/secret"
)

func legacyToken(t *testing.T, issuer, value string) string {
	t.Helper()
	k, err := jose.NewImportedSecretKey(jose.HS256, "", []byte(value))
	if err != nil {
		t.Fatal(err)
	}
	token, err := k.Sign("", fmt.Appendf(nil, `{"iss":%q}`, issuer))
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// TestStoredConsumers changes consumers by another process, as the command line is one,
// while a node serves them.
func TestStoredConsumers(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := load(t, dir, `
doors: [admit]
gateway:
  services:
  - name: echo
    url: internal://echo
    routes: [{name: all, paths: [/]}]
    plugins: {jwt: {}, acl: {allow: [device]}}
`)
	serve(t, c, func(serving *Core, base []string) {
		old, changed := legacyToken(t, "dev-1", "old"), legacyToken(t, "dev-1", "new")
		becomes := func(what, token string, want int) {
			t.Helper()
			waitFor(t, fmt.Sprint(want, " to ", what), func() bool { return get(t, base[0]+"/", token) == want })
		}
		becomes("unknown", old, http.StatusUnauthorized)
		run(t, c, func(ctx context.Context, other *Core) error {
			r := other.Consumers
			i, err := r.AddConsumer(ctx, consumer.Info{Username: "mobile_device"})
			if err != nil {
				return err
			}
			rec, err := r.AddCredential(ctx, consumer.Record{ConsumerID: i.ID, Key: "dev-1", Secret: secret.FromString("old")})
			if err != nil {
				return err
			}
			becomes("in no group", old, http.StatusForbidden)
			if _, err := r.AddGroup(ctx, i.ID, consumer.Group{Name: "device"}); err != nil {
				return err
			}
			becomes("in the group", old, http.StatusOK)
			_, err = r.EditCredential(ctx, rec.ID, func(r *consumer.Record) error { r.Secret = secret.FromString("new"); return nil })
			if err != nil {
				return err
			}
			becomes("old secret", old, http.StatusUnauthorized)
			becomes("new secret", changed, http.StatusOK)
			if _, err := r.Decommission(ctx, i.ID, time.Now()); err != nil {
				return err
			}
			becomes("decommissioned", changed, http.StatusUnauthorized)
			if _, err := r.Decommission(ctx, i.ID, time.Time{}); err != nil {
				return err
			}
			becomes("undone", changed, http.StatusOK)
			return r.DeleteConsumer(ctx, i.ID)
		})
		becomes("removed", changed, http.StatusUnauthorized)
	})
}

func TestUseIsSavedOnStop(t *testing.T) {
	t.Parallel()
	c := load(t, t.TempDir(), `
doors: [admit]
gateway:
  services: [{name: echo, url: "internal://echo", routes: [{name: all, paths: [/]}], plugins: {jwt: {}}}]
`)
	serve(t, c, func(core *Core, base []string) {
		ctx := t.Context()
		if _, err := core.Consumers.AddConsumer(ctx, consumer.Info{Username: "ann"}); err != nil {
			t.Fatal(err)
		}
		for _, key := range []string{"a", "b"} {
			if _, err := core.Consumers.AddCredential(ctx, consumer.Record{ConsumerID: "ann", Key: key, Secret: secret.FromString("s")}); err != nil {
				t.Fatal(err)
			}
			for range 3 {
				if got := get(t, base[0]+"/", legacyToken(t, key, "s")); got != http.StatusOK {
					t.Fatalf("answered %d", got)
				}
			}
		}
		get(t, base[0]+"/", legacyToken(t, "a", "x")) // refused: no use
	})
	run(t, c, func(ctx context.Context, core *Core) error {
		uses, err := core.Consumers.Uses(ctx, "ann")
		var requests int64
		var seen consumer.Sketch
		for _, u := range uses { // two, if it is midnight
			requests, seen = requests+u.Requests, seen.Merge(u.Seen)
		}
		if requests != 6 || seen.Count() != 2 {
			t.Errorf("%d requests of %d credentials are saved", requests, seen.Count())
		}
		return err
	})
}

func TestReserved(t *testing.T) {
	t.Parallel()
	c := load(t, t.TempDir(), `
keys: {mobile: {issuer_prefix: mobilev2, verification: forever}}
gateway:
  consumers:
  - {username: access, jwt_secrets: [{key_set: access}]}
  - {username: device, custom_id: "7", jwt_secrets: [{key: mobilev2, key_set: mobile}, {key: desk, key_set: mobile}]}
  plugins: {jwt: {issuer_prefixes: [desk]}}
`)
	got := reserved(c, &c.Gateway)
	want := consumer.Reserved{
		Consumers: map[string]bool{"access": true, "device": true}, CustomIDs: map[string]bool{"7": true},
		Keys: map[string]bool{"http://issuer.test": true, "mobilev2": true, "desk": true}, Prefixes: []string{"desk", "mobilev2"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("reserved (-want +got):\n%s", diff)
	}
}

// TestDataKeyOfCredentials has the master key lost that sealed nothing but credentials.
func TestDataKeyOfCredentials(t *testing.T) {
	t.Parallel()
	c := load(t, t.TempDir(), "")
	run(t, c, func(ctx context.Context, core *Core) error {
		if _, err := core.Consumers.AddConsumer(ctx, consumer.Info{Username: "ann"}); err != nil {
			return err
		}
		_, err := core.Consumers.AddCredential(ctx, consumer.Record{ConsumerID: "ann", Key: "k"})
		if err != nil {
			return err
		}
		used, err := whatIsSealed(ctx, core.store)
		if err == nil && !used.data {
			t.Error("the data key may be made anew, and what it sealed is lost")
		}
		return err
	})
}
