package jose

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"testing"
)

func TestAlgorithm(t *testing.T) {
	t.Parallel()
	if n := len(Algorithms()); n != 13 {
		t.Errorf("there are %d algorithms, want 13", n)
	}
	for _, a := range Algorithms() {
		if !a.Valid() || a.Symmetric() != strings.HasPrefix(string(a), "HS") {
			t.Errorf("%s: Valid() = %v, Symmetric() = %v", a, a.Valid(), a.Symmetric())
		}
	}
	for _, a := range []Algorithm{"", "none", "NONE", "hs256", "HS256 ", "RS1", "ES256K", "Ed25519", "RSA-OAEP", "A128GCM", "HS128"} {
		if a.Valid() || a.Symmetric() {
			t.Errorf("%q is taken for an algorithm", a)
		}
	}
}

// TestAlgorithmRoundTrip signs and verifies with each algorithm, and with a fixture
// key of each other one to no avail.
func TestAlgorithmRoundTrip(t *testing.T) {
	t.Parallel()
	for _, alg := range Algorithms() {
		t.Run(string(alg), func(t *testing.T) {
			t.Parallel()
			k := keyFor(t, alg)
			var u Unverified
			if err := u.Parse(mustSign(t, k, claims)); err != nil {
				t.Fatal(err)
			}
			if u.Algorithm != alg || u.KeyID != k.ID() || u.Type != "at+jwt" || string(u.Payload()) != claims {
				t.Errorf("parsed as %s %q %q %s", u.Algorithm, u.KeyID, u.Type, u.Payload())
			}
			if err := u.Verify(k.publicOrSelf()); err != nil {
				t.Errorf("Verify() error = %v", err)
			}
			for _, other := range Algorithms() {
				if other == alg {
					continue
				}
				if err := u.Verify(keyFor(t, other)); !errors.Is(err, ErrAlgorithm) {
					t.Errorf("Verify() with %s: error = %v", other, err)
				}
			}
			another, err := Generate(alg, k.ID())
			if err != nil {
				t.Fatal(err)
			}
			if err := u.Verify(another); !errors.Is(err, ErrSignature) {
				t.Errorf("Verify() with another key: error = %v", err)
			}
			if k.Equal(another) || !k.Equal(k.publicOrSelf()) {
				t.Error("Equal() does not tell keys apart")
			}
		})
	}
}

// point makes a public key of any numbers, which the parsing functions would not.
func point(curve elliptic.Curve, x, y []byte) *ecdsa.PublicKey {
	//lint:ignore SA1019 no other way leads to a key that is wrong
	return &ecdsa.PublicKey{Curve: curve, X: new(big.Int).SetBytes(x), Y: new(big.Int).SetBytes(y)}
}

// mismatched makes a private key of the public half of one key and d of another.
func mismatched(k *ecdsa.PrivateKey, d []byte) *ecdsa.PrivateKey {
	//lint:ignore SA1019 no other way leads to a key that is wrong
	return &ecdsa.PrivateKey{PublicKey: k.PublicKey, D: new(big.Int).SetBytes(d)}
}

func TestKeyRefuses(t *testing.T) {
	t.Parallel()
	rsaKey := keyFor(t, RS256).Crypto().(*rsa.PrivateKey)
	rsaOther := mustKey(t, members(t, "rsa-other")).Crypto().(*rsa.PrivateKey)
	ec := keyFor(t, ES256).Crypto().(*ecdsa.PrivateKey)
	ecOther := mustKey(t, members(t, "p256-other")).Crypto().(*ecdsa.PrivateKey)
	ed := keyFor(t, EdDSA).Crypto().(ed25519.PrivateKey)
	edOther := mustKey(t, members(t, "ed25519-other")).Crypto().(ed25519.PrivateKey)
	p224, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	number := func(fixture, member string) []byte {
		b, _ := Decode(members(t, fixture)[member])
		return b
	}
	x, y := number("p256", "x"), number("p256", "y")
	public := func(edit func(*rsa.PublicKey)) *rsa.PublicKey {
		p := rsa.PublicKey{N: new(big.Int).Set(rsaKey.N), E: rsaKey.E}
		edit(&p)
		return &p
	}
	for name, tc := range map[string]struct {
		alg      Algorithm
		material any
		reason   string
	}{
		"nothing":                    {RS256, nil, "neither an RSA, EC nor Ed25519 key"},
		"bytes":                      {HS256, make([]byte, 64), "neither an RSA, EC nor Ed25519 key"},
		"RSA key for HMAC":           {HS256, &rsaKey.PublicKey, "HS256 is not for an RSA key"},
		"RSA key for ES256":          {ES256, &rsaKey.PublicKey, "ES256 is not for an RSA key"},
		"RSA key for EdDSA":          {EdDSA, rsaKey, "EdDSA is not for an RSA key"},
		"RSA key for none":           {"none", rsaKey, "none of HS, RS"},
		"RSA key for nothing":        {"", rsaKey, "none of HS, RS"},
		"EC key for HMAC":            {HS256, &ec.PublicKey, "HS256 is not for this EC key"},
		"EC key for RS256":           {RS256, ec, "RS256 is not for this EC key"},
		"P-256 for ES384":            {ES384, ec, "ES384 is not for this EC key"},
		"P-256 for ES512":            {ES512, ec, "ES512 is not for this EC key"},
		"P-224 for ES256":            {ES256, p224, "ES256 is not for this EC key"},
		"Ed25519 key for HMAC":       {HS512, ed.Public(), "HS512 is not for an Ed25519 key"},
		"Ed25519 key for ES256":      {ES256, ed, "ES256 is not for an Ed25519 key"},
		"short Ed25519 public key":   {EdDSA, ed[32:63], "Ed25519 p"},
		"long Ed25519 public key":    {EdDSA, ed25519.PublicKey(append([]byte(nil), ed[31:]...)), "another length"},
		"short Ed25519 private key":  {EdDSA, ed[:63], "another length"},
		"Ed25519 halves of two keys": {EdDSA, append(append(ed25519.PrivateKey(nil), ed[:32]...), edOther[32:]...), "does not belong"},
		"modulus shortened by a bit": {RS256, public(func(p *rsa.PublicKey) { p.N.Rsh(p.N, 1).SetBit(p.N, 0, 1) }), "2047 bits: at least 2048"},
		"modulus of 8193 bits":       {RS256, public(func(p *rsa.PublicKey) { p.N.Lsh(p.N, 8193-2048).SetBit(p.N, 0, 1) }), "8193 bits: at most 8192"},
		"even modulus":               {RS256, public(func(p *rsa.PublicKey) { p.N.SetBit(p.N, 0, 0) }), "cannot be"},
		"exponent 1":                 {PS256, public(func(p *rsa.PublicKey) { p.E = 1 }), "cannot be"},
		"exponent 2":                 {RS256, public(func(p *rsa.PublicKey) { p.E = 2 }), "cannot be"},
		"even exponent":              {RS512, public(func(p *rsa.PublicKey) { p.E = 65538 }), "cannot be"},
		"exponent 0":                 {RS256, public(func(p *rsa.PublicKey) { p.E = 0 }), "cannot be"},
		"negative exponent":          {RS256, public(func(p *rsa.PublicKey) { p.E = -3 }), "cannot be"},
		"point off the curve":        {ES256, point(ec.Curve, x, x), "not on the curve"},
		"point at infinity":          {ES256, point(ec.Curve, nil, nil), "not on the curve"},
		"point of another curve":     {ES384, point(elliptic.P384(), x, y), "not on the curve"},
		"EC key without a curve":     {ES256, point(nil, x, y), "ES256 is not for this EC key"},
		"EC halves of two keys":      {ES256, mismatched(ecOther, number("p256", "d")), "does not belong"},
		"RSA halves of two keys": {RS256, &rsa.PrivateKey{
			PublicKey: rsaOther.PublicKey, D: rsaKey.D, Primes: rsaKey.Primes, Precomputed: rsaKey.Precomputed,
		}, "does not belong"},
		"RSA with another d":     {RS256, &rsa.PrivateKey{PublicKey: rsaKey.PublicKey, D: rsaOther.D, Primes: rsaKey.Primes}, "does not belong"},
		"RSA without its primes": {RS256, &rsa.PrivateKey{PublicKey: rsaKey.PublicKey, D: rsaKey.D}, "does not belong"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k, err := NewKey(tc.alg, "", tc.material)
			if _, ok := errors.AsType[*FormError](err); !ok || k != nil || !strings.Contains(err.Error(), tc.reason) {
				t.Errorf("NewKey() = %v, %v, want %s", k, err, tc.reason)
			}
		})
	}
}

func TestKeyTakesUnprecomputedRSA(t *testing.T) {
	t.Parallel()
	p := keyFor(t, RS256).Crypto().(*rsa.PrivateKey)
	bare := &rsa.PrivateKey{PublicKey: p.PublicKey, D: p.D, Primes: p.Primes}
	k, err := NewKey(RS256, "k", bare)
	if err != nil {
		t.Fatal(err)
	}
	text, err := k.MarshalPrivateJWK()
	if err != nil {
		t.Fatal(err)
	}
	if again, err := ParseJWK(text); err != nil || !again.Equal(k) {
		t.Errorf("reads back as %v, %v", again, err)
	}
	if bare.Precomputed.Dp != nil {
		t.Error("NewKey changed the caller's key")
	}
}

func TestSecretLength(t *testing.T) {
	t.Parallel()
	for alg, size := range map[Algorithm]int{HS256: 32, HS384: 48, HS512: 64} {
		if _, err := NewSecretKey(alg, "k", make([]byte, size)); err != nil {
			t.Errorf("%s, %d bytes: %v", alg, size, err)
		}
		_, err := NewSecretKey(alg, "k", make([]byte, size-1))
		if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("%s needs %d", alg, size)) {
			t.Errorf("%s, %d bytes: error = %v", alg, size-1, err)
		}
		if k, err := NewImportedSecretKey(alg, "k", []byte("x")); err != nil || !k.CanSign() {
			t.Errorf("%s, imported: %v", alg, err)
		}
		if _, err := NewImportedSecretKey(alg, "k", nil); err == nil {
			t.Errorf("%s: an empty secret is taken", alg)
		}
	}
	for _, alg := range []Algorithm{RS256, ES256, EdDSA, "none", ""} {
		if _, err := NewSecretKey(alg, "k", make([]byte, 64)); err == nil {
			t.Errorf("a secret is taken for %q", alg)
		}
		if _, err := NewImportedSecretKey(alg, "k", make([]byte, 64)); err == nil {
			t.Errorf("an imported secret is taken for %q", alg)
		}
	}
}

func TestSecretIsCopied(t *testing.T) {
	t.Parallel()
	secret := []byte(strings.Repeat("s", 32))
	k, err := NewSecretKey(HS256, "", secret)
	if err != nil {
		t.Fatal(err)
	}
	token := mustSign(t, k, claims)
	clear(secret)
	if err := check(k, token); err != nil {
		t.Errorf("the key changed with the caller's bytes: %v", err)
	}
	if k.ID() != "" || k.Thumbprint() != "" || k.Public() != nil {
		t.Errorf("a secret has the public name %q, %q, %v", k.ID(), k.Thumbprint(), k.Public())
	}
	if s := k.String(); strings.Contains(s, "sss") {
		t.Errorf("String() = %q shows the secret", s)
	}
}

func TestGenerateRSA(t *testing.T) {
	t.Parallel()
	for _, alg := range []Algorithm{RS256, PS512} {
		k, err := GenerateRSA(alg, "big", 3072)
		if err != nil {
			t.Fatal(err)
		}
		if public, _ := k.Public().Crypto().(*rsa.PublicKey); public == nil || public.N.BitLen() != 3072 || k.ID() != "big" || k.Algorithm() != alg {
			t.Errorf("GenerateRSA(%s) makes %v", alg, k)
		}
	}
	for _, tc := range []struct {
		alg  Algorithm
		bits int
	}{{ES256, 2048}, {HS256, 2048}, {"", 2048}, {RS256, 0}, {RS256, 1024}, {RS256, 2047}, {RS256, 8193}, {RS256, 1 << 30}} {
		if _, err := GenerateRSA(tc.alg, "", tc.bits); err == nil {
			t.Errorf("GenerateRSA(%q, %d) makes a key", tc.alg, tc.bits)
		}
	}
}

func TestGenerate(t *testing.T) {
	t.Parallel()
	for _, alg := range []Algorithm{HS256, HS384, HS512, ES256, ES384, ES512, EdDSA} {
		k, err := Generate(alg, "")
		if err != nil || k.Algorithm() != alg || !k.CanSign() {
			t.Fatalf("%s: %v, %v", alg, k, err)
		}
		if want := k.Thumbprint(); k.ID() != want {
			t.Errorf("%s: ID() = %q, want the thumbprint %q", alg, k.ID(), want)
		}
		if other, err := Generate(alg, ""); err != nil || other.Equal(k) {
			t.Errorf("%s: two keys are the same one: %v", alg, err)
		}
	}
	for _, alg := range []Algorithm{"", "none", "RS1"} {
		if _, err := Generate(alg, ""); err == nil {
			t.Errorf("Generate(%q) makes a key", alg)
		}
	}
}

func TestKeyHalves(t *testing.T) {
	t.Parallel()
	for _, alg := range Algorithms() {
		k := keyFor(t, alg)
		if alg.Symmetric() {
			continue
		}
		p := k.Public()
		if p.CanSign() || !k.CanSign() || p.ID() != k.ID() || p.Thumbprint() != k.Thumbprint() || !p.Public().Equal(k) {
			t.Errorf("%s: Public() = %v", alg, p)
		}
		if _, err := p.Sign("", []byte("{}")); err == nil {
			t.Errorf("%s: a public key signs", alg)
		}
		if _, err := p.MarshalPrivateJWK(); err == nil {
			t.Errorf("%s: a public key has a private JWK", alg)
		}
		renamed, err := k.WithID("other")
		if err != nil || renamed.ID() != "other" || renamed.Equal(k) || renamed.Thumbprint() != k.Thumbprint() {
			t.Errorf("%s: WithID() = %v, %v", alg, renamed, err)
		}
	}
	secret := keyFor(t, HS256)
	if renamed, err := secret.WithID("other"); err != nil || renamed.ID() != "other" || renamed.Equal(secret) {
		t.Errorf("WithID() = %v, %v", renamed, err)
	}
	var none *Key
	if none.Equal(secret) || secret.Equal(none) || !none.Equal(nil) || secret.Equal(keyFor(t, RS256)) {
		t.Error("Equal() takes nothing or another kind for a key")
	}
	if secret.Crypto() != nil {
		t.Error("a secret has a standard library key")
	}
}

// TestROCA makes moduli as the weak generator did: the product of two numbers of the
// form k·M + (65537^a mod M), M being the product of the first 126 primes.
func TestROCA(t *testing.T) {
	t.Parallel()
	m := big.NewInt(1)
	for p, n := int64(2), 0; n < 126; p++ {
		if big.NewInt(p).ProbablyPrime(0) {
			m.Mul(m, big.NewInt(p))
			n++
		}
	}
	weak := func(a, k int64) *big.Int {
		p := new(big.Int).Exp(big.NewInt(65537), big.NewInt(a), m)
		return p.Add(p, new(big.Int).Mul(big.NewInt(k), m))
	}
	for a := range int64(50) {
		n := new(big.Int).Mul(weak(1e12+a, 1<<50+3*a), weak(7*a+3, 1<<49+a))
		if !roca(n) {
			t.Errorf("a = %d: the weakness is overlooked", a)
		}
		if roca(n.Add(n, big.NewInt(2))) {
			t.Errorf("a = %d: a modulus beside a weak one is called weak", a)
		}
	}
	if _, err := ParseJWK(text(t, members(t, "weak-roca"))); err == nil || !strings.Contains(err.Error(), "ROCA") {
		t.Errorf("ParseJWK() error = %v, want ROCA", err)
	}
	for _, name := range []string{"rsa", "rsa-other"} {
		if roca(mustKey(t, members(t, name)).public.(*rsa.PublicKey).N) {
			t.Errorf("the sound key %q is called weak", name)
		}
	}
	for _, p := range rocaPrimes {
		order := 1
		for x := int64(65537 % p); x != 1; x = x * 65537 % p {
			order++
		}
		if int64(order) == p-1 {
			t.Errorf("65537 generates all residues of %d: it tells nothing", p)
		}
	}
}
