package seal_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"

	gojose "github.com/go-jose/go-jose/v4"

	"github.com/carnetproject/carnet/internal/seal"
	"github.com/carnetproject/carnet/internal/secret"
)

// vector is a JWE of an RFC, with the key that it is sealed to.
type vector struct {
	Input struct {
		Plaintext string
		Key       json.RawMessage
	}
	Output struct {
		Compact string
		JSON    json.RawMessage
		Flat    json.RawMessage `json:"json_flat"`
	}
}

func vectorOf(t *testing.T, file string) (v vector) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	nested := struct{ Encrypt *vector }{&v}
	if err := errors.Join(json.Unmarshal(text, &v), json.Unmarshal(text, &nested)); err != nil {
		t.Fatal(err)
	}
	return v
}

// TestVectors opens the JWEs of RFC 7516 and RFC 7520 that are of a suite of ours, or of
// those that [seal.Nested] takes, and refuses all others to their own keys.
func TestVectors(t *testing.T) {
	t.Parallel()
	const dir = "../../testdata/jose/"
	files, err := filepath.Glob(dir + "cookbook/jwe/*.json")
	if err != nil {
		t.Fatal(err)
	}
	files = append(files, dir+"rfc7516.json", dir+"cookbook/6.nesting_signatures_and_encryption.json", dir+"cookbook/curve25519/ecdh-es.json")
	who := map[string]string{ // opens it
		"rfc7516.json": "nested", // Appendix A.1
		"5_2.key_encryption_using_rsa-oaep_with_aes-gcm.json":         "nested",
		"5_5.key_agreement_using_ecdh-es_with_aes-cbc-hmac-sha2.json": "ECDH-ES A128CBC-HS256",
		"6.nesting_signatures_and_encryption.json":                    "nested",
	}
	if len(files) != 13+3 {
		t.Errorf("%d vectors, want those of RFC 7520 §5.1 to §5.13 and three more", len(files))
	}
	for _, file := range files {
		name := filepath.Base(file)
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := vectorOf(t, file)
			opened := ""
			for by, open := range openersOf(t, v.Input.Key) {
				for _, sealed := range []string{string(v.Output.JSON), string(v.Output.Flat)} {
					if _, err := open(sealed); !errors.Is(err, seal.ErrOpen) {
						t.Errorf("%s: JSON serialization: error = %v, want %v", by, err, seal.ErrOpen)
					}
				}
				plain, err := open(v.Output.Compact)
				switch {
				case err == nil && string(plain) == v.Input.Plaintext && opened == "":
					opened = by
				case !errors.Is(err, seal.ErrOpen):
					t.Errorf("%s: %q, %v", by, plain, err)
				}
			}
			if opened != who[name] {
				t.Errorf("opened by %q, want %q", opened, who[name])
			}
		})
	}
}

// openersOf are all that take a key, by their suites. Where it takes none they have keys
// of their own.
func openersOf(t *testing.T, jwk json.RawMessage) map[string]func(string) ([]byte, error) {
	t.Helper()
	key := any(secret.New(rawKey(1)))
	var own gojose.JSONWebKey
	if json.Unmarshal(jwk, &own) == nil {
		key = own.Key
	}
	if raw, ok := key.([]byte); ok {
		key = secret.New(raw)
	}
	all := map[string]func(string) ([]byte, error){}
	for suite, keys := range suites(t) {
		for _, spare := range keys {
			o, err := seal.NewOpener(suite, "", key)
			if err != nil {
				o = openerOf(t, suite, "", spare)
			}
			all[string(suite.Alg)+" "+string(suite.Enc)] = o.Open
		}
	}
	n, err := seal.NewNested(key)
	if err != nil {
		n, err = seal.NewNested(newRSA(t))
	}
	if err != nil {
		t.Fatal(err)
	}
	all["nested"] = n.Open
	return all
}
