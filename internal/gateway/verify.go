package gateway

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/carnetproject/carnet/internal/fault"
)

// asks tells whether r is the question of another gateway whether a request may pass,
// and at which path it is asked. Only a trusted proxy can ask; to everybody else the
// path is one like any other.
func (g *Gateway) asks(r *http.Request) (at string, ok bool) {
	at = g.table.Load().verify
	if at == "" {
		return "", false
	}
	rest, below := strings.CutPrefix(r.URL.EscapedPath(), at)
	return at, below && (rest == "" || rest[0] == '/') && g.trusts(r)
}

// judge decides about the request that r, at the path at, asks about, as if it had come
// here. Nothing is passed on, and what depends on the body is left to the one that asks.
func (g *Gateway) judge(r *http.Request, at string, now time.Time) *decision {
	about, err := original(r, at)
	if err != nil {
		d := &decision{peer: peerOf(r)}
		d.refuse("verify", document(http.StatusBadRequest, "Bad request: "+fault.Public(err).Msg, "the question cannot be read"))
		return d
	}
	d := g.locate(about, now)
	d.request.asked = true
	d.admit(r.Context())
	return d
}

// vouch answers 200 with what an upstream would be told of the caller. Each of these
// headers is there, empty if there is nothing to say: so who copies them puts ours in
// place of what the client said.
func (d *decision) vouch(w http.ResponseWriter) {
	h := w.Header()
	d.request.reply(h)
	for _, name := range d.candidate.route.says() {
		h[name] = []string{""}
	}
	identify(h, &d.request)
	h["Cache-Control"] = []string{"no-store"}
	h["Content-Length"] = []string{"0"}
	w.WriteHeader(http.StatusOK)
}

// The headers that say what a question is about.
const (
	originalMethod  = "X-Original-Method"
	originalHost    = "X-Original-Host"
	originalURI     = "X-Original-Uri"
	originalURL     = "X-Original-Url"
	forwardedMethod = "X-Forwarded-Method"
	forwardedHost   = "X-Forwarded-Host"
	forwardedURI    = "X-Forwarded-Uri"
)

// original is the request that r asks about. Below the path at it is r itself with
// what follows as its path (Envoy); at the path itself the headers of one family say
// it: X-Original- (nginx) or X-Forwarded- (Traefik, Caddy). What the asking gateway
// does not set, a client could; so a family must be complete, each header single, and
// of two families none is believed.
func original(r *http.Request, at string) (*http.Request, error) {
	about := &http.Request{Method: r.Method, Host: r.Host, Header: r.Header, RemoteAddr: r.RemoteAddr, TLS: r.TLS}
	uri := strings.TrimPrefix(r.URL.EscapedPath(), at)
	h := said{header: r.Header}
	switch before, by := h.has(originalURI, originalURL), h.has(forwardedURI, forwardedMethod); {
	case uri != "":
		if r.URL.RawQuery != "" || r.URL.ForceQuery {
			uri += "?" + r.URL.RawQuery
		}
	case before && by:
		return nil, fault.New(fault.Invalid, "both X-Original- and X-Forwarded- headers say what is asked about")
	case before:
		about.Method = h.one(originalMethod)
		if h.has(originalURL) {
			about.Host, uri = h.url(originalURL)
		} else {
			about.Host, uri = h.one(originalHost), h.one(originalURI)
		}
	case by:
		about.Method, about.Host, uri = h.one(forwardedMethod), h.one(forwardedHost), h.one(forwardedURI)
	default:
		return nil, fault.New(fault.Invalid, "no header says what is asked about")
	}
	if h.err != nil {
		return nil, h.err
	}
	u, err := url.ParseRequestURI(uri)
	if err != nil || u.Host != "" || !validHeader(about.Method) {
		return nil, fault.New(fault.Invalid, "what is asked about is no method and path")
	}
	about.URL = u
	return about, nil
}

// said reads headers of which each must be there once.
type said struct {
	header http.Header
	err    error // the first mistake
}

func (s *said) has(names ...string) bool {
	for _, name := range names {
		if len(s.header[name]) > 0 {
			return true
		}
	}
	return false
}

func (s *said) one(name string) string {
	if values := s.header[name]; len(values) == 1 && values[0] != "" {
		return values[0]
	}
	s.err = errors.Join(s.err, fault.New(fault.Invalid, name+" must be set, once"))
	return ""
}

// url returns the host and the rest of a header that is a whole URL and makes the URI
// needless.
func (s *said) url(name string) (host, uri string) {
	u, err := url.Parse(s.one(name))
	if err != nil || u.Host == "" || s.has(originalURI) {
		s.err = errors.Join(s.err, fault.New(fault.Invalid, name+" must be a URL, without "+originalURI+" beside it"))
		return "", ""
	}
	return u.Host, u.RequestURI()
}
