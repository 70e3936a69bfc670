package carnet

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"strings"
	"testing"

	"github.com/carnetproject/carnet/internal/jose"
)

func TestKeyConstructors(t *testing.T) {
	t.Parallel()
	k := es256(t)
	jwk, err := k.MarshalJWK()
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(k.Public().Crypto())
	if err != nil {
		t.Fatal(err)
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	for name, make := range map[string]func() (*Key, error){
		"ParseJWK":          func() (*Key, error) { return ParseJWK(jwk) },
		"ParsePEM":          func() (*Key, error) { return ParsePEM("ES256", "es", text) },
		"SecretKey":         func() (*Key, error) { return SecretKey("ES256", "es", nil) },
		"ParsePEM of HS256": func() (*Key, error) { return ParsePEM("HS256", "es", text) },
		"ParseJWK of junk":  func() (*Key, error) { return ParseJWK([]byte("{")) },
	} {
		got, err := make()
		if strings.Contains(name, " of ") || name == "SecretKey" {
			if err == nil || got != nil || !strings.HasPrefix(err.Error(), "key: ") {
				t.Errorf("%s = %v, %v", name, got, err)
			}
			continue
		}
		if err != nil || got.Algorithm() != "ES256" || got.ID() != "es" {
			t.Errorf("%s = %v, %v", name, got, err)
		}
	}
	if got, err := ParsePEM("ES256", "", text); err != nil || got.ID() != k.Thumbprint() {
		t.Errorf("without a kid: %q, %v", got.ID(), err)
	}
	if _, err := SecretKey("HS256", "x", []byte("short")); err == nil || strings.Contains(err.Error(), "short") {
		t.Errorf("short secret: error = %v", err)
	}
	if got, err := ImportedSecretKey("HS256", "x", []byte("short")); err != nil || got.Algorithm() != "HS256" {
		t.Errorf("short imported secret: %v, %v", got, err)
	}
	for _, nothing := range []*Key{nil, {}} {
		if nothing.Algorithm() != "" || nothing.ID() != "" {
			t.Error("no key has a name")
		}
		if _, err := StaticKeys(nothing); err == nil {
			t.Error("StaticKeys takes no key for one")
		}
	}
}

func TestWithOwner(t *testing.T) {
	t.Parallel()
	k := verifying(es256(t))
	one := k.WithOwner("one")
	if k.owner != nil || one.owner != "one" || one.WithOwner("two").owner != "two" || one.owner != "one" || one.ID() != "es" {
		t.Error("WithOwner changes the key that it copies")
	}
}

func TestStaticKeys(t *testing.T) {
	t.Parallel()
	es, other := verifying(es256(t)), verifying(signingKey(t, "p256-other", "ES256", "other"))
	ed := verifying(signingKey(t, "ed25519", "EdDSA", "ed"))
	nameless, err := SecretKey("HS256", "", make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	secret, err := SecretKey("HS256", "s", make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		keys []*Key
		hint Hint
		want []*Key
	}{
		"by kid":                        {[]*Key{es, ed}, Hint{Algorithm: "EdDSA", KeyID: "ed", Issuer: ""}, []*Key{ed}},
		"by kid, another algorithm":     {[]*Key{es, ed}, Hint{Algorithm: "ES256", KeyID: "ed", Issuer: ""}, []*Key{ed}}, // the verifier refuses
		"by algorithm":                  {[]*Key{es, ed, other}, Hint{Algorithm: "ES256", KeyID: "", Issuer: ""}, []*Key{es, other}},
		"by algorithm, none":            {[]*Key{es, ed}, Hint{Algorithm: "RS256", KeyID: "", Issuer: ""}, nil},
		"unknown kid":                   {[]*Key{es, ed}, Hint{Algorithm: "ES256", KeyID: "x", Issuer: ""}, nil},
		"unknown kid, one key":          {[]*Key{es}, Hint{Algorithm: "ES256", KeyID: "x", Issuer: ""}, nil},
		"one key, no kid":               {[]*Key{es}, Hint{Algorithm: "RS256", KeyID: "", Issuer: ""}, []*Key{es}},
		"one nameless key":              {[]*Key{nameless}, Hint{Algorithm: "HS256", KeyID: "", Issuer: ""}, []*Key{nameless}},
		"one nameless key, any kid":     {[]*Key{nameless}, Hint{Algorithm: "HS256", KeyID: "x", Issuer: ""}, []*Key{nameless}},
		"secret by kid":                 {[]*Key{secret}, Hint{Algorithm: "HS256", KeyID: "s", Issuer: "any"}, []*Key{secret}},
		"no keys at all":                {nil, Hint{Algorithm: "ES256", KeyID: "es", Issuer: ""}, nil},
		"no keys at all, nothing asked": {nil, Hint{}, nil},
	} {
		s, err := StaticKeys(tc.keys...)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		generation := s.Generation()
		got, err := s.Find(t.Context(), tc.hint)
		if tc.want == nil {
			if !errors.Is(err, ErrUnknownKey) || got != nil {
				t.Errorf("%s: Find() = %v, %v", name, got, err)
			}
			continue
		}
		if err != nil || len(got) != len(tc.want) {
			t.Errorf("%s: Find() = %v, %v", name, got, err)
			continue
		}
		for i := range got {
			if got[i] != tc.want[i] {
				t.Errorf("%s: key %d is %s", name, i, got[i].ID())
			}
		}
		if again, err := s.Find(t.Context(), tc.hint); s.Generation() != generation || err != nil || len(again) != len(got) {
			t.Errorf("%s: the keys change: %v, %v", name, again, err)
		}
	}
	for name, keys := range map[string][]*Key{"mixed": {es, secret}, "kid twice": {es, es}, "nameless beside another": {secret, nameless}} {
		if _, err := StaticKeys(keys...); err == nil {
			t.Errorf("%s: StaticKeys takes them", name)
		}
	}
}

func TestParseJWKS(t *testing.T) {
	t.Parallel()
	set, err := jose.NewSet(es256(t).Public(), signingKey(t, "ed25519", "EdDSA", "ed").Public())
	if err != nil {
		t.Fatal(err)
	}
	doc, err := set.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	keys, err := ParseJWKS(doc)
	if err != nil {
		t.Fatal(err)
	}
	v := mustVerifier(t, VerifierConfig{Keys: keys, Policy: AccessTokens(testIssuer, testAudience), Clock: atTestNow})
	if _, err := v.Verify(t.Context(), mustSign(t, es256(t), "at+jwt", goodClaims)); err != nil {
		t.Error(err)
	}
	for name, doc := range map[string]string{
		"nothing":         "",
		"no keys":         `{"keys":[]}`,
		"none that signs": `{"keys":[{"kty":"OKP","crv":"X25519","x":"AA","use":"enc"}]}`,
		"kid twice":       `{"keys":[{"kty":"AKP","kid":"a"},{"kty":"AKP","kid":"a"}]}`,
		"too large":       `{"keys":[]` + strings.Repeat(" ", 1<<20) + `}`,
	} {
		if got, err := ParseJWKS([]byte(doc)); err == nil || got != nil {
			t.Errorf("%s: ParseJWKS() = %v, %v", name, got, err)
		}
	}
}
