package jose

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"fmt"
)

// Sign returns payload as a compact JWS. The header is the key's own: alg, kid if
// the key has one, and typ unless it is empty. A caller cannot set anything else.
func (k *Key) Sign(typ string, payload []byte) (string, error) {
	if !k.CanSign() {
		return "", malformed("key", "a public key cannot sign")
	}
	var room [256]byte
	header, err := k.appendHeader(room[:0], typ)
	if err != nil {
		return "", err
	}
	b64 := base64.RawURLEncoding
	size := b64.EncodedLen(len(header)) + 1 + b64.EncodedLen(len(payload)) + 1 + b64.EncodedLen(k.signatureSize())
	token := b64.AppendEncode(make([]byte, 0, size), header)
	token = append(token, '.')
	token = b64.AppendEncode(token, payload)
	if k.secret != nil {
		m := k.mac(token)
		token = b64.AppendEncode(append(token, '.'), m.sum[:k.signatureSize()])
		k.macs.Put(m)
		return string(token), nil
	}
	sig, err := k.signature(token)
	if err != nil {
		return "", err
	}
	return string(b64.AppendEncode(append(token, '.'), sig)), nil
}

func (k *Key) appendHeader(dst []byte, typ string) ([]byte, error) {
	dst = append(dst, k.header...)
	if typ != "" {
		text, err := json.Marshal(typ)
		if err != nil {
			return nil, fmt.Errorf("write header: %w", err)
		}
		dst = append(append(dst, `,"typ":`...), text...)
	}
	return append(dst, '}'), nil
}

// signatureSize is the length of every signature of the key, in bytes.
func (k *Key) signatureSize() int {
	switch p := k.public.(type) {
	case *rsa.PublicKey:
		return p.Size()
	case *ecdsa.PublicKey:
		return 2 * coordinateSize(p)
	case ed25519.PublicKey:
		return ed25519.SignatureSize
	default:
		return k.alg.scheme().hash.Size()
	}
}

// coordinateSize is the length of r, s, x and y in bytes (RFC 7518 §3.4, §6.2.1).
func coordinateSize(p *ecdsa.PublicKey) int { return (p.Params().BitSize + 7) / 8 }

// signature signs input with a private key.
func (k *Key) signature(input []byte) ([]byte, error) {
	s := k.alg.scheme()
	var buf [64]byte
	switch s.family {
	case pkcs1:
		return rsa.SignPKCS1v15(rand.Reader, k.private.(*rsa.PrivateKey), s.hash, digest(s.hash, input, &buf))
	case pss:
		return rsa.SignPSS(rand.Reader, k.private.(*rsa.PrivateKey), s.hash, digest(s.hash, input, &buf),
			&rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
	case ecdsaRS:
		p := k.private.(*ecdsa.PrivateKey)
		r, ss, err := ecdsa.Sign(rand.Reader, p, digest(s.hash, input, &buf))
		if err != nil {
			return nil, fmt.Errorf("sign: %w", err)
		}
		size := coordinateSize(&p.PublicKey)
		sig := make([]byte, 2*size)
		r.FillBytes(sig[:size])
		ss.FillBytes(sig[size:])
		return sig, nil
	default:
		return ed25519.Sign(k.private.(ed25519.PrivateKey), input), nil
	}
}

// mac returns the state with the sum of input; the caller puts it back.
func (k *Key) mac(input []byte) *macState {
	m := k.macs.Get().(*macState)
	m.Reset()
	_, _ = m.Write(input) // a hash never fails (hash.Hash)
	m.Sum(m.sum[:0])
	return m
}

// digest hashes input into buf without allocation.
func digest(h crypto.Hash, input []byte, buf *[64]byte) []byte {
	switch h {
	case crypto.SHA256:
		d := sha256.Sum256(input)
		return buf[:copy(buf[:], d[:])]
	case crypto.SHA384:
		d := sha512.Sum384(input)
		return buf[:copy(buf[:], d[:])]
	default:
		d := sha512.Sum512(input)
		return buf[:copy(buf[:], d[:])]
	}
}
