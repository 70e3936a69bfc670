package seal_test

import (
	"bytes"
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	gojose "github.com/go-jose/go-jose/v4"

	"github.com/carnetproject/carnet/internal/jose"
	"github.com/carnetproject/carnet/internal/seal"
	"github.com/carnetproject/carnet/internal/secret"
)

// rsaKey is made once: it takes long.
var rsaKey = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })

func newRSA(t testing.TB) *rsa.PrivateKey {
	t.Helper()
	k, err := rsaKey()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func newEC(t testing.TB, curve elliptic.Curve) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func opener(t testing.TB, kid string, key any) *seal.Opener {
	t.Helper()
	return openerOf(t, seal.Suite{}, kid, key)
}

func openerOf(t testing.TB, s seal.Suite, kid string, key any) *seal.Opener {
	t.Helper()
	o, err := seal.NewOpener(s, kid, key)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

type private interface{ Public() crypto.PublicKey }

// suites are all that there are, each with keys that it takes.
func suites(t *testing.T) map[seal.Suite]map[string]any {
	t.Helper()
	curves := map[string]any{"P-256": newEC(t, elliptic.P256()), "P-384": newEC(t, elliptic.P384()), "P-521": newEC(t, elliptic.P521())}
	all := map[seal.Suite]map[string]any{}
	for _, enc := range []seal.Encryption{seal.A256GCM, seal.A128CBCHS256} {
		all[seal.Suite{Alg: seal.ECDHES, Enc: enc}] = curves
		all[seal.Suite{Alg: seal.ECDHESA256KW, Enc: enc}] = curves
		all[seal.Suite{Alg: seal.RSAOAEP256, Enc: enc}] = map[string]any{"RSA": newRSA(t)}
		all[seal.Suite{Alg: seal.Direct, Enc: enc}] = map[string]any{"secret": secret.New(rawKey(3))}
	}
	return all
}

// half is the key to seal with.
func half(key any) any {
	if k, ok := key.(private); ok {
		return k.Public()
	}
	return key
}

func recipient(t testing.TB, s seal.Suite, kid string, key any) *seal.Recipient {
	t.Helper()
	to, err := seal.NewRecipient(s, kid, half(key))
	if err != nil {
		t.Fatal(err)
	}
	return to
}

func TestRecipientRoundTrip(t *testing.T) {
	t.Parallel()
	for suite, keys := range suites(t) {
		for name, key := range keys {
			for _, kid := range []string{"", "bot-1"} {
				t.Run(fmt.Sprintf("%s/%s/%s/%s", suite.Alg, suite.Enc, name, kid), func(t *testing.T) {
					t.Parallel()
					to := recipient(t, suite, kid, key)
					for _, want := range [][]byte{{}, []byte("for the bot alone"), bytes.Repeat([]byte{7}, seal.MaxPlain)} {
						sealed, err := to.Seal(want)
						if err != nil {
							t.Fatal(err)
						}
						for _, as := range []string{kid, ""} {
							got, err := openerOf(t, suite, as, key).Open(sealed)
							if err != nil || !bytes.Equal(got, want) {
								t.Errorf("Open() = %d bytes, %v; want the %d sealed", len(got), err, len(want))
							}
						}
						if _, err := openerOf(t, suite, "other", key).Open(sealed); (err == nil) != (kid == "") {
							t.Errorf("another kid: error = %v", err)
						}
					}
					if _, err := to.Seal(make([]byte, seal.MaxPlain+1)); !errors.Is(err, seal.ErrPlainSize) {
						t.Errorf("too much to seal: error = %v, want %v", err, seal.ErrPlainSize)
					}
				})
			}
		}
	}
}

// TestOneSuite shows what one suite seals to the openers of all others.
func TestOneSuite(t *testing.T) {
	t.Parallel()
	all := suites(t)
	for sealer, keys := range all {
		for _, key := range keys {
			sealed, err := recipient(t, sealer, "", key).Seal([]byte("plain"))
			if err != nil {
				t.Fatal(err)
			}
			for other := range all {
				by, err := seal.NewOpener(other, "", key)
				if err != nil || other == sealer {
					continue
				}
				if _, err := by.Open(sealed); !errors.Is(err, seal.ErrOpen) {
					t.Errorf("%v opens what %v sealed: %v", other, sealer, err)
				}
			}
		}
	}
}

func TestNestedTokens(t *testing.T) {
	t.Parallel()
	key := newEC(t, elliptic.P256())
	to, by := recipient(t, seal.Suite{}, "", key), opener(t, "", key)
	sealed, err := to.SealToken("a.b.c")
	if err != nil {
		t.Fatal(err)
	}
	if token, err := by.OpenToken(sealed); err != nil || token != "a.b.c" {
		t.Errorf("OpenToken() = %q, %v", token, err)
	}
	if _, err := to.SealToken("a.b"); err == nil {
		t.Error("nested what is no token")
	}
	plain, err := to.Seal([]byte("a.b.c"))
	if err != nil {
		t.Fatal(err)
	}
	direct := gojose.Recipient{Algorithm: gojose.ECDH_ES, Key: &key.PublicKey}
	made := func(cty gojose.ContentType, text string) string {
		return compactOf(t, sealWith(t, gojose.A256GCM, direct, *new(gojose.EncrypterOptions).WithContentType(cty), []byte(text)))
	}
	if token, err := by.OpenToken(made("jwt", "a.b.c")); err != nil || token != "a.b.c" {
		t.Errorf("cty in lower case: %q, %v", token, err)
	}
	for name, bad := range map[string]string{
		"no cty": plain, "another cty": made("JSON", "a.b.c"), "no token": made("JWT", "a.b"), "nested twice": made("JWT", sealed), "nothing": "",
	} {
		if token, err := by.OpenToken(bad); !errors.Is(err, seal.ErrOpen) || token != "" {
			t.Errorf("%s: OpenToken() = %q, %v", name, token, err)
		}
	}
}

func TestKeysThatCannotSeal(t *testing.T) {
	t.Parallel()
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	ec := newEC(t, elliptic.P256())
	for name, tc := range map[string]struct {
		suite seal.Suite
		key   any
	}{
		"nothing":            {seal.Suite{}, nil},
		"bytes":              {seal.Suite{}, rawKey(1)},
		"short RSA":          {seal.Suite{}, small},
		"P-224":              {seal.Suite{}, newEC(t, elliptic.P224())},
		"secret of 16 bytes": {seal.Suite{}, secret.New(rawKey(1)[:16])},
		"secret of 64 bytes": {seal.Suite{}, secret.New(make([]byte, 64))},
		"RSA for ECDH":       {seal.Suite{Alg: seal.ECDHES}, newRSA(t)},
		"EC for RSA":         {seal.Suite{Alg: seal.RSAOAEP256}, ec},
		"secret for ECDH":    {seal.Suite{Alg: seal.ECDHES}, secret.New(rawKey(1))},
		"EC for dir":         {seal.Suite{Alg: seal.Direct}, ec},
		"RSA1_5":             {seal.Suite{Alg: "RSA1_5"}, newRSA(t)},
		"RSA-OAEP":           {seal.Suite{Alg: "RSA-OAEP"}, newRSA(t)},
		"PBES2":              {seal.Suite{Alg: "PBES2-HS256+A128KW"}, secret.New(rawKey(1))},
		"A128GCM":            {seal.Suite{Enc: "A128GCM"}, ec},
	} {
		if _, err := seal.NewOpener(tc.suite, "", tc.key); err == nil {
			t.Errorf("%s: took it to open", name)
		}
		if _, err := seal.NewRecipient(tc.suite, "", half(tc.key)); err == nil {
			t.Errorf("%s: took it to seal", name)
		}
	}
	if _, err := seal.NewOpener(seal.Suite{}, "", &ec.PublicKey); err == nil {
		t.Error("took a public key to open")
	}
}

// The JWE below are made by hand, from the RFCs and the standard library alone, to
// prove that ours are not merely what one library reads of itself.

func assemble(t *testing.T, header, encryptedKey, contentKey, plain []byte) string {
	t.Helper()
	block, err := aes.NewCipher(contentKey)
	if err != nil {
		t.Fatal(err)
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		t.Fatal(err)
	}
	nonce := bytes.Repeat([]byte{9}, gcm.NonceSize())
	protected := jose.Encode(header)
	out := gcm.Seal(nil, nonce, plain, []byte(protected)) // RFC 7516 §5.1
	text, tag := out[:len(out)-gcm.Overhead()], out[len(out)-gcm.Overhead():]
	return strings.Join([]string{protected, jose.Encode(encryptedKey), jose.Encode(nonce), jose.Encode(text), jose.Encode(tag)}, ".")
}

func TestOpensRSAMadeByHand(t *testing.T) {
	t.Parallel()
	key, contentKey := newRSA(t), rawKey(5)
	encrypted, err := rsa.EncryptOAEP(sha256.New(), rand.Reader, &key.PublicKey, contentKey, nil)
	if err != nil {
		t.Fatal(err)
	}
	sealed := assemble(t, []byte(`{"kid":"k", "enc":"A256GCM","alg":"RSA-OAEP-256"}`), encrypted, contentKey, []byte("by hand"))
	if plain, err := opener(t, "k", key).Open(sealed); err != nil || string(plain) != "by hand" {
		t.Errorf("Open() = %q, %v", plain, err)
	}
}

// agreeByHand is ECDH-ES with direct key agreement (RFC 7518 §4.6): the header's
// epk member and the content key.
func agreeByHand(t *testing.T, to *ecdsa.PublicKey) (epk string, contentKey []byte) {
	t.Helper()
	ephemeral := newEC(t, to.Curve)
	mine, err := ephemeral.ECDH()
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := to.ECDH()
	if err != nil {
		t.Fatal(err)
	}
	z, err := mine.ECDH(theirs)
	if err != nil {
		t.Fatal(err)
	}
	hash := sha256.New() // one round of the Concat KDF
	number := func(n int) { _ = binary.Write(hash, binary.BigEndian, uint32(n)) }
	number(1)
	hash.Write(z)
	number(len("A256GCM"))
	hash.Write([]byte("A256GCM"))
	number(0) // apu
	number(0) // apv
	number(256)
	point := mine.PublicKey().Bytes()[1:]
	half := len(point) / 2
	return fmt.Sprintf(`{"kty":"EC","crv":%q,"x":%q,"y":%q}`,
		to.Curve.Params().Name, jose.Encode(point[:half]), jose.Encode(point[half:])), hash.Sum(nil)
}

func TestOpensECDHMadeByHand(t *testing.T) {
	t.Parallel()
	for _, curve := range []elliptic.Curve{elliptic.P256(), elliptic.P384(), elliptic.P521()} {
		key := newEC(t, curve)
		epk, contentKey := agreeByHand(t, &key.PublicKey)
		sealed := assemble(t, []byte(`{"alg":"ECDH-ES","enc":"A256GCM","epk":`+epk+`}`), nil, contentKey, []byte("by hand"))
		if plain, err := opener(t, "", key).Open(sealed); err != nil || string(plain) != "by hand" {
			t.Errorf("%s: Open() = %q, %v", curve.Params().Name, plain, err)
		}
	}
}

func TestOpenerRefusals(t *testing.T) {
	t.Parallel()
	ec, other, pair := newEC(t, elliptic.P256()), newEC(t, elliptic.P384()), newRSA(t)
	ecdh := func(header func(epk string) string, encryptedKey ...byte) string {
		epk, contentKey := agreeByHand(t, &ec.PublicKey)
		return assemble(t, []byte(header(epk)), encryptedKey, contentKey, []byte("plain"))
	}
	right := func(epk string) string { return `{"alg":"ECDH-ES","enc":"A256GCM","epk":` + epk + `}` }
	plus := func(member string) string {
		return ecdh(func(epk string) string { return strings.TrimSuffix(right(epk), "}") + "," + member + "}" })
	}
	epkAs := func(epk string) string { return ecdh(func(string) string { return right(epk) }) }
	rsaTo := gojose.Recipient{Algorithm: gojose.RSA_OAEP_256, Key: &pair.PublicKey}
	made := func(enc gojose.ContentEncryption, to gojose.Recipient) string {
		return compactOf(t, sealWith(t, enc, to, gojose.EncrypterOptions{}, []byte("plain")))
	}
	ecTo := func(alg gojose.KeyAlgorithm) gojose.Recipient {
		return gojose.Recipient{Algorithm: alg, Key: &ec.PublicKey}
	}
	foreign, _ := agreeByHand(t, &other.PublicKey)
	ok := ecdh(right)
	if _, err := opener(t, "", ec).Open(ok); err != nil {
		t.Fatalf("the token to edit does not open: %v", err)
	}
	rsaOK := made(gojose.A256GCM, rsaTo)
	zip := gojose.EncrypterOptions{Compression: gojose.DEFLATE}
	rsaOpener, ecOpener := opener(t, "", pair), opener(t, "", ec)
	sealedBy := func(s seal.Suite, key any) (string, *seal.Opener) {
		sealed, err := recipient(t, s, "", key).Seal([]byte("plain"))
		if err != nil {
			t.Fatal(err)
		}
		return sealed, openerOf(t, s, "", key)
	}
	kwOK, kwOpener := sealedBy(seal.Suite{Alg: seal.ECDHESA256KW}, ec)
	cbcOK, cbcOpener := sealedBy(seal.Suite{Enc: seal.A128CBCHS256}, ec)
	dirOK, dirOpener := sealedBy(seal.Suite{}, secret.New(rawKey(7)))
	for name, tc := range map[string]struct {
		by     *seal.Opener
		sealed string
	}{
		"empty":                   {ecOpener, ""},
		"too long":                {ecOpener, ok + strings.Repeat("A", seal.MaxSealed)},
		"header too long":         {ecOpener, plus(`"kid":"` + strings.Repeat("k", 2<<10) + `"`)},
		"five empty parts":        {ecOpener, "...."},
		"RSA to an EC key":        {ecOpener, rsaOK},
		"EC to an RSA key":        {rsaOpener, ok},
		"another EC key":          {opener(t, "", newEC(t, elliptic.P256())), ok},
		"zip":                     {ecOpener, compactOf(t, sealWith(t, gojose.A256GCM, ecTo(gojose.ECDH_ES), zip, []byte("plain")))},
		"zip of nothing known":    {ecOpener, plus(`"zip":"none"`)},
		"crit":                    {ecOpener, plus(`"crit":["exp"],"exp":1`)},
		"empty crit":              {ecOpener, plus(`"crit":[]`)},
		"p2c":                     {ecOpener, plus(`"p2c":1000000000`)},
		"jwk":                     {ecOpener, plus(`"jwk":{}`)},
		"jku":                     {ecOpener, plus(`"jku":"https://evil.example/"`)},
		"an apu put in later":     {ecOpener, plus(`"apu":"QWxpY2U"`)},
		"another kid":             {opener(t, "mine", ec), plus(`"kid":"k"`)},
		"empty typ":               {ecOpener, plus(`"typ":""`)},
		"typ of another type":     {ecOpener, plus(`"typ":["JWT"]`)},
		"x5c":                     {ecOpener, plus(`"x5c":["AA"]`)},
		"p2s":                     {ecOpener, plus(`"p2s":"AAAA"`)},
		"iv for a key wrap":       {ecOpener, plus(`"iv":"AAAA","tag":"AAAA"`)},
		"apv with padding":        {ecOpener, plus(`"apv":"QQ=="`)},
		"apu of another type":     {ecOpener, plus(`"apu":1`)},
		"empty kid":               {ecOpener, plus(`"kid":""`)},
		"kid of another type":     {ecOpener, plus(`"kid":1`)},
		"null kid":                {ecOpener, plus(`"kid":null`)},
		"alg twice":               {ecOpener, plus(`"alg":"ECDH-ES"`)},
		"alg in upper case too":   {ecOpener, plus(`"ALG":"ECDH-ES"`)},
		"alg in upper case only":  {ecOpener, ecdh(func(epk string) string { return `{"ALG":"ECDH-ES","enc":"A256GCM","epk":` + epk + `}` })},
		"no enc":                  {ecOpener, ecdh(func(epk string) string { return `{"alg":"ECDH-ES","epk":` + epk + `}` })},
		"no epk":                  {ecOpener, ecdh(func(string) string { return `{"alg":"ECDH-ES","enc":"A256GCM"}` })},
		"header is a list":        {ecOpener, ecdh(func(string) string { return `["ECDH-ES"]` })},
		"bytes after the header":  {ecOpener, ecdh(func(epk string) string { return right(epk) + "{}" })},
		"an encrypted key":        {ecOpener, ecdh(right, 1, 2, 3)},
		"epk of another curve":    {ecOpener, epkAs(foreign)},
		"epk off the curve":       {ecOpener, epkAs(`{"kty":"EC","crv":"P-256","x":"` + jose.Encode(rawKey(1)) + `","y":"` + jose.Encode(rawKey(2)) + `"}`)},
		"epk is zero":             {ecOpener, epkAs(`{"kty":"EC","crv":"P-256","x":"` + jose.Encode(rawKey(0)) + `","y":"` + jose.Encode(rawKey(0)) + `"}`)},
		"epk is short":            {ecOpener, epkAs(`{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}`)},
		"epk with a private part": {ecOpener, ecdh(func(epk string) string { return right(strings.TrimSuffix(epk, "}") + `,"d":"AA"}`) })},
		"epk without y":           {ecOpener, epkAs(`{"kty":"EC","crv":"P-256","x":"AA"}`)},
		"epk of another type":     {ecOpener, epkAs(`"EC"`)},
		"epk is OKP":              {ecOpener, epkAs(`{"kty":"OKP","crv":"X25519","x":"` + jose.Encode(rawKey(9)) + `"}`)},
		"ECDH-ES+A256KW":          {ecOpener, made(gojose.A256GCM, ecTo(gojose.ECDH_ES_A256KW))},
		"ECDH-ES with A128GCM":    {ecOpener, made(gojose.A128GCM, ecTo(gojose.ECDH_ES))},
		"ECDH-ES with CBC":        {ecOpener, made(gojose.A256CBC_HS512, ecTo(gojose.ECDH_ES))},
		"RSA1_5":                  {rsaOpener, made(gojose.A256GCM, gojose.Recipient{Algorithm: gojose.RSA1_5, Key: &pair.PublicKey})},
		"RSA-OAEP with SHA-1":     {rsaOpener, made(gojose.A256GCM, gojose.Recipient{Algorithm: gojose.RSA_OAEP, Key: &pair.PublicKey})},
		"RSA with A128GCM":        {rsaOpener, made(gojose.A128GCM, rsaTo)},
		"RSA with an epk": {rsaOpener, edit(rsaOK, 0, func(string) string {
			return jose.Encode([]byte(`{"alg":"RSA-OAEP-256","enc":"A256GCM","epk":` + foreign + `}`))
		})},
		"RSA without a key":         {rsaOpener, edit(rsaOK, 1, func(string) string { return "" })},
		"RSA with half a key":       {rsaOpener, edit(rsaOK, 1, func(s string) string { return s[:172] })},
		"RSA key changed":           {rsaOpener, edit(rsaOK, 1, func(string) string { return jose.Encode(bytes.Repeat([]byte{1}, 256)) })},
		"RSA key that is too big":   {rsaOpener, edit(rsaOK, 1, func(string) string { return jose.Encode(bytes.Repeat([]byte{255}, 256)) })},
		"RSA ciphertext changed":    {rsaOpener, edit(rsaOK, 3, func(s string) string { return "AAAA" + s[4:] })},
		"RSA in JSON serialization": {rsaOpener, sealWith(t, gojose.A256GCM, rsaTo, gojose.EncrypterOptions{}, []byte("plain")).FullSerialize()},
		"RSA with another kid":      {opener(t, "mine", pair), made(gojose.A256GCM, gojose.Recipient{Algorithm: gojose.RSA_OAEP_256, Key: &pair.PublicKey, KeyID: "k"})},
		"RSA with an apu":           {rsaOpener, edit(rsaOK, 0, func(string) string { return jose.Encode([]byte(`{"alg":"RSA-OAEP-256","enc":"A256GCM","apu":"AA"}`)) })},
		"wrapped key cut short":     {kwOpener, edit(kwOK, 1, func(s string) string { return s[:32] })},
		"wrapped key changed":       {kwOpener, edit(kwOK, 1, func(string) string { return jose.Encode(make([]byte, 40)) })},
		"no wrapped key":            {kwOpener, edit(kwOK, 1, func(string) string { return "" })},
		"key that is not wrapped":   {kwOpener, ok},
		"CBC to a GCM key":          {ecOpener, cbcOK},
		"CBC with a GCM nonce":      {cbcOpener, edit(cbcOK, 2, func(s string) string { return s[:16] })},
		"CBC of half a block":       {cbcOpener, edit(cbcOK, 3, func(s string) string { return s[:11] })},
		"CBC of nothing":            {cbcOpener, edit(cbcOK, 3, func(string) string { return "" })},
		"CBC with a tag cut short":  {cbcOpener, edit(cbcOK, 4, func(s string) string { return s[:16] })},
		"CBC with another tag":      {cbcOpener, edit(cbcOK, 4, func(string) string { return jose.Encode(make([]byte, 16)) })},
		"dir with an encrypted key": {dirOpener, edit(dirOK, 1, func(string) string { return "AAAA" })},
		"dir under another secret":  {openerOf(t, seal.Suite{}, "", secret.New(rawKey(8))), dirOK},
		"dir as A256KW":             {dirOpener, made(gojose.A256GCM, gojose.Recipient{Algorithm: gojose.A256KW, Key: rawKey(7)})},
		"PBES2 to a secret":         {dirOpener, made(gojose.A256GCM, gojose.Recipient{Algorithm: gojose.PBES2_HS256_A128KW, Key: rawKey(7), PBES2Count: 1000})},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if plain, err := tc.by.Open(tc.sealed); err != seal.ErrOpen || plain != nil { //nolint:errorlint // nothing may be wrapped: it would tell why
				t.Errorf("Open() = %q, %v; want %v alone", plain, err, seal.ErrOpen)
			}
		})
	}
}

// A P-256 key (PKCS #8), and what an earlier run sealed to it.
const (
	keyBefore  = "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgxJ2vRRz1YILMDOLKtwAz+uAnr0YygjGXr+fY6J2N1AehRANCAARIBEMDBPx/xpqGMxGVsjTs+hXQUjSr/7lCB/wnk42ka8hbAfnaYJEY8DV8vNoLvmQnhgitgRv62EH5z1+pLwfD"
	sentBefore = "eyJhbGciOiJFQ0RILUVTIiwiZW5jIjoiQTI1NkdDTSIsImVwayI6eyJrdHkiOiJFQyIsImNydiI6IlAtMjU2IiwieCI6IjJadlpyS2NkSzI0Z19aSlF1QTFoQlZpNnlfaURBbHZOMkFWWkdEalRqNXMiLCJ5IjoiUG5wcTZsaEQtYUZvUFc3blk1YXpIYWxmZUJGZ2RnUm5uRWczdUI1UUJLZyJ9LCJraWQiOiJrIn0..F7Q4rhFpF142HKjC.Yl4zB3s.HPi3kihHeDkfyBt1TELnfQ"
)

func openerBefore(t testing.TB) *seal.Opener {
	t.Helper()
	der, err := base64.StdEncoding.DecodeString(keyBefore)
	if err != nil {
		t.Fatal(err)
	}
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		t.Fatal(err)
	}
	return opener(t, "k", key)
}

func TestOpensWhatWasSent(t *testing.T) {
	t.Parallel()
	if plain, err := openerBefore(t).Open(sentBefore); err != nil || string(plain) != "plain" {
		t.Errorf("Open() = %q, %v", plain, err)
	}
}

// FuzzOpenerOpen looks for a token that opens and is not the seed.
func FuzzOpenerOpen(f *testing.F) {
	by := openerBefore(f)
	f.Add(sentBefore)
	f.Add("....")
	f.Add(edit(sentBefore, 0, func(string) string { return jose.Encode([]byte(`{"alg":"ECDH-ES","enc":"A256GCM","kid":"k"}`)) }))
	f.Fuzz(func(t *testing.T, s string) {
		plain, err := by.Open(s)
		if err == nil && (s != sentBefore || string(plain) != "plain") {
			t.Errorf("opened %q", s)
		}
		if err != nil && err != seal.ErrOpen { //nolint:errorlint // see above
			t.Errorf("Open() = %v", err)
		}
	})
}
