package gateway

import (
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/carnetproject/carnet/internal/limit"
)

func TestQuotaLines(t *testing.T) {
	t.Parallel()
	ietf := map[string]string{
		"Ratelimit-Policy": `"minute";q=6;w=60, "month";q=1000;w=2592000`,
		"Ratelimit":        `"minute";r=5;t=40, "month";r=999;t=1388801`,
	}
	kong := map[string]string{
		"X-Ratelimit-Limit-Minute": "6", "X-Ratelimit-Remaining-Minute": "5",
		"X-Ratelimit-Limit-Month": "1000", "X-Ratelimit-Remaining-Month": "999",
		"Ratelimit-Limit": "6", "Ratelimit-Remaining": "5", "Ratelimit-Reset": "40",
	}
	u := limit.Usage{OK: true}
	u.Windows[limit.Minute] = limit.Window{Limit: 6, Remaining: 5, Reset: 40 * time.Second}
	u.Windows[limit.Month] = limit.Window{Limit: 1000, Remaining: 999, Reset: 1388800*time.Second + 1}
	refused := u
	refused.OK = false
	refused.Windows[limit.Minute].Remaining, refused.Windows[limit.Minute].Reset = 0, time.Millisecond
	for name, tc := range map[string]struct {
		headers string
		old     bool
		usage   limit.Usage
		want    []map[string]string
	}{
		"default": {"", false, u, []map[string]string{kong}},
		"kong":    {"kong", false, u, []map[string]string{kong}},
		"ietf":    {"ietf", false, u, []map[string]string{ietf}},
		"both":    {"both", false, u, []map[string]string{kong, ietf}},
		"refused": {"kong", false, refused, []map[string]string{kong, {
			"X-Ratelimit-Remaining-Minute": "0", "Ratelimit-Remaining": "0", "Ratelimit-Reset": "1", "Retry-After": "1",
		}}},
		"refused, ietf": {"ietf", false, refused, []map[string]string{ietf, {
			"Ratelimit": `"minute";r=0;t=1, "month";r=999;t=1388801`, "Retry-After": "1",
		}}},
		"kong 0.14": {"kong", true, refused, []map[string]string{{
			"X-Ratelimit-Limit-Minute": "6", "X-Ratelimit-Remaining-Minute": "0",
			"X-Ratelimit-Limit-Month": "1000", "X-Ratelimit-Remaining-Month": "999",
		}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want, got := map[string]string{}, map[string]string{}
			for _, lines := range tc.want {
				for name, value := range lines {
					want[name] = value
				}
			}
			r := &request{}
			newQuotaLines(&RateLimiting{Minute: new(6), Month: new(1000), Headers: tc.headers}, tc.old).add(r, &tc.usage)
			for _, l := range r.answers {
				if l.name != http.CanonicalHeaderKey(l.name) {
					t.Errorf("%s is not in canonical form: it would not replace an upstream's", l.name)
				}
				got[l.name] = l.value
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestHideClientHeaders(t *testing.T) {
	t.Parallel()
	for _, headers := range []string{"kong", "both"} {
		server, _ := limited(t, &RateLimiting{Minute: new(1), HideClientHeaders: true, Headers: headers})
		for _, status := range []int{200, 429} {
			a := call(t, server, "GET", "/demo")
			if a.status != status {
				t.Errorf("status %d, want %d", a.status, status)
			}
			for name := range a.header {
				if name == "Retry-After" || name == "Ratelimit" || len(name) > 9 && (name[:9] == "Ratelimit" || name[:9] == "X-Ratelim") {
					t.Errorf("%d tells %s", status, name)
				}
			}
		}
	}
}
