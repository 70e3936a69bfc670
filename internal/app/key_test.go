package app

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/carnetproject/carnet"
	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/jose"
)

func newKey(t *testing.T, alg jose.Algorithm, id string) *jose.Key {
	t.Helper()
	k, err := jose.Generate(alg, id)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func jwkOf(t *testing.T, k *jose.Key) string {
	t.Helper()
	text, err := k.Public().MarshalJWK()
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestNewKey(t *testing.T) {
	t.Parallel()
	k := newKey(t, jose.ES256, "k1")
	private, err := k.MarshalPrivateJWK()
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(k.Public().Crypto())
	if err != nil {
		t.Fatal(err)
	}
	inPEM := string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	shared, err := newKey(t, jose.HS256, "s").MarshalPrivateJWK()
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		alg      jose.Algorithm
		id, text string
		want     string // the ID; empty: refused
	}{
		"JWK":                 {"", "", jwkOf(t, k), "k1"},
		"JWK by another name": {"", "k2", jwkOf(t, k), "k2"},
		"private JWK":         {"", "", string(private), "k1"},
		"PEM":                 {jose.ES256, "k3", inPEM, "k3"},
		"PEM without a name":  {jose.ES256, "", inPEM, k.Thumbprint()},
		"PEM, no algorithm":   {"", "k", inPEM, ""},
		"PEM, another's":      {jose.RS256, "k", inPEM, ""},
		"a secret":            {"", "", string(shared), ""},
		"a key set":           {"", "", `{"keys":[]}`, ""},
		"nothing":             {"", "", "", ""},
		"too long":            {"", "", jwkOf(t, k) + strings.Repeat(" ", maxKeySize), ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := NewKey(tc.alg, tc.id, []byte(tc.text))
			if tc.want == "" {
				wantField(t, err, "key")
				return
			}
			if err != nil || got.ID != tc.want {
				t.Fatalf("NewKey() = %+v, %v", got, err)
			}
			back, err := jose.ParseJWK([]byte(got.JWK))
			if err != nil || back.CanSign() || back.ID() != tc.want || back.Thumbprint() != k.Thumbprint() {
				t.Errorf("it is kept as %s, %v", got.JWK, err)
			}
		})
	}
}

func TestAddAndRemoveKeys(t *testing.T) {
	t.Parallel()
	f := open(t)
	a, _ := f.add(t, Registration{})
	public, _ := f.add(t, Registration{Public: true})
	one, err := NewKey("", "", []byte(jwkOf(t, newKey(t, jose.EdDSA, "k1"))))
	if err != nil {
		t.Fatal(err)
	}
	added, err := f.AddKey(t.Context(), a.ID, one)
	if err != nil || !added.NotBefore.Equal(noon) {
		t.Fatalf("AddKey() = %+v, %v", added, err)
	}
	for name, tc := range map[string]struct {
		app  ID
		key  Key
		kind fault.Kind
	}{
		"again":               {a.ID, one, fault.Conflict},
		"to a public app":     {public.ID, one, fault.Conflict},
		"to nobody":           {"app_x", one, fault.NotFound},
		"neither key nor URL": {a.ID, Key{ID: "x"}, fault.Invalid},
		"both":                {a.ID, Key{JWK: one.JWK, URL: "https://a.example/"}, fault.Invalid},
		"ended":               {a.ID, Key{ID: "k2", JWK: one.JWK, NotAfter: noon}, fault.Invalid},
		"ends before it is":   {a.ID, Key{ID: "k2", JWK: one.JWK, NotBefore: noon.Add(2), NotAfter: noon.Add(1)}, fault.Invalid},
		"plain URL":           {a.ID, Key{URL: "http://a.example/jwks"}, fault.Invalid},
		"no URL":              {a.ID, Key{URL: "jwks.json"}, fault.Invalid},
		"URL with a user":     {a.ID, Key{URL: "https://u:p@a.example/jwks"}, fault.Invalid},
	} {
		if _, err := f.AddKey(t.Context(), tc.app, tc.key); fault.KindOf(err) != tc.kind {
			t.Errorf("%s: error = %v, want kind %v", name, err, tc.kind)
		}
	}
	for _, id := range []string{"2", "3", "4", "5", "6", "7", "8"} {
		if _, err := f.AddKey(t.Context(), a.ID, Key{ID: id, JWK: one.JWK, NotAfter: noon.Add(time.Hour)}); err != nil {
			t.Fatal(err)
		}
	}
	remote := Key{URL: "https://a.example/jwks"}
	if _, err := f.AddKey(t.Context(), a.ID, remote); fault.KindOf(err) != fault.Conflict {
		t.Errorf("a ninth key: %v", err)
	}
	f.now = noon.Add(time.Hour) // those that have ended make room
	if got, err := f.AddKey(t.Context(), a.ID, remote); err != nil || got.ID != remote.URL {
		t.Errorf("AddKey() = %+v, %v", got, err)
	}
	if err := f.RemoveKey(t.Context(), a.ID, "k1"); err != nil {
		t.Error(err)
	}
	if err := f.RemoveKey(t.Context(), a.ID, "k1"); fault.KindOf(err) != fault.NotFound {
		t.Errorf("removed twice: %v", err)
	}
	left, _ := f.Find(a.ID)
	if diff := cmp.Diff([]Key{{ID: remote.URL, URL: remote.URL, NotBefore: f.now}}, left.Keys); diff != "" {
		t.Errorf("keys (-want +got):\n%s", diff)
	}
}

func TestKeySource(t *testing.T) {
	t.Parallel()
	f := open(t)
	a, _ := f.add(t, Registration{})
	other, _ := f.add(t, Registration{})
	good, later, wrong := newKey(t, jose.ES256, "good"), newKey(t, jose.ES256, "later"), newKey(t, jose.EdDSA, "ed")
	for _, k := range []Key{
		{ID: "good", JWK: jwkOf(t, good), NotAfter: noon.Add(2 * time.Hour)},
		{ID: "later", JWK: jwkOf(t, later), NotBefore: noon.Add(time.Hour)},
		{ID: "ed", JWK: jwkOf(t, wrong)},
	} {
		if _, err := f.AddKey(t.Context(), a.ID, k); err != nil {
			t.Fatal(err)
		}
	}
	off, _ := f.add(t, Registration{})
	if _, err := f.AddKey(t.Context(), off.ID, Key{ID: "good", JWK: jwkOf(t, good)}); err != nil {
		t.Fatal(err)
	}
	if err := f.Disable(t.Context(), off.ID); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name  string
		after time.Duration
		hint  carnet.Hint
		want  string
	}{
		{"by kid", 0, carnet.Hint{Issuer: string(a.ID), KeyID: "good", Algorithm: "ES256"}, "good"},
		{"by algorithm", 0, carnet.Hint{Issuer: string(a.ID), Algorithm: "EdDSA"}, "ed"},
		{"not yet", 0, carnet.Hint{Issuer: string(a.ID), KeyID: "later", Algorithm: "ES256"}, ""},
		{"both are good", time.Hour, carnet.Hint{Issuer: string(a.ID), Algorithm: "ES256"}, "good later"},
		{"the first has ended", 2 * time.Hour, carnet.Hint{Issuer: string(a.ID), Algorithm: "ES256"}, "later"},
		{"another algorithm", 0, carnet.Hint{Issuer: string(a.ID), KeyID: "good", Algorithm: "RS256"}, ""},
		{"another app's", 0, carnet.Hint{Issuer: string(other.ID), KeyID: "good", Algorithm: "ES256"}, ""},
		{"a disabled app's", 0, carnet.Hint{Issuer: string(off.ID), KeyID: "good", Algorithm: "ES256"}, ""},
		{"nobody's", 0, carnet.Hint{Issuer: "app_x", Algorithm: "ES256"}, ""},
	} {
		f.now = noon.Add(tc.after)
		found, err := f.Keys().Find(t.Context(), tc.hint)
		var ids []string
		for _, k := range found {
			ids = append(ids, k.ID())
		}
		if strings.Join(ids, " ") != tc.want || (tc.want == "") != errors.Is(err, carnet.ErrUnknownKey) {
			t.Errorf("%s: %v, %v; want %s", tc.name, ids, err, tc.want)
		}
	}
}

// TestPublishedKeys fetches an app's keys from where it says they are.
func TestPublishedKeys(t *testing.T) {
	t.Parallel()
	f := open(t)
	k := newKey(t, jose.ES256, "k1")
	var asked, down atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		if down.Load() > 0 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		_, _ = w.Write([]byte(`{"keys":[` + jwkOf(t, k) + `]}`))
	}))
	defer server.Close()
	var host string
	f.fetch = func(h string) *http.Client { host = h; return server.Client() }
	a, _ := f.add(t, Registration{})
	if _, err := f.AddKey(t.Context(), a.ID, Key{URL: server.URL + "/jwks.json"}); err != nil {
		t.Fatal(err)
	}
	ask := func(kid string) error {
		found, err := f.Keys().Find(t.Context(), carnet.Hint{Issuer: string(a.ID), KeyID: kid, Algorithm: "ES256"})
		if err == nil && (len(found) != 1 || found[0].ID() != kid) {
			t.Errorf("found %v", found)
		}
		return err
	}
	down.Store(1)
	if err := ask("k1"); !errors.Is(err, carnet.ErrKeysUnavailable) {
		t.Errorf("while it is down: %v", err)
	}
	down.Store(0)
	f.now = f.now.Add(time.Minute)
	for range 3 {
		if err := ask("k1"); err != nil {
			t.Fatal(err)
		}
	}
	for range 3 { // an unknown kid asks once, and then not for a while
		if err := ask("k2"); !errors.Is(err, carnet.ErrUnknownKey) {
			t.Errorf("unknown kid: %v", err)
		}
	}
	if n := asked.Load(); n != 2 || host != "127.0.0.1" {
		t.Errorf("asked %q %d times, want 2", host, n)
	}
	if err := f.Set(t.Context(), a.ID, func(r *Registration) { r.Name = "renamed" }); err != nil {
		t.Fatal(err)
	}
	if err := ask("k1"); err != nil || asked.Load() != 2 {
		t.Errorf("after a change of the app: %v, asked %d times", err, asked.Load())
	}
	if err := f.RemoveKey(t.Context(), a.ID, server.URL+"/jwks.json"); err != nil {
		t.Fatal(err)
	}
	if err := ask("k1"); !errors.Is(err, carnet.ErrUnknownKey) {
		t.Errorf("after the URL was removed: %v", err)
	}
	if _, err := f.AddKey(t.Context(), a.ID, Key{URL: server.URL + "/other"}); err != nil {
		t.Fatal(err)
	}
	if err := ask("k1"); err != nil || len(f.keys.remote) != 1 {
		t.Errorf("at another URL: %v; %d places are remembered", err, len(f.keys.remote))
	}
}
