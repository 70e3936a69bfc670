package connector

import (
	"net/http"
	"slices"
	"strings"

	"github.com/carnetproject/carnet/internal/secret"
)

// maxHeader bounds the value of a header, in bytes.
const maxHeader = 8 << 10

// header is one of a document: its value is a secret, or a template.
type header struct {
	name, value template
	secret      ref
}

// ownHeaders are those that the client writes itself, or that would break what it does.
var ownHeaders = []string{
	"host", "content-length", "transfer-encoding", "connection", "upgrade", "te", "trailer", "keep-alive",
	"accept-encoding", "expect",
}

func isOwnHeader(name string) bool {
	lower := strings.ToLower(name)
	return slices.Contains(ownHeaders, lower) || strings.HasPrefix(lower, "proxy-")
}

// isToken tells whether s can name a header (RFC 9110 section 5.6.2).
func isToken(s string) bool {
	for _, c := range []byte(s) {
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !letter && strings.IndexByte("!#$%&'*+-.^_`|~", c) < 0 {
			return false
		}
	}
	return s != ""
}

// isFieldValue tells whether s can be the value of a header.
func isFieldValue(s string) bool {
	for _, c := range []byte(s) {
		if c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return len(s) <= maxHeader
}

func (k *checker) headers(at string, v any) []header {
	o := k.object(at, v)
	var out []header
	seen := map[string]bool{}
	for _, name := range sortedNames(o.members) {
		here := pointer(at, name)
		value := o.text(name)
		h, err := parseHeader(name, value)
		switch {
		case err != "":
			k.bad(here, "%s", err)
			continue
		case seen[strings.ToLower(name)]:
			k.bad(here, "is there twice, in other letters")
		case isRef(value):
			h.secret, h.value = k.secret(here, value, secret.ForText), nil
		}
		seen[strings.ToLower(name)] = true
		out = append(out, h)
	}
	return out
}

func parseHeader(name, value string) (h header, bad string) {
	var nameErr, valueErr error
	h.name, nameErr = parseTemplate(name)
	h.value, valueErr = parseTemplate(value)
	plain := h.name.fill(nil, func(string) string { return "x" })
	switch {
	case nameErr != nil:
		return h, "the name " + nameErr.Error()
	case valueErr != nil:
		return h, valueErr.Error()
	case !isToken(plain):
		return h, "is no name of a header"
	case isOwnHeader(plain):
		return h, "is a header that the client itself writes"
	case !isFieldValue(value):
		return h, "has a value with line ends or control characters, or of more than 8 KiB"
	}
	return h, ""
}

// fill puts values into the header. It is left out, and ok is false, if one of its
// values is not there.
func (h header) fill(values map[string]string) (f field, ok bool, bad string) {
	for _, name := range append(h.name.names(), h.value.names()...) {
		if _, ok := values[name]; !ok {
			return field{}, false, ""
		}
	}
	f = field{Name: h.name.fill(values, asIs), Value: h.value.fill(values, asIs), secret: h.secret}
	switch {
	case len(h.name.names()) == 0:
		f.Name = http.CanonicalHeaderKey(f.Name)
	case !isToken(f.Name):
		return f, false, "a header's name would have other characters than a name may have"
	case isOwnHeader(f.Name), strings.EqualFold(f.Name, "Cookie"):
		return f, false, "a header's name would be one that values may not make"
	}
	if !isFieldValue(f.Value) {
		return f, false, "a header would have line ends or control characters, or more than 8 KiB"
	}
	return f, true, ""
}
