// Package observetest has what tests look at traces with.
package observetest

import (
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// Collector takes OTLP over HTTP and keeps all of it. Safe for concurrent use.
type Collector struct {
	URL string // the base, as the configuration has it

	mu     sync.Mutex
	raw    strings.Builder
	heads  []http.Header
	spans  map[string]Span // by their ids
	answer int
}

// Span is what tests look at of one.
type Span struct {
	*tracepb.Span
	Attributes map[string]string // numbers in digits
}

// New returns a collector that answers until the test ends.
func New(t testing.TB) *Collector {
	t.Helper()
	c := &Collector{spans: map[string]Span{}, answer: http.StatusOK}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err == nil && r.Method == http.MethodPost && r.URL.RequestURI() == "/v1/traces" && r.Header.Get("Content-Type") == "application/x-protobuf" {
			w.Header().Set("Location", "/elsewhere") // for who follows
			w.WriteHeader(c.take(r.Header, body))
			return
		}
		t.Errorf("the collector got %s %s, %v", r.Method, r.URL, err)
	}))
	t.Cleanup(s.Close)
	c.URL = s.URL
	return c
}

func (c *Collector) take(h http.Header, body []byte) (status int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.heads = append(c.heads, h)
	if c.answer != http.StatusOK {
		return c.answer
	}
	c.raw.Write(body)
	var data tracepb.TracesData
	if err := proto.Unmarshal(body, &data); err != nil {
		return http.StatusBadRequest
	}
	for _, r := range data.ResourceSpans {
		for _, scope := range r.ScopeSpans {
			for _, s := range scope.Spans {
				c.spans[string(s.SpanId)] = spanOf(s)
			}
		}
	}
	return http.StatusOK
}

func spanOf(s *tracepb.Span) Span {
	attributes := map[string]string{}
	for _, a := range s.Attributes {
		attributes[a.Key] = a.Value.GetStringValue()
		if n, ok := a.Value.Value.(*commonpb.AnyValue_IntValue); ok {
			attributes[a.Key] = strconv.FormatInt(n.IntValue, 10)
		}
	}
	return Span{s, attributes}
}

// Answer has what comes answered with a status, and dropped unless that is 200.
func (c *Collector) Answer(status int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.answer = status
}

// Headers are those of all deliveries.
func (c *Collector) Headers() []http.Header {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.heads)
}

// Raw is all that was taken, as it came.
func (c *Collector) Raw() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.raw.String()
}

// Spans are those that were taken, by the names that lead to them from the beginning of
// their trace, or from the span of another service: "GET /x > call".
func (c *Collector) Spans() map[string][]Span {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := map[string][]Span{}
	for _, s := range c.spans {
		path := s.Name
		for up, ok := c.spans[string(s.ParentSpanId)]; ok; up, ok = c.spans[string(up.ParentSpanId)] {
			path = up.Name + " > " + path
		}
		all[path] = append(all[path], s)
	}
	return all
}
