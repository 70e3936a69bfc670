package config

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/carnetproject/carnet/internal/fault"
)

func TestLocate(t *testing.T) {
	t.Parallel()
	c := mustLoad(t, `gateway:
  services:
  - name: demo
    url: http://demo.example
    routes: [{name: demo, paths: [/demo]}]
`, Options{Environ: []string{"CARNET_GATEWAY_CACHE=1KiB"}})
	for name, tc := range map[string]struct {
		err  error
		want string
		kind fault.Kind
	}{
		"a member of the file":   {fault.BadField("services[0].url", "no"), "carnet.yaml:4:10: gateway.services[0].url: no", fault.Invalid},
		"a default":              {fault.BadField("services[0].read_timeout", "no"), "carnet.yaml:3:5: gateway.services[0].read_timeout: no", fault.Invalid},
		"a variable":             {fault.BadField("cache", "no"), "CARNET_GATEWAY_CACHE: gateway.cache: no", fault.Invalid},
		"with its cause":         {&fault.Error{Kind: fault.Invalid, Field: "services", Msg: "no", Err: errors.New("why")}, "carnet.yaml:3:3: gateway.services: no: why", fault.Invalid},
		"two":                    {errors.Join(fault.BadField("services", "a"), fault.BadField("services[0].name", "b")), "carnet.yaml:3:3: gateway.services: a\ncarnet.yaml:3:11: gateway.services[0].name: b", fault.Invalid},
		"about no member":        {fault.New(fault.Unavailable, "later"), "gateway: later", fault.Unavailable},
		"nothing of the file's":  {errors.New("x"), "gateway: x", fault.Internal},
		"a fault further inside": {errors.Join(errors.New("x"), fault.BadField("services[0].url", "no")), "gateway: x\ncarnet.yaml:4:10: gateway.services[0].url: no", fault.Invalid},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := c.Locate("gateway", tc.err)
			if diff := cmp.Diff(tc.want, got.Error()); diff != "" {
				t.Errorf("Locate() (-want +got):\n%s", diff)
			}
			if fault.KindOf(got) != tc.kind {
				t.Errorf("kind = %v, want %v", fault.KindOf(got), tc.kind)
			}
		})
	}
	if err := c.Locate("gateway", nil); err != nil {
		t.Errorf("Locate(nil) = %v", err)
	}
}

func TestBothMasterKeysOnStandardInput(t *testing.T) {
	t.Parallel()
	c := mustLoad(t, "master_keys: {signing: stdin, data: stdin}", Options{})
	if c.MasterKeys != (MasterKeys{"stdin", "stdin"}) {
		t.Errorf("master keys: %+v", c.MasterKeys)
	}
	if _, err := load([]byte("master_keys: {signing: 'env:KEY', data: 'env:KEY'}"), Options{}); fault.KindOf(err) != fault.Invalid {
		t.Errorf("one variable for both: error = %v, want a refusal", err)
	}
}
