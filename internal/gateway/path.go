package gateway

import (
	"errors"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Why a path has no normal form. Each of these reads one way to a gateway and
// another way to some upstream, so a rule for it could be walked around.
var (
	errPathStart   = errors.New("path does not start with a slash")
	errPathEmpty   = errors.New("path has an empty segment")
	errPathParam   = errors.New("path has a semicolon")
	errPathSlash   = errors.New("path has a backslash or an encoded slash")
	errPathControl = errors.New("path has a control character")
	errPathEscape  = errors.New("path has an invalid escape")
	errPathTwice   = errors.New("path has an escape of an escape")
	errPathText    = errors.New("path is not UTF-8")
)

// normalPath is the one spelling of an escaped path that rules compare and the
// upstream gets. A character stands for itself if RFC 3986 §3.3 lets it, all
// others are escaped in upper case, and dot segments are resolved (§5.2.4).
//
// Refused are paths that servers do not agree on: encoded slashes, backslashes,
// control characters, escapes of escapes (%252e), empty segments ("//"), text
// that is not UTF-8, and ";" as itself: to some servers it starts a parameter
// and is not part of the path. As %3B it is data, and stays encoded.
func normalPath(p string) (string, error) {
	if p == "" {
		p = "/" // http://example.com
	}
	if p[0] != '/' {
		return "", errPathStart
	}
	if isNormal(p) {
		return p, nil
	}
	out, err := recode(p)
	if err != nil {
		return "", err
	}
	if i := strings.Index(out, "//"); i >= 0 {
		return "", errPathEmpty
	}
	if text, err := url.PathUnescape(out); err != nil {
		return "", errPathEscape
	} else if err := checkText(text); err != nil {
		return "", err
	}
	return resolveDots(out), nil
}

// isNormal is the quick answer for the common path: only unreserved characters
// and single slashes, and no segment that starts with a dot.
func isNormal(p string) bool {
	for i := range len(p) {
		switch c := p[i]; {
		case c == '/':
			if i+1 < len(p) && (p[i+1] == '/' || p[i+1] == '.') {
				return false
			}
		case !literal(c):
			return false
		}
	}
	return true
}

// literal tells whether c stands for itself in a segment: pchar of RFC 3986
// §3.3, but for the semicolon.
func literal(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' ||
		strings.IndexByte("-._~!$&'()*+,=:@", c) >= 0
}

// recode spells every character of p in its one way.
func recode(p string) (string, error) {
	const digits = "0123456789ABCDEF"
	out := make([]byte, 0, len(p)+16)
	for i := 0; i < len(p); i++ {
		c := p[i]
		switch {
		case c == '/':
			out = append(out, c)
			continue
		case c == ';':
			return "", errPathParam
		case c == '%':
			if i+2 >= len(p) || !isHex(p[i+1]) || !isHex(p[i+2]) {
				return "", errPathEscape
			}
			c = unhex(p[i+1])<<4 | unhex(p[i+2])
			i += 2
		}
		switch {
		case c == '/' || c == '\\':
			return "", errPathSlash
		case literal(c):
			out = append(out, c)
		default:
			out = append(out, '%', digits[c>>4], digits[c&15])
		}
		if n := len(out); n >= 5 && out[n-5] == '%' && out[n-4] == '2' && out[n-3] == '5' && isHex(out[n-2]) && isHex(out[n-1]) {
			return "", errPathTwice
		}
	}
	return string(out), nil
}

// checkText refuses a decoded path that terminals, logs or file systems would
// not take for what it is.
func checkText(text string) error {
	if !utf8.ValidString(text) {
		return errPathText
	}
	if strings.ContainsFunc(text, unicode.IsControl) {
		return errPathControl
	}
	return nil
}

// resolveDots removes "." and ".." segments as RFC 3986 §5.2.4 does: what would
// lead above the root stays at the root.
func resolveDots(p string) string {
	if !strings.Contains(p, "/.") {
		return p
	}
	out := make([]byte, 0, len(p))
	for rest := p; rest != ""; {
		end := strings.IndexByte(rest[1:], '/') + 1
		if end == 0 {
			end = len(rest)
		}
		segment := rest[:end]
		rest = rest[end:]
		switch segment {
		case "/.":
		case "/..":
			for n := len(out) - 1; n >= 0; n-- {
				if out[n] == '/' {
					out = out[:n]
					break
				}
			}
		default:
			out = append(out, segment...)
			continue
		}
		if rest == "" {
			out = append(out, '/') // a directory: /a/. is /a/
		}
	}
	return string(out)
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

func unhex(c byte) byte {
	if c <= '9' {
		return c - '0'
	}
	return c&^0x20 - 'A' + 10
}
