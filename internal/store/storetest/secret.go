package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/secret"
)

// Secrets is what a store does for the built-in vault.
type Secrets interface {
	AddSecret(ctx context.Context, s secret.Sealed, seal func(version int64) ([]byte, error)) (version int64, err error)
	Secret(ctx context.Context, organization, name string, version int64) (secret.Sealed, error)
	Secrets(ctx context.Context, organization string) ([]secret.Sealed, error)
	DeleteSecret(ctx context.Context, organization, name string, version int64) error
	HasSecrets(ctx context.Context) (bool, error)
}

func secretTests() map[string]func(*testing.T, Opener) {
	return map[string]func(*testing.T, Opener){
		"secrets keep all that they are":         testSecretRoundTrip,
		"a secret's name has one type":           testSecretType,
		"a secret that cannot be sealed is none": testSecretNotSealed,
		"a version is used once":                 testSecretVersions,
		"of many versions none is lost":          testSecretRace,
	}
}

// putSecret seals a value as the version and itself.
func putSecret(t *testing.T, s Store, organization, name, value string) secret.Sealed {
	t.Helper()
	row := secret.Sealed{Organization: organization, Type: "secret", Name: name, Created: epoch}
	version, err := s.AddSecret(t.Context(), row, func(version int64) ([]byte, error) {
		row.Value = fmt.Appendf(nil, "%d %s\x00\xff", version, value)
		return row.Value, nil
	})
	must(t, err)
	row.Version = version
	return row
}

func testSecretRoundTrip(t *testing.T, open Opener) {
	s, ctx := open(t), t.Context()
	there, err := s.HasSecrets(ctx)
	must(t, err)
	wantEqual(t, "has secrets at first", there, false)
	before, err := s.Version(ctx)
	must(t, err)
	b1, b2 := putSecret(t, s, "acme", "b", "one"), putSecret(t, s, "acme", "b", "two")
	a1, other := putSecret(t, s, "acme", "a", "x"), putSecret(t, s, "other", "b", "not acme's")
	wantEqual(t, "versions", []int64{b1.Version, b2.Version, a1.Version, other.Version}, []int64{1, 2, 1, 1})
	after, err := s.Version(ctx)
	must(t, err)
	if after < before+4 {
		t.Errorf("the version went from %d to %d: other nodes do not notice", before, after)
	}
	for _, want := range []secret.Sealed{b1, b2, a1, other} {
		got, err := s.Secret(ctx, want.Organization, want.Name, want.Version)
		must(t, err)
		wantEqual(t, "secret", got, want)
	}
	latest, err := s.Secret(ctx, "acme", "b", 0)
	must(t, err)
	wantEqual(t, "the latest", latest, b2)
	for _, n := range []struct {
		organization, name string
		version            int64
	}{{"acme", "b", 3}, {"acme", "c", 0}, {"nobody", "b", 1}, {"other", "b", 2}, {"acme", "B", 0}} {
		_, err := s.Secret(ctx, n.organization, n.name, n.version)
		wantKind(t, err, fault.NotFound)
	}
	a1.Value, b1.Value, b2.Value = nil, nil, nil
	all, err := s.Secrets(ctx, "acme")
	must(t, err)
	wantEqual(t, "all without values", all, []secret.Sealed{a1, b2, b1})
	there, err = s.HasSecrets(ctx)
	must(t, err)
	wantEqual(t, "has secrets", there, true)
}

func testSecretType(t *testing.T, open Opener) {
	s, ctx := open(t), t.Context()
	putSecret(t, s, "acme", "a", "x")
	never := func(int64) ([]byte, error) { return nil, errors.New("sealed in vain") }
	_, err := s.AddSecret(ctx, secret.Sealed{Organization: "acme", Type: "secretdoc", Name: "a"}, never)
	wantKind(t, err, fault.Conflict)
	must(t, s.DeleteSecret(ctx, "acme", "a", 0))
	_, err = s.AddSecret(ctx, secret.Sealed{Organization: "acme", Type: "secretdoc", Name: "a", Created: epoch},
		func(int64) ([]byte, error) { return []byte("y"), nil })
	must(t, err)
	got, err := s.Secret(ctx, "acme", "a", 0)
	must(t, err)
	wantEqual(t, "type", got.Type, "secretdoc")
}

func testSecretNotSealed(t *testing.T, open Opener) {
	s, ctx := open(t), t.Context()
	no := fault.New(fault.Denied, "no")
	_, err := s.AddSecret(ctx, secret.Sealed{Organization: "acme", Type: "secret", Name: "a", Created: epoch},
		func(int64) ([]byte, error) { return nil, no })
	wantKind(t, err, fault.Denied)
	there, err := s.HasSecrets(ctx)
	must(t, err)
	wantEqual(t, "has secrets", there, false)
}

func testSecretVersions(t *testing.T, open Opener) {
	s, ctx := open(t), t.Context()
	for range 3 {
		putSecret(t, s, "acme", "a", "x")
	}
	before, err := s.Version(ctx)
	must(t, err)
	must(t, s.DeleteSecret(ctx, "acme", "a", 3))
	after, err := s.Version(ctx)
	must(t, err)
	if after <= before {
		t.Errorf("the version went from %d to %d: other nodes do not notice", before, after)
	}
	latest, err := s.Secret(ctx, "acme", "a", 0)
	must(t, err)
	wantEqual(t, "the latest", latest.Version, 2)
	wantEqual(t, "the next", putSecret(t, s, "acme", "a", "y").Version, 4)
	wantKind(t, s.DeleteSecret(ctx, "acme", "a", 3), fault.NotFound)
	wantKind(t, s.DeleteSecret(ctx, "acme", "b", 0), fault.NotFound)
	wantKind(t, s.DeleteSecret(ctx, "other", "a", 0), fault.NotFound)
	for _, version := range []int64{1, 2, 4} { // with the last one goes the name
		must(t, s.DeleteSecret(ctx, "acme", "a", version))
	}
	there, err := s.HasSecrets(ctx)
	must(t, err)
	wantEqual(t, "has secrets", there, false)
	wantEqual(t, "the first of a new name", putSecret(t, s, "acme", "a", "z").Version, 1)
}

func testSecretRace(t *testing.T, open Opener) {
	s, ctx := open(t), t.Context()
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			row := secret.Sealed{Organization: "acme", Type: "secret", Name: "a", Created: epoch.Add(time.Duration(i) * time.Second)}
			if _, err := s.AddSecret(ctx, row, func(int64) ([]byte, error) { return []byte{byte(i)}, nil }); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	all, err := s.Secrets(ctx, "acme")
	must(t, err)
	if len(all) != 50 || all[0].Version != 50 || all[49].Version != 1 {
		t.Errorf("%d versions, want 50 to 1", len(all))
	}
}
