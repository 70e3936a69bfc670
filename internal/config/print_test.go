package config

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/carnetproject/carnet/internal/gateway"
	"github.com/carnetproject/carnet/internal/secret"
)

// roundTrip prints c and reads it again.
func roundTrip(t *testing.T, c *Config) {
	t.Helper()
	var out bytes.Buffer
	if err := c.Print(&out, true); err != nil {
		t.Fatal(err)
	}
	// The paths are resolved already: seen from nowhere they would be resolved twice.
	again, err := load(out.Bytes(), Options{Path: "carnet.yaml"})
	if err != nil {
		t.Fatalf("printed configuration does not load: %v\n%s", err, &out)
	}
	again.Store, again.Secrets, again.TLS, again.MasterKeys = c.Store, c.Secrets, c.TLS, c.MasterKeys
	for i := range c.Gateway.Consumers {
		for j := range c.Gateway.Consumers[i].JWTSecrets {
			if s := c.Gateway.Consumers[i].JWTSecrets[j].Secret; s.Len() > 0 && s.SRN() == "" {
				again.Gateway.Consumers[i].JWTSecrets[j].Secret = s // it was redacted
			}
		}
	}
	if diff := cmp.Diff(c, again, compare, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("printed and read again (-want +got):\n%s\n%s", diff, &out)
	}
}

func TestPrintReadsBack(t *testing.T) {
	t.Parallel()
	for name, yaml := range map[string]string{
		"defaults": "",
		"whole":    whole,
		"awkward":  "audience: \"a: b # c 'd' \\\"e\\\" \\\\ \\n- f\"\nissuer: 'http://x/%41'\ndata: 'yes'\norganization: '1'\n",
		"empty":    "gateway: {consumers: [], services: [{name: a, url: 'http://x', routes: []}], plugins: {jwt: {}}}\n",
		"false":    "gateway: {plugins: {jwt: {run_on_preflight: false, uri_param_names: []}}}\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			roundTrip(t, mustLoad(t, yaml, Options{}))
		})
	}
}

func TestPrintGolden(t *testing.T) {
	t.Parallel()
	c := mustLoad(t, whole, Options{Environ: []string{"CARNET_LOG_LEVEL=error"}, Flags: map[string]string{"data": "/srv"}})
	var plain, annotated bytes.Buffer
	if err := errors.Join(c.Print(&plain, false), c.Print(&annotated, true)); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(plain.String()+annotated.String(), "hunter2") {
		t.Error("a secret is printed")
	}
	golden(t, "testdata/print.golden", annotated.String())
	var stripped []string
	for line := range strings.Lines(annotated.String()) {
		code, _, found := strings.Cut(line, " # ")
		if found {
			code += "\n"
		}
		stripped = append(stripped, code)
	}
	if diff := cmp.Diff(strings.Join(stripped, ""), plain.String()); diff != "" {
		t.Errorf("without sources (-want +got):\n%s", diff)
	}
}

func TestPrintHidesSecretsThatLookLikeNames(t *testing.T) {
	t.Parallel()
	c := mustLoad(t, "", Options{})
	c.Gateway.Consumers = []gateway.Consumer{{Username: "x", JWTSecrets: []gateway.JWTSecret{{Secret: gateway.Secret{Bytes: secret.FromString("hunter2")}}}}}
	var out bytes.Buffer
	if err := c.Print(&out, false); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), `secret: "[redacted]"`) || strings.Contains(out.String(), "hunter2") {
		t.Errorf("printed:\n%s", &out)
	}
}

func TestPrintReportsTheWriter(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	if err := Default().Print(writer{broken}, false); !errors.Is(err, broken) {
		t.Errorf("Print() = %v, want %v", err, broken)
	}
}

type writer struct{ err error }

func (w writer) Write([]byte) (int, error) { return 0, w.err }
