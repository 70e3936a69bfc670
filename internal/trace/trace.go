// Package trace measures the parts of a node's work as OpenTelemetry's spans: a request,
// what was asked because of it, and what was committed. Spans say names of the
// configuration and outcomes; nothing that a request says, and nobody's identity.
//
// The tracer comes with the context. Where there is none, as on a node that traces
// nothing, all of this package does nothing and allocates nothing.
package trace

import (
	"context"
	"net/http"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

type tracerKey struct{}

// With has what is done under the context that it returns traced by t.
func With(ctx context.Context, t trace.Tracer) context.Context {
	return context.WithValue(ctx, tracerKey{}, t)
}

// Span is one part of the work. The zero Span is of what is not traced, or not sampled.
type Span struct{ of trace.Span } // nil, or one that records

// Start begins a part of what ctx is in, and a trace of its own if that is nothing. The
// caller ends it. What belongs to it is done under the context that is returned.
func Start(ctx context.Context, name string) (context.Context, Span) {
	return start(ctx, name, trace.SpanKindInternal)
}

// Call is [Start] for a call of another service.
func Call(ctx context.Context, name string) (context.Context, Span) {
	return start(ctx, name, trace.SpanKindClient)
}

// Serve is [Start] for a request of another service. [Span.Route] completes its name.
func Serve(ctx context.Context, method string) (context.Context, Span) {
	ctx, s := start(ctx, methodOf(method), trace.SpanKindServer)
	if methodOf(method) != method {
		method = "_OTHER"
	}
	s.Set("http.request.method", method)
	return ctx, s
}

// methodOf keeps what a client has made up out of names.
func methodOf(m string) string {
	switch m {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch,
		http.MethodDelete, http.MethodOptions, http.MethodConnect, http.MethodTrace:
		return m
	}
	return "HTTP"
}

func start(ctx context.Context, name string, kind trace.SpanKind) (context.Context, Span) {
	t, ok := ctx.Value(tracerKey{}).(trace.Tracer)
	if !ok {
		return ctx, Span{}
	}
	ctx, s := t.Start(ctx, name, trace.WithSpanKind(kind))
	return ctx, recording(s)
}

// Current is the span that ctx is in.
func Current(ctx context.Context) Span { return recording(trace.SpanFromContext(ctx)) }

func recording(s trace.Span) Span {
	if !s.IsRecording() {
		return Span{}
	}
	return Span{s}
}

// Set notes a value of few. An empty one is left out.
func (s Span) Set(key, value string) {
	if s.of != nil && value != "" {
		s.of.SetAttributes(attribute.String(key, value))
	}
}

// Count notes a number.
func (s Span) Count(key string, n int) {
	if s.of != nil {
		s.of.SetAttributes(attribute.Int(key, n))
	}
}

// Status notes the status of an HTTP answer; 0: there was none.
func (s Span) Status(code int) {
	if code != 0 {
		s.Count("http.response.status_code", code)
	}
}

// Route says what serves the request of a [Serve], with a name or pattern of the
// configuration or of the program; empty: nothing does.
func (s Span) Route(method, route string) {
	if s.of != nil && route != "" {
		s.Set("http.route", route)
		s.of.SetName(methodOf(method) + " " + route)
	}
}

// Fail says that the work failed, and of what kind the failure is: a word, since errors
// may show what spans must not.
func (s Span) Fail(kind string) {
	if s.of != nil {
		s.Set("error.type", kind)
		s.of.SetStatus(codes.Error, "")
	}
}

// End ends the span. What is noted later is lost.
func (s Span) End() {
	if s.of != nil {
		s.of.End()
	}
}

// Cause is a span that work done elsewhere, or later, came from; zero: none is known.
type Cause = trace.SpanContext

// CauseOf is the span that ctx is in, sampled or not.
func CauseOf(ctx context.Context) Cause { return trace.SpanContextFromContext(ctx) }

// ID is how logs and people name the trace of c; "" if there is none.
func ID(c Cause) string {
	if !c.IsValid() {
		return ""
	}
	return c.TraceID().String()
}

// Because returns a context for what c is the cause of.
func Because(ctx context.Context, c Cause) context.Context {
	if !c.IsValid() {
		return ctx
	}
	return trace.ContextWithSpanContext(ctx, c)
}

// Inject tells whom a request goes to what it is a part of: traceparent and tracestate
// (W3C Trace Context), in place of others. Outside of a trace h stays as it is. Baggage
// is never told.
func Inject(ctx context.Context, h http.Header) {
	if !CauseOf(ctx).IsValid() {
		return
	}
	h.Del("Tracestate")
	propagation.TraceContext{}.Inject(ctx, propagation.HeaderCarrier(h))
}
