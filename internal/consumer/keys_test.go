package consumer

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"slices"
	"testing"

	"github.com/carnetproject/carnet"
	"github.com/carnetproject/carnet/internal/secret"
)

func ids(keys []*carnet.Key) []string {
	var list []string
	for _, k := range keys {
		list = append(list, k.ID())
	}
	return list
}

func TestKeys(t *testing.T) {
	t.Parallel()
	k1, k2, anonymous := publicKey(t, "k1"), publicKey(t, "k2"), publicKey(t, "")
	who := New("u", "", nil)
	named := NewCredential(who, "n", Material{Keys: []*carnet.Key{k1, k2}, Named: true}, nil)
	unnamed := NewCredential(who, "p", Material{Keys: []*carnet.Key{anonymous}}, nil)
	several := NewCredential(who, "s", Material{Keys: []*carnet.Key{k1, k2}}, nil)
	empty := NewCredential(who, "e", Material{Named: true}, nil)
	nothing := NewCredential(who, "0", Material{}, nil)
	for name, tc := range map[string]struct {
		c        *Credential
		alg, kid string
		want     []string
		err      error
	}{
		"by kid":                      {named, "ES256", "k2", []string{"k2"}, nil},
		"by kid, whatever the alg":    {named, "RS256", "k1", []string{"k1"}, nil},
		"unknown kid":                 {named, "ES256", "k3", nil, carnet.ErrUnknownKey},
		"no kid":                      {named, "ES256", "", []string{"k1", "k2"}, nil},
		"no kid, other alg":           {named, "RS256", "", []string{"k1", "k2"}, nil},
		"kid means nothing":           {unnamed, "ES256", "k1", []string{anonymous.ID()}, nil},
		"no kid for one without name": {unnamed, "HS256", "", []string{anonymous.ID()}, nil},
		"all of several":              {several, "ES256", "k2", []string{"k1", "k2"}, nil},
		"no keys yet":                 {empty, "ES256", "", nil, carnet.ErrUnknownKey},
		"no keys yet, kid":            {empty, "ES256", "k1", nil, carnet.ErrUnknownKey},
		"nothing to verify with":      {nothing, "ES256", "", nil, ErrNoMaterial},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for how, keys := range map[string]func(context.Context, carnet.Hint) ([]*carnet.Key, error){"Keys": tc.c.Keys, "Decoded": tc.c.Decoded} {
				got, err := keys(t.Context(), carnet.Hint{Algorithm: tc.alg, KeyID: tc.kid})
				if !slices.Equal(ids(got), tc.want) || !errors.Is(err, tc.err) {
					t.Errorf("%s = %q, %v; want %q, %v", how, ids(got), err, tc.want, tc.err)
				}
			}
		})
	}
}

// legacy is a credential whose secret is text.
func legacy(t *testing.T, text string) *Credential {
	t.Helper()
	k, err := carnet.ImportedSecretKey("HS256", "", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return NewCredential(New("u", "", nil), "k", Material{Keys: []*carnet.Key{k}, Secret: secret.FromString(text)}, nil)
}

func TestDecoded(t *testing.T) {
	t.Parallel()
	plain := []byte{0xfb, 0xff, 0xbf, 0xfe, 's', 'e', 'c'} // with + and / in its base64
	for name, tc := range map[string]struct {
		text string
		err  error
	}{
		"standard":            {base64.StdEncoding.EncodeToString(plain), nil},
		"standard, unpadded":  {base64.RawStdEncoding.EncodeToString(plain), nil},
		"for URLs":            {base64.URLEncoding.EncodeToString(plain), nil},
		"for URLs, unpadded":  {base64.RawURLEncoding.EncodeToString(plain), nil},
		"both alphabets":      {"+_-/" + base64.StdEncoding.EncodeToString(plain)[4:], nil},
		"not base64":          {"not*base64", ErrNoMaterial},
		"a length that fails": {"abcde", ErrNoMaterial},
		"nothing inside":      {"====", ErrNoMaterial},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := legacy(t, tc.text)
			keys, err := c.Decoded(t.Context(), carnet.Hint{Algorithm: "HS256"})
			if !errors.Is(err, tc.err) {
				t.Fatalf("Decoded error = %v, want %v", err, tc.err)
			}
			if err != nil {
				return
			}
			if len(keys) != 1 || !verifies(t, keys[0], plain) {
				t.Error("it is not the secret that was encoded")
			}
			if raw, err := c.Keys(t.Context(), carnet.Hint{Algorithm: "HS256"}); err != nil || verifies(t, raw[0], plain) {
				t.Errorf("Keys decodes, too: %v", err)
			}
		})
	}
	c := legacy(t, "not*base64")
	if keys, err := c.Decoded(t.Context(), carnet.Hint{Algorithm: "HS384"}); err != nil || keys[0].Algorithm() != "HS256" {
		t.Errorf("another algorithm: %v, %v; the verifier should see it before the secret", keys, err)
	}
}

// verifies tells whether a token that is signed with plain passes with k.
func verifies(t *testing.T, k *carnet.Key, plain []byte) bool {
	t.Helper()
	v, err := carnet.NewVerifier(carnet.VerifierConfig{Keys: &issuerKeys{keys: []*carnet.Key{k}}, Policy: carnet.SignatureOnly()})
	if err != nil {
		t.Fatal(err)
	}
	input := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"HS256"}`)) + "." + base64.RawURLEncoding.EncodeToString([]byte("{}"))
	m := hmac.New(sha256.New, plain)
	m.Write([]byte(input))
	_, err = v.Verify(t.Context(), input+"."+base64.RawURLEncoding.EncodeToString(m.Sum(nil)))
	return err == nil
}

// issuerKeys is a source of keys that are fetched.
type issuerKeys struct {
	keys []*carnet.Key
	err  error
	hint carnet.Hint
}

func (s *issuerKeys) Find(_ context.Context, h carnet.Hint) ([]*carnet.Key, error) {
	s.hint = h
	return s.keys, s.err
}

func (*issuerKeys) Generation() uint64 { return 0 }

func TestRemoteMaterial(t *testing.T) {
	t.Parallel()
	s := &issuerKeys{keys: []*carnet.Key{publicKey(t, "k")}}
	c := NewCredential(New("u", "", nil), "https://issuer.example", Material{Remote: s}, nil)
	keys, err := c.Keys(t.Context(), carnet.Hint{Algorithm: "ES256", KeyID: "k", Issuer: "device-1"})
	if err != nil || len(keys) != 1 || keys[0].ID() != "k" {
		t.Fatalf("Keys = %v, %v", ids(keys), err)
	}
	if s.hint.Issuer != "https://issuer.example" || s.hint.KeyID != "k" {
		t.Errorf("the issuer was asked for %+v", s.hint)
	}
	if !c.Named() || c.Symmetric() {
		t.Errorf("Named = %v, Symmetric = %v", c.Named(), c.Symmetric())
	}
	s.err = carnet.ErrKeysUnavailable
	if _, err := c.Keys(t.Context(), carnet.Hint{}); !errors.Is(err, carnet.ErrKeysUnavailable) {
		t.Errorf("error = %v", err)
	}
}
