package observe

import (
	"bufio"
	"context"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"

	"go.opentelemetry.io/otel/propagation"
	oteltrace "go.opentelemetry.io/otel/trace"

	"github.com/carnetproject/carnet/internal/trace"
)

// Handler records the requests that h serves, under a context of [Traces.In]. They are
// named by h's mux, as [Metrics.Handler] has it, unless h does that itself. The span of
// what becomes a WebSocket ends when that begins.
func (t *Traces) Handler(door string, h http.Handler) http.Handler {
	if t == nil {
		return h
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, span := trace.Serve(t.caller(r), r.Method)
		span.Set("carnet.door", door)
		a := &tracedAnswer{statusWriter{ResponseWriter: w, status: http.StatusOK}, r.WithContext(ctx), span}
		finished := false
		defer func() {
			if !finished {
				span.Fail("panic")
			}
			a.end()
		}()
		h.ServeHTTP(a, a.request)
		finished = true
	})
}

// caller is the context of r in the trace that r is a part of, by its traceparent header
// (W3C Trace Context). Whether the trace is recorded only those decide whom we trust: a
// stranger's is by chance, as one that begins here, and brings no tracestate along.
func (t *Traces) caller(r *http.Request) context.Context {
	ctx := propagation.TraceContext{}.Extract(r.Context(), propagation.HeaderCarrier(r.Header))
	from := trace.CauseOf(ctx)
	if !from.IsValid() || t.c.Trusted(r) {
		return ctx
	}
	chosen := rand.Float64() < t.c.Sample //nolint:gosec // nothing secret is chosen
	return oteltrace.ContextWithRemoteSpanContext(ctx,
		from.WithTraceFlags(from.TraceFlags().WithSampled(chosen)).WithTraceState(oteltrace.TraceState{}))
}

// tracedAnswer ends the span of its request.
type tracedAnswer struct {
	statusWriter
	request *http.Request
	span    trace.Span
}

// Hijack is how a WebSocket begins.
func (a *tracedAnswer) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	c, rw, err := http.NewResponseController(a.ResponseWriter).Hijack()
	if err == nil {
		a.status = http.StatusSwitchingProtocols
		a.end()
	}
	return c, rw, err
}

func (a *tracedAnswer) end() {
	a.span.Route(a.request.Method, routeOf(a.request))
	a.span.Status(a.status)
	if a.status >= http.StatusInternalServerError {
		a.span.Fail(strconv.Itoa(a.status))
	}
	a.span.End()
}
