package observe

import (
	"context"
	"crypto/rand"
	"log/slog"
	"net/http"
	"os"
	"sync/atomic"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	oteltrace "go.opentelemetry.io/otel/trace"

	"github.com/carnetproject/carnet/internal/trace"
)

// TracesConfig requires Endpoint and Service.
type TracesConfig struct {
	Endpoint string  // base URL of a collector that takes OTLP over HTTP
	Service  string  // what the collector is told that this is
	Sample   float64 // share of traces that is recorded, 0 to 1
	// Header returns what further headers a delivery has; nil: none.
	Header func(context.Context) (http.Header, error)
	// Trusted tells whether a request comes from one whose decision to record a trace is
	// followed; nil: none does.
	Trusted func(*http.Request) bool
	Log     *slog.Logger // nil: slog.Default()
}

// Traces records what is done and delivers it to a collector. What the collector does not
// take in time is dropped: nobody waits for it. A nil *Traces records nothing. Safe for
// concurrent use.
type Traces struct {
	c      TracesConfig
	tracer oteltrace.Tracer
	spans  chan sdk.ReadOnlySpan // that have ended
	post   func(context.Context, []sdk.ReadOnlySpan) error

	sent, dropped atomic.Int64
}

// NewTraces returns traces that [Traces.Run] delivers.
func NewTraces(c TracesConfig) (*Traces, error) {
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.Trusted == nil {
		c.Trusted = func(*http.Request) bool { return false }
	}
	to, err := newCollector(c.Endpoint, c.Header)
	if err != nil {
		return nil, err
	}
	t := &Traces{c: c, spans: make(chan sdk.ReadOnlySpan, maxWaiting), post: otlptrace.NewUnstarted(to).ExportSpans}
	host, _ := os.Hostname() // a node without a name has its id
	of := resource.NewSchemaless(
		attribute.String("service.name", c.Service), attribute.String("service.version", version()),
		attribute.String("service.instance.id", rand.Text()), attribute.String("host.name", host),
	)
	// All that the SDK would read of the environment is said here.
	t.tracer = sdk.NewTracerProvider(
		sdk.WithResource(of), sdk.WithSampler(sdk.ParentBased(sdk.TraceIDRatioBased(c.Sample))),
		sdk.WithRawSpanLimits(sdk.SpanLimits{
			AttributeCountLimit: 32, AttributeValueLengthLimit: 256, AttributeValueDepthLimit: 1,
		}),
		sdk.WithSpanProcessor((*waiting)(t)), sdk.WithoutPanicRecording(),
	).Tracer("github.com/carnetproject/carnet", oteltrace.WithInstrumentationVersion(version()))
	return t, nil
}

// In has what is done under the context that it returns recorded.
func (t *Traces) In(ctx context.Context) context.Context {
	if t == nil {
		return ctx
	}
	return trace.With(ctx, t.tracer)
}

// TraceStats counts spans that were recorded.
type TraceStats struct {
	Sent    int64
	Dropped int64 // since the collector did not take them
}

// Stats counts since the start.
func (t *Traces) Stats() TraceStats { return TraceStats{t.sent.Load(), t.dropped.Load()} }

// waiting are the spans that have ended, as the SDK sees them.
type waiting Traces

// OnStart does nothing.
func (*waiting) OnStart(context.Context, sdk.ReadWriteSpan) {}

// OnEnd queues a span, or drops it if there are too many.
func (w *waiting) OnEnd(s sdk.ReadOnlySpan) {
	select {
	case w.spans <- s:
	default:
		w.dropped.Add(1)
	}
}

// Shutdown does nothing: who records ends before [Traces.Run] does.
func (*waiting) Shutdown(context.Context) error { return nil }

// ForceFlush does nothing.
func (*waiting) ForceFlush(context.Context) error { return nil }
