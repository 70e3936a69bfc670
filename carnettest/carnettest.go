// Package carnettest is a throw-away issuer for tests of services that package
// carnet protects. It signs real tokens with a real key over a real HTTP server;
// nothing of the verifier is switched off.
package carnettest

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/carnetproject/carnet"
	"github.com/carnetproject/carnet/internal/jose"
)

// Audience is the aud of the tokens that [Issuer.AccessToken] makes.
const Audience = "https://api.test"

// Issuer is a token issuer that lives as long as its test. Safe for concurrent use.
type Issuer struct {
	// URL is the iss of its tokens. The keys are at URL + "/.well-known/jwks.json",
	// introspection, for any client that shows credentials, at URL + "/oauth2/introspect".
	URL string

	tb testing.TB
	mu sync.Mutex
	// keys are all that the JWKS document shows; the last one signs.
	keys    []*jose.Key
	revoked map[string]bool
	next    int // of the next jti
}

// NewIssuer starts an issuer with one ES256 key. It stops with the test.
func NewIssuer(tb testing.TB) *Issuer {
	tb.Helper()
	i := &Issuer{tb: tb, revoked: map[string]bool{}}
	i.Rotate()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/jwks.json", i.jwks)
	mux.HandleFunc("POST /oauth2/introspect", i.introspect)
	server := httptest.NewServer(mux)
	tb.Cleanup(server.Close)
	i.URL = server.URL
	return i
}

// Rotate makes a new signing key. Tokens of the older ones stay valid.
func (i *Issuer) Rotate() {
	i.tb.Helper()
	k, err := jose.Generate(jose.ES256, "")
	if err != nil {
		i.tb.Fatalf("make key: %v", err)
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.keys = append(i.keys, k)
}

// Revoke takes all keys but the signing one out of the JWKS document.
func (i *Issuer) Revoke() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.keys = i.keys[len(i.keys)-1:]
}

// RevokeToken takes one token back: introspection answers that it is not active.
func (i *Issuer) RevokeToken(token string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.revoked[token] = true
}

// Keys returns a key source with the present keys that needs no HTTP.
func (i *Issuer) Keys() carnet.KeySource {
	i.tb.Helper()
	source, err := carnet.ParseJWKS(i.document())
	if err != nil {
		i.tb.Fatalf("read own keys: %v", err)
	}
	return source
}

// Verifier returns a verifier of this issuer's access tokens for [Audience].
func (i *Issuer) Verifier() *carnet.Verifier {
	i.tb.Helper()
	v, err := carnet.NewVerifier(carnet.VerifierConfig{
		Keys: i.Keys(), Policy: carnet.AccessTokens(i.URL, Audience),
	})
	if err != nil {
		i.tb.Fatalf("make verifier: %v", err)
	}
	return v
}

// AccessToken returns a good RFC 9068 access token for subject, with scope (names
// separated by blanks, may be empty), valid for five minutes.
func (i *Issuer) AccessToken(subject, scope string) string {
	i.tb.Helper()
	claims := map[string]any{"sub": subject}
	if scope != "" {
		claims["scope"] = scope
	}
	return i.Token("at+jwt", claims)
}

// Token signs claims under the header type typ. The claims are laid over those of a
// good access token; a nil value takes one out.
func (i *Issuer) Token(typ string, claims map[string]any) string {
	i.tb.Helper()
	i.mu.Lock()
	key := i.keys[len(i.keys)-1]
	i.next++
	id := i.next
	i.mu.Unlock()
	now := time.Now().Unix()
	all := map[string]any{
		"iss": i.URL, "aud": Audience, "sub": "test", "client_id": "test",
		"iat": now, "exp": now + 300, "jti": fmt.Sprint(id),
	}
	maps.Copy(all, claims)
	maps.DeleteFunc(all, func(_ string, v any) bool { return v == nil })
	payload, err := json.Marshal(all)
	if err != nil {
		i.tb.Fatalf("write claims: %v", err)
	}
	token, err := key.Sign(typ, payload)
	if err != nil {
		i.tb.Fatalf("sign: %v", err)
	}
	return token
}

func (i *Issuer) document() []byte {
	i.tb.Helper()
	i.mu.Lock()
	defer i.mu.Unlock()
	public := make([]*jose.Key, len(i.keys))
	for n, k := range i.keys {
		public[n] = k.Public()
	}
	set, err := jose.NewSet(public...)
	if err != nil {
		i.tb.Fatalf("write keys: %v", err)
	}
	text, err := set.MarshalJSON()
	if err != nil {
		i.tb.Fatalf("write keys: %v", err)
	}
	return text
}

func (i *Issuer) jwks(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/jwk-set+json")
	_, _ = w.Write(i.document())
}

// introspect answers as RFC 7662 §2.2 has it.
func (i *Issuer) introspect(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	if _, _, ok := r.BasicAuth(); !ok {
		w.Header().Set("WWW-Authenticate", "Basic")
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	token := r.PostFormValue("token")
	i.mu.Lock()
	revoked := i.revoked[token]
	i.mu.Unlock()
	t, err := i.Verifier().Verify(r.Context(), token)
	if err != nil || revoked {
		_, _ = w.Write([]byte(`{"active":false}`))
		return
	}
	_, _ = w.Write(append([]byte(`{"active":true,`), t.Claims()[1:]...))
}
