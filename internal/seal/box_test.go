package seal_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	gojose "github.com/go-jose/go-jose/v4"

	"github.com/carnetproject/carnet/internal/jose"
	"github.com/carnetproject/carnet/internal/seal"
	"github.com/carnetproject/carnet/internal/secret"
)

const purpose = "key:access:k1"

func rawKey(fill byte) []byte { return bytes.Repeat([]byte{fill}, seal.KeySize) }

func newBox(t testing.TB, fill byte) *seal.Box {
	t.Helper()
	box, err := seal.NewBox(secret.New(rawKey(fill)))
	if err != nil {
		t.Fatal(err)
	}
	return box
}

func TestBoxRoundTrip(t *testing.T) {
	t.Parallel()
	box := newBox(t, 1)
	for name, tc := range map[string]struct {
		purpose string
		plain   []byte
	}{
		"text":              {purpose, []byte("a private key")},
		"nothing":           {purpose, []byte{}},
		"largest":           {purpose, bytes.Repeat([]byte{0xff}, seal.MaxPlain)},
		"shortest purpose":  {"k", []byte("x")},
		"longest purpose":   {strings.Repeat("k", 512), []byte("x")},
		"purpose to escape": {`key:"<a>&\'/`, []byte("x")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sealed, err := box.Seal(tc.purpose, tc.plain)
			if err != nil {
				t.Fatal(err)
			}
			if len(sealed) > seal.MaxSealed {
				t.Errorf("sealed value has %d bytes", len(sealed))
			}
			plain, err := newBox(t, 1).Open(tc.purpose, sealed)
			if err != nil || !bytes.Equal(plain, tc.plain) {
				t.Errorf("Open() = %d bytes, %v; want the %d sealed", len(plain), err, len(tc.plain))
			}
			again, err := box.Seal(tc.purpose, tc.plain)
			if err != nil || again == sealed {
				t.Errorf("sealing twice gives the same value, or %v", err)
			}
		})
	}
}

func TestBoxRefusesItsCaller(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 16, 31, 33, 64} {
		if _, err := seal.NewBox(secret.New(make([]byte, n))); err == nil {
			t.Errorf("took a master key of %d bytes", n)
		}
	}
	box := newBox(t, 1)
	if _, err := box.Seal(purpose, make([]byte, seal.MaxPlain+1)); !errors.Is(err, seal.ErrPlainSize) {
		t.Errorf("too much to seal: error = %v, want %v", err, seal.ErrPlainSize)
	}
	for name, bad := range map[string]string{
		"empty": "", "long": strings.Repeat("k", 513), "control": "a\nb", "not ASCII": "clé", "not UTF-8": "\xff",
	} {
		if _, err := box.Seal(bad, nil); err == nil {
			t.Errorf("sealed for a purpose that is %s", name)
		}
		if _, err := box.Open(bad, ""); err == nil || errors.Is(err, seal.ErrOpen) {
			t.Errorf("opening for a purpose that is %s: error = %v, want one for the caller", name, err)
		}
	}
}

// sealWith makes a token with go-jose alone, under the box's key.
func sealWith(t testing.TB, enc gojose.ContentEncryption, to gojose.Recipient, o gojose.EncrypterOptions, plain []byte) *gojose.JSONWebEncryption {
	t.Helper()
	e, err := gojose.NewEncrypter(enc, to, &o)
	if err != nil {
		t.Fatal(err)
	}
	object, err := e.Encrypt(plain)
	if err != nil {
		t.Fatal(err)
	}
	return object
}

func compactOf(t testing.TB, object *gojose.JSONWebEncryption) string {
	t.Helper()
	s, err := object.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// edit replaces one part of a compact token.
func edit(token string, part int, f func(string) string) string {
	parts := strings.Split(token, ".")
	parts[part] = f(parts[part])
	return strings.Join(parts, ".")
}

func TestBoxRefusals(t *testing.T) {
	t.Parallel()
	direct := gojose.Recipient{Algorithm: gojose.DIRECT, Key: rawKey(1)}
	with := func(members map[gojose.HeaderKey]any) gojose.EncrypterOptions {
		all := map[gojose.HeaderKey]any{"purpose": purpose}
		for name, v := range members {
			all[name] = v
		}
		return gojose.EncrypterOptions{ExtraHeaders: all}
	}
	valid := compactOf(t, sealWith(t, gojose.A256GCM, direct, with(nil), []byte("plain")))
	if plain, err := newBox(t, 1).Open(purpose, valid); err != nil || string(plain) != "plain" {
		t.Fatalf("the token to edit does not open: %v", err)
	}
	withHeader := func(json string) string {
		return edit(valid, 0, func(string) string { return jose.Encode([]byte(json)) })
	}
	flip := func(s string) string {
		b, _ := jose.Decode(s)
		b[0] ^= 1
		return jose.Encode(b)
	}
	zipped := with(nil)
	zipped.Compression = gojose.DEFLATE
	for name, sealed := range map[string]string{
		"empty":                    "",
		"four parts":               strings.TrimSuffix(valid, valid[strings.LastIndex(valid, "."):]),
		"six parts":                valid + ".AA",
		"only dots":                "....",
		"a space after":            valid + " ",
		"a line after":             valid + "\n",
		"padding":                  valid + "==",
		"too long":                 valid + strings.Repeat("A", seal.MaxSealed),
		"JSON serialization":       sealWith(t, gojose.A256GCM, direct, with(nil), []byte("plain")).FullSerialize(),
		"another purpose":          compactOf(t, sealWith(t, gojose.A256GCM, direct, with(map[gojose.HeaderKey]any{"purpose": "key:access:k2"}), nil)),
		"no purpose":               compactOf(t, sealWith(t, gojose.A256GCM, direct, gojose.EncrypterOptions{}, nil)),
		"purpose of another type":  compactOf(t, sealWith(t, gojose.A256GCM, direct, with(map[gojose.HeaderKey]any{"purpose": []string{purpose}}), nil)),
		"another key":              compactOf(t, sealWith(t, gojose.A256GCM, gojose.Recipient{Algorithm: gojose.DIRECT, Key: rawKey(2)}, with(nil), nil)),
		"compressed":               compactOf(t, sealWith(t, gojose.A256GCM, direct, zipped, []byte("plain"))),
		"one member more":          compactOf(t, sealWith(t, gojose.A256GCM, direct, with(map[gojose.HeaderKey]any{"typ": "JWT"}), nil)),
		"a kid":                    compactOf(t, sealWith(t, gojose.A256GCM, gojose.Recipient{Algorithm: gojose.DIRECT, Key: rawKey(1), KeyID: "k"}, with(nil), nil)),
		"A128GCM":                  compactOf(t, sealWith(t, gojose.A128GCM, gojose.Recipient{Algorithm: gojose.DIRECT, Key: rawKey(1)[:16]}, with(nil), nil)),
		"A128CBC-HS256":            compactOf(t, sealWith(t, gojose.A128CBC_HS256, direct, with(nil), nil)),
		"A256KW":                   compactOf(t, sealWith(t, gojose.A256GCM, gojose.Recipient{Algorithm: gojose.A256KW, Key: rawKey(1)}, with(nil), nil)),
		"A256GCMKW":                compactOf(t, sealWith(t, gojose.A256GCM, gojose.Recipient{Algorithm: gojose.A256GCMKW, Key: rawKey(1)}, with(nil), nil)),
		"PBES2":                    compactOf(t, sealWith(t, gojose.A256GCM, gojose.Recipient{Algorithm: gojose.PBES2_HS256_A128KW, Key: rawKey(1), PBES2Count: 1000}, with(nil), nil)),
		"alg none":                 withHeader(`{"alg":"none","enc":"A256GCM","purpose":"key:access:k1"}`),
		"header in another order":  withHeader(`{"enc":"A256GCM","alg":"dir","purpose":"key:access:k1"}`),
		"header with a blank":      withHeader(`{"alg": "dir","enc":"A256GCM","purpose":"key:access:k1"}`),
		"header with alg twice":    withHeader(`{"alg":"dir","alg":"dir","enc":"A256GCM","purpose":"key:access:k1"}`),
		"header escaped":           withHeader(`{"alg":"dir","enc":"A256GCM","purpose":"key:access:\u006b1"}`),
		"empty header":             edit(valid, 0, func(string) string { return "" }),
		"an encrypted key":         edit(valid, 1, func(string) string { return "AAAA" }),
		"nonce changed":            edit(valid, 2, flip),
		"nonce short":              edit(valid, 2, func(s string) string { return s[:8] }),
		"nonce long":               edit(valid, 2, func(s string) string { return s + "AAAA" }),
		"no nonce":                 edit(valid, 2, func(string) string { return "" }),
		"ciphertext changed":       edit(valid, 3, flip),
		"ciphertext short":         edit(valid, 3, func(s string) string { return s[:4] }),
		"no ciphertext":            edit(valid, 3, func(string) string { return "" }),
		"ciphertext with a line":   edit(valid, 3, func(s string) string { return s[:2] + "\n" + s[2:] }),
		"ciphertext in base64":     edit(valid, 3, func(s string) string { return "+/+/" + s }),
		"ciphertext of stray bits": edit(valid, 3, func(s string) string { return s[:6] + "_" }),
		"tag changed":              edit(valid, 4, flip),
		"tag short":                edit(valid, 4, func(s string) string { return s[:16] }),
		"tag with stray bits":      edit(valid, 4, func(s string) string { return s[:21] + strayed(s[21]) }),
		"no tag":                   edit(valid, 4, func(string) string { return "" }),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if plain, err := newBox(t, 1).Open(purpose, sealed); err != seal.ErrOpen || plain != nil { //nolint:errorlint // nothing may be wrapped: it would tell why
				t.Errorf("Open() = %q, %v; want %v alone", plain, err, seal.ErrOpen)
			}
		})
	}
}

// strayed is another spelling of a last digit that carries two bits: the same
// bytes for who ignores the rest.
func strayed(last byte) string {
	const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	return string(digits[strings.IndexByte(digits, last)|1])
}

// sealedBefore was made by an earlier run: what is stored must go on opening.
const sealedBefore = "eyJhbGciOiJkaXIiLCJlbmMiOiJBMjU2R0NNIiwicHVycG9zZSI6ImtleTphY2Nlc3M6azEifQ..-Sn3zMZViS7o7vZr.PjZ_mjI.dJxgKAkMVhs0Bs7gEd54JQ"

func TestOpensWhatIsStored(t *testing.T) {
	t.Parallel()
	if plain, err := newBox(t, 1).Open(purpose, sealedBefore); err != nil || string(plain) != "plain" {
		t.Errorf("Open() = %q, %v", plain, err)
	}
}

// FuzzBoxOpen looks for a value that opens and that Seal did not make: one value
// has one spelling, so what opens must be the seed byte for byte.
func FuzzBoxOpen(f *testing.F) {
	box := newBox(f, 1)
	f.Add(sealedBefore)
	f.Add("....")
	f.Add(jose.Encode([]byte(`{"alg":"dir","enc":"A256GCM","purpose":"key:access:k1"}`)) + "..AAAAAAAAAAAAAAAA..AAAAAAAAAAAAAAAAAAAAAA")
	f.Fuzz(func(t *testing.T, s string) {
		plain, err := box.Open(purpose, s)
		if err == nil && (s != sealedBefore || string(plain) != "plain") {
			t.Errorf("opened %q", s)
		}
		if err != nil && (err != seal.ErrOpen || plain != nil) { //nolint:errorlint // see above
			t.Errorf("Open() = %q, %v", plain, err)
		}
	})
}

func TestDerive(t *testing.T) {
	t.Parallel()
	seen := map[string]string{}
	for name, tc := range map[string]struct {
		fill    byte
		purpose string
	}{
		"one":             {1, "fingerprint:v1"},
		"another purpose": {1, "fingerprint:v2"},
		"another key":     {2, "fingerprint:v1"},
	} {
		box := newBox(t, tc.fill)
		key, err := box.Derive(tc.purpose)
		if err != nil || key.Len() != seal.KeySize || bytes.Equal(key.Reveal(), rawKey(tc.fill)) {
			t.Fatalf("%s: %d bytes, error %v", name, key.Len(), err)
		}
		if other := seen[string(key.Reveal())]; other != "" {
			t.Errorf("%s has the key of %s", name, other)
		}
		seen[string(key.Reveal())] = name
		if again, err := box.Derive(tc.purpose); err != nil || !again.Equal(key) {
			t.Errorf("%s: it is another key the second time", name)
		}
	}
	if _, err := newBox(t, 1).Derive(""); err == nil {
		t.Error("a key for nothing")
	}
}
