package observe

import (
	"bufio"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/google/go-cmp/cmp"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	oteltrace "go.opentelemetry.io/otel/trace"

	"github.com/carnetproject/carnet/internal/trace"
)

// newTraces are traces that deliver to nobody.
func newTraces(t *testing.T, edit func(*TracesConfig)) *Traces {
	t.Helper()
	c := TracesConfig{Endpoint: "http://127.0.0.1:1", Service: "carnet", Sample: 1}
	if edit != nil {
		edit(&c)
	}
	tr, err := NewTraces(c)
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

// ended are the spans that wait.
func (t *Traces) ended() (all []sdk.ReadOnlySpan) {
	for len(t.spans) > 0 {
		all = append(all, <-t.spans)
	}
	return all
}

func attributes(s sdk.ReadOnlySpan) map[string]string {
	all := map[string]string{}
	for _, a := range s.Attributes() {
		all[string(a.Key)] = a.Value.String()
	}
	return all
}

// serve has h answer r under traces.
func (t *Traces) serve(h http.Handler, r *http.Request) {
	defer func() { _ = recover() }() // as net/http does
	t.Handler("public", h).ServeHTTP(httptest.NewRecorder(), r.WithContext(t.In(r.Context())))
}

func TestTracedDoor(t *testing.T) {
	t.Parallel()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /things/{id}", func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusEarlyHints)
		if r.PathValue("id") == "broken" {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		_, _ = w.Write([]byte("x"))
	})
	mux.HandleFunc("POST /panics", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte("x"))
		panic(http.ErrAbortHandler)
	})
	mux.HandleFunc("/", http.NotFound)
	for name, tc := range map[string]struct {
		method, target, span string
		attributes           map[string]string
	}{
		"route": {"GET", "/things/secret-id?jwt=secret", "GET /things/{id}", map[string]string{"http.request.method": "GET", "http.route": "/things/{id}", "http.response.status_code": "200"}},
		"fails": {"GET", "/things/broken", "GET /things/{id}", map[string]string{
			"http.request.method": "GET", "http.route": "/things/{id}", "http.response.status_code": "503", "error.type": "503",
		}},
		"panics": {"POST", "/panics", "POST /panics", map[string]string{
			"http.request.method": "POST", "http.route": "/panics", "http.response.status_code": "200", "error.type": "panic",
		}},
		"nothing there":  {"GET", "/wp-login.php", "GET", map[string]string{"http.request.method": "GET", "http.response.status_code": "404"}},
		"made-up method": {"SECRET", "/x", "HTTP", map[string]string{"http.request.method": "_OTHER", "http.response.status_code": "404"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tr := newTraces(t, nil)
			tr.serve(mux, httptest.NewRequest(tc.method, tc.target, nil))
			got := tr.ended()
			if len(got) != 1 || got[0].Name() != tc.span || got[0].SpanKind() != oteltrace.SpanKindServer {
				t.Fatalf("spans %v, want one named %q", got, tc.span)
			}
			tc.attributes["carnet.door"] = "public"
			if diff := cmp.Diff(tc.attributes, attributes(got[0])); diff != "" {
				t.Errorf("attributes (-want +got):\n%s", diff)
			}
		})
	}
}

// pipe is a connection that can be taken over.
type pipe struct{ http.ResponseWriter }

func (pipe) Hijack() (net.Conn, *bufio.ReadWriter, error) { return nil, nil, nil }

// TestTracedSocket ends a span when the WebSocket begins, and not hours later.
func TestTracedSocket(t *testing.T) {
	t.Parallel()
	tr := newTraces(t, nil)
	mux := http.NewServeMux()
	mux.HandleFunc("/connect", func(w http.ResponseWriter, _ *http.Request) {
		if _, _, err := http.NewResponseController(w).Hijack(); err != nil {
			t.Error(err)
		}
		got := tr.ended()
		if len(got) != 1 || got[0].Name() != "GET /connect" || attributes(got[0])["http.response.status_code"] != "101" {
			t.Errorf("spans %v while the WebSocket is on", got)
		}
	})
	r := httptest.NewRequest("GET", "/connect", nil)
	tr.Handler("public", mux).ServeHTTP(pipe{httptest.NewRecorder()}, r.WithContext(tr.In(r.Context())))
	if again := tr.ended(); len(again) != 0 {
		t.Errorf("the span has ended again: %v", again)
	}
}

// TestCaller: a stranger says in which trace a request is, and nothing of whether that is
// recorded.
func TestCaller(t *testing.T) {
	t.Parallel()
	const id = "4bf92f3577b34da6a3ce929d0e0e4736"
	const sampled, not = "00-" + id + "-00f067aa0ba902b7-01", "00-" + id + "-00f067aa0ba902b7-00"
	for name, tc := range map[string]struct {
		parent        string
		trusted       bool
		sample        float64
		recorded, its bool
	}{
		"stranger wants it":           {sampled, false, 0, false, true},
		"stranger does not":           {not, false, 1, true, true},
		"trusted one wants it":        {sampled, true, 0, true, true},
		"trusted one does not":        {not, true, 1, false, true},
		"nobody says anything":        {"", true, 1, true, false},
		"not a trace":                 {"00-" + id + "-zz-01", true, 1, true, false},
		"no trace may have no id":     {"00-00000000000000000000000000000000-00f067aa0ba902b7-01", true, 0, false, false},
		"a stranger may not force it": {"00-00000000000000000000000000000001-00f067aa0ba902b7-01", false, 0, false, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tr := newTraces(t, func(c *TracesConfig) {
				c.Sample, c.Trusted = tc.sample, func(*http.Request) bool { return tc.trusted }
			})
			r := httptest.NewRequest("GET", "/", nil)
			r.Header.Set("Traceparent", tc.parent)
			r.Header.Set("Tracestate", "a=b")
			r.Header.Set("Baggage", "c=d")
			var of trace.Cause
			on := http.Header{}
			tr.serve(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				of = trace.CauseOf(r.Context())
				trace.Inject(r.Context(), on)
			}), r)
			if got := len(tr.ended()) == 1; got != tc.recorded || of.IsSampled() != got {
				t.Errorf("recorded: %t, told others: %t, want %t", got, of.IsSampled(), tc.recorded)
			}
			if its := tc.parent != "" && of.TraceID().String() == tc.parent[3:35]; its != tc.its || !of.IsValid() {
				t.Errorf("the trace is %v, the caller's: %t, want %t", of.TraceID(), its, tc.its)
			}
			want := map[bool]string{true: "a=b"}[tc.its && tc.trusted]
			if got := on.Get("Tracestate"); got != want || on.Get("Baggage") != "" {
				t.Errorf("passed on: tracestate %q, want %q, and baggage %q", got, want, on.Get("Baggage"))
			}
		})
	}
}

// TestShare records a share of the traces of strangers, as it does of those that begin here.
func TestShare(t *testing.T) {
	t.Parallel()
	tr := newTraces(t, func(c *TracesConfig) { c.Sample = .5 })
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Traceparent", "00-00000000000000000000000000000001-00f067aa0ba902b7-01") // one that every ratio takes
	for range 1000 {
		tr.serve(http.NotFoundHandler(), r)
	}
	if n := len(tr.ended()); n < 400 || n > 600 {
		t.Errorf("%d of 1000 were recorded, want about half", n)
	}
}

func TestNoTraces(t *testing.T) {
	t.Parallel()
	var none *Traces
	h := http.NewServeMux()
	if none.Handler("public", h) != http.Handler(h) {
		t.Error("a handler has something before it")
	}
	if ctx := t.Context(); none.In(ctx) != ctx {
		t.Error("the context is another")
	}
	if err := none.Run(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := NewTraces(TracesConfig{Endpoint: "collector:4318", Service: "carnet"}); err == nil {
		t.Error("delivers to what is no URL")
	}
}

// TestEnvironment has no variable but Carnet's own change what is recorded, or where it goes.
func TestEnvironment(t *testing.T) {
	for name, value := range map[string]string{
		"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:2", "OTEL_TRACES_SAMPLER": "always_off", "OTEL_SDK_DISABLED": "true",
		"OTEL_RESOURCE_ATTRIBUTES": "service.name=other", "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT": "0", "OTEL_SERVICE_NAME": "other",
	} {
		t.Setenv(name, value)
	}
	tr := newTraces(t, nil)
	_, s := trace.Start(tr.In(t.Context()), "part")
	s.Set("a", "b")
	s.End()
	got := tr.ended()
	if len(got) != 1 || len(got[0].Attributes()) != 1 {
		t.Fatalf("spans %v, want one with an attribute", got)
	}
	named := false
	for _, a := range got[0].Resource().Attributes() {
		named = named || string(a.Key) == "service.name" && a.Value.AsString() == "carnet"
	}
	if !named {
		t.Errorf("the resource is %v", got[0].Resource())
	}
}
