package carnet

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// newIssuer serves metadata and keys. metadata gets the issuer's URL.
func newIssuer(t *testing.T, metadata func(issuer string) string) *remoteTest {
	t.Helper()
	rt := &remoteTest{clock: &clock{now: testNow}, first: es256(t), second: signingKey(t, "p256-other", "ES256", "es-other")}
	rt.server = newKeyServer(t)
	keys := document(t, rt.first)
	rt.server.answer(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/.well-known/openid-configuration":
			fmt.Fprint(w, metadata(rt.server.URL))
		case "/keys":
			_, _ = w.Write(keys)
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	})
	var err error
	if rt.remote, err = RemoteKeys(RemoteConfig{Issuer: rt.server.URL, Clock: rt.clock.Now}); err != nil {
		t.Fatal(err)
	}
	rt.Verifier = mustVerifier(t, VerifierConfig{
		Keys: rt.remote, Clock: rt.clock.Now, Policy: Policy{Issuer: rt.server.URL, AnyAudience: true, NoExpiry: true},
	})
	return rt
}

func metadata(issuer, jwksURI string) string {
	return fmt.Sprintf(`{"issuer":%q,"jwks_uri":%q,"claims_supported":["sub"]}`, issuer, jwksURI)
}

func TestDiscovery(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		metadata func(issuer string) string
		want     error
	}{
		"found":            {func(iss string) string { return metadata(iss, iss+"/keys") }, nil},
		"another issuer":   {func(iss string) string { return metadata("https://other.example", iss+"/keys") }, ErrKeysUnavailable},
		"with a slash":     {func(iss string) string { return metadata(iss+"/", iss+"/keys") }, ErrKeysUnavailable},
		"no issuer":        {func(iss string) string { return `{"jwks_uri":"` + iss + `/keys"}` }, ErrKeysUnavailable},
		"no keys":          {func(iss string) string { return `{"issuer":"` + iss + `"}` }, ErrKeysUnavailable},
		"issuer twice":     {func(iss string) string { return strings.Replace(metadata(iss, iss+"/keys"), "{", `{"issuer":"x",`, 1) }, ErrKeysUnavailable},
		"keys nowhere":     {func(iss string) string { return metadata(iss, "/keys") }, ErrKeysUnavailable},
		"keys in a file":   {func(iss string) string { return metadata(iss, "file:///etc/passwd") }, ErrKeysUnavailable},
		"keys in plain":    {func(iss string) string { return metadata(iss, "http://keys.example/") }, ErrKeysUnavailable},
		"keys that fail":   {func(iss string) string { return metadata(iss, iss+"/x") }, ErrKeysUnavailable},
		"not a document":   {func(string) string { return "<html>" }, ErrKeysUnavailable},
		"a list, no names": {func(string) string { return "[]" }, ErrKeysUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rt := newIssuer(t, tc.metadata)
			token := mustSign(t, rt.first, "", claimsWith("exp", "", "iss", `"`+rt.server.URL+`"`))
			if _, err := rt.Verify(t.Context(), token); !errors.Is(err, tc.want) {
				t.Errorf("Verify() error = %v, want %v", err, tc.want)
			}
		})
	}
}

// The metadata is read again with the keys, so that they may move.
func TestDiscoveryFollowsTheMetadata(t *testing.T) {
	t.Parallel()
	var moved atomic.Bool
	rt := newIssuer(t, func(iss string) string {
		if moved.Load() {
			return metadata(iss, iss+"/nowhere")
		}
		return metadata(iss, iss+"/keys")
	})
	token := mustSign(t, rt.first, "", claimsWith("exp", "", "iss", `"`+rt.server.URL+`"`))
	if _, err := rt.Verify(t.Context(), token); err != nil {
		t.Fatal(err)
	}
	moved.Store(true)
	rt.clock.Add(2 * time.Hour)
	if _, err := rt.Verify(t.Context(), token); !errors.Is(err, ErrKeysUnavailable) {
		t.Errorf("Verify() error = %v", err)
	}
}

func TestKeysOf(t *testing.T) {
	t.Parallel()
	const iss = "https://issuer.example"
	if from, err := keysOf(iss, []byte(metadata(iss, "https://keys.example/k"))); err != nil || from != "https://keys.example/k" {
		t.Errorf("keys of another host: %q, %v", from, err)
	}
	if from, err := keysOf(iss, []byte(metadata(iss, "http://127.0.0.1/k"))); err == nil {
		t.Errorf("an issuer on the network sends us to %q on this machine", from)
	}
}

func TestDiscoveryConfig(t *testing.T) {
	t.Parallel()
	for issuer, ok := range map[string]bool{
		"https://issuer.example":        true,
		"https://issuer.example/tenant": true,
		"http://127.0.0.1:8080":         true,
		"http://issuer.example":         false,
		"https://issuer.example?x":      false,
		"https://issuer.example?":       false,
		"https://issuer.example#x":      false,
		"https://a:b@issuer.example":    false,
		"mobilev2":                      false,
	} {
		if _, err := RemoteKeys(RemoteConfig{Issuer: issuer}); (err == nil) != ok {
			t.Errorf("RemoteKeys of %q: %v", issuer, err)
		}
	}
}

// FuzzKeysOf: what the metadata names is fetched, so it must be a URL that we would
// have taken from the configuration.
func FuzzKeysOf(f *testing.F) {
	f.Add(metadata("https://i.example", "https://i.example/keys"))
	f.Add(metadata("https://i.example", "http://127.0.0.1/"))
	f.Add(`{"issuer":"https://i.example","jwks_uri":"https://\u0000"}`)
	f.Fuzz(func(t *testing.T, doc string) {
		from, err := keysOf("https://i.example", []byte(doc))
		if err != nil {
			return
		}
		if u, err := remoteURL(from); err != nil || u.Scheme != "https" {
			t.Fatalf("%q leads to %q", doc, from)
		}
	})
}
