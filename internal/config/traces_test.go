package config

import (
	"slices"
	"strings"
	"testing"
)

func TestTraces(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ yaml, refuse string }{
		"all":               {`{endpoint: "https://collector:4318/otlp/", sample: 0.25, service_name: bank, headers: {X-Key: "srn:vault::default:secret:key"}}`, ""},
		"off":               {`{}`, ""},
		"none is recorded":  {`{endpoint: "http://127.0.0.1:4318", sample: 0}`, ""},
		"no scheme":         {`{endpoint: "collector:4318"}`, "traces.endpoint: must be an http or https URL"},
		"gRPC":              {`{endpoint: "grpc://collector:4317"}`, "traces.endpoint: must be an http or https URL"},
		"password":          {`{endpoint: "http://a:b@collector:4318"}`, "traces.endpoint: must be an http or https URL"},
		"query":             {`{endpoint: "http://collector:4318/?key=x"}`, "traces.endpoint: must be an http or https URL"},
		"the whole URL":     {`{endpoint: "http://collector:4318/v1/traces"}`, "traces.endpoint: must be the base URL"},
		"more than all":     {`{sample: 1.5}`, "traces.sample: must be 0 to 1"},
		"less than nothing": {`{sample: -0.1}`, "traces.sample: must be 0 to 1"},
		"not a number":      {`{sample: NaN}`, "traces.sample: must be"},
		"no name":           {`{service_name: ""}`, "traces.service_name: must be 1 to 255 bytes"},
		"our header":        {`{headers: {Content-Type: x}}`, "traces.headers.Content-Type: must be the name of a header"},
		"not our secret":    {`{headers: {X-Key: "srn:vault::other:secret:key"}}`, "traces.headers.X-Key: "},
		"unknown":           {`{service: x}`, "traces.service: unknown key"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if tc.refuse == "" {
				roundTrip(t, mustLoad(t, "traces: "+tc.yaml+"\n", Options{}))
				return
			}
			_, err := load([]byte("traces: "+tc.yaml+"\n"), Options{Path: "carnet.yaml"})
			if err == nil || !strings.Contains(err.Error(), tc.refuse) {
				t.Errorf("error %v, want %q", err, tc.refuse)
			}
		})
	}
	c := mustLoad(t, `traces: {headers: {X-Key: "srn:vault::default:secret:key", X-Scope: hunter2}}`, Options{
		Environ: []string{"CARNET_TRACES_ENDPOINT=http://a:4318", "CARNET_TRACES_SAMPLE=0.5"}, Flags: map[string]string{"traces.endpoint": "http://b:4318"},
	})
	if c.Traces.Endpoint != "http://b:4318" || c.Traces.Sample != .5 || c.Traces.Service != "carnet" {
		t.Errorf("%+v", c.Traces)
	}
	if !slices.Contains(c.SecretRefs(), "srn:vault::default:secret:key") {
		t.Error("the key of the collector is not among the secrets that the configuration names")
	}
	var out strings.Builder
	if err := c.Print(&out, true); err != nil || strings.Contains(out.String(), "hunter2") {
		t.Errorf("printed, %v:\n%s", err, out.String())
	}
}
