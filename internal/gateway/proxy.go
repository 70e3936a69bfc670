package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"sync"
)

// flight is one admitted request on its way to the upstream.
type flight struct {
	gateway *Gateway
	route   *route
	request *request
	target  string // the path for the upstream
	peer    netip.Addr
	trusted bool         // the peer, as a proxy
	body    *watchedBody // nil if there is none
	at      *target      // where the request is; nil before it is anywhere
}

// serve sends in to the upstream and its answer to w, both as they come.
func (f *flight) serve(w http.ResponseWriter, in *http.Request) {
	in = withoutTunnel(in)
	if h := f.route.service.handler; h != nil {
		f.request.reply(w.Header())
		h.ServeHTTP(w, f.internal(in))
		return
	}
	proxy := httputil.ReverseProxy{
		Rewrite:        f.rewrite,
		Transport:      f,
		FlushInterval:  -1,
		ErrorLog:       f.gateway.errorLog,
		BufferPool:     &f.gateway.buffers,
		ModifyResponse: f.finish,
		ErrorHandler:   f.fail,
	}
	if len(in.Header["Upgrade"]) > 0 {
		w = &upgrade{w, f}
	}
	defer f.move(nil)
	proxy.ServeHTTP(w, in)
}

// rewrite makes the upstream's request. ReverseProxy has removed the hop-by-hop
// headers before, so that nothing the client names can take ours away.
func (f *flight) rewrite(pr *httputil.ProxyRequest) {
	out := pr.Out
	out.URL.Scheme = f.route.service.base.Scheme
	setPath(out.URL, f.target)
	out.URL.RawQuery, out.URL.ForceQuery = pr.In.URL.RawQuery, pr.In.URL.ForceQuery
	if !f.route.preserveHost {
		out.Host = ""
	}
	f.mark(pr.In, out)
}

// mark puts the gateway's own headers in place of what the client sent, and bounds
// the body.
func (f *flight) mark(in, out *http.Request) {
	if out.Body != nil && out.Body != http.NoBody {
		f.body = &watchedBody{from: out.Body, bound: f.request.atMost}
		out.Body = f.body
	}
	stripReserved(out.Header)
	f.request.scrub.clean(out)
	out.Trailer = nil // a trailer could say again what was stripped
	identify(out.Header, f.request)
	forward(out.Header, in, f.request.addr, f.peer, f.trusted)
}

// internal is in as a handler of this process gets it.
func (f *flight) internal(in *http.Request) *http.Request {
	out := in.Clone(in.Context())
	stripHop(out.Header)
	setPath(out.URL, f.target)
	out.URL.Scheme, out.URL.Host = "", ""
	f.mark(in, out)
	out.RequestURI = out.URL.RequestURI() // of what mark has left in the URL
	return out
}

// finish adds to the upstream's answer what the stages have to say. It refuses one
// that cannot be passed on: net/http reads a status of 042, and panics when it is to
// write one.
func (f *flight) finish(r *http.Response) error {
	if r.StatusCode < http.StatusContinue {
		return fmt.Errorf("status %03d", r.StatusCode)
	}
	f.request.reply(r.Header)
	return nil
}

// fail answers for an upstream that did not, without saying why.
func (f *flight) fail(w http.ResponseWriter, r *http.Request, err error) {
	out := document(http.StatusBadGateway, "An invalid response was received from the upstream server", "")
	switch fate := f.body.fate(); {
	case fate == bodyTooLarge: // the answer to a client that is cut off is this, not 499
		out = tooLarge("the body passed the bound")
	case gone(r.Context(), err):
		w.WriteHeader(statusClientGone)
		return
	case fate == bodyBroken:
		out = document(http.StatusBadRequest, "The request body cannot be read", "")
	case timedOut(err):
		out = document(http.StatusGatewayTimeout, "The upstream server is timing out", "")
	}
	f.request.reply(w.Header())
	f.gateway.log.LogAttrs(r.Context(), slog.LevelWarn, "upstream failed",
		slog.String("service", f.route.service.name), slog.String("route", f.route.name),
		slog.Int("status", out.status), slog.String("request_id", out.request), slog.Any("err", err))
	out.write(w, r.Header)
}

func gone(ctx context.Context, err error) bool {
	return ctx.Err() != nil || errors.Is(err, context.Canceled)
}

func timedOut(err error) bool {
	timeout, ok := errors.AsType[net.Error](err)
	return ok && timeout.Timeout()
}

// statusClientGone is nginx's status for a client that hung up. Nobody reads it
// but the metrics.
const statusClientGone = 499

// bufferSize is how much of a body is copied at a time.
const bufferSize = 32 << 10

// buffers are what bodies are copied through.
type buffers struct{ pool sync.Pool }

func (b *buffers) Get() []byte {
	if p, ok := b.pool.Get().(*[bufferSize]byte); ok {
		return p[:]
	}
	return make([]byte, bufferSize)
}

func (b *buffers) Put(p []byte) { b.pool.Put((*[bufferSize]byte)(p)) }
