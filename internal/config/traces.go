package config

import (
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/carnetproject/carnet/internal/gateway"
)

// Traces says whom a node tells how long the parts of its work took.
type Traces struct {
	Endpoint string                    `yaml:"endpoint" doc:"Base URL of an OpenTelemetry collector that takes OTLP over HTTP; nothing is recorded without"`
	Sample   float64                   `yaml:"sample" doc:"Share of traces that is recorded, from 0 to 1"`
	Headers  map[string]gateway.Secret `yaml:"headers" doc:"Headers that the collector asks for: a value, or an SRN"`
	Service  string                    `yaml:"service_name" doc:"What this is called there"`
}

func (v *validator) traces() {
	t := &v.Traces
	if u, err := url.Parse(t.Endpoint); t.Endpoint != "" && (err != nil || !absolute(u) || u.RawQuery != "" || u.Fragment != "") {
		v.bad("traces.endpoint", "must be an http or https URL, such as http://127.0.0.1:4318")
	} else if strings.HasSuffix(strings.TrimRight(t.Endpoint, "/"), "/v1/traces") {
		v.bad("traces.endpoint", "must be the base URL, to which /v1/traces is added")
	}
	if !(t.Sample >= 0 && t.Sample <= 1) { // which is not a number either
		v.bad("traces.sample", "must be 0 to 1")
	}
	if t.Service == "" || len(t.Service) > 255 {
		v.bad("traces.service_name", "must be 1 to 255 bytes")
	}
	for _, name := range slices.Sorted(maps.Keys(t.Headers)) {
		if !headerName(name) {
			v.bad("traces.headers."+name, "must be the name of a header that is not Carnet's own: not Content-*, Host and the like")
		}
		if ref := t.Headers[name].SRN(); ref != "" {
			v.srn("traces.headers."+name, ref)
		}
	}
}
