package gateway

import (
	"math"
	"strings"
	"testing"

	"github.com/carnetproject/carnet/internal/limit"
)

func TestValidateRateLimiting(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		plugin RateLimiting
		want   []string // "member: message", none if it is valid
	}{
		"one":           {RateLimiting{Year: new(1)}, nil},
		"all":           {RateLimiting{Second: new(1), Minute: new(1), Hour: new(2), Day: new(3), Month: new(3), Year: new(limit.MaxN)}, nil},
		"every option":  {RateLimiting{Hour: new(1), LimitBy: "header", HeaderName: "X-Tenant", Policy: "local", Window: "sliding", Headers: "both", ErrorCode: 503}, nil},
		"path":          {RateLimiting{Hour: new(1), LimitBy: "path", Path: "/a"}, nil},
		"none":          {RateLimiting{}, []string{": set at least one of second, minute, hour, day, month and year"}},
		"zero":          {RateLimiting{Hour: new(0)}, []string{".hour: value must be greater than 0"}},
		"negative":      {RateLimiting{Hour: new(-1), Day: new(5)}, []string{".hour: value must be greater than 0"}},
		"too many":      {RateLimiting{Hour: new(limit.MaxN + 1)}, []string{".hour: value must be at most 1000000000"}},
		"longer, lower": {RateLimiting{Second: new(20), Hour: new(10)}, []string{".hour: The limit for hour(10.0) cannot be lower than the limit for second(20.0)"}},
		"of three": {RateLimiting{Second: new(3), Minute: new(2), Year: new(1)}, []string{
			".minute: The limit for minute(2.0) cannot be lower than the limit for second(3.0)",
			".year: The limit for year(1.0) cannot be lower than the limit for second(3.0)",
			".year: The limit for year(1.0) cannot be lower than the limit for minute(2.0)",
		}},
		"identity":         {RateLimiting{Hour: new(1), LimitBy: "user"}, []string{`.limit_by: "user": expected one of: consumer, credential, ip, service, header, path, device, full_issuer`}},
		"no header":        {RateLimiting{Hour: new(1), LimitBy: "header"}, []string{".header_name: name a header if, and only if, limit_by is header"}},
		"a header unused":  {RateLimiting{Hour: new(1), HeaderName: "X"}, []string{".header_name: name a header if"}},
		"no header's name": {RateLimiting{Hour: new(1), LimitBy: "header", HeaderName: "X Y"}, []string{`.header_name: "X Y" is not the name of a header`}},
		"no path":          {RateLimiting{Hour: new(1), LimitBy: "path"}, []string{".path: name a path if, and only if, limit_by is path"}},
		"a path unused":    {RateLimiting{Hour: new(1), Path: "/"}, []string{".path: name a path if"}},
		"no such path":     {RateLimiting{Hour: new(1), LimitBy: "path", Path: "/a/../b"}, []string{`.path: "/a/../b" must start with "/"`}},
		"redis":            {RateLimiting{Hour: new(1), Policy: "redis"}, nil},
		"cluster":          {RateLimiting{Hour: new(1), Policy: "cluster", SyncRate: -1}, nil},
		"synced":           {RateLimiting{Hour: new(1), Policy: "redis", SyncRate: 0.02}, nil},
		"policy":           {RateLimiting{Hour: new(1), Policy: "postgres"}, []string{`.policy: "postgres": expected one of: local, cluster, redis`}},
		"synced alone":     {RateLimiting{Hour: new(1), SyncRate: 1}, []string{".sync_rate: sync_rate can only be used with the redis policy"}},
		"synced too often": {RateLimiting{Hour: new(1), Policy: "redis", SyncRate: 0.01}, []string{".sync_rate: write seconds from 0.02 to 3600"}},
		"synced too late":  {RateLimiting{Hour: new(1), Policy: "redis", SyncRate: 3601}, []string{".sync_rate: write seconds from 0.02 to 3600"}},
		"synced backwards": {RateLimiting{Hour: new(1), Policy: "redis", SyncRate: -2}, []string{".sync_rate: write seconds"}},
		"no number":        {RateLimiting{Hour: new(1), Policy: "redis", SyncRate: math.NaN()}, []string{".sync_rate: write seconds"}},
		"window":           {RateLimiting{Hour: new(1), Window: "rolling"}, []string{`.window: "rolling": expected one of: fixed, sliding`}},
		"headers":          {RateLimiting{Hour: new(1), Headers: "all"}, []string{`.headers: "all": expected one of: kong, ietf, both`}},
		"a code of ease":   {RateLimiting{Hour: new(1), ErrorCode: 200}, []string{".error_code: write a status of 400 to 599"}},
		"a code of nobody": {RateLimiting{Hour: new(1), ErrorCode: 600}, []string{".error_code: write a status of 400 to 599"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := oneRoute("http://localhost:1", Plugins{})
			c.Plugins.RateLimiting = &tc.plugin
			var got []string
			if err := c.Validate(); err != nil {
				got = strings.Split(err.Error(), "\n")
			}
			if len(got) != len(tc.want) {
				t.Fatalf("Validate() = %q, want %q", got, tc.want)
			}
			for i := range got {
				if !strings.HasPrefix(got[i], "plugins.rate-limiting"+tc.want[i]) {
					t.Errorf("%q, want %q", got[i], tc.want[i])
				}
			}
		})
	}
}

// TestRateLimitPlaces shows that the plugin may stand with a consumer, as jwt may not.
func TestRateLimitPlaces(t *testing.T) {
	t.Parallel()
	c := oneRoute("http://localhost:1", Plugins{})
	c.Consumers[0].Plugins.RateLimiting = &RateLimiting{Hour: new(1)}
	if err := c.Validate(); err != nil {
		t.Errorf("Validate() = %v", err)
	}
	c.Consumers[0].Plugins.RateLimiting = &RateLimiting{}
	if err := c.Validate(); err == nil || !strings.HasPrefix(err.Error(), "consumers[0].plugins.rate-limiting: set at least one") {
		t.Errorf("Validate() = %v", err)
	}
}

func TestValidateCounters(t *testing.T) {
	t.Parallel()
	c := oneRoute("http://localhost:1", Plugins{})
	c.Counters = -1
	if err := c.Validate(); err == nil || err.Error() != "counters: write a size such as 64MiB, or 0 for the default" {
		t.Errorf("Validate() = %v", err)
	}
}
