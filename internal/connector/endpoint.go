package connector

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// maxURL bounds what an endpoint may become, in bytes.
const maxURL = 8 << 10

// endpoint is a URL whose path and query may have holes.
type endpoint struct {
	origin   string // scheme://host[:port]
	segments []template
	query    template
	asked    bool // there is a query
}

func (k *checker) endpoint(at, text string, encode bool, opts Options) endpoint {
	scheme, rest, _ := strings.Cut(text, "://")
	i := strings.IndexAny(rest, "/?#")
	if i < 0 {
		i = len(rest)
	}
	e := endpoint{origin: strings.ToLower(scheme) + "://" + rest[:i]}
	u, err := url.Parse(e.origin)
	switch {
	case strings.Contains(e.origin, "${"):
		k.bad(at, "must have its ${name}s in path or query, not in scheme, host or port")
		return e
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "":
		k.bad(at, "must be an https URL")
		return e
	case u.User != nil:
		k.bad(at, "must not have a user or a password: use Headers, or requestBasicAuth")
		return e
	case u.Scheme == "http" && !opts.Insecure:
		k.bad(at, "must be https; egress.allow_insecure lets http pass")
	case strings.Contains(rest, "#"):
		k.bad(at, "must not have a fragment")
	case opts.Ports != nil && !slices.Contains(opts.Ports, portOf(u)):
		k.bad(at, "must have one of the ports %v: egress.ports lists those that may be called", opts.Ports)
	}
	if err := e.parse(rest[i:], encode); err != nil {
		k.bad(at, "%s", err)
	}
	return e
}

// portOf is the port of a URL, 0 if it is none.
func portOf(u *url.URL) uint16 {
	switch {
	case u.Port() != "":
		n, _ := strconv.ParseUint(u.Port(), 10, 16)
		return uint16(n)
	case u.Scheme == "https":
		return 443
	}
	return 80
}

// parse reads what follows the host.
func (e *endpoint) parse(rest string, encode bool) error {
	var clean strings.Builder
	for _, c := range []byte(rest) {
		switch {
		case c > ' ' && c < 0x7f:
			clean.WriteByte(c)
		case encode:
			fmt.Fprintf(&clean, "%%%02X", c)
		default:
			return errors.New("has characters that no URL has: set EncodeEndpoint to true, or percent-encode them")
		}
	}
	path, query, asked := strings.Cut(clean.String(), "?")
	var err error
	if e.query, err = parseTemplate(query); err != nil {
		return err
	}
	e.asked = asked
	whole, err := parseTemplate(path)
	if err != nil {
		return err
	}
	e.segments = whole.split('/')
	if _, err := url.Parse(e.origin + whole.fill(nil, func(string) string { return "x" })); err != nil {
		return errors.New("has a % that encodes nothing")
	}
	return nil
}

// split cuts t where its literals have the separator.
func (t template) split(separator byte) []template {
	out := []template{nil}
	for _, p := range t {
		for i, text := range strings.Split(p.text, string(separator)) {
			if i > 0 {
				out = append(out, nil)
			}
			last := len(out) - 1
			if text != "" || p.name != "" {
				out[last] = append(out[last], piece{text, p.name})
			}
		}
	}
	return out
}

func (e endpoint) names() []string {
	names := e.query.names()
	for _, s := range e.segments {
		names = append(names, s.names()...)
	}
	return names
}

// fill is the URL with the values in it, each percent-encoded.
func (e endpoint) fill(values map[string]string) (string, error) {
	var out strings.Builder
	out.WriteString(e.origin)
	for i, s := range e.segments {
		if i > 0 {
			out.WriteByte('/')
		}
		for _, name := range s.names() {
			if climbs(values[name]) {
				return "", fmt.Errorf("the value of ${%s} leads elsewhere in the path", name)
			}
		}
		segment := s.fill(values, escapeSegment)
		if plain, err := url.PathUnescape(segment); len(s.names()) > 0 && (err != nil || plain == "" || plain == "." || plain == "..") {
			return "", errors.New("a segment of the path would be empty or lead elsewhere")
		}
		out.WriteString(segment)
	}
	if e.asked {
		out.WriteString("?" + e.query.fill(values, url.QueryEscape))
	}
	if out.Len() > maxURL {
		return "", fmt.Errorf("the URL would have more than %d bytes", maxURL)
	}
	return out.String(), nil
}

// climbs tells whether a part of s between slashes is "." or "..": servers that decode a
// path before they cut it would leave it.
func climbs(s string) bool {
	for part := range strings.FieldsFuncSeq(s, func(r rune) bool { return r == '/' || r == '\\' }) {
		if part == "." || part == ".." {
			return true
		}
	}
	return false
}

// escapeSegment encodes all but what RFC 3986 calls unreserved.
func escapeSegment(s string) string {
	var out strings.Builder
	for _, c := range []byte(s) {
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-._~", c) >= 0 {
			out.WriteByte(c)
			continue
		}
		fmt.Fprintf(&out, "%%%02X", c)
	}
	return out.String()
}
