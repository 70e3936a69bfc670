package config

import (
	"strings"
	"testing"
	"time"

	"github.com/carnetproject/carnet/internal/audit"
)

func TestAudit(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		a    Audit
		want string // a part of the error; "": none
	}{
		"default":       {Default().Audit, ""},
		"no addresses":  {Audit{audit.None, true, Duration(90 * 24 * time.Hour)}, ""},
		"networks":      {Audit{audit.Network, false, minAudit}, ""},
		"some":          {Audit{"some", false, Forever}, "audit.addresses: must be full, network or none"},
		"nothing":       {Audit{}, "audit.addresses: must be full, network or none"},
		"too short":     {Audit{audit.Full, false, minAudit - 1}, "audit.retention: must be at least 24h, or forever"},
		"not for years": {Audit{audit.Full, false, -minAudit}, "audit.retention: must be at least 24h, or forever"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := Default()
			c.Data = t.TempDir()
			c.complete()
			c.Audit = tc.a
			err := c.Validate(nil)
			if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
				t.Errorf("error = %v, want %q", err, tc.want)
			}
		})
	}
}
