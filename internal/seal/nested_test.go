package seal_test

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"errors"
	"strings"
	"testing"

	gojose "github.com/go-jose/go-jose/v4"

	"github.com/carnetproject/carnet/internal/jose"
	"github.com/carnetproject/carnet/internal/seal"
)

func TestNested(t *testing.T) {
	t.Parallel()
	key := newRSA(t)
	other, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	by, err := seal.NewNested(key)
	if err != nil {
		t.Fatal(err)
	}
	made := func(alg gojose.KeyAlgorithm, enc gojose.ContentEncryption, to *rsa.PrivateKey, o gojose.EncrypterOptions) string {
		return compactOf(t, sealWith(t, enc, gojose.Recipient{Algorithm: alg, Key: &to.PublicKey}, o, []byte("a.b.c")))
	}
	with := func(name gojose.HeaderKey, value any) gojose.EncrypterOptions {
		return *new(gojose.EncrypterOptions).WithHeader(name, value)
	}
	none := gojose.EncrypterOptions{}
	good := made(gojose.RSA_OAEP, gojose.A256GCM, key, none)
	for name, tc := range map[string]struct {
		sealed string
		ok     bool
	}{
		"RSA-OAEP, A256GCM":          {good, true},
		"RSA-OAEP, A128GCM":          {made(gojose.RSA_OAEP, gojose.A128GCM, key, none), true},
		"RSA-OAEP, A128CBC-HS256":    {made(gojose.RSA_OAEP, gojose.A128CBC_HS256, key, none), true},
		"RSA-OAEP-256, A256GCM":      {made(gojose.RSA_OAEP_256, gojose.A256GCM, key, none), true},
		"cty":                        {made(gojose.RSA_OAEP, gojose.A256GCM, key, with(gojose.HeaderContentType, "JWT")), true},
		"typ":                        {made(gojose.RSA_OAEP, gojose.A256GCM, key, with(gojose.HeaderType, "JWT")), true},
		"kid":                        {made(gojose.RSA_OAEP, gojose.A256GCM, key, with("kid", "any")), true},
		"RSA1_5":                     {made(gojose.RSA1_5, gojose.A256GCM, key, none), false},
		"A256CBC-HS512":              {made(gojose.RSA_OAEP, gojose.A256CBC_HS512, key, none), false},
		"another key":                {made(gojose.RSA_OAEP, gojose.A256GCM, other, none), false},
		"compressed":                 {made(gojose.RSA_OAEP, gojose.A256GCM, key, gojose.EncrypterOptions{Compression: gojose.DEFLATE}), false},
		"a member that is not known": {made(gojose.RSA_OAEP, gojose.A256GCM, key, with("jku", "https://evil.example")), false},
		"damaged":                    {edit(good, 3, func(s string) string { return "AAAA" + s[4:] }), false},
		"another tag":                {edit(good, 4, func(string) string { return base64.RawURLEncoding.EncodeToString(make([]byte, 16)) }), false},
		"an encrypted key cut short": {edit(good, 1, func(s string) string { return s[:100] }), false},
		"header with a name twice":   {edit(good, 0, func(string) string { return jose.Encode([]byte(`{"alg":"RSA-OAEP","alg":"RSA-OAEP","enc":"A256GCM"}`)) }), false},
		"header that is none":        {edit(good, 0, func(string) string { return "AAAA" }), false},
		"header that is not base64":  {edit(good, 0, func(string) string { return "!" }), false},
		"longer than it may be":      {good + strings.Repeat("A", seal.MaxSealed), false},
		"four parts":                 {"a.b.c.d", false},
		"nothing":                    {"", false},
		"in JSON":                    {sealWith(t, gojose.A256GCM, gojose.Recipient{Algorithm: gojose.RSA_OAEP, Key: &key.PublicKey}, none, []byte("x")).FullSerialize(), false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			plain, err := by.Open(tc.sealed)
			if tc.ok && (err != nil || string(plain) != "a.b.c") || !tc.ok && (!errors.Is(err, seal.ErrOpen) || plain != nil) {
				t.Errorf("Open() = %q, %v; want success %t", plain, err, tc.ok)
			}
		})
	}
}

func TestKeysThatCannotOpenNested(t *testing.T) {
	t.Parallel()
	for name, key := range map[string]any{"nothing": nil, "bytes": rawKey(1), "EC": openerBefore} {
		if _, err := seal.NewNested(key); err == nil {
			t.Errorf("%s: took it", name)
		}
	}
}

// FuzzNestedOpen looks for a token that opens and is not the seed.
func FuzzNestedOpen(f *testing.F) {
	by, err := seal.NewNested(newRSA(f))
	if err != nil {
		f.Fatal(err)
	}
	to := gojose.Recipient{Algorithm: gojose.RSA_OAEP, Key: &newRSA(f).PublicKey}
	good := compactOf(f, sealWith(f, gojose.A256GCM, to, gojose.EncrypterOptions{}, []byte("plain")))
	f.Add(good)
	f.Add("....")
	f.Add(edit(good, 0, func(string) string { return jose.Encode([]byte(`{"alg":"RSA1_5","enc":"A256GCM"}`)) }))
	f.Fuzz(func(t *testing.T, s string) {
		plain, err := by.Open(s)
		if err == nil && (s != good || string(plain) != "plain") {
			t.Errorf("opened %q", s)
		}
		if err != nil && err != seal.ErrOpen { //nolint:errorlint // nothing may be wrapped: it would tell why
			t.Errorf("Open() = %v", err)
		}
	})
}
