package trace

import (
	"context"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
)

// recorded is a context that is traced, and what was recorded of it.
func recorded(t *testing.T, s sdk.Sampler) (context.Context, *tracetest.SpanRecorder) {
	t.Helper()
	r := tracetest.NewSpanRecorder()
	return With(t.Context(), sdk.NewTracerProvider(sdk.WithSampler(s), sdk.WithSpanProcessor(r)).Tracer("test")), r
}

// all is what packages do.
func all(ctx context.Context, h http.Header) {
	ctx, span := Serve(ctx, "GET")
	span.Route("GET", "/x")
	Current(ctx).Set("a", "b")
	ctx, call := Call(Because(ctx, CauseOf(ctx)), "call")
	Inject(ctx, h)
	call.Status(200)
	call.Fail("timeout")
	call.End()
	_, part := Start(ctx, "part")
	part.Count("n", 1)
	part.End()
	span.End()
}

func TestNoTracerCostsNothing(t *testing.T) { //nolint:paralleltest // AllocsPerRun counts those of all
	h := http.Header{"Traceparent": {"theirs"}}
	if n := testing.AllocsPerRun(100, func() { all(t.Context(), h) }); n != 0 {
		t.Errorf("%v allocations where nothing is traced", n)
	}
	if diff := cmp.Diff(http.Header{"Traceparent": {"theirs"}}, h); diff != "" {
		t.Errorf("a header is changed where nothing is traced (-want +got):\n%s", diff)
	}
}

func TestParts(t *testing.T) {
	t.Parallel()
	ctx, r := recorded(t, sdk.AlwaysSample())
	all(ctx, http.Header{})
	type span struct {
		name, parent string
		kind         trace.SpanKind
		attributes   []attribute.KeyValue
		status       sdk.Status
	}
	names := map[trace.SpanID]string{}
	for _, s := range r.Ended() {
		names[s.SpanContext().SpanID()] = s.Name()
	}
	var got []span
	for _, s := range r.Ended() {
		got = append(got, span{s.Name(), names[s.Parent().SpanID()], s.SpanKind(), s.Attributes(), s.Status()})
	}
	want := []span{
		{"call", "GET /x", trace.SpanKindClient, []attribute.KeyValue{
			attribute.Int("http.response.status_code", 200), attribute.String("error.type", "timeout"),
		}, sdk.Status{Code: codes.Error}},
		{"part", "call", trace.SpanKindInternal, []attribute.KeyValue{attribute.Int("n", 1)}, sdk.Status{}},
		{"GET /x", "", trace.SpanKindServer, []attribute.KeyValue{
			attribute.String("http.request.method", "GET"), attribute.String("http.route", "/x"), attribute.String("a", "b"),
		}, sdk.Status{}},
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(span{}), cmp.Comparer(func(a, b attribute.KeyValue) bool { return a == b })); diff != "" {
		t.Errorf("spans (-want +got):\n%s", diff)
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ method, route, name, attribute string }{
		"no route":         {"POST", "", "POST", "POST"},
		"route":            {"DELETE", "/things/{id}", "DELETE /things/{id}", "DELETE"},
		"made-up method":   {"SECRET-TOKEN", "/x", "HTTP /x", "_OTHER"},
		"lower case is so": {"get", "", "HTTP", "_OTHER"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, r := recorded(t, sdk.AlwaysSample())
			_, s := Serve(ctx, tc.method)
			s.Route(tc.method, tc.route)
			s.Set("empty", "")
			s.Status(0)
			s.End()
			got := r.Ended()[0]
			if got.Name() != tc.name || got.Attributes()[0] != attribute.String("http.request.method", tc.attribute) {
				t.Errorf("name %q with %v, want %q with %q", got.Name(), got.Attributes(), tc.name, tc.attribute)
			}
			if n := len(got.Attributes()); tc.route == "" && n != 1 {
				t.Errorf("%d attributes, of which some say nothing", n)
			}
		})
	}
}

// TestInject takes no word of a caller for the place in the trace.
func TestInject(t *testing.T) {
	t.Parallel()
	for name, sampler := range map[string]sdk.Sampler{"sampled": sdk.AlwaysSample(), "not sampled": sdk.NeverSample()} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, _ := recorded(t, sampler)
			ctx, _ = Call(ctx, "call")
			h := http.Header{"Traceparent": {"theirs"}, "Tracestate": {"their=state"}, "Baggage": {"a=b"}}
			Inject(ctx, h)
			of := CauseOf(ctx)
			flags := map[bool]string{true: "-01", false: "-00"}[of.IsSampled()]
			want := http.Header{"Traceparent": {"00-" + of.TraceID().String() + "-" + of.SpanID().String() + flags}, "Baggage": {"a=b"}}
			if diff := cmp.Diff(want, h); diff != "" {
				t.Errorf("header (-want +got):\n%s", diff)
			}
		})
	}
}

// TestBecause goes on elsewhere with a trace, and with its decision.
func TestBecause(t *testing.T) {
	t.Parallel()
	ctx, r := recorded(t, sdk.ParentBased(sdk.AlwaysSample()))
	first, span := Start(ctx, "first")
	cause := CauseOf(first)
	span.End()
	for _, c := range []Cause{cause, {}, cause.WithTraceFlags(0)} {
		_, s := Start(Because(ctx, c), "later")
		s.End()
	}
	got := r.Ended()
	if len(got) != 3 {
		t.Fatalf("%d spans, want the first, the later, and one without a cause", len(got))
	}
	if !got[1].Parent().Equal(cause) || got[2].Parent().IsValid() || got[2].SpanContext().TraceID() == cause.TraceID() {
		t.Errorf("parents %v and %v, want %v and none", got[1].Parent(), got[2].Parent(), cause)
	}
}
