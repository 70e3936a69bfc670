package seal

import (
	"crypto"
	"crypto/rsa"
	"fmt"
	"slices"
	"strings"

	gojose "github.com/go-jose/go-jose/v4"

	"github.com/carnetproject/carnet/internal/jose"
)

// Nested opens what other systems sealed to an RSA key around a token that they had
// signed (RFC 7519 §5.2), as Kore's assertions may be. It takes more than an [Opener],
// since it does not choose what they seal with: RSA-OAEP with SHA-1 or SHA-256, and
// A128CBC-HS256, A128GCM or A256GCM. What it opens proves nothing: anybody can seal.
// Safe for concurrent use.
type Nested struct{ key *rsa.PrivateKey }

var (
	nestedAlgorithms  = []gojose.KeyAlgorithm{gojose.RSA_OAEP, gojose.RSA_OAEP_256}
	nestedEncryptions = []gojose.ContentEncryption{gojose.A128CBC_HS256, gojose.A128GCM, gojose.A256GCM}
	// nestedMembers are what the header may have. The ones beside alg and enc say nothing
	// that is used.
	nestedMembers = []string{"alg", "enc", "kid", "typ", "cty"}
)

// NewNested takes an *rsa.PrivateKey of at least 2048 bits.
func NewNested(key crypto.PrivateKey) (*Nested, error) {
	k, ok := key.(*rsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("no key to open with: %T is not RSA", key)
	}
	if _, err := (Suite{}).of(&k.PublicKey); err != nil {
		return nil, err
	}
	return &Nested{k}, nil
}

// Open returns the plain bytes, or [ErrOpen].
func (n *Nested) Open(sealed string) ([]byte, error) {
	encoded, _, _ := strings.Cut(sealed, ".")
	if len(sealed) > MaxSealed || strings.Count(sealed, ".") != 4 || len(encoded) > maxHeader*4/3 {
		return nil, ErrOpen
	}
	raw, ok := jose.Decode(encoded)
	if !ok {
		return nil, ErrOpen
	}
	header, ok := parseMembers(raw)
	if !ok {
		return nil, ErrOpen
	}
	for name := range header {
		if !slices.Contains(nestedMembers, name) {
			return nil, ErrOpen
		}
	}
	object, err := gojose.ParseEncryptedCompact(sealed, nestedAlgorithms, nestedEncryptions)
	if err != nil {
		return nil, ErrOpen
	}
	plain, err := object.Decrypt(n.key)
	if err != nil || len(plain) > MaxPlain {
		return nil, ErrOpen
	}
	return plain, nil
}
