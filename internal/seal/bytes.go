package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"fmt"
)

// bytesVersion is the first byte of the binary form. It is authenticated with the purpose.
const bytesVersion = 1

// Overhead is by how many bytes a value grows in the binary form.
const Overhead = 1 + nonceSize + tagSize

// newAEAD is A256GCM with a random nonce in front of what it seals.
func newAEAD(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("master key: %w", err)
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// SealBytes is [Box.Seal] in a binary form for values of which there are millions: a
// version, the nonce, the ciphertext and the tag. The purpose does not stand in it and
// may be any text but "".
func (b *Box) SealBytes(purpose string, plain []byte) ([]byte, error) {
	if purpose == "" {
		return nil, fmt.Errorf("purpose is empty")
	}
	if len(plain) > MaxPlain {
		return nil, ErrPlainSize
	}
	sealed := append(make([]byte, 0, len(plain)+Overhead), bytesVersion)
	return b.aead.Seal(sealed, nil, plain, additional(purpose)), nil
}

// OpenBytes is the inverse of [Box.SealBytes]. It returns [ErrOpen] unless this key
// sealed the value for the same purpose.
func (b *Box) OpenBytes(purpose string, sealed []byte) ([]byte, error) {
	if purpose == "" || len(sealed) < Overhead || len(sealed) > MaxPlain+Overhead || sealed[0] != bytesVersion {
		return nil, ErrOpen
	}
	plain, err := b.aead.Open(nil, nil, sealed[1:], additional(purpose))
	if err != nil {
		return nil, ErrOpen
	}
	return plain, nil
}

// additional is what is authenticated besides. Its first byte is one that no JWE
// begins with, so that neither form opens as the other.
func additional(purpose string) []byte {
	return append([]byte{bytesVersion}, purpose...)
}
