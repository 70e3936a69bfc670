package observe

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	sdk "go.opentelemetry.io/otel/sdk/trace"

	"github.com/carnetproject/carnet/internal/observe/observetest"
	"github.com/carnetproject/carnet/internal/trace"
)

// record has n spans recorded.
func (t *Traces) record(ctx context.Context, n int) {
	for range n {
		_, s := trace.Start(t.In(ctx), "part")
		s.End()
	}
}

// runs has tr run until stop is called, which returns when Run has.
func (t *Traces) runs(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() { defer close(done); _ = t.Run(ctx) }()
	return func() { cancel(); <-done }
}

// TestDelivery has a collector that answers, or does not.
func TestDelivery(t *testing.T) {
	t.Parallel()
	down, busy, never := errors.New("connection refused"), &refusedError{503}, &refusedError{400}
	for name, tc := range map[string]struct {
		answers []error // the last one stays
		spans   int
		within  time.Duration
		posts   int
		want    TraceStats
	}{
		"at once when there are many":    {[]error{nil}, maxDelivered, 0, 1, TraceStats{Sent: maxDelivered}},
		"soon when there are few":        {[]error{nil}, 3, deliverEvery, 1, TraceStats{Sent: 3}},
		"not yet":                        {[]error{nil}, 3, deliverEvery - 1, 0, TraceStats{}},
		"again after a refusal for now":  {[]error{busy, nil}, 3, deliverEvery + firstAgain, 2, TraceStats{Sent: 3}},
		"again after a broken line":      {[]error{down, down, nil}, 3, deliverEvery + 3*firstAgain, 3, TraceStats{Sent: 3}},
		"not again after a refusal":      {[]error{never, nil}, 3, time.Minute, 1, TraceStats{Dropped: 3}},
		"not for ever":                   {[]error{down}, 3, time.Minute, 5, TraceStats{Dropped: 3}},
		"what is too much is dropped":    {[]error{nil}, maxWaiting + 7, 0, maxWaiting / maxDelivered, TraceStats{Sent: maxWaiting, Dropped: 7}},
		"nothing is not worth a message": {[]error{down}, 0, time.Minute, 0, TraceStats{}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				tr := newTraces(t, func(c *TracesConfig) { c.Log = slog.New(slog.DiscardHandler) })
				posts := 0
				tr.post = func(context.Context, []sdk.ReadOnlySpan) error {
					err := tc.answers[min(posts, len(tc.answers)-1)]
					posts++
					return err
				}
				tr.record(t.Context(), tc.spans)
				stop := tr.runs(t.Context())
				time.Sleep(tc.within) // of the bubble's clock
				synctest.Wait()
				if posts != tc.posts || tr.Stats() != tc.want {
					t.Errorf("%d deliveries, %+v, want %d, %+v", posts, tr.Stats(), tc.posts, tc.want)
				}
				stop()
			})
		})
	}
}

// TestDeliveryStops: what is left is delivered, unless the collector takes too long.
func TestDeliveryStops(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		hangs bool
		want  TraceStats
		most  time.Duration
	}{
		"collector answers": {false, TraceStats{Sent: 1000}, 0},
		"collector hangs":   {true, TraceStats{Dropped: 1000}, 2 * deliverIn},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				tr := newTraces(t, func(c *TracesConfig) { c.Log = slog.New(slog.DiscardHandler) })
				tr.post = func(ctx context.Context, _ []sdk.ReadOnlySpan) error {
					if tc.hangs {
						<-ctx.Done()
					}
					return ctx.Err()
				}
				stop := tr.runs(t.Context())
				tr.record(t.Context(), 1000)
				synctest.Wait()
				began := time.Now()
				stop()
				if took := time.Since(began); took > tc.most || tr.Stats() != tc.want {
					t.Errorf("stopped after %v with %+v, want %v, %+v", took, tr.Stats(), tc.most, tc.want)
				}
			})
		})
	}
}

// TestDeliveryIsNotWaitedFor has a collector hang while requests come: none waits, and
// what is remembered of them has a bound.
func TestDeliveryIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		tr := newTraces(t, func(c *TracesConfig) { c.Log = slog.New(slog.NewTextHandler(&log, nil)) })
		tr.post = func(ctx context.Context, _ []sdk.ReadOnlySpan) error {
			<-ctx.Done()
			return ctx.Err()
		}
		stop := tr.runs(t.Context())
		began := time.Now()
		for range 10 {
			tr.record(t.Context(), maxWaiting)
			if took := time.Since(began); took != 0 {
				t.Fatalf("requests waited for %v", took)
			}
		}
		synctest.Wait()
		if n := tr.Stats().Dropped + int64(len(tr.spans)) + maxDelivered; n != 10*maxWaiting {
			t.Errorf("%d spans are in memory", 10*maxWaiting-tr.Stats().Dropped)
		}
		time.Sleep(4 * time.Minute)
		synctest.Wait()
		if n := strings.Count(log.String(), "traces cannot be delivered"); n != 1 {
			t.Errorf("%d lines in the log, want one in five minutes:\n%s", n, log.String())
		}
		stop()
	})
}

// TestCollector delivers over HTTP.
func TestCollector(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		status int
		header func(context.Context) (http.Header, error)
		sent   bool
		says   string // of the error
	}{
		"takes":             {200, nil, true, ""},
		"takes with a key":  {200, func(context.Context) (http.Header, error) { return http.Header{"X-Key": {"key"}}, nil }, true, ""},
		"is busy":           {503, func(context.Context) (http.Header, error) { return http.Header{"X-Key": {"key"}}, nil }, false, "the collector answers 503"},
		"does not know us":  {401, nil, false, "the collector answers 401"},
		"there is no key":   {200, func(context.Context) (http.Header, error) { return nil, errors.New("no secret") }, false, "no secret"},
		"sends elsewhere":   {307, nil, false, "the collector answers 307"},
		"takes without say": {204, nil, true, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := observetest.New(t)
			c.Answer(tc.status)
			tr := newTraces(t, func(f *TracesConfig) { f.Endpoint, f.Header = c.URL+"/", tc.header })
			tr.record(t.Context(), 2)
			err := tr.post(t.Context(), tr.ended())
			if (err == nil) != tc.sent || err != nil && !strings.Contains(err.Error(), tc.says) {
				t.Errorf("error %v, want %q", err, tc.says)
			}
			if err != nil && (strings.Contains(err.Error(), "key") || strings.Contains(err.Error(), "/v1/traces")) {
				t.Errorf("the error shows what was sent: %v", err)
			}
			if n := len(c.Spans()["part"]); tc.status == 200 && tc.sent && n != 2 {
				t.Errorf("%d spans arrived, want 2", n)
			}
			heads := c.Headers()
			if want := name != "there is no key"; (len(heads) == 1) != want {
				t.Fatalf("%d deliveries", len(heads))
			}
			if tc.header != nil && len(heads) > 0 && heads[0].Get("X-Key") != "key" {
				t.Errorf("headers %v", heads[0])
			}
		})
	}
}

// TestCollectorGone has nobody at the address.
func TestCollectorGone(t *testing.T) {
	t.Parallel()
	s := httptest.NewServer(http.NotFoundHandler())
	s.Close()
	tr := newTraces(t, func(c *TracesConfig) { c.Endpoint = s.URL })
	tr.record(t.Context(), 1)
	if err := tr.post(t.Context(), tr.ended()); err == nil || final(err) {
		t.Errorf("error %v, want one that may pass", err)
	}
}

func TestMetricsTraces(t *testing.T) {
	t.Parallel()
	m := NewMetrics()
	m.Traces(func() TraceStats { return TraceStats{Sent: 5, Dropped: 2} })
	wantLines(t, scrape(t, m), `carnet_trace_spans_total{outcome="sent"} 5`, `carnet_trace_spans_total{outcome="dropped"} 2`)
}
