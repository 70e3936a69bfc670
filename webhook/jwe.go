package webhook

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/carnetproject/carnet/internal/jose"
)

// jwk is a P-256 key (RFC 7518 §6.2). Its members are in the order of a thumbprint's input
// (RFC 7638 §3.1).
type jwk struct {
	Crv string `json:"crv"`
	D   string `json:"d,omitempty"`
	Kty string `json:"kty"`
	X   string `json:"x"`
	Y   string `json:"y"`
}

func jwkOf(key *ecdh.PublicKey) jwk {
	point := key.Bytes() // 4 || x || y
	return jwk{Crv: "P-256", Kty: "EC", X: jose.Encode(point[1:33]), Y: jose.Encode(point[33:])}
}

// public checks that the point is on the curve: one that is not would draw a private key
// out bit by bit.
func (j jwk) public() (*ecdh.PublicKey, error) {
	x, okX := jose.Decode(j.X)
	y, okY := jose.Decode(j.Y)
	if j.Kty != "EC" || j.Crv != "P-256" || !okX || !okY || len(x) != 32 || len(y) != 32 {
		return nil, errors.New("not a JWK of a P-256 key")
	}
	return ecdh.P256().NewPublicKey(slices.Concat([]byte{4}, x, y))
}

// thumbprint is the key's id (RFC 7638).
func thumbprint(key *ecdh.PublicKey) string {
	text, _ := json.Marshal(jwkOf(key)) // strings always marshal
	sum := sha256.Sum256(text)
	return jose.Encode(sum[:])
}

// The only way to seal: ECDH-ES with P-256, and A256GCM.
const (
	keyAlgorithm = "ECDH-ES"
	encryption   = "A256GCM"
	maxJWE       = 96 << 10 // bytes
)

type jweHeader struct {
	Alg string `json:"alg"`
	Enc string `json:"enc"`
	Epk jwk    `json:"epk"`
	Kid string `json:"kid"`
}

// seal makes a JWE in compact serialization (RFC 7516) that the holder of the key opens.
func seal(to *ecdh.PublicKey, plain []byte) (string, error) {
	ephemeral, err := ecdh.P256().GenerateKey(rand.Reader)
	if err != nil {
		return "", err
	}
	shared, err := ephemeral.ECDH(to)
	if err != nil {
		return "", err
	}
	header, err := json.Marshal(jweHeader{keyAlgorithm, encryption, jwkOf(ephemeral.PublicKey()), thumbprint(to)})
	if err != nil {
		return "", err
	}
	gcm, err := contentCipher(shared)
	if err != nil {
		return "", err
	}
	protected, nonce := jose.Encode(header), make([]byte, gcm.NonceSize())
	_, _ = rand.Read(nonce) // never fails (crypto/rand)
	out := gcm.Seal(nil, nonce, plain, []byte(protected))
	text, tag := out[:len(plain)], out[len(plain):]
	return strings.Join([]string{protected, "", jose.Encode(nonce), jose.Encode(text), jose.Encode(tag)}, "."), nil
}

// open is the inverse of seal. It returns [ErrKey] or [ErrSeal].
func (k *Keys) open(jwe string) ([]byte, error) {
	parts := strings.Split(jwe, ".")
	if len(jwe) > maxJWE || len(parts) != 5 || parts[1] != "" {
		return nil, ErrSeal
	}
	protected, ok := jose.Decode(parts[0])
	var strict jose.Object // refuses repeated names, which encoding/json does not
	var h jweHeader
	if !ok || strict.Parse(protected) != nil || !onlyMembers(protected, "alg", "enc", "epk", "kid") || json.Unmarshal(protected, &h) != nil {
		return nil, ErrSeal
	}
	epk, err := h.Epk.public()
	if err != nil || h.Alg != keyAlgorithm || h.Enc != encryption || h.Epk.D != "" {
		return nil, ErrSeal
	}
	own := k.byID[h.Kid]
	if own == nil {
		return nil, ErrKey
	}
	shared, err := own.ECDH(epk)
	if err != nil {
		return nil, ErrSeal
	}
	gcm, err := contentCipher(shared)
	if err != nil {
		return nil, ErrSeal
	}
	nonce, okNonce := jose.Decode(parts[2])
	text, okText := jose.Decode(parts[3])
	tag, okTag := jose.Decode(parts[4])
	if !okNonce || !okText || !okTag || len(nonce) != gcm.NonceSize() || len(tag) != gcm.Overhead() {
		return nil, ErrSeal
	}
	plain, err := gcm.Open(nil, nonce, slices.Concat(text, tag), []byte(parts[0]))
	if err != nil {
		return nil, ErrSeal
	}
	return plain, nil
}

// onlyMembers reports whether an object has no members but those named: whatever zip or
// crit would ask for is refused.
func onlyMembers(object []byte, names ...string) bool {
	var m map[string]json.RawMessage
	if json.Unmarshal(object, &m) != nil {
		return false
	}
	for name := range m {
		if !slices.Contains(names, name) {
			return false
		}
	}
	return true
}

// contentCipher derives the content key from what two keys have agreed on (RFC 7518 §4.6.2):
// its 256 bits are one round of the Concat KDF.
func contentCipher(shared []byte) (cipher.AEAD, error) {
	info := binary.BigEndian.AppendUint32(nil, 1)
	info = append(info, shared...)
	info = binary.BigEndian.AppendUint32(info, uint32(len(encryption)))
	info = append(info, encryption...)
	info = binary.BigEndian.AppendUint32(info, 0)   // PartyUInfo
	info = binary.BigEndian.AppendUint32(info, 0)   // PartyVInfo
	info = binary.BigEndian.AppendUint32(info, 256) // bits
	key := sha256.Sum256(info)
	block, err := aes.NewCipher(key[:])
	if err != nil {
		return nil, fmt.Errorf("content key: %w", err)
	}
	return cipher.NewGCM(block)
}
