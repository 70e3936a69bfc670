package seal

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"errors"
	"fmt"
	"slices"
	"strings"

	gojose "github.com/go-jose/go-jose/v4"

	"github.com/carnetproject/carnet/internal/jose"
	"github.com/carnetproject/carnet/internal/secret"
)

// Recipient seals to a key in one way. Safe for concurrent use.
type Recipient struct {
	suite Suite
	kid   string
	key   any
}

// NewRecipient takes an *ecdsa.PublicKey, an *rsa.PublicKey, or a secret.Bytes that both
// sides have. The kid tells the holder which key to open with; empty leaves it out.
func NewRecipient(s Suite, kid string, key any) (*Recipient, error) {
	s, err := s.of(key)
	if err != nil {
		return nil, err
	}
	return &Recipient{s, kid, material(key)}, nil
}

// Seal encrypts plain so that only the holder of the key's other half can read it.
// It proves nothing about the sender, unless the key is a secret.
func (r *Recipient) Seal(plain []byte) (string, error) {
	return r.suite.seal(r.key, nil, r.kid, plain)
}

// SealToken encrypts a signed token: then it is nested, and its header says so (RFC 7519 §5.2).
func (r *Recipient) SealToken(token string) (string, error) {
	if !isSigned(token) {
		return "", errors.New("what to nest is not a signed token: three parts between dots")
	}
	return r.suite.seal(r.key, new(gojose.EncrypterOptions).WithContentType("JWT"), r.kid, []byte(token))
}

// Opener opens in one way what was sealed to its key. Safe for concurrent use.
type Opener struct {
	suite Suite
	kid   string
	key   any
	curve elliptic.Curve // of ECDH-ES
	size  int            // of the encrypted key, in bytes
}

// NewOpener takes an *ecdsa.PrivateKey, an *rsa.PrivateKey, or a secret.Bytes. A value may
// name no kid but this one; without a kid it may name any.
func NewOpener(s Suite, kid string, key any) (*Opener, error) {
	o := &Opener{kid: kid, key: material(key)}
	var half any // the one to seal with
	switch k := key.(type) {
	case *ecdsa.PrivateKey:
		half, o.curve = &k.PublicKey, k.Curve
	case *rsa.PrivateKey:
		half, o.size = &k.PublicKey, k.Size()
	case secret.Bytes:
		half = k
	default:
		return nil, fmt.Errorf("no key to open with: %T", key)
	}
	var err error
	if o.suite, err = s.of(half); err != nil {
		return nil, err
	}
	if o.suite.Alg == ECDHESA256KW {
		o.size = wrappedSize
	}
	return o, nil
}

// Open returns the plain bytes, or [ErrOpen].
func (o *Opener) Open(sealed string) ([]byte, error) {
	plain, _, err := o.open(sealed)
	return plain, err
}

// OpenToken returns the signed token in a nested one, or [ErrOpen]. Nobody has checked its
// signature, and whoever has the public key can have sealed it.
func (o *Opener) OpenToken(sealed string) (string, error) {
	plain, h, err := o.open(sealed)
	if err != nil || !strings.EqualFold(h.cty, "JWT") || !isSigned(string(plain)) {
		return "", ErrOpen
	}
	return string(plain), nil
}

func (o *Opener) open(sealed string) ([]byte, header, error) {
	c, ok := parseCompact(sealed)
	if !ok {
		return nil, header{}, ErrOpen
	}
	h, ok := parseHeader(c.header)
	if !ok || !o.takes(h) || !o.suite.Enc.fits(c) || len(c.encryptedKey) != o.size {
		return nil, header{}, ErrOpen
	}
	plain, err := o.suite.open(o.key, sealed)
	return plain, h, err
}

// takes reports whether a header asks for what o does, and nothing else.
func (o *Opener) takes(h header) bool {
	if h.alg != string(o.suite.Alg) || h.enc != string(o.suite.Enc) || o.kid != "" && h.kid != "" && h.kid != o.kid {
		return false
	}
	if !o.suite.Alg.agrees() {
		return h.epk == nil && h.apu+h.apv == ""
	}
	_, okU := jose.Decode(h.apu)
	_, okV := jose.Decode(h.apv)
	return okU && okV && h.epk.on(o.curve)
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

// material is a key as go-jose takes it.
func material(key any) any {
	if shared, ok := key.(secret.Bytes); ok {
		return shared.Reveal()
	}
	return key
}

// isSigned reports whether a token can be a JWS in compact serialization.
func isSigned(token string) bool { return strings.Count(token, ".") == 2 }
