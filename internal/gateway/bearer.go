package gateway

import (
	"net/http"
	"strings"
)

// places is where a route looks for tokens.
type places struct {
	query, cookies []string
	headers        []string // canonical
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
			r.eachQuery(name, f.addQuery)
		}
	}
	for _, name := range p.cookies {
		f.add(r.cookie(name))
	}
	for _, name := range p.headers {
		f.add(bearer(r.first(name)))
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
