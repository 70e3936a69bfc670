package secretstore

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/seal"
	"github.com/carnetproject/carnet/internal/secret"
	"github.com/carnetproject/carnet/internal/store/sqlite"
)

func newBox(t *testing.T, fill byte) *seal.Box {
	t.Helper()
	key := make([]byte, seal.KeySize)
	for i := range key {
		key[i] = fill
	}
	box, err := seal.NewBox(secret.New(key))
	if err != nil {
		t.Fatal(err)
	}
	return box
}

// newStore is a store that takes writes until the test ends.
func newStore(t *testing.T) *sqlite.Store {
	t.Helper()
	s, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "carnet.db"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// resolve returns the text of a ref, or of the error.
func resolve(t *testing.T, r *Resolver, ref string) string {
	t.Helper()
	got, err := r.Resolve(t.Context(), ref)
	if err != nil {
		return "error: " + err.Error()
	}
	return string(got.Reveal())
}

func TestSafe(t *testing.T) {
	t.Parallel()
	now := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	store := newStore(t)
	safe := NewSafe("acme", store, newBox(t, 1), func() time.Time { return now })
	r := newResolver(t, Config{Organization: "acme", Providers: []string{Env, Builtin}, Safe: safe})
	put := func(name, typ, value, srn string) {
		t.Helper()
		n, err := safe.Put(t.Context(), name, typ, secret.FromString(value))
		if err != nil || n.String() != srn {
			t.Errorf("Put(%s) = %v, %v, want %s", name, n, err, srn)
		}
		r.StoreChanged()
	}
	put("API-Key", secret.Plain, "one\n", "srn:vault::acme:secret:api-key/1")
	put("api-key", secret.Plain, "two", "srn:vault::acme:secret:api-key/2")
	put("login", secret.Document, `{"user":"ann"}`, "srn:vault::acme:secretdoc:login/1")
	for ref, want := range map[string]string{
		"srn:vault::acme:secret:api-key":        "two",
		"srn:vault::acme:secret:API-KEY/2":      "two",
		"srn:vault::acme:secret:api-key/1":      "one",
		"srn:vault::acme:secret:api-key/3":      "error: srn:vault::acme:secret:api-key/3 is neither in the environment as CARNET_SECRET_ACME__API_KEY nor in the built-in vault",
		"srn:vault::acme:secretdoc:login#/user": "ann",
		"srn:vault::acme:secret:login":          "error: srn:vault::acme:secret:login is a secretdoc in the built-in vault",
	} {
		if got := resolve(t, r, ref); got != want {
			t.Errorf("%s: %q, want %q", ref, got, want)
		}
	}
	if got, err := r.Find(t.Context(), "srn:vault::acme:secret:api-key"); err != nil || got.Version != "2" || got.Provider != Builtin {
		t.Errorf("Find() = %+v, %v", got, err)
	}
	for ref, want := range map[string]string{
		"srn:vault::acme:secret:API-key":        "2",
		"srn:vault::acme:secret:api-key/1":      "1",
		"srn:vault::acme:secret:api-key/3":      "", // there is none
		"srn:vault::acme:secretdoc:login#/user": "1",
		"srn:vault::acme:secret:unasked":        "",
		"api-key":                               "",
	} {
		if got := r.Version(ref); got != want {
			t.Errorf("Version(%s) = %q, want %q", ref, got, want)
		}
	}
	put("login", secret.Document, `{"user":"bob"}`, "srn:vault::acme:secretdoc:login/2")
	if got := r.Version("srn:vault::acme:secretdoc:login"); got != "1" {
		t.Errorf("Version() = %q before the next look", got)
	}
	if resolve(t, r, "srn:vault::acme:secretdoc:login"); r.Version("srn:vault::acme:secretdoc:login") != "2" {
		t.Error("Version() is not that of the last look")
	}
	all, err := safe.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]secret.Sealed{
		{Organization: "acme", Type: secret.Plain, Name: "api-key", Version: 2, Created: now},
		{Organization: "acme", Type: secret.Plain, Name: "api-key", Version: 1, Created: now},
		{Organization: "acme", Type: secret.Document, Name: "login", Version: 2, Created: now},
		{Organization: "acme", Type: secret.Document, Name: "login", Version: 1, Created: now},
	}, all); diff != "" {
		t.Errorf("List() (-want +got):\n%s", diff)
	}
	if err := safe.Delete(t.Context(), "API-key", 2); err != nil {
		t.Fatal(err)
	}
	r.StoreChanged()
	if got := resolve(t, r, "srn:vault::acme:secret:api-key"); got != "one" {
		t.Errorf("after the latest was deleted: %q", got)
	}
	if err := safe.Delete(t.Context(), "api-key", 0); err != nil {
		t.Fatal(err)
	}
	r.StoreChanged()
	if got := resolve(t, r, "srn:vault::acme:secret:api-key"); !strings.Contains(got, "nor in the built-in vault") {
		t.Errorf("after all were deleted: %q", got)
	}
	if err := safe.Delete(t.Context(), "api-key", 0); fault.KindOf(err) != fault.NotFound {
		t.Errorf("Delete() again = %v", err)
	}
}

func TestSafeRefuses(t *testing.T) {
	t.Parallel()
	safe := NewSafe("acme", newStore(t), newBox(t, 1), nil)
	if _, err := safe.Put(t.Context(), "taken", secret.Plain, secret.FromString("x")); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		name, typ, value string
		field            string
		kind             fault.Kind
	}{
		"no name":       {"", secret.Plain, "s3cret", "name", fault.Invalid},
		"name with /":   {"a/1", secret.Plain, "s3cret", "name", fault.Invalid},
		"name with :":   {"a:1", secret.Plain, "s3cret", "name", fault.Invalid},
		"name with |":   {"a|secret|b", secret.Plain, "s3cret", "name", fault.Invalid},
		"no type":       {"a", "", "s3cret", "type", fault.Invalid},
		"other type":    {"a", "password", "s3cret", "type", fault.Invalid},
		"empty":         {"a", secret.Plain, "\n", "value", fault.Invalid},
		"no document":   {"a", secret.Document, "s3cret", "value", fault.Invalid},
		"taken by type": {"taken", secret.Document, `{"a":"s3cret"}`, "", fault.Conflict},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := safe.Put(t.Context(), tc.name, tc.typ, secret.FromString(tc.value))
			if p := fault.Public(err); p.Kind != tc.kind || p.Field != tc.field || strings.Contains(err.Error(), "s3cret") {
				t.Errorf("Put() error = %v, want %v about %q", err, tc.kind, tc.field)
			}
		})
	}
}

// A value opens in its own place alone, and under its own master key.
func TestSafeBindsValues(t *testing.T) {
	t.Parallel()
	store := newStore(t)
	safe := NewSafe("acme", store, newBox(t, 1), nil)
	for _, name := range []string{"a", "a", "b"} {
		if _, err := safe.Put(t.Context(), name, secret.Plain, secret.FromString("s3cret of "+name)); err != nil {
			t.Fatal(err)
		}
	}
	row, err := store.Secret(t.Context(), "acme", "a", 1)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(row.Value), "s3cret") {
		t.Error("the store holds the value itself")
	}
	for name, tc := range map[string]struct {
		box  *seal.Box
		edit func(*secret.Sealed)
		ref  string
	}{
		"as it is":           {newBox(t, 1), func(*secret.Sealed) {}, "srn:vault::acme:secret:a/1"},
		"other master key":   {newBox(t, 2), func(*secret.Sealed) {}, "srn:vault::acme:secret:a/1"},
		"as a newer one":     {newBox(t, 1), func(s *secret.Sealed) { s.Version = 2 }, "srn:vault::acme:secret:a/2"},
		"as another name":    {newBox(t, 1), func(*secret.Sealed) {}, "srn:vault::acme:secret:b/1"},
		"as another type":    {newBox(t, 1), func(s *secret.Sealed) { s.Type = secret.Document }, "srn:vault::acme:secretdoc:a/1"},
		"damaged":            {newBox(t, 1), func(s *secret.Sealed) { s.Value = append([]byte{}, s.Value...); s.Value[20] ^= 1 }, "srn:vault::acme:secret:a/1"},
		"empty":              {newBox(t, 1), func(s *secret.Sealed) { s.Value = nil }, "srn:vault::acme:secret:a/1"},
		"other organization": {newBox(t, 1), func(*secret.Sealed) {}, "srn:vault::other:secret:a/1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			moved := row
			tc.edit(&moved)
			n, err := secret.ParseRef(tc.ref)
			if err != nil {
				t.Fatal(err)
			}
			s := NewSafe(n.Organization, oneRow{moved}, tc.box, nil)
			v, found, err := s.find(t.Context(), n.SRN)
			if name == "as it is" {
				if err != nil || string(v.text) != "s3cret of a" {
					t.Errorf("find() = %q, %v", v.text, err)
				}
				return
			}
			if found || fault.KindOf(err) != fault.Unavailable || v.text != nil {
				t.Errorf("find() = %q, %v, want it not to open", v.text, err)
			}
		})
	}
}

// oneRow is a store that answers everything with one row.
type oneRow struct{ row secret.Sealed }

func (o oneRow) AddSecret(context.Context, secret.Sealed, func(int64) ([]byte, error)) (int64, error) {
	return 0, nil
}

func (o oneRow) Secret(context.Context, string, string, int64) (secret.Sealed, error) {
	return o.row, nil
}

func (o oneRow) Secrets(context.Context, string) ([]secret.Sealed, error) { return nil, nil }

func (o oneRow) DeleteSecret(context.Context, string, string, int64) error { return nil }
