package observe

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/carnetproject/carnet/internal/egress"
)

// collector takes spans by OTLP over HTTP, in its binary form. It is the client of
// otlptrace's exporter: OpenTelemetry's own takes its target, headers and certificates
// from the environment too, follows redirects with them, and brings gRPC along.
type collector struct {
	url    string
	header func(context.Context) (http.Header, error)
	client *http.Client
}

// newCollector returns the one whose base URL, without query and password, is endpoint.
func newCollector(endpoint string, header func(context.Context) (http.Header, error)) (*collector, error) {
	u, err := url.Parse(endpoint)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, errors.New("the collector of traces must have an http or https URL")
	}
	if header == nil {
		header = func(context.Context) (http.Header, error) { return nil, nil }
	}
	return &collector{strings.TrimRight(endpoint, "/") + "/v1/traces", header, egress.New(egress.Config{
		Host: u.Hostname(), Connect: deliverIn, Conns: 1,
		Guard: egress.Guard{Networks: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")}}, // the operator names it
	})}, nil
}

// Start does nothing.
func (*collector) Start(context.Context) error { return nil }

// Stop does nothing: an idle connection ends by itself.
func (*collector) Stop(context.Context) error { return nil }

// refusedError is of a collector that answers no.
type refusedError struct{ status int }

func (e *refusedError) Error() string { return fmt.Sprintf("the collector answers %d", e.status) }

// final tells whether the same delivery would fail again (OTLP specification, "Failures").
func final(err error) bool {
	e, ok := errors.AsType[*refusedError](err)
	if !ok {
		return false
	}
	switch e.status {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return false
	}
	return true
}

// UploadTraces posts spans. Its errors say nothing of the headers, nor of the answer.
func (c *collector) UploadTraces(ctx context.Context, spans []*tracepb.ResourceSpans) error {
	// TracesData is, byte for byte, the ExportTraceServiceRequest that the collector reads.
	body, err := proto.Marshal(&tracepb.TracesData{ResourceSpans: spans})
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	further, err := c.header(ctx)
	if err != nil {
		return err
	}
	for name, values := range further {
		req.Header[name] = values
	}
	req.Header.Set("Content-Type", "application/x-protobuf")
	req.Header.Set("User-Agent", "Carnet")
	resp, err := c.client.Do(req)
	if err != nil {
		return egress.WithoutURL(err)
	}
	defer egress.Done(resp.Body, 4<<10)
	if resp.StatusCode/100 != 2 {
		return &refusedError{resp.StatusCode}
	}
	return nil
}
