package jose

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"hash"
	"math/big"
	"sync"
)

// The bounds of RSA keys, in bits. Under the lower one they are weak (RFC 7518
// §3.3); over the upper one a single verification costs too much.
const (
	minRSA = 2048
	maxRSA = 8192
)

// Key is a secret, public or private key together with the one algorithm it is
// for. It is immutable and safe for concurrent use. The zero Key does nothing.
type Key struct {
	alg    Algorithm
	id     string
	header string // the start of the JOSE header that it signs with

	secret []byte
	macs   *sync.Pool // of *macState, keyed with secret

	public  crypto.PublicKey // *rsa.PublicKey, *ecdsa.PublicKey or ed25519.PublicKey
	private crypto.Signer    // nil for a public key
}

// macState is a keyed HMAC that is used again and again: it keeps the state after
// the key, and its result needs no allocation.
type macState struct {
	hash.Hash
	sum [64]byte
}

// NewKey makes a key of a standard library key: *rsa.PublicKey, *rsa.PrivateKey,
// *ecdsa.PublicKey, *ecdsa.PrivateKey, ed25519.PublicKey or ed25519.PrivateKey. It
// refuses one that alg may not use: RSA under 2048 bits or with the ROCA weakness,
// another curve; and a private key whose halves do not belong together, since its
// signatures would give the private half away. An empty id stands for the thumbprint.
// The caller must not change the key afterwards.
func NewKey(alg Algorithm, id string, material any) (*Key, error) {
	k := &Key{alg: alg, id: id}
	switch m := material.(type) {
	case *rsa.PrivateKey:
		k.private, k.public = m, &m.PublicKey
	case *ecdsa.PrivateKey:
		k.private, k.public = m, &m.PublicKey
	case ed25519.PrivateKey:
		if len(m) != ed25519.PrivateKeySize {
			return nil, malformed("key", "Ed25519 private key of another length")
		}
		k.private, k.public = m, m.Public()
	case *rsa.PublicKey, *ecdsa.PublicKey, ed25519.PublicKey:
		k.public = m
	default:
		return nil, malformed("key", "neither an RSA, EC nor Ed25519 key")
	}
	if err := k.fits(); err != nil {
		return nil, err
	}
	if !k.consistent() {
		return nil, malformed("key", "private half that does not belong to the public one")
	}
	return k.finish()
}

// consistent checks that the halves of a private key belong together. It comes after
// fits, which bounds what it costs.
func (k *Key) consistent() bool {
	switch p := k.private.(type) {
	case *rsa.PrivateKey:
		if p.Precomputed.Dp == nil { // then it is made for this key, not for the caller's
			p = &rsa.PrivateKey{PublicKey: p.PublicKey, D: p.D, Primes: p.Primes}
			p.Precompute()
			k.private = p
		}
		return p.Validate() == nil
	case *ecdsa.PrivateKey:
		d, err := p.Bytes()
		if err != nil {
			return false
		}
		whole, err := ecdsa.ParseRawPrivateKey(p.Curve, d)
		return err == nil && whole.PublicKey.Equal(&p.PublicKey)
	case ed25519.PrivateKey:
		return p.Equal(ed25519.NewKeyFromSeed(p.Seed()))
	default:
		return true
	}
}

// fits checks that the key is one that its algorithm may use.
func (k *Key) fits() error {
	switch s := k.alg.scheme(); p := k.public.(type) {
	case *rsa.PublicKey:
		if s.family != pkcs1 && s.family != pss {
			return mismatch(k.alg, "an RSA key")
		}
		return checkRSA(p)
	case *ecdsa.PublicKey:
		if s.family != ecdsaRS || p.Curve == nil || p.Params().Name != s.curve {
			return mismatch(k.alg, "this EC key")
		}
		if _, err := p.ECDH(); err != nil { // not on the curve, or infinity
			return malformed("key", "point is not on the curve")
		}
	case ed25519.PublicKey:
		if s.family != ed25519Family {
			return mismatch(k.alg, "an Ed25519 key")
		}
		if len(p) != ed25519.PublicKeySize {
			return malformed("key", "Ed25519 public key of another length")
		}
	}
	return nil
}

func mismatch(alg Algorithm, what string) error {
	if !alg.Valid() {
		return malformed("key", "its algorithm is none of HS, RS, PS, ES 256/384/512 and EdDSA")
	}
	return malformed("key", fmt.Sprintf("%s is not for %s", alg, what))
}

func checkRSA(p *rsa.PublicKey) error {
	switch bits := p.N.BitLen(); {
	case bits < minRSA:
		return malformed("key", fmt.Sprintf("RSA key of %d bits: at least %d are needed", bits, minRSA))
	case bits > maxRSA:
		return malformed("key", fmt.Sprintf("RSA key of %d bits: at most %d are taken", bits, maxRSA))
	case p.E < 3 || p.E&1 == 0 || p.N.Bit(0) == 0:
		return malformed("key", "RSA modulus or exponent that cannot be")
	case roca(p.N):
		return malformed("key", "RSA key with the ROCA weakness (CVE-2017-15361): replace it")
	}
	return nil
}

// NewSecretKey makes an HMAC key. The secret must be at least as long as the
// hash (RFC 7518 §3.2). An empty id stays empty: a secret has no public name.
func NewSecretKey(alg Algorithm, id string, secret []byte) (*Key, error) {
	if s := alg.scheme(); s.family == mac && len(secret) < s.hash.Size() {
		return nil, malformed("key", fmt.Sprintf("secret of %d bytes: %s needs %d", len(secret), alg, s.hash.Size()))
	}
	return NewImportedSecretKey(alg, id, secret)
}

// NewImportedSecretKey is [NewSecretKey] for secrets that another system made,
// which may be shorter than they should be.
func NewImportedSecretKey(alg Algorithm, id string, secret []byte) (*Key, error) {
	if !alg.Symmetric() {
		return nil, mismatch(alg, "a shared secret")
	}
	if len(secret) == 0 {
		return nil, malformed("key", "empty secret")
	}
	k := &Key{alg: alg, id: id, secret: bytes.Clone(secret)}
	newHash := alg.scheme().hash.New
	k.macs = &sync.Pool{New: func() any { return &macState{Hash: hmac.New(newHash, k.secret)} }}
	return k.finish()
}

// GenerateRSA makes a new key of 2048 to 8192 bits for an RS or PS algorithm.
func GenerateRSA(alg Algorithm, id string, bits int) (*Key, error) {
	if !alg.RSA() {
		return nil, mismatch(alg, "RSA")
	}
	if bits < minRSA || bits > maxRSA { // before it is searched for, which takes its time
		return nil, malformed("key", fmt.Sprintf("RSA key of %d bits: must be %d to %d", bits, minRSA, maxRSA))
	}
	p, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		return nil, fmt.Errorf("generate %s key: %w", alg, err)
	}
	return NewKey(alg, id, p)
}

// Generate makes a new key: RSA of 2048 bits, the algorithm's curve, or a random
// secret as long as the hash.
func Generate(alg Algorithm, id string) (*Key, error) {
	switch s := alg.scheme(); s.family {
	case mac:
		secret := make([]byte, s.hash.Size())
		_, _ = rand.Read(secret) // never fails (crypto/rand)
		return NewSecretKey(alg, id, secret)
	case pkcs1, pss:
		return GenerateRSA(alg, id, minRSA)
	case ecdsaRS:
		p, err := ecdsa.GenerateKey(curveByName(s.curve), rand.Reader)
		if err != nil {
			return nil, fmt.Errorf("generate %s key: %w", alg, err)
		}
		return NewKey(alg, id, p)
	case ed25519Family:
		_, p, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			return nil, fmt.Errorf("generate %s key: %w", alg, err)
		}
		return NewKey(alg, id, p)
	default:
		return nil, mismatch(alg, "")
	}
}

func (k *Key) finish() (*Key, error) {
	if k.id == "" && k.public != nil {
		k.id = k.Thumbprint()
	}
	header := struct {
		Alg Algorithm `json:"alg"`
		Kid string    `json:"kid,omitempty"`
	}{k.alg, k.id}
	text, err := json.Marshal(header)
	if err != nil {
		return nil, fmt.Errorf("write header: %w", err)
	}
	k.header = string(text[:len(text)-1]) // open, for typ
	return k, nil
}

// Algorithm is the one that the key is for.
func (k *Key) Algorithm() Algorithm { return k.alg }

// ID is the kid.
func (k *Key) ID() string { return k.id }

// WithID returns the same key under another kid.
func (k *Key) WithID(id string) (*Key, error) {
	if k.secret != nil {
		return NewImportedSecretKey(k.alg, id, k.secret)
	}
	return NewKey(k.alg, id, k.Crypto())
}

// CanSign reports whether k holds what signing needs.
func (k *Key) CanSign() bool { return k.private != nil || k.secret != nil }

// Public returns k without its private half, nil for a secret.
func (k *Key) Public() *Key {
	if k.public == nil {
		return nil
	}
	return &Key{alg: k.alg, id: k.id, header: k.header, public: k.public}
}

// Crypto returns the standard library's key: the private one if there is one,
// else the public one, or nil for a secret.
func (k *Key) Crypto() any {
	if k.private != nil {
		return k.private
	}
	return k.public
}

// Equal reports whether both are the same key for the same algorithm under the
// same kid, whether or not they hold the private half.
func (k *Key) Equal(o *Key) bool {
	if k == o {
		return true
	}
	if k == nil || o == nil || k.alg != o.alg || k.id != o.id {
		return false
	}
	if k.secret != nil || o.secret != nil {
		return hmac.Equal(k.secret, o.secret)
	}
	p, ok := k.public.(interface{ Equal(crypto.PublicKey) bool })
	return ok && p.Equal(o.public)
}

// Thumbprint is the SHA-256 thumbprint of the public key (RFC 7638 §3) in
// base64url. A secret has none: it would tell guesses right from wrong.
func (k *Key) Thumbprint() string {
	if k.public == nil {
		return ""
	}
	text, err := json.Marshal(requiredMembers(k.public))
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(text)
	return Encode(sum[:])
}

// String names the key without showing any of it.
func (k *Key) String() string { return fmt.Sprintf("%s key %q", k.alg, k.id) }

// rocaPrimes are small primes modulo which 65537 generates a proper subgroup.
// The weak generator's moduli fall into all of these subgroups; others do with a
// probability of about 2^-27.
var rocaPrimes = [...]int64{11, 13, 17, 19, 37, 53, 61, 71, 73, 79, 97, 103, 107, 109, 127, 151, 157}

// roca reports whether n has the fingerprint of CVE-2017-15361 (Nemec et al.,
// "The Return of Coppersmith's Attack", CCS 2017).
func roca(n *big.Int) bool {
	var rest big.Int
	for _, p := range rocaPrimes {
		r := rest.Mod(n, big.NewInt(p)).Int64()
		member := false
		for x := int64(1); ; {
			member = member || x == r
			if x = x * 65537 % p; x == 1 {
				break
			}
		}
		if !member {
			return false
		}
	}
	return true
}
