package sts

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/carnetproject/carnet/internal/audit"
	"github.com/carnetproject/carnet/internal/audit/audittest"
)

func TestAudit(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		tokens bool
		want   []string
	}{
		"refusals alone": {false, []string{
			"app app.authenticate app_none refused 192.0.2.1", "app app.authenticate app_trust refused 192.0.2.1 count=2",
			"app:app_token session.issue refused 192.0.2.1 identity=token reason=unauthenticated",
			"app:app_trust session.issue eve refused 192.0.2.1 identity=trusted reason=unauthenticated",
		}},
		"all sessions by name": {true, []string{
			"app app.authenticate app_none refused 192.0.2.1", "app app.authenticate app_trust refused 192.0.2.1 count=2",
			"app:app_token session.issue refused 192.0.2.1 identity=token reason=unauthenticated",
			"app:app_trust session.issue ann ok 192.0.2.1 identity=trusted",
			"app:app_trust session.issue eve refused 192.0.2.1 identity=trusted reason=unauthenticated",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var kept audittest.Store
			log, lines := audittest.New(t, &kept, audit.Config{Tokens: tc.tokens})
			f := open(t, func(c *Config) { c.Audit = log })
			for _, body := range []string{
				`{"clientId":"app_anon"}`, `{"clientId":"app_none"}`,
				`{"clientId":"app_trust","identity":"ann","clientSecret":"right"}`,
				`{"clientId":"app_trust","identity":"eve"}`,
				`{"clientId":"app_trust","identity":"eve","clientSecret":"guessed-1"}`, `{"clientId":"app_trust","identity":"eve","clientSecret":"guessed-2"}`,
			} {
				f.post(t, "application/json", body)
			}
			f.post(t, "application/json", `{"clientId":"app_token"}`, "Authorization", "Bearer stolen-token")
			seen := map[string]bool{}
			for _, line := range lines() {
				seen[line] = true
				if strings.Contains(line, "guessed") || strings.Contains(line, "right") || strings.Contains(line, "stolen") {
					t.Errorf("%q shows what was shown", line)
				}
			}
			if diff := cmp.Diff(tc.want, slices.Sorted(maps.Keys(seen))); diff != "" {
				t.Errorf("entries (-want +got):\n%s", diff)
			}
		})
	}
}
