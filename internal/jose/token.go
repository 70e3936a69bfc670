package jose

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rsa"
	"encoding/base64"
	"errors"
	"slices"
)

// The refusals of [Unverified.Verify].
var (
	ErrAlgorithm = errors.New("token's algorithm is not the key's")
	ErrSignature = errors.New("signature does not verify")
)

// Unverified is a compact JWS taken apart: well-formed, and nothing more. It may be
// used again; Parse overwrites what it holds, and after an error it holds nothing
// that verifies.
type Unverified struct {
	Algorithm Algorithm // what the token says; the key decides
	KeyID     string    // "" if absent
	Type      string    // typ, "" if absent

	known   []byte // the encoded header that the three were read from
	header  Object // scratch
	input   []byte // header.payload as they came: what was signed
	payload []byte
	sig     []byte // nil unless the whole token is well-formed
	buf     []byte // holds these and the decoded header
}

// The names that must not come in another case.
var (
	headerNames = []string{"alg", "kid", "typ", "cty", "crit", "b64", "jwk", "jku", "x5u", "x5c", "x5t", "zip", "enc"}
	claimNames  = []string{"iss", "sub", "aud", "exp", "nbf", "iat", "jti", "scope", "client_id", "act", "cnf"}
)

// Parse takes token apart. It refuses before it decodes: more than [MaxToken] bytes,
// other than three parts, a header over [MaxHeader]; then base64url that is not
// canonical, a header that is not a strict JSON object, an alg that is not one
// of ours, and any crit or b64 (RFC 7515 §4.1.11, RFC 7797): we understand no extension.
// The members jwk, jku, x5u and x5c are never looked at.
func (u *Unverified) Parse(token string) error {
	u.sig = nil
	if len(token) > MaxToken {
		return malformed("token", "longer than 16 KiB")
	}
	buf := append(u.buf[:0], token...)
	// room for the decoded parts, so that the slices below stay in place
	buf = slices.Grow(buf, base64.RawURLEncoding.DecodedLen(len(token)))
	u.buf = buf[:0]
	first := bytes.IndexByte(buf, '.')
	last := bytes.LastIndexByte(buf, '.')
	if first < 0 || first == last || bytes.IndexByte(buf[first+1:last], '.') >= 0 {
		return malformed("token", "not three parts")
	}
	if base64.RawURLEncoding.DecodedLen(first) > MaxHeader {
		return malformed("header", "longer than 4 KiB")
	}
	u.input = buf[:last]

	rest, err := u.readHeader(buf[len(buf):], buf[:first])
	if err != nil {
		return err
	}
	var ok bool
	if u.payload, ok = appendDecoded(rest, buf[first+1:last]); !ok {
		return malformed("claims", "not base64url")
	}
	sig, ok := appendDecoded(u.payload[len(u.payload):], buf[last+1:])
	if !ok {
		return malformed("signature", "not base64url")
	}
	if len(sig) == 0 {
		return malformed("signature", "empty")
	}
	u.sig = sig
	return nil
}

// readHeader decodes the header into dst and returns what dst has left. Tokens of one
// key have the same header: the same text again is not read again.
func (u *Unverified) readHeader(dst, encoded []byte) (rest []byte, err error) {
	if len(u.known) > 0 && bytes.Equal(encoded, u.known) {
		return dst, nil
	}
	u.known = u.known[:0]
	decoded, ok := appendDecoded(dst, encoded)
	if !ok {
		return nil, malformed("header", "not base64url")
	}
	if err := u.parseHeader(decoded); err != nil {
		return nil, err
	}
	u.known = append(u.known, encoded...)
	return decoded[len(decoded):], nil
}

func (u *Unverified) parseHeader(src []byte) error {
	if err := u.header.Parse(src); err != nil {
		return malformed("header", "not one strict JSON object")
	}
	if u.header.lookAlike(headerNames) {
		return malformed("header", "member name in another case")
	}
	if u.header.Lookup("crit").Kind != Absent || u.header.Lookup("b64").Kind != Absent {
		return malformed("header", "critical extension that is not understood")
	}
	alg := u.header.Lookup("alg")
	if alg.Kind != String {
		return malformed("alg", "absent or not a string")
	}
	u.Algorithm = Algorithm(alg.Raw[1 : len(alg.Raw)-1])
	if !u.Algorithm.Valid() {
		return malformed("alg", "none of HS, RS, PS, ES 256/384/512 and EdDSA")
	}
	var ok bool
	if u.KeyID, ok = optionalText(u.header.Lookup("kid")); !ok {
		return malformed("header", "kid is not a string")
	}
	if u.Type, ok = optionalText(u.header.Lookup("typ")); !ok {
		return malformed("header", "typ is not a string")
	}
	return nil
}

// optionalText is the text of a string, "" of an absent value.
func optionalText(v Value) (text string, ok bool) {
	if v.Kind == Absent {
		return "", true
	}
	return v.Text()
}

// Payload is the decoded payload, in memory that the next Parse overwrites.
func (u *Unverified) Payload() []byte { return u.payload }

// Claims reads the payload as the claims of a JWT (RFC 7519 §7.2) into o.
func (u *Unverified) Claims(o *Object) error {
	if err := o.Parse(u.payload); err != nil {
		return malformed("claims", "not one strict JSON object")
	}
	if o.lookAlike(claimNames) {
		return malformed("claims", "member name in another case")
	}
	return nil
}

// Verify checks the signature with k. The token's alg must be k's.
func (u *Unverified) Verify(k *Key) error {
	if u.Algorithm != k.alg {
		return ErrAlgorithm
	}
	if !k.verifies(u.input, u.sig) {
		return ErrSignature
	}
	return nil
}

func (k *Key) verifies(input, sig []byte) bool {
	s := k.alg.scheme()
	if s.family == mac {
		m := k.mac(input)
		ok := hmac.Equal(sig, m.sum[:s.hash.Size()])
		k.macs.Put(m)
		return ok
	}
	var buf [64]byte // goes to the heap, so not before it is needed
	switch s.family {
	case pkcs1:
		return rsa.VerifyPKCS1v15(k.public.(*rsa.PublicKey), s.hash, digest(s.hash, input, &buf), sig) == nil
	case pss:
		return rsa.VerifyPSS(k.public.(*rsa.PublicKey), s.hash, digest(s.hash, input, &buf), sig,
			&rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}) == nil
	case ecdsaRS:
		p := k.public.(*ecdsa.PublicKey)
		size := coordinateSize(p)
		if len(sig) != 2*size {
			return false
		}
		var der [150]byte // two 66-byte integers, their signs and their headers
		return ecdsa.VerifyASN1(p, digest(s.hash, input, &buf), appendDER(der[:0], sig[:size], sig[size:]))
	case ed25519Family:
		return ed25519.Verify(k.public.(ed25519.PublicKey), input, sig)
	default:
		return false
	}
}

// appendDER writes SEQUENCE { INTEGER r, INTEGER s }, the form that crypto/ecdsa reads.
func appendDER(dst, r, s []byte) []byte {
	integer := func(b []byte) (sign int, digits []byte) {
		b = bytes.TrimLeft(b, "\x00")
		if len(b) == 0 || b[0] >= 0x80 {
			sign = 1
		}
		return sign, b
	}
	rSign, r := integer(r)
	sSign, s := integer(s)
	body := 4 + rSign + len(r) + sSign + len(s)
	dst = append(dst, 0x30)
	if body >= 0x80 {
		dst = append(dst, 0x81)
	}
	dst = append(dst, byte(body))
	dst = append(append(append(dst, 0x02, byte(rSign+len(r))), make([]byte, rSign)...), r...)
	return append(append(append(dst, 0x02, byte(sSign+len(s))), make([]byte, sSign)...), s...)
}
