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
	header := make([]byte, 0, 256)
	header = append(header, k.header...)
	if typ != "" {
		text, err := json.Marshal(typ)
		if err != nil {
			return "", fmt.Errorf("write header: %w", err)
		}
		header = append(append(header, `,"typ":`...), text...)
	}
	header = append(header, '}')

	b64 := base64.RawURLEncoding
	token := make([]byte, 0, b64.EncodedLen(len(header)+len(payload))+b64.EncodedLen(maxRSA/8)/4+8)
	token = b64.AppendEncode(token, header)
	token = append(token, '.')
	token = b64.AppendEncode(token, payload)
	sig, err := k.signature(token)
	if err != nil {
		return "", err
	}
	token = append(token, '.')
	token = b64.AppendEncode(token, sig)
	return string(token), nil
}

func (k *Key) signature(input []byte) ([]byte, error) {
	s := k.alg.scheme()
	var buf [64]byte
	switch s.family {
	case mac:
		m := k.mac(input)
		defer k.macs.Put(m)
		return append([]byte(nil), m.sum[:s.hash.Size()]...), nil
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
		size := (p.Params().BitSize + 7) / 8
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
