package jose

import (
	"bytes"
	"encoding/base64"
)

// canonical refuses padding, foreign characters and stray bits after the last
// byte. The standard decoder skips CR and LF, which decode must not.
var canonical = base64.RawURLEncoding.Strict()

// appendDecoded appends the bytes that src spells in base64url to dst. Every byte
// string has exactly one spelling (RFC 7515 §2, RFC 4648 §3.5).
func appendDecoded(dst, src []byte) ([]byte, bool) {
	if bytes.IndexByte(src, '\n') >= 0 || bytes.IndexByte(src, '\r') >= 0 {
		return dst, false
	}
	out, err := canonical.AppendDecode(dst, src)
	return out, err == nil
}

// Encode spells b in base64url without padding.
func Encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// Decode is the inverse of [Encode] and accepts nothing else.
func Decode(s string) ([]byte, bool) {
	b, ok := appendDecoded(nil, []byte(s))
	return b, ok
}
