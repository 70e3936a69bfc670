package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"sync"
	"sync/atomic"
)

// flight is one admitted request on its way to the upstream.
type flight struct {
	gateway *Gateway
	route   *route
	request *request
	target  string // the path for the upstream
	peer    netip.Addr
	body    *watchedBody // nil if there is none
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
		Transport:      f.route.service.transport,
		FlushInterval:  -1,
		ErrorLog:       f.gateway.errorLog,
		BufferPool:     &f.gateway.buffers,
		ModifyResponse: f.finish,
		ErrorHandler:   f.fail,
	}
	proxy.ServeHTTP(w, in)
}

// rewrite makes the upstream's request. ReverseProxy has removed the hop-by-hop
// headers before, so that nothing the client names can take ours away.
func (f *flight) rewrite(pr *httputil.ProxyRequest) {
	base, out := f.route.service.base, pr.Out
	out.URL.Scheme, out.URL.Host = base.Scheme, base.Host
	setPath(out.URL, f.target)
	out.URL.RawQuery, out.URL.ForceQuery = pr.In.URL.RawQuery, pr.In.URL.ForceQuery
	if !f.route.preserveHost {
		out.Host = ""
	}
	if out.Body != nil {
		f.body = &watchedBody{ReadCloser: out.Body}
		out.Body = f.body
	}
	f.mark(pr.In, out)
}

// mark puts the gateway's own headers in place of what the client sent.
func (f *flight) mark(in, out *http.Request) {
	stripReserved(out.Header)
	out.Trailer = nil // a trailer could say again what was stripped
	identify(out.Header, f.request)
	forward(out.Header, in, f.request.addr, f.peer, f.gateway.trusted.contains(f.peer))
}

// internal is in as a handler of this process gets it.
func (f *flight) internal(in *http.Request) *http.Request {
	out := in.Clone(in.Context())
	stripHop(out.Header)
	setPath(out.URL, f.target)
	out.URL.Scheme, out.URL.Host = "", ""
	out.RequestURI = out.URL.RequestURI()
	f.mark(in, out)
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
	out := message(http.StatusBadGateway, "An invalid response was received from the upstream server", "")
	switch timeout, isNet := errors.AsType[net.Error](err); {
	case r.Context().Err() != nil || errors.Is(err, context.Canceled):
		w.WriteHeader(statusClientGone)
		return
	case f.body != nil && f.body.failed.Load():
		out = message(http.StatusBadRequest, "The request body cannot be read", "")
	case isNet && timeout.Timeout():
		out = message(http.StatusGatewayTimeout, "The upstream server is timing out", "")
	}
	f.request.reply(w.Header())
	f.gateway.log.LogAttrs(r.Context(), slog.LevelWarn, "upstream failed",
		slog.String("service", f.route.service.name), slog.String("route", f.route.name),
		slog.Int("status", out.status), slog.Any("err", err))
	out.write(w)
}

// statusClientGone is nginx's status for a client that hung up. Nobody reads it
// but the metrics.
const statusClientGone = 499

// watchedBody remembers whether reading it failed: then the client is at fault
// and not the upstream.
type watchedBody struct {
	io.ReadCloser
	failed atomic.Bool
}

func (b *watchedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil && err != io.EOF {
		b.failed.Store(true)
	}
	return n, err
}

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
