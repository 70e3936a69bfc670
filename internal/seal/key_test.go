package seal_test

import (
	"crypto/elliptic"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"strings"
	"testing"

	"github.com/carnetproject/carnet/internal/seal"
)

func TestGeneratedKeys(t *testing.T) {
	t.Parallel()
	for alg, members := range map[seal.Algorithm]string{
		seal.ECDHES: "alg crv d kid kty use x y", seal.ECDHESA256KW: "alg crv d kid kty use x y",
		seal.RSAOAEP256: "alg d dp dq e kid kty n p q qi use", seal.Direct: "alg k kid kty use",
	} {
		t.Run(string(alg), func(t *testing.T) {
			t.Parallel()
			made, err := seal.Generate(alg)
			if err != nil {
				t.Fatal(err)
			}
			private, err := made.MarshalPrivate()
			if err != nil {
				t.Fatal(err)
			}
			var m map[string]string
			if err := json.Unmarshal(private, &m); err != nil || m["alg"] != string(alg) || m["use"] != "enc" || m["kid"] == "" {
				t.Errorf("private: alg %q, use %q, kid %q, %v", m["alg"], m["use"], m["kid"], err)
			}
			if len(m) != len(strings.Fields(members)) {
				t.Errorf("the private JWK has %d members, want %s", len(m), members)
			}
			public, err := made.MarshalPublic()
			if alg == seal.Direct {
				if err == nil {
					t.Error("a secret has a public half")
				}
				public = private
			} else if err != nil || strings.Contains(string(public), `"d"`) || strings.Contains(string(public), `"p"`) {
				t.Errorf("public: %s, %v", public, err)
			}
			opensWhatIsSealed(t, public, private, seal.Suite{})
			opensWhatIsSealed(t, public, private, seal.Suite{Enc: seal.A128CBCHS256})
		})
	}
	if _, err := seal.Generate("RSA1_5"); err == nil {
		t.Error("made a key for RSA1_5")
	}
}

// opensWhatIsSealed seals with one file and opens with another.
func opensWhatIsSealed(t *testing.T, public, private []byte, s seal.Suite) {
	t.Helper()
	to, by := parsed(t, public), parsed(t, private)
	r, err := to.Recipient(s)
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := r.Seal([]byte("plain"))
	if err != nil {
		t.Fatal(err)
	}
	o, err := by.Opener(s)
	if err != nil {
		t.Fatal(err)
	}
	if plain, err := o.Open(sealed); err != nil || string(plain) != "plain" {
		t.Errorf("Open() = %q, %v", plain, err)
	}
	if !by.Private() {
		t.Error("the private key says that it is public")
	}
}

func parsed(t *testing.T, file []byte) *seal.Key {
	t.Helper()
	k, err := seal.ParseKey(file)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestPEMKeys(t *testing.T) {
	t.Parallel()
	for name, key := range map[string]private{
		"P-256": newEC(t, elliptic.P256()), "P-384": newEC(t, elliptic.P384()), "P-521": newEC(t, elliptic.P521()), "RSA": newRSA(t),
	} {
		private, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		public, err := x509.MarshalPKIXPublicKey(key.Public())
		if err != nil {
			t.Fatal(err)
		}
		file := func(kind string, der []byte) []byte { return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}) }
		opensWhatIsSealed(t, file("PUBLIC KEY", public), file("PRIVATE KEY", private), seal.Suite{})
		if _, err := parsed(t, file("PUBLIC KEY", public)).Opener(seal.Suite{}); err == nil || parsed(t, file("PUBLIC KEY", public)).Private() {
			t.Errorf("%s: a public key opens", name)
		}
		jwk, err := parsed(t, file("PUBLIC KEY", public)).MarshalPublic()
		if err != nil || !strings.Contains(string(jwk), `"kid"`) {
			t.Errorf("%s: %s, %v; want a JWK with its thumbprint", name, jwk, err)
		}
	}
}

func TestFilesThatAreNoKeys(t *testing.T) {
	t.Parallel()
	const ec = `"kty":"EC","crv":"P-256","x":"Ze2loSV3wrroKUN_4zhwGhCqo3Xhu1td4QjeQ5wIVR0","y":"HlLtdXARY_f55A3fnzQbPcm6hgr34Mp8p-nuzQCE0Zw"`
	parsed(t, []byte("{"+ec+"}")) // the key to edit
	for name, file := range map[string]string{
		"nothing":                "",
		"text":                   "key",
		"JSON that breaks off":   "{" + ec,
		"a list":                 "[{" + ec + "}]",
		"no kty":                 `{"crv":"P-256"}`,
		"kty of another type":    `{"kty":1}`,
		"OKP for signatures":     `{"kty":"OKP","crv":"X25519","x":"3p7bfXt9wbTTW2HC7OQ1Nz-DQ8hbeGdNrfx-FG-IK08"}`,
		"for signatures":         "{" + ec + `,"use":"sig"}`,
		"alg of signatures":      "{" + ec + `,"alg":"ES256"}`,
		"alg that is refused":    "{" + ec + `,"alg":"RSA1_5"}`,
		"kid of another type":    "{" + ec + `,"kid":7}`,
		"a member twice":         "{" + ec + `,"kty":"EC"}`,
		"off the curve":          strings.Replace("{"+ec+"}", "Ze2l", "Ze2m", 1),
		"secret that is no text": `{"kty":"oct","k":1}`,
		"secret with padding":    `{"kty":"oct","k":"QUFB="}`,
		"no secret":              `{"kty":"oct"}`,
		"secret of three bytes":  `{"kty":"oct","k":"QUFB"}`,
		"Ed25519":                `{"kty":"OKP","crv":"Ed25519","x":"JSS-c7XLzvHdkIRWlJnvawNeOYaEODXlPsV4GevYhKM"}`,
		"alg of another key":     "{" + ec + `,"alg":"RSA-OAEP-256"}`,
		"PEM of something else":  "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n",
	} {
		if k, err := seal.ParseKey([]byte(file)); err == nil {
			t.Errorf("%s: took it: %v", name, k)
		}
	}
	if _, err := parsed(t, []byte("{"+ec+"}")).Recipient(seal.Suite{Alg: seal.RSAOAEP256}); err == nil {
		t.Error("seals by RSA to an EC key")
	}
}
