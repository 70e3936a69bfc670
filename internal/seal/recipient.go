package seal

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"errors"
	"fmt"
	"slices"

	gojose "github.com/go-jose/go-jose/v4"

	"github.com/carnetproject/carnet/internal/jose"
)

const minRSABits = 2048

// Recipient seals to a public key. The key decides the algorithm: ECDH-ES for
// P-256, P-384 and P-521, RSA-OAEP-256 for RSA. Safe for concurrent use.
type Recipient struct {
	alg gojose.KeyAlgorithm
	kid string
	key crypto.PublicKey
}

// NewRecipient takes an *ecdsa.PublicKey or *rsa.PublicKey. The kid tells the
// holder which key to open with; empty leaves it out.
func NewRecipient(kid string, key crypto.PublicKey) (*Recipient, error) {
	alg, err := algorithmOf(key)
	if err != nil {
		return nil, err
	}
	return &Recipient{alg, kid, key}, nil
}

// Seal encrypts plain so that only the holder of the private key can read it.
// It proves nothing about the sender.
func (r *Recipient) Seal(plain []byte) (string, error) {
	if len(plain) > MaxPlain {
		return "", ErrPlainSize
	}
	return encrypt(gojose.Recipient{Algorithm: r.alg, Key: r.key, KeyID: r.kid}, nil, plain)
}

// Opener opens what a [Recipient] of the same key and kid sealed. Safe for
// concurrent use.
type Opener struct {
	alg gojose.KeyAlgorithm
	kid string
	key crypto.PrivateKey
}

// NewOpener takes an *ecdsa.PrivateKey or *rsa.PrivateKey.
func NewOpener(kid string, key crypto.PrivateKey) (*Opener, error) {
	var public crypto.PublicKey
	switch k := key.(type) {
	case *ecdsa.PrivateKey:
		public = &k.PublicKey
	case *rsa.PrivateKey:
		public = &k.PublicKey
	default:
		return nil, fmt.Errorf("no key to open with: %T", key)
	}
	alg, err := algorithmOf(public)
	if err != nil {
		return nil, err
	}
	return &Opener{alg, kid, key}, nil
}

// Open returns the plain bytes, or [ErrOpen].
func (o *Opener) Open(sealed string) ([]byte, error) {
	c, ok := parseCompact(sealed)
	if !ok {
		return nil, ErrOpen
	}
	h, ok := parseHeader(c.header)
	if !ok || h.alg != string(o.alg) || h.enc != string(gojose.A256GCM) || h.kid != o.kid {
		return nil, ErrOpen
	}
	switch k := o.key.(type) {
	case *ecdsa.PrivateKey:
		ok = len(c.encryptedKey) == 0 && h.epk.on(k.Curve)
	case *rsa.PrivateKey:
		ok = len(c.encryptedKey) == k.Size() && h.epk == nil
	}
	if !ok {
		return nil, ErrOpen
	}
	return decrypt(o.alg, o.key, sealed)
}

// on reports whether e is a point of the curve other than infinity. A point of
// another curve would draw the private key out bit by bit.
func (e *ephemeral) on(curve elliptic.Curve) bool {
	if e == nil || e.kty != "EC" || e.crv != curve.Params().Name {
		return false
	}
	x, okX := jose.Decode(e.x)
	y, okY := jose.Decode(e.y)
	size := (curve.Params().BitSize + 7) / 8
	if !okX || !okY || len(x) != size || len(y) != size {
		return false
	}
	_, err := ecdsa.ParseUncompressedPublicKey(curve, slices.Concat([]byte{4}, x, y))
	return err == nil
}

func algorithmOf(key crypto.PublicKey) (gojose.KeyAlgorithm, error) {
	switch k := key.(type) {
	case *ecdsa.PublicKey:
		if _, err := k.ECDH(); err != nil {
			return "", fmt.Errorf("key to seal to: %w", err)
		}
		return gojose.ECDH_ES, nil
	case *rsa.PublicKey:
		if k.N == nil || k.N.BitLen() < minRSABits {
			return "", errors.New("key to seal to: RSA key is under 2048 bits")
		}
		return gojose.RSA_OAEP_256, nil
	default:
		return "", fmt.Errorf("no key to seal to: %T", key)
	}
}
