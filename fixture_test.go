package carnet

import (
	"context"
	"encoding/json"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/carnetproject/carnet/internal/jose"
)

const (
	testIssuer   = "https://issuer.example"
	testAudience = "https://api.example"
)

// testNow is the time at which the fixtures' tokens are good.
var testNow = time.Unix(1_700_000_000, 0)

func atTestNow() time.Time { return testNow }

// goodClaims are an access token's, issued a minute ago and valid for 14 more.
const goodClaims = `{"iss":"https://issuer.example","sub":"user-4711","aud":"https://api.example",` +
	`"client_id":"web","scope":"orders:read orders:write","iat":1699999940,"exp":1700000840,"jti":"b2f1c0de"}`

var fixtures = sync.OnceValues(func() (map[string]map[string]string, error) {
	text, err := os.ReadFile("testdata/jose/keys/keys.json")
	if err != nil {
		return nil, err
	}
	var file struct{ Keys map[string]map[string]string }
	err = json.Unmarshal(text, &file)
	return file.Keys, err
})

// signingKey returns the fixture called name as a key for alg.
func signingKey(tb testing.TB, name, alg, kid string) *jose.Key {
	tb.Helper()
	all, err := fixtures()
	if err != nil {
		tb.Fatal(err)
	}
	members := map[string]string{}
	for k, v := range all[name] {
		members[k] = v
	}
	members["alg"], members["kid"] = alg, kid
	text, err := json.Marshal(members)
	if err != nil {
		tb.Fatal(err)
	}
	k, err := jose.ParseJWK(text)
	if err != nil {
		tb.Fatalf("%s: %v", name, err)
	}
	return k
}

// verifying is the half of k that verifies, as a key of this package.
func verifying(k *jose.Key) *Key {
	if p := k.Public(); p != nil {
		k = p
	}
	return &Key{key: k}
}

func mustStatic(tb testing.TB, keys ...*jose.Key) KeySource {
	tb.Helper()
	var list []*Key
	for _, k := range keys {
		list = append(list, verifying(k))
	}
	s, err := StaticKeys(list...)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

func mustVerifier(tb testing.TB, c VerifierConfig) *Verifier {
	tb.Helper()
	v, err := NewVerifier(c)
	if err != nil {
		tb.Fatal(err)
	}
	return v
}

func mustSign(tb testing.TB, k *jose.Key, typ, claims string) string {
	tb.Helper()
	token, err := k.Sign(typ, []byte(claims))
	if err != nil {
		tb.Fatal(err)
	}
	return token
}

// es256 is the fixture key that most tests sign with.
func es256(tb testing.TB) *jose.Key {
	tb.Helper()
	return signingKey(tb, "p256", "ES256", "es")
}

// claimsWith edits [goodClaims]: pairs of a name and its JSON text, which is "" to
// take the claim out.
func claimsWith(pairs ...string) string {
	var all map[string]json.RawMessage
	if err := json.Unmarshal([]byte(goodClaims), &all); err != nil {
		panic(err)
	}
	for i := 0; i < len(pairs); i += 2 {
		if delete(all, pairs[i]); pairs[i+1] != "" {
			all[pairs[i]] = json.RawMessage(pairs[i+1])
		}
	}
	var members []string
	for name, raw := range all {
		members = append(members, `"`+name+`":`+string(raw))
	}
	return "{" + strings.Join(members, ",") + "}"
}

// source is a key source that a test can change.
type source struct {
	mu         sync.Mutex
	keys       []*Key
	err        error
	generation uint64
	finds      int
}

func (s *source) Find(context.Context, Hint) ([]*Key, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.finds++
	if s.err == nil && len(s.keys) == 0 {
		return nil, ErrUnknownKey
	}
	return s.keys, s.err
}

func (s *source) Generation() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.generation
}

// replace puts other keys in the place of the old ones.
func (s *source) replace(keys ...*Key) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys = keys
	s.generation++
}

func (s *source) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.finds
}

// clock is a time that a test moves.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) Add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}
