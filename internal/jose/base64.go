package jose

import (
	"encoding/base64"
	"slices"
)

// sextets are the values of base64url's characters (RFC 4648 §5), 0xff for others.
var sextets = func() (table [256]byte) {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	for i := range table {
		table[i] = 0xff
	}
	for i, c := range []byte(alphabet) {
		table[c] = byte(i)
	}
	return table
}()

// appendDecoded appends the bytes that src spells in base64url to dst. Every byte
// string has exactly one spelling (RFC 7515 §2, RFC 4648 §3.5): no padding, no foreign
// character, no bit set behind the last byte. It is our own because the standard
// decoder skips CR and LF even when it is strict, and takes three times as long.
func appendDecoded(dst, src []byte) ([]byte, bool) {
	n := len(dst)
	dst = slices.Grow(dst, len(src)*3/4)
	out := dst[n : n+len(src)*3/4]
	for ; len(src) >= 4 && len(out) >= 3; src, out = src[4:], out[3:] {
		a, b, c, d := sextets[src[0]], sextets[src[1]], sextets[src[2]], sextets[src[3]]
		if a|b|c|d == 0xff {
			return dst, false
		}
		out[0], out[1], out[2] = a<<2|b>>4, b<<4|c>>2, c<<6|d
		n += 3
	}
	switch len(src) {
	case 0:
		return dst[:n], true
	case 2:
		a, b := sextets[src[0]], sextets[src[1]]
		if a|b == 0xff || b<<4 != 0 {
			return dst, false
		}
		return append(dst[:n], a<<2|b>>4), true
	case 3:
		a, b, c := sextets[src[0]], sextets[src[1]], sextets[src[2]]
		if a|b|c == 0xff || c<<6 != 0 {
			return dst, false
		}
		return append(dst[:n], a<<2|b>>4, b<<4|c>>2), true
	default: // six bits are no byte
		return dst, false
	}
}

// Encode spells b in base64url without padding.
func Encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// Decode is the inverse of [Encode] and accepts nothing else.
func Decode(s string) ([]byte, bool) {
	b, ok := appendDecoded(nil, []byte(s))
	return b, ok
}
