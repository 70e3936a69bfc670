package seal

import (
	"crypto/aes"
	"crypto/ecdsa"
	"crypto/rsa"
	"errors"
	"fmt"
	"slices"

	gojose "github.com/go-jose/go-jose/v4"

	"github.com/carnetproject/carnet/internal/secret"
)

// Suite is the one way in which a [Recipient] seals and an [Opener] opens. A zero member
// stands for the key's own: ECDH-ES for EC, RSA-OAEP-256 for RSA, dir for a secret; A256GCM.
type Suite struct {
	Alg Algorithm
	Enc Encryption
}

// Algorithm says how the content key comes about (RFC 7518 §4.1).
type Algorithm string

// The algorithms, and the keys that they take.
const (
	RSAOAEP256   Algorithm = "RSA-OAEP-256"   // RSA of 2048 bits and more
	ECDHES       Algorithm = "ECDH-ES"        // P-256, P-384, P-521
	ECDHESA256KW Algorithm = "ECDH-ES+A256KW" // the same
	Direct       Algorithm = "dir"            // a shared secret of [KeySize] bytes
)

// Encryption says how the content is encrypted (RFC 7518 §5.1). Both take a content key of
// [KeySize] bytes.
type Encryption string

// The encryptions.
const (
	A256GCM      Encryption = "A256GCM"
	A128CBCHS256 Encryption = "A128CBC-HS256"
)

// All that there are.
var (
	algorithms  = []Algorithm{ECDHES, ECDHESA256KW, RSAOAEP256, Direct}
	encryptions = []Encryption{A256GCM, A128CBCHS256}
)

const (
	minRSABits  = 2048
	wrappedSize = KeySize + 8 // bytes of a content key that A256KW has wrapped (RFC 3394 §2.2)
)

// of is s with what it leaves to the key, a public one or a secret.
func (s Suite) of(key any) (Suite, error) {
	var fit []Algorithm
	switch k := key.(type) {
	case *ecdsa.PublicKey:
		if _, err := k.ECDH(); err != nil {
			return s, fmt.Errorf("key to seal to: %w", err)
		}
		fit = []Algorithm{ECDHES, ECDHESA256KW}
	case *rsa.PublicKey:
		if k.N == nil || k.N.BitLen() < minRSABits {
			return s, errors.New("key to seal to: RSA key is under 2048 bits")
		}
		fit = []Algorithm{RSAOAEP256}
	case secret.Bytes:
		if k.Len() != KeySize {
			return s, fmt.Errorf("key to seal to: secret has %d bytes, not %d", k.Len(), KeySize)
		}
		fit = []Algorithm{Direct}
	default:
		return s, fmt.Errorf("no key to seal to: %T", key)
	}
	if s.Alg == "" {
		s.Alg = fit[0]
	}
	if s.Enc == "" {
		s.Enc = A256GCM
	}
	switch {
	case !slices.Contains(algorithms, s.Alg):
		return s, fmt.Errorf("algorithm %q is none of %q", s.Alg, algorithms)
	case !slices.Contains(encryptions, s.Enc):
		return s, fmt.Errorf("encryption %q is none of %q", s.Enc, encryptions)
	case !slices.Contains(fit, s.Alg):
		return s, fmt.Errorf("algorithm %s does not take this key, but for one of %q", s.Alg, fit)
	}
	return s, nil
}

// fits reports whether initialization vector, ciphertext and tag can be of the encryption.
func (e Encryption) fits(c compact) bool {
	if e == A128CBCHS256 { // RFC 7518 §5.2.2.1: padding makes it whole blocks, one at least
		n := len(c.text)
		return len(c.iv) == aes.BlockSize && len(c.tag) == tagSize && n > 0 && n%aes.BlockSize == 0
	}
	return len(c.iv) == nonceSize && len(c.tag) == tagSize
}

// agrees reports whether the algorithm derives keys from an ephemeral one.
func (a Algorithm) agrees() bool { return a == ECDHES || a == ECDHESA256KW }

// seal encrypts plain to a key as go-jose takes it.
func (s Suite) seal(key any, options *gojose.EncrypterOptions, kid string, plain []byte) (string, error) {
	if len(plain) > MaxPlain {
		return "", ErrPlainSize
	}
	to := gojose.Recipient{Algorithm: gojose.KeyAlgorithm(s.Alg), Key: key, KeyID: kid}
	e, err := gojose.NewEncrypter(gojose.ContentEncryption(s.Enc), to, options)
	if err != nil {
		return "", fmt.Errorf("seal: %w", err)
	}
	object, err := e.Encrypt(plain)
	if err != nil {
		return "", fmt.Errorf("seal: %w", err)
	}
	return object.CompactSerialize()
}

// open decrypts what has passed the checks of this package.
func (s Suite) open(key any, sealed string) ([]byte, error) {
	object, err := gojose.ParseEncryptedCompact(sealed,
		[]gojose.KeyAlgorithm{gojose.KeyAlgorithm(s.Alg)}, []gojose.ContentEncryption{gojose.ContentEncryption(s.Enc)})
	if err != nil {
		return nil, ErrOpen
	}
	plain, err := object.Decrypt(key)
	if err != nil || len(plain) > MaxPlain {
		return nil, ErrOpen
	}
	return plain, nil
}
