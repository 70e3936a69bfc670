package jose

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"strings"
	"testing"
	"time"
)

func TestJWKRoundTrip(t *testing.T) {
	t.Parallel()
	for _, alg := range Algorithms() {
		t.Run(string(alg), func(t *testing.T) {
			t.Parallel()
			k := keyFor(t, alg)
			private, err := k.MarshalPrivateJWK()
			if err != nil {
				t.Fatal(err)
			}
			again, err := ParseJWK(private)
			if err != nil || !again.Equal(k) || !again.CanSign() || again.Thumbprint() != k.Thumbprint() {
				t.Fatalf("private JWK reads back as %v, %v", again, err)
			}
			if err := check(k, mustSign(t, again, claims)); err != nil {
				t.Errorf("what the read key signs does not verify: %v", err)
			}
			public, err := k.MarshalJWK()
			if alg.Symmetric() {
				if err == nil {
					t.Errorf("a secret has the public JWK %s", public)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var doc map[string]string
			if err := json.Unmarshal(public, &doc); err != nil {
				t.Fatal(err)
			}
			for _, member := range []string{"d", "p", "q", "dp", "dq", "qi", "k"} {
				if doc[member] != "" {
					t.Errorf("the public JWK shows %s", member)
				}
			}
			if doc["alg"] != string(alg) || doc["kid"] != k.ID() || doc["use"] != "sig" {
				t.Errorf("public JWK = %v", doc)
			}
			if again, err := ParseJWK(public); err != nil || !again.Equal(k) || again.CanSign() {
				t.Errorf("public JWK reads back as %v, %v", again, err)
			}
		})
	}
}

func TestJWKDefaults(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]Algorithm{"rsa": RS256, "p256": ES256, "p384": ES384, "p521": ES512, "ed25519": EdDSA} {
		k := mustKey(t, members(t, name))
		if k.Algorithm() != want || k.ID() != k.Thumbprint() || len(k.ID()) != 43 {
			t.Errorf("%s: %s, kid %q", name, k.Algorithm(), k.ID())
		}
	}
	withExtras := map[string]any{"x5c": []string{"junk"}, "x5u": 7, "ext": true, "key_ops": []string{"verify", "other"}, "use": "sig"}
	for name, value := range members(t, "p256", map[string]string{"d": ""}) {
		withExtras[name] = value
	}
	if _, err := ParseJWK(text(t, withExtras)); err != nil {
		t.Errorf("members that do not matter: %v", err)
	}
}

func TestJWKRefuses(t *testing.T) {
	t.Parallel()
	type edit = map[string]string
	ec, other := members(t, "p256"), members(t, "p256-other")
	zeros := Encode(make([]byte, 32))
	for name, tc := range map[string]struct {
		fixture string
		edit    edit
		reason  string
	}{
		"no kty":                   {"p256", edit{"kty": ""}, "kty is none of"},
		"unknown kty":              {"p256", edit{"kty": "AKP"}, "kty is none of"},
		"kty in lower case":        {"p256", edit{"kty": "ec"}, "kty is none of"},
		"kty of another type":      {"p256", edit{"kty": "RSA"}, "is not base64url"},
		"look-alike":               {"p256", edit{"Kid": "x"}, "another case"},
		"look-alike by Kelvin":     {"p256", edit{"\u212aty": "RSA"}, "another case"},
		"for encryption":           {"p256", edit{"use": "enc"}, "not for signatures"},
		"use in capitals":          {"p256", edit{"use": "SIG"}, "not for signatures"},
		"alg of encryption":        {"rsa", edit{"alg": "RSA-OAEP-256"}, "algorithm is none of"},
		"alg none":                 {"rsa", edit{"alg": "none"}, "algorithm is none of"},
		"RSA key for HS256":        {"rsa", edit{"alg": "HS256"}, "HS256 is not for an RSA key"},
		"2047 bits":                {"weak-rsa-2047", nil, "2047 bits"},
		"1024 bits":                {"weak-rsa-1024", nil, "1024 bits"},
		"ROCA":                     {"weak-roca", nil, "ROCA"},
		"ROCA for PS256":           {"weak-roca", edit{"alg": "PS256"}, "ROCA"},
		"e is 1":                   {"rsa", edit{"e": "AQ", "d": ""}, "cannot be"},
		"e is even":                {"rsa", edit{"e": "AQAC", "d": ""}, "cannot be"},
		"e is zero":                {"rsa", edit{"e": "AA", "d": ""}, "cannot be"},
		"e is 2^31+1":              {"rsa", edit{"e": "gAAAAQ", "d": ""}, "e is too large"},
		"e is 2^64+1":              {"rsa", edit{"e": "AQAAAAAAAAAB", "d": ""}, "e is too large"},
		"no e":                     {"rsa", edit{"e": ""}, "e is not base64url"},
		"no n":                     {"rsa", edit{"n": ""}, "n is not base64url"},
		"n padded":                 {"rsa", edit{"n": "AQAB=", "d": ""}, "n is not base64url"},
		"n in the other alphabet":  {"rsa", edit{"n": "+/+/", "d": ""}, "n is not base64url"},
		"more than two primes":     {"rsa", edit{"oth": "x"}, "more than two primes"},
		"d of another key":         {"rsa", edit{"d": members(t, "rsa-other")["d"]}, "does not belong"},
		"p of another key":         {"rsa", edit{"p": members(t, "rsa-other")["p"]}, "does not belong"},
		"no p":                     {"rsa", edit{"p": ""}, "p is not base64url"},
		"p is 1":                   {"rsa", edit{"p": "AQ"}, "does not belong"},
		"q is 0":                   {"rsa", edit{"q": "AA"}, "does not belong"},
		"p and q the same":         {"rsa", edit{"q": members(t, "rsa")["p"]}, "does not belong"},
		"d is 1":                   {"rsa", edit{"d": "AQ"}, "does not belong"},
		"d longer than n":          {"rsa", edit{"d": Encode(append([]byte{1}, make([]byte, 256)...))}, "longer than n"},
		"huge p":                   {"rsa", edit{"p": Encode(append([]byte{1}, make([]byte, 1<<16)...))}, "longer than n"},
		"unknown curve":            {"p256", edit{"crv": "secp256k1"}, "crv is none of"},
		"no curve":                 {"p256", edit{"crv": ""}, "crv is none of"},
		"another curve":            {"p256", edit{"crv": "P-384"}, "another length"},
		"alg of another curve":     {"p256", edit{"alg": "ES384"}, "ES384 is not for this EC key"},
		"point off the curve":      {"p256", edit{"y": ec["x"], "d": ""}, "not on the curve"},
		"point at infinity":        {"p256", edit{"x": zeros, "y": zeros, "d": ""}, "not on the curve"},
		"short x":                  {"p256", edit{"x": ec["x"][:42], "d": ""}, "base64url"},
		"x without its first byte": {"p256", edit{"x": ec["x"][4:], "d": ""}, "another length"},
		"no y":                     {"p256", edit{"y": ""}, "y is not base64url"},
		"d of another EC key":      {"p256", edit{"d": other["d"]}, "d does not belong"},
		"d is zero":                {"p256", edit{"d": zeros}, "d does not belong"},
		"d over the order":         {"p256", edit{"d": Encode([]byte(strings.Repeat("\xff", 32)))}, "d does not belong"},
		"short d":                  {"p256", edit{"d": "AQ"}, "d does not belong"},
		"X25519":                   {"ed25519", edit{"crv": "X25519"}, "crv is not Ed25519"},
		"Ed448":                    {"ed25519", edit{"crv": "Ed448"}, "crv is not Ed25519"},
		"short Ed25519 x":          {"ed25519", edit{"x": "AQ", "d": ""}, "another length"},
		"short Ed25519 d":          {"ed25519", edit{"d": "AQ"}, "d is not 32 bytes"},
		"d of another Ed25519 key": {"ed25519", edit{"d": members(t, "ed25519-other")["d"]}, "d does not belong"},
		"alg Ed25519":              {"ed25519", edit{"alg": "Ed25519"}, "algorithm is none of"},
		"secret without alg":       {"secret", nil, "algorithm is none of"},
		"secret for RS256":         {"secret", edit{"alg": "RS256"}, "RS256 is not for a shared secret"},
		"secret for none":          {"secret", edit{"alg": "none"}, "algorithm is none of"},
		"short secret":             {"secret", edit{"alg": "HS256", "k": Encode(make([]byte, 31))}, "31 bytes"},
		"no secret":                {"secret", edit{"alg": "HS256", "k": ""}, "k is not base64url"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k, err := ParseJWK(text(t, members(t, tc.fixture, tc.edit)))
			if _, ok := errors.AsType[*FormError](err); !ok || k != nil || !strings.Contains(err.Error(), tc.reason) {
				t.Errorf("ParseJWK() = %v, %v, want %s", k, err, tc.reason)
			}
		})
	}
	valid := string(text(t, members(t, "p256")))
	for name, src := range map[string]string{
		"not JSON":            "p256",
		"trailing bytes":      valid + "x",
		"kid twice":           strings.Replace(valid, "{", `{"kid":"a","kid":"b",`, 1),
		"kid a number":        strings.Replace(valid, "{", `{"kid":1,`, 1),
		"alg null":            strings.Replace(valid, "{", `{"alg":null,`, 1),
		"key_ops a string":    strings.Replace(valid, "{", `{"key_ops":"verify",`, 1),
		"key_ops empty":       strings.Replace(valid, "{", `{"key_ops":[],`, 1),
		"key_ops for others":  strings.Replace(valid, "{", `{"key_ops":["encrypt","deriveKey"],`, 1),
		"key_ops not strings": strings.Replace(valid, "{", `{"key_ops":["verify",1],`, 1),
	} {
		if k, err := ParseJWK([]byte(src)); err == nil {
			t.Errorf("%s: ParseJWK() = %v", name, k)
		}
	}
}

func TestSet(t *testing.T) {
	t.Parallel()
	var keys []*Key
	for _, alg := range Algorithms() {
		if !alg.Symmetric() {
			keys = append(keys, keyFor(t, alg))
		}
	}
	s, err := NewSet(keys...)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := s.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(doc), `"d":`) {
		t.Error("the document shows a private key")
	}
	again, err := ParseSet(doc)
	if err != nil || len(again.Keys()) != len(keys) || len(again.Skipped()) != 0 {
		t.Fatalf("reads back as %v, %v", again, err)
	}
	for i, k := range keys {
		if !again.Keys()[i].Equal(k) || again.Find(k.ID()) != again.Keys()[i] {
			t.Errorf("key %d reads back as %v", i, again.Keys()[i])
		}
	}
	if again.Find("other") != nil || again.Find("") != nil {
		t.Error("Find() finds a key that is not there")
	}
	secrets, err := NewSet(keyFor(t, HS256), keyFor(t, HS512))
	if err != nil {
		t.Fatal(err)
	}
	if doc, err := secrets.MarshalJSON(); err == nil {
		t.Errorf("secrets are published: %d bytes", len(doc))
	}
	if empty, err := (&Set{}).MarshalJSON(); err != nil || string(empty) != `{"keys":[]}` {
		t.Errorf("the empty set is written as %s, %v", empty, err)
	}
}

func TestSetRefuses(t *testing.T) {
	t.Parallel()
	nameless, err := NewSecretKey(HS256, "", make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	renamed, err := keyFor(t, ES384).WithID(keyFor(t, ES256).ID())
	if err != nil {
		t.Fatal(err)
	}
	for name, keys := range map[string][]*Key{
		"mixed":             {keyFor(t, RS256), keyFor(t, HS256)},
		"mixed, other way":  {keyFor(t, HS256), keyFor(t, ES256).Public()},
		"kid twice":         {keyFor(t, ES256), renamed},
		"same key twice":    {keyFor(t, ES256), keyFor(t, ES256)},
		"one without a kid": {keyFor(t, HS256), nameless},
	} {
		if s, err := NewSet(keys...); err == nil {
			t.Errorf("%s: NewSet() = %v", name, s.Keys())
		}
	}
}

func TestParseSet(t *testing.T) {
	t.Parallel()
	one := string(text(t, members(t, "p256", map[string]string{"d": "", "kid": "a"})))
	two := string(text(t, members(t, "ed25519", map[string]string{"d": "", "kid": "b"})))
	enc := string(text(t, members(t, "p384", map[string]string{"d": "", "kid": "c", "use": "enc"})))
	secret := string(text(t, members(t, "secret", map[string]string{"alg": "HS256", "kid": "s"})))
	for name, tc := range map[string]struct {
		doc           string
		keys, skipped int // keys < 0: refused
	}{
		"none":                   {`{"keys":[]}`, 0, 0},
		"two":                    {`{"keys":[` + one + `,` + two + `]}`, 2, 0},
		"other members":          {`{"issuer":"x","keys":[` + one + `]}`, 1, 0},
		"for encryption":         {`{"keys":[` + one + `,` + enc + `]}`, 1, 1},
		"unknown type":           {`{"keys":[{"kty":"AKP","kid":"z"},` + one + `]}`, 1, 1},
		"weak":                   {`{"keys":[` + string(text(t, members(t, "weak-rsa-1024"))) + `]}`, 0, 1},
		"secrets":                {`{"keys":[` + secret + `]}`, 1, 0},
		"mixed":                  {`{"keys":[` + one + `,` + secret + `]}`, -1, 0},
		"mixed with skipped":     {`{"keys":[` + secret + `,` + enc + `]}`, -1, 0},
		"kid twice":              {`{"keys":[` + one + `,` + strings.Replace(two, `"b"`, `"a"`, 1) + `]}`, -1, 0},
		"kid of a skipped one":   {`{"keys":[` + one + `,` + strings.Replace(enc, `"c"`, `"a"`, 1) + `]}`, -1, 0},
		"kid that is a print":    {`{"keys":[` + one + `,` + string(text(t, members(t, "p384", map[string]string{"kid": "a"}))) + `]}`, -1, 0},
		"no keys":                {`{}`, -1, 0},
		"keys an object":         {`{"keys":{}}`, -1, 0},
		"keys null":              {`{"keys":null}`, -1, 0},
		"keys not objects":       {`{"keys":["a"]}`, -1, 0},
		"keys in another case":   {`{"Keys":[` + one + `]}`, -1, 0},
		"keys twice, other case": {`{"keys":[` + one + `],"KEYS":[]}`, -1, 0},
		"keys twice":             {`{"keys":[` + one + `],"keys":[]}`, -1, 0},
		"duplicate in a key":     {`{"keys":[{"kty":"EC","kty":"RSA"}]}`, -1, 0},
		"one key, not a set":     {one, -1, 0},
		"not JSON":               {`keys`, -1, 0},
		"too large":              {`{"keys":[]` + strings.Repeat(" ", MaxJWKS) + `}`, -1, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, err := ParseSet([]byte(tc.doc))
			if (err != nil) != (tc.keys < 0) {
				t.Fatalf("ParseSet() error = %v", err)
			}
			if err == nil && (len(s.Keys()) != tc.keys || len(s.Skipped()) != tc.skipped) {
				t.Errorf("%d keys, skipped %v", len(s.Keys()), s.Skipped())
			}
		})
	}
}

func block(t *testing.T, kind string, der []byte, err error) string {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

func certificate(t *testing.T, k *Key) string {
	t.Helper()
	template := &x509.Certificate{NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1, 0)} // long over: it does not count
	der, err := x509.CreateCertificate(rand.Reader, template, template, k.public, k.private)
	return block(t, "CERTIFICATE", der, err)
}

func TestPEM(t *testing.T) {
	t.Parallel()
	for _, alg := range Algorithms() {
		if alg.Symmetric() {
			continue
		}
		t.Run(string(alg), func(t *testing.T) {
			t.Parallel()
			k := keyFor(t, alg)
			public, err := x509.MarshalPKIXPublicKey(k.public)
			blocks := map[string]string{"SPKI": block(t, "PUBLIC KEY", public, err)}
			private, err := x509.MarshalPKCS8PrivateKey(k.private)
			blocks["PKCS8"] = block(t, "PRIVATE KEY", private, err)
			switch p := k.private.(type) {
			case *rsa.PrivateKey:
				blocks["PKCS1"] = block(t, "RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(p), nil)
				blocks["PKCS1 public"] = block(t, "RSA PUBLIC KEY", x509.MarshalPKCS1PublicKey(&p.PublicKey), nil)
				blocks["certificate"] = certificate(t, k)
			case *ecdsa.PrivateKey:
				der, err := x509.MarshalECPrivateKey(p)
				blocks["SEC1"] = block(t, "EC PRIVATE KEY", der, err)
			case ed25519.PrivateKey:
				blocks["certificate"] = certificate(t, k)
			}
			for name, src := range blocks {
				got, err := ParsePEM(alg, k.ID(), []byte("explanatory text\n"+src+"\n \n"))
				if err != nil || !got.Equal(k) {
					t.Errorf("%s: ParsePEM() = %v, %v", name, got, err)
					continue
				}
				if want := strings.Contains(src, "PRIVATE"); got.CanSign() != want {
					t.Errorf("%s: CanSign() = %v", name, got.CanSign())
				}
				if got, err := ParsePEM(alg, "", []byte(src)); err != nil || got.ID() != k.Thumbprint() {
					t.Errorf("%s: kid %q, %v, want the thumbprint", name, got.ID(), err)
				}
				if _, err := ParsePEM(HS256, "", []byte(src)); err == nil {
					t.Errorf("%s: a PEM block is taken for a shared secret", name)
				}
			}
		})
	}
}

func TestPEMRefuses(t *testing.T) {
	t.Parallel()
	der, err := x509.MarshalPKIXPublicKey(keyFor(t, ES256).public)
	good := block(t, "PUBLIC KEY", der, err)
	for name, tc := range map[string]struct{ src, reason string }{
		"nothing":         {"", "no PEM block"},
		"DER":             {string(der), "no PEM block"},
		"cut":             {good[:len(good)-10], "no PEM block"},
		"two blocks":      {good + good, "bytes after"},
		"trailing text":   {good + "x", "bytes after"},
		"unknown block":   {block(t, "EC PARAMETERS", der, nil), "no key that can be read"},
		"wrong block":     {block(t, "PRIVATE KEY", der, nil), "no key that can be read"},
		"junk":            {block(t, "PUBLIC KEY", []byte("junk"), nil), "no key that can be read"},
		"trailing DER":    {block(t, "PUBLIC KEY", append(append([]byte(nil), der...), 0), nil), "no key that can be read"},
		"bad certificate": {block(t, "CERTIFICATE", der, nil), "no key that can be read"},
	} {
		if k, err := ParsePEM(ES256, "", []byte(tc.src)); err == nil || !strings.Contains(err.Error(), tc.reason) {
			t.Errorf("%s: ParsePEM() = %v, %v, want %s", name, k, err, tc.reason)
		}
	}
	if _, err := ParsePEM(ES384, "", []byte(good)); err == nil {
		t.Error("a P-256 key is taken for ES384")
	}
}
