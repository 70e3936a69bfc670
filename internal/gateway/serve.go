package gateway

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/carnetproject/carnet/internal/trace"
)

// ServeHTTP admits r or refuses it.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	// net/http takes the chunked reading of a request that also has a
	// Content-Length, and does not tell us. RFC 9112 §6.1 wants the connection
	// closed after such a request, so it is closed after every chunked one.
	if r.ProtoMajor == 1 && len(r.TransferEncoding) > 0 {
		w.Header().Set("Connection", "close")
		w = closing{w}
	}
	start := g.clock()
	var d *decision
	at, asked := g.asks(r)
	if asked {
		d = g.judge(r, at, start)
	} else {
		d = g.decide(r, start)
	}
	span := trace.Current(r.Context())
	span.Route(r.Method, d.routeName())
	span.Set("carnet.refused_by", d.refusedBy)
	if g.observe != nil {
		recorder := &statusRecorder{ResponseWriter: w, status: http.StatusOK}
		w = recorder
		defer func() {
			g.observe(Outcome{Route: d.routeName(), Refused: d.refusedBy, Status: recorder.status, Duration: g.clock().Sub(start)})
		}()
	}
	if d.refusal != nil {
		g.log.LogAttrs(r.Context(), slog.LevelDebug, "request refused", slog.String("route", d.routeName()),
			slog.String("by", d.refusedBy), slog.Int("status", d.refusal.status), slog.String("reason", d.refusal.reason), slog.String("request_id", d.refusal.request))
		d.request.reply(w.Header())
		d.refusal.write(w, r.Header)
		return
	}
	if p := d.request.principal; g.used != nil && p != nil && p.Credential != nil {
		g.used(p.Credential, start)
	}
	if asked {
		d.vouch(w)
		return
	}
	f := &flight{
		gateway: g, route: d.candidate.route, request: &d.request, peer: d.peer, trusted: d.trusted,
		target: d.candidate.route.target(d.matched, d.request.path),
	}
	f.serve(w, r)
}

// decision is what the gateway makes of a request.
type decision struct {
	request   request
	peer      netip.Addr
	trusted   bool // the peer, as a proxy
	candidate *candidate
	matched   int // how much of the path the candidate's path is
	refusal   *refusal
	refusedBy string
}

func (d *decision) routeName() string {
	if d.candidate == nil {
		return ""
	}
	return d.candidate.route.name
}

func (d *decision) refuse(by string, f *refusal) { d.refusedBy, d.refusal = by, f }

// decide walks r from its path to the last stage of its route.
func (g *Gateway) decide(r *http.Request, now time.Time) *decision {
	d := g.locate(r, now)
	d.admit(r.Context())
	return d
}

// admit walks the stages of the route, if one was found.
func (d *decision) admit(ctx context.Context) {
	if d.refusal != nil {
		return
	}
	stages := &d.candidate.route.stages
	if d.run(ctx, stages.before) {
		d.run(ctx, stages.next(d.request.principal))
	}
}

// run walks the stages up to the first that refuses. It reports whether none did.
func (d *decision) run(ctx context.Context, stages []stage) bool {
	for _, s := range stages {
		if f := s.check(ctx, &d.request); f != nil {
			d.refuse(cmp.Or(f.by, s.name()), f)
			return false
		}
	}
	return true
}

// locate finds the route of r.
func (g *Gateway) locate(r *http.Request, now time.Time) *decision {
	d := &decision{
		request: request{method: r.Method, header: r.Header, query: r.URL.RawQuery, length: r.ContentLength, now: now},
		peer:    peerOf(r),
	}
	path, err := normalPath(r.URL.EscapedPath())
	switch {
	case err != nil:
	case r.URL.Opaque != "": // "x:a/b" as the target: no path for us, but one for an upstream
		err = errPathStart
	case r.Method == http.MethodConnect:
		err = errTunnel
	default:
		err = writable(r)
	}
	if err != nil {
		d.refuse("path", document(http.StatusBadRequest, "Bad request: "+err.Error(), err.Error()))
		return d
	}
	q := &d.request
	d.trusted = g.trusts(r)
	q.path, q.secure = path, secure(r, d.trusted)
	q.host, q.port = hostOf(r.Host, q.secure)
	q.addr = d.peer
	if g.clientAddr != nil {
		if a := g.clientAddr(r); a.IsValid() {
			q.addr = a
		}
	}
	if d.candidate, d.matched = g.table.Load().router.find(q); d.candidate == nil {
		d.refuse("route", document(http.StatusNotFound, "no Route matched with those values", "no route matches"))
	} else if status := d.candidate.route.toHTTPS; status != 0 && !q.secure {
		d.refuse("https", q.toHTTPS(status))
	}
	return d
}

// toHTTPS sends a request over plain HTTP to the same place over TLS.
func (r *request) toHTTPS(status int) *refusal {
	if status == http.StatusUpgradeRequired {
		r.answer("Upgrade", "TLS/1.2, HTTP/1.1")
		r.answer("Connection", "Upgrade")
	} else {
		to := "https://" + r.host + r.path
		if r.query != "" {
			to += "?" + r.query
		}
		r.answer("Location", to)
	}
	return document(status, "Please use HTTPS protocol", "plain HTTP on a route for HTTPS")
}

var (
	errTunnel = errors.New("tunnels are not offered")
	errMethod = errors.New("the method is no token")
	errHost   = errors.New("the host has a character that no host has")
	errQuery  = errors.New("the query has a blank")
)

// writable finds what can be said in HTTP/2, where net/http does not look at it, and
// not in the HTTP/1 of an upstream: there it is an error, or reads as something else.
func writable(r *http.Request) error {
	switch {
	case !validHeader(r.Method):
		return errMethod
	case !validHost(r.Host):
		return errHost
	case strings.IndexByte(r.URL.RawQuery, ' ') >= 0:
		return errQuery
	}
	return nil
}

// closing is the answer to a request after which the connection closes. It says so
// again at the end, since ReverseProxy clears the header when it passes on a 1xx.
type closing struct{ http.ResponseWriter }

// WriteHeader says it with the final status alone.
func (c closing) WriteHeader(status int) {
	if status >= 200 {
		c.Header().Set("Connection", "close")
	} else {
		c.Header().Del("Connection")
	}
	c.ResponseWriter.WriteHeader(status)
}

// Unwrap lets [http.ResponseController] flush and hijack.
func (c closing) Unwrap() http.ResponseWriter { return c.ResponseWriter }

// statusRecorder remembers the status of the answer.
type statusRecorder struct {
	http.ResponseWriter
	status int
	wrote  bool
}

// WriteHeader remembers the final status; the 1xx before it are only passed on.
func (s *statusRecorder) WriteHeader(status int) {
	if !s.wrote && status >= 200 {
		s.status, s.wrote = status, true
	}
	s.ResponseWriter.WriteHeader(status)
}

// Hijack is how the proxy answers 101: past WriteHeader.
func (s *statusRecorder) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	c, rw, err := http.NewResponseController(s.ResponseWriter).Hijack()
	if err == nil {
		s.status, s.wrote = http.StatusSwitchingProtocols, true
	}
	return c, rw, err
}

// Unwrap lets [http.ResponseController] flush.
func (s *statusRecorder) Unwrap() http.ResponseWriter { return s.ResponseWriter }
