package jose

import (
	"encoding/json"
	"os"
	"sync"
	"testing"
)

// fixtures are the throw-away keys of testdata, members by name.
var fixtures = sync.OnceValues(func() (map[string]map[string]string, error) {
	text, err := os.ReadFile("../../testdata/jose/keys/keys.json")
	if err != nil {
		return nil, err
	}
	var file struct{ Keys map[string]map[string]string }
	err = json.Unmarshal(text, &file)
	return file.Keys, err
})

// members returns a copy of the fixture called name with edits laid over it; an
// empty edit takes a member out.
func members(tb testing.TB, name string, edits ...map[string]string) map[string]string {
	tb.Helper()
	all, err := fixtures()
	if err != nil {
		tb.Fatal(err)
	}
	if all[name] == nil {
		tb.Fatalf("no fixture %q", name)
	}
	m := map[string]string{}
	for _, layer := range append([]map[string]string{all[name]}, edits...) {
		for k, v := range layer {
			if m[k] = v; v == "" {
				delete(m, k)
			}
		}
	}
	return m
}

func text(tb testing.TB, v any) []byte {
	tb.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// fixtureOf names the fixture that serves an algorithm.
func fixtureOf(alg Algorithm) string {
	switch s := alg.scheme(); s.family {
	case pkcs1, pss:
		return "rsa"
	case ecdsaRS:
		return map[string]string{"P-256": "p256", "P-384": "p384", "P-521": "p521"}[s.curve]
	case ed25519Family:
		return "ed25519"
	default:
		return "secret"
	}
}

// keyFor returns the private fixture key of an algorithm.
func keyFor(tb testing.TB, alg Algorithm) *Key {
	tb.Helper()
	return mustKey(tb, members(tb, fixtureOf(alg), map[string]string{"alg": string(alg), "kid": "k-" + string(alg)}))
}

func mustKey(tb testing.TB, jwk any) *Key {
	tb.Helper()
	k, err := ParseJWK(text(tb, jwk))
	if err != nil {
		tb.Fatal(err)
	}
	return k
}

// claims is a payload of the size and shape of an access token's.
const claims = `{"iss":"https://issuer.example","sub":"user-4711","aud":"https://api.example",` +
	`"client_id":"web","scope":"orders:read orders:write","iat":1700000000,"exp":1700000900,"jti":"b2f1c0de"}`

func mustSign(tb testing.TB, k *Key, payload string) string {
	tb.Helper()
	token, err := k.Sign("at+jwt", []byte(payload))
	if err != nil {
		tb.Fatal(err)
	}
	return token
}
