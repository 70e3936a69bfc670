package server

import (
	"context"
	"net/http"

	"github.com/carnetproject/carnet/internal/httpx"
	"github.com/carnetproject/carnet/internal/observe"
)

// newTraces is nil if nothing is to be recorded.
func (s *Server) newTraces() (*observe.Traces, error) {
	c := s.core.Config
	if c.Traces.Endpoint == "" {
		return nil, nil //nolint:nilnil // which records nothing
	}
	t, err := observe.NewTraces(observe.TracesConfig{
		Endpoint: c.Traces.Endpoint, Service: c.Traces.Service, Sample: c.Traces.Sample,
		Header:  func(ctx context.Context) (http.Header, error) { return s.core.headers(ctx, c.Traces.Headers) },
		Trusted: httpx.Trusts(c.TrustedProxies), Log: s.core.log,
	})
	if err != nil {
		return nil, c.Locate("traces", err)
	}
	s.metrics.Traces(t.Stats)
	return t, nil
}
