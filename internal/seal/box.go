package seal

import (
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	gojose "github.com/go-jose/go-jose/v4"

	"github.com/carnetproject/carnet/internal/jose"
	"github.com/carnetproject/carnet/internal/secret"
)

// KeySize is the number of bytes of a master key.
const KeySize = 32

const maxPurpose = 512

var boxSuite = Suite{Direct, A256GCM}

// Box seals and opens under one master key (alg dir, enc A256GCM). Nonces are
// random, so one key must not seal more than 2^32 values (NIST SP 800-38D §8.3).
// Safe for concurrent use.
type Box struct {
	key  secret.Bytes
	aead cipher.AEAD // the same key, for the binary form
}

// NewBox returns the box of a master key of [KeySize] bytes.
func NewBox(key secret.Bytes) (*Box, error) {
	if key.Len() != KeySize {
		return nil, fmt.Errorf("master key has %d bytes, not %d", key.Len(), KeySize)
	}
	aead, err := newAEAD(key.Reveal())
	if err != nil {
		return nil, err
	}
	return &Box{key, aead}, nil
}

// Derive is another key for one purpose, which says nothing of the master key (RFC 5869).
func (b *Box) Derive(purpose string) (secret.Bytes, error) {
	if err := checkPurpose(purpose); err != nil {
		return secret.Bytes{}, err
	}
	key, err := hkdf.Key(sha256.New, b.key.Reveal(), nil, "derive:"+purpose, KeySize)
	if err != nil {
		return secret.Bytes{}, err
	}
	return secret.New(key), nil
}

// Seal encrypts plain for one purpose, which stands readable in the result and is
// authenticated with it. A purpose names the row and not just its kind, such as
// "key:access:<kid>": then a value that someone moves elsewhere does not open.
func (b *Box) Seal(purpose string, plain []byte) (string, error) {
	if err := checkPurpose(purpose); err != nil {
		return "", err
	}
	return boxSuite.seal(b.key.Reveal(), new(gojose.EncrypterOptions).WithHeader("purpose", purpose), "", plain)
}

// Open is the inverse of [Box.Seal]. It returns [ErrOpen] unless this key sealed
// the value for the same purpose.
func (b *Box) Open(purpose, sealed string) ([]byte, error) {
	if err := checkPurpose(purpose); err != nil {
		return nil, err
	}
	// One purpose has one header, to the byte: there is nothing to interpret.
	protected, _, _ := strings.Cut(sealed, ".")
	if protected != boxHeader(purpose) {
		return nil, ErrOpen
	}
	c, ok := parseCompact(sealed)
	if !ok || len(c.encryptedKey) != 0 || !boxSuite.Enc.fits(c) {
		return nil, ErrOpen
	}
	return boxSuite.open(b.key.Reveal(), sealed)
}

// boxHeader is the encoded protected header of a value sealed for purpose.
func boxHeader(purpose string) string {
	quoted, _ := json.Marshal(purpose) // a string always marshals
	return jose.Encode(fmt.Appendf(nil, `{"alg":"dir","enc":"A256GCM","purpose":%s}`, quoted))
}

func checkPurpose(purpose string) error {
	if purpose == "" || len(purpose) > maxPurpose {
		return fmt.Errorf("purpose has %d bytes, not 1 to %d", len(purpose), maxPurpose)
	}
	for _, c := range []byte(purpose) {
		if c < 0x20 || c > 0x7e {
			return errors.New("purpose has a character that is not printable ASCII")
		}
	}
	return nil
}
