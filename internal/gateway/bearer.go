package gateway

import (
	"net/http"
	"slices"
	"strings"
)

// places is where a route looks for tokens.
type places struct {
	query, cookies []string
	headers        []string // canonical
	first          bool     // the first place that has one counts, as with Kong before 3.2
}

func newPlaces(j *JWT) places {
	p := places{query: j.QueryNames, cookies: j.CookieNames}
	if p.query == nil {
		p.query = []string{"jwt"}
	}
	headers := j.HeaderNames
	if headers == nil {
		headers = []string{"authorization"}
	}
	for _, h := range headers {
		p.headers = append(p.headers, http.CanonicalHeaderKey(h))
	}
	return p
}

// find returns the one token of r. The same token in several places is one, two
// different ones are refused: who reads the other one would see another caller.
func (p *places) find(r *request) (token string, v verdict) {
	var f finds
	if r.query != "" {
		for _, name := range p.query {
			if !f.done(p) {
				r.eachQuery(name, f.addQuery)
			}
		}
	}
	for _, name := range p.cookies {
		if !f.done(p) {
			f.add(r.cookie(name))
		}
	}
	for _, name := range p.headers {
		if !f.done(p) {
			f.add(bearer(r.first(name)))
		}
	}
	switch {
	case f.several:
		return "", severalTokens
	case f.bare:
		return "", bareParameter
	case f.token == "":
		return "", noToken
	default:
		return f.token, admitted
	}
}

// finds counts up to two different tokens.
type finds struct {
	token   string
	bare    bool // a parameter without a value was found: Kong takes it for a token
	several bool
}

func (f *finds) done(p *places) bool { return p.first && (f.bare || f.token != "") }

func (f *finds) add(token string) {
	switch {
	case token == "":
	case f.bare || f.token != "" && f.token != token:
		f.several = true
	default:
		f.token = token
	}
}

func (f *finds) addQuery(value string, bare bool) {
	if !bare {
		f.add(value)
		return
	}
	f.several = f.several || f.token != ""
	f.bare = true
}

// bearer is what follows the first "Bearer" or "bearer" and blanks in a header,
// as Kong's \s*[Bb]earer\s+(.+) finds it: anywhere, and with all that comes after.
func bearer(header string) string {
	for rest := header; ; {
		i := strings.Index(rest, "earer")
		if i < 0 {
			return ""
		}
		after := rest[i+len("earer"):]
		if i > 0 && rest[i-1]|0x20 == 'b' {
			if token := strings.TrimLeft(after, blanks); token != "" && len(token) < len(after) {
				return token
			}
		}
		rest = after
	}
}

const blanks = " \t\n\v\f\r"

// remove takes all tokens out of the request to an upstream, those that find does not
// look at included.
func (p *places) remove(out *http.Request) {
	for _, name := range p.query {
		out.URL.RawQuery = without(out.URL.RawQuery, "&", func(pair string) bool {
			key, _, _ := strings.Cut(pair, "=")
			return pair != "" && decodeQuery(key) == name
		})
	}
	for _, name := range p.cookies {
		edit(out.Header, "Cookie", func(line string) string {
			line = without(line, ";", func(pair string) bool {
				key, _, _ := strings.Cut(strings.TrimSpace(pair), "=")
				return key == name
			})
			return strings.TrimLeft(line, " ") // of the first, which no separator stands before
		})
	}
	for _, name := range p.headers {
		edit(out.Header, name, func(line string) string {
			if bearer(line) != "" {
				return ""
			}
			return line
		})
	}
}

// without is text without the parts that are to go; what stays stays as it is.
func without(text, separator string, gone func(part string) bool) string {
	parts := strings.Split(text, separator)
	left := slices.DeleteFunc(parts, gone)
	if len(left) == len(parts) {
		return text
	}
	return strings.Join(left, separator)
}

// edit changes the lines of a header; empty ones go.
func edit(h http.Header, name string, change func(line string) string) {
	var kept []string
	for _, line := range h[name] {
		if line = change(line); line != "" {
			kept = append(kept, line)
		}
	}
	if h[name] = kept; kept == nil {
		delete(h, name)
	}
}
