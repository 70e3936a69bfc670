package jose

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/c2sp/wycheproof"
)

// check parses and verifies one token with one key.
func check(k *Key, token string) error {
	var u Unverified
	if err := u.Parse(token); err != nil {
		return err
	}
	return u.Verify(k)
}

func readJSON(t *testing.T, path string, into any) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, into); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

func TestRFCVectors(t *testing.T) {
	t.Parallel()
	var cases []struct {
		Ref, Token, Expect, Thumbprint string
		Key                            json.RawMessage
	}
	readJSON(t, "../../testdata/jose/rfc.json", &cases)
	for _, tc := range cases {
		t.Run(tc.Ref, func(t *testing.T) {
			t.Parallel()
			k, err := ParseJWK(tc.Key)
			if err != nil {
				t.Fatal(err)
			}
			if tc.Thumbprint != "" && k.Thumbprint() != tc.Thumbprint {
				t.Errorf("Thumbprint() = %q, want %q", k.Thumbprint(), tc.Thumbprint)
			}
			if tc.Token == "" {
				return
			}
			if err := check(k, tc.Token); (err == nil) != (tc.Expect == "accept") {
				t.Errorf("error = %v, want %s", err, tc.Expect)
			}
		})
	}
}

// TestCookbook runs RFC 7520 §4 and the curve25519 and RFC 7797 examples beside it.
func TestCookbook(t *testing.T) {
	t.Parallel()
	const dir = "../../testdata/jose/cookbook/"
	for file, want := range map[string]string{
		"jws/4_1.rsa_v15_signature.json":                 "accept",
		"jws/4_2.rsa-pss_signature.json":                 "accept",
		"jws/4_3.ecdsa_signature.json":                   "accept",
		"jws/4_4.hmac-sha2_integrity_protection.json":    "accept",
		"curve25519/jws.json":                            "accept",
		"jws/4_5.signature_with_detached_content.json":   "reject", // no payload to verify
		"jws/4_6.protecting_specific_header_fields.json": "none",   // JSON serialization only
		"jws/4_7.protecting_content_only.json":           "none",
		"jws/4_8.multiple_signatures.json":               "none",
		"rfc7797/4.2.hmac-sha2_b64_false.json":           "reject", // b64 is never honoured
		"rfc7797/hmac-sha2_b64_false.json":               "reject",
		"6.nesting_signatures_and_encryption.json":       "none",
	} {
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			var c struct {
				Input struct {
					Key json.RawMessage
					Alg any
				}
				Output struct{ Compact string }
			}
			readJSON(t, dir+file, &c)
			if want == "none" {
				if c.Output.Compact != "" && file[0] == 'j' {
					t.Fatal("has a compact form after all: run it")
				}
				return
			}
			alg, _ := c.Input.Alg.(string)
			k := cookbookKey(t, c.Input.Key, Algorithm(alg))
			if err := check(k, c.Output.Compact); (err == nil) != (want == "accept") {
				t.Errorf("error = %v, want %s", err, want)
			}
			if want != "accept" {
				return
			}
			again, err := k.Sign("", []byte("x"))
			if err != nil {
				t.Fatal(err)
			}
			if err := check(k.publicOrSelf(), again); err != nil {
				t.Errorf("what the vector's key signs does not verify: %v", err)
			}
		})
	}
}

func (k *Key) publicOrSelf() *Key {
	if p := k.Public(); p != nil {
		return p
	}
	return k
}

// cookbookKey adds the alg that the cookbook states beside the key.
func cookbookKey(t *testing.T, raw json.RawMessage, alg Algorithm) *Key {
	t.Helper()
	var members map[string]any
	if err := json.Unmarshal(raw, &members); err != nil {
		t.Fatal(err)
	}
	if alg != "" {
		members["alg"] = alg
	}
	text, _ := json.Marshal(members)
	k, err := ParseJWK(text)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestCookbookKeys(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../../testdata/jose/cookbook/jwk/*.json")
	if err != nil || len(files) != 6 {
		t.Fatalf("found %d key files, want 6: %v", len(files), err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		k, err := ParseJWK(text)
		if filepath.Base(file) == "3_6.symmetric_key_encryption.json" { // use: enc
			if err == nil {
				t.Errorf("%s: an encryption key was taken for a signature key", file)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", file, err)
			continue
		}
		if k.CanSign() {
			text, err := k.MarshalPrivateJWK()
			if err != nil {
				t.Fatal(err)
			}
			if again, err := ParseJWK(text); err != nil || !again.Equal(k) {
				t.Errorf("%s: the written key reads back as %v, %v", file, again, err)
			}
		}
	}
}

type wycheproofFile struct {
	NumberOfTests int
	TestGroups    []struct {
		Comment         string
		Public, Private json.RawMessage
		Tests           []struct {
			TcID    int
			Comment string
			JWS     string
			Result  string
		}
	}
}

func readWycheproof(t *testing.T, name string) wycheproofFile {
	t.Helper()
	text, err := fs.ReadFile(wycheproof.TestVectors, name)
	if err != nil {
		t.Fatal(err)
	}
	var f wycheproofFile
	if err := json.Unmarshal(text, &f); err != nil {
		t.Fatal(err)
	}
	return f
}

// overrides are the cases of Wycheproof's signature file where our answer differs,
// each with its reason.
var overrides = map[int]string{
	346: "the key says PS256, the token PS384: the key decides",
	350: "the key says PS256, the token PS384: the key decides",
	347: "the key says ES521, which is no algorithm (RFC 7518 §3.1)",
	351: "the key says ES521, which is no algorithm (RFC 7518 §3.1)",
	367: "the file's token has no padding: it is the valid one",
	370: "the file's token has no padding: it is the valid one",
	372: "a foreign character in base64url is refused (RFC 7515 §2)",
	373: "a foreign character in base64url is refused (RFC 7515 §2)",
}

func TestWycheproofSignatures(t *testing.T) {
	t.Parallel()
	f := readWycheproof(t, "json_web_signature_test.json")
	ran := 0
	for _, g := range f.TestGroups {
		raw := g.Public
		if raw == nil {
			raw = g.Private
		}
		k, keyErr := ParseJWK(raw)
		for _, tc := range g.Tests {
			ran++
			err := keyErr
			if err == nil {
				err = check(k, tc.JWS)
			}
			want := tc.Result == "valid"
			if _, differs := overrides[tc.TcID]; differs {
				want = !want
			}
			if (err == nil) != want {
				t.Errorf("%d %s / %s: error = %v, file says %s", tc.TcID, g.Comment, tc.Comment, err, tc.Result)
			}
		}
	}
	if ran != f.NumberOfTests || ran < 400 {
		t.Errorf("ran %d of %d cases", ran, f.NumberOfTests)
	}
}

func TestWycheproofKeys(t *testing.T) {
	t.Parallel()
	f := readWycheproof(t, "json_web_key_test.json")
	ran := 0
	for _, g := range f.TestGroups {
		raw := g.Public
		if raw == nil {
			raw = g.Private
		}
		for _, tc := range g.Tests {
			ran++
			err := checkWithDocument(raw, tc.JWS)
			if (err == nil) != (tc.Result == "valid") {
				t.Errorf("%d %s / %s: error = %v, file says %s", tc.TcID, g.Comment, tc.Comment, err, tc.Result)
			}
		}
	}
	if ran != f.NumberOfTests {
		t.Errorf("ran %d of %d cases", ran, f.NumberOfTests)
	}
}

// checkWithDocument takes a JWK or a JWKS, and in a set the key that kid names.
func checkWithDocument(raw json.RawMessage, token string) error {
	var doc map[string]json.RawMessage
	if err := json.Unmarshal(raw, &doc); err != nil {
		return err
	}
	var u Unverified
	if err := u.Parse(token); err != nil {
		return err
	}
	if _, isSet := doc["keys"]; !isSet {
		k, err := ParseJWK(raw)
		if err != nil {
			return err
		}
		return u.Verify(k)
	}
	s, err := ParseSet(raw)
	if err != nil {
		return err
	}
	if u.KeyID == "" && len(s.Keys()) == 1 {
		return u.Verify(s.Keys()[0])
	}
	k := s.Find(u.KeyID)
	if k == nil {
		return errors.New("no such key")
	}
	return u.Verify(k)
}
