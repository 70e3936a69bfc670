package gateway

import (
	"net/http"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/carnetproject/carnet/internal/consumer"
	"github.com/carnetproject/carnet/internal/limit"
)

func TestCaller(t *testing.T) {
	t.Parallel()
	app := consumer.New("app", "", nil)
	from := netip.MustParseAddr("192.0.2.7")
	known := &Principal{Consumer: app, Credential: &consumer.Credential{Key: "app-key", Consumer: app}, Identity: "app-key"}
	device := &Principal{Consumer: app, Credential: known.Credential, Identity: "mobilev2-d-1591600000000", Device: "d"}
	anonymous := &Principal{Consumer: app}
	for name, tc := range map[string]struct {
		plugin    RateLimiting
		principal *Principal
		header    http.Header
		path      string
		want      caller
	}{
		"default is consumer":               {principal: known, want: caller{"consumer", app.ID, ""}},
		"consumer, nobody known":            {want: caller{"ip", "", "192.0.2.7"}},
		"consumer, anonymous":               {principal: anonymous, want: caller{"consumer", app.ID, ""}},
		"credential":                        {plugin: RateLimiting{LimitBy: "credential"}, principal: known, want: caller{"credential", app.ID, "app-key"}},
		"credential of a device":            {plugin: RateLimiting{LimitBy: "credential"}, principal: device, want: caller{"credential", app.ID, "mobilev2-d-1591600000000"}},
		"credential, anonymous":             {plugin: RateLimiting{LimitBy: "credential"}, principal: anonymous, want: caller{"ip", "", "192.0.2.7"}},
		"credential, nobody known":          {plugin: RateLimiting{LimitBy: "credential"}, want: caller{"ip", "", "192.0.2.7"}},
		"device":                            {plugin: RateLimiting{LimitBy: "device"}, principal: device, want: caller{"device", app.ID, "d"}},
		"device, of one that is none":       {plugin: RateLimiting{LimitBy: "device"}, principal: known, want: caller{"credential", app.ID, "app-key"}},
		"device, nobody known":              {plugin: RateLimiting{LimitBy: "device"}, want: caller{"ip", "", "192.0.2.7"}},
		"full issuer, nobody known":         {plugin: RateLimiting{LimitBy: "full_issuer"}, want: caller{"ip", "", "192.0.2.7"}},
		"ip":                                {plugin: RateLimiting{LimitBy: "ip"}, principal: known, want: caller{"ip", "", "192.0.2.7"}},
		"service":                           {plugin: RateLimiting{LimitBy: "service"}, want: caller{"service", "", "s"}},
		"header":                            {plugin: RateLimiting{LimitBy: "header", HeaderName: "x-tenant"}, header: http.Header{"X-Tenant": {"a", "b"}}, want: caller{"header", "", "a"}},
		"header, not sent":                  {plugin: RateLimiting{LimitBy: "header", HeaderName: "x-tenant"}, want: caller{"ip", "", "192.0.2.7"}},
		"header, empty":                     {plugin: RateLimiting{LimitBy: "header", HeaderName: "x-tenant"}, header: http.Header{"X-Tenant": {""}}, want: caller{"ip", "", "192.0.2.7"}},
		"path":                              {plugin: RateLimiting{LimitBy: "path", Path: "/a"}, path: "/a", want: caller{"path", "", "/a"}},
		"path, another":                     {plugin: RateLimiting{LimitBy: "path", Path: "/a"}, path: "/a/b", want: caller{"ip", "", "192.0.2.7"}},
		"header that spells an address":     {plugin: RateLimiting{LimitBy: "header", HeaderName: "x-tenant"}, header: http.Header{"X-Tenant": {"192.0.2.7"}}, want: caller{"header", "", "192.0.2.7"}},
		"credential that spells a consumer": {plugin: RateLimiting{LimitBy: "credential"}, principal: &Principal{Consumer: app, Credential: known.Credential, Identity: app.ID}, want: caller{"credential", app.ID, app.ID}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tc.plugin.Hour = new(1)
			s := newRateStage(&tc.plugin, nil, scope{}, "s", counters{here: limit.NewCounters(0)})
			r := &request{principal: tc.principal, header: tc.header, path: tc.path, addr: from}
			if diff := cmp.Diff(tc.want, s.caller(r), cmp.AllowUnexported(caller{})); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestCallerNetwork(t *testing.T) {
	t.Parallel()
	for addr, want := range map[string]string{
		"192.0.2.7": "192.0.2.7", "::ffff:192.0.2.7": "192.0.2.7", "2001:db8:1:2:3::4": "2001:db8:1:2::/64",
	} {
		if got := network(netip.MustParseAddr(addr)); got != want {
			t.Errorf("network(%s) = %s, want %s", addr, got, want)
		}
	}
	if a, b := network(netip.Addr{}), network(netip.MustParseAddr("::")); a == b {
		t.Error("no address counts as one")
	}
}

// TestCallersCountApart shows that no part of a caller spills into the next one, and
// that each place where a plugin is attached counts for itself.
func TestCallersCountApart(t *testing.T) {
	t.Parallel()
	c := counters{limit.NewCounters(1 << 20), limit.NewShared(limit.SharedConfig{Remote: newMemory(newDial()), Bytes: 1 << 20})}
	for _, at := range []scope{{}, {route: "ab"}, {service: "ab"}, {consumer: "ab"}, {route: "a", service: "b"}, {route: "ab:", service: ":"}} {
		local, shared := c.of(&RateLimiting{Hour: new(1)}, at), c.of(&RateLimiting{Hour: new(1), Policy: "redis"}, at)
		synced := c.of(&RateLimiting{Hour: new(1), Policy: "cluster", SyncRate: 1, Window: "sliding"}, at)
		for _, who := range []caller{
			{"ip", "", "1:2"}, {"header", "", "1:2"}, {"device", "1", "2"}, {"device", "1:2", ""}, {"device", "", "1:2"}, {"device", "12", ""}, {"credential", "1", "2"},
		} {
			for i, ok := range []bool{true, false} {
				for _, c := range []counter{local, shared, synced} {
					if u, err := c.take(t.Context(), who, now); err != nil || u.OK != ok {
						t.Errorf("%T: %+v of %+v, request %d: OK = %v, %v", c, who, at, i, u.OK, err)
					}
				}
			}
		}
	}
}

// TestDevicesAreCounted asks with real tokens: one device that registered twice, another
// one, and one with a legacy credential.
func TestDevicesAreCounted(t *testing.T) {
	t.Parallel()
	const first, again, other = "mobilev2-dev.app-7b1c-1591600000000", "mobilev2-dev.app-7b1c-1691600000000", "mobilev2-dev.app-9d2e-1591600000000"
	for by, want := range map[string]map[string][]int{
		"full_issuer": {first: {200, 429}, again: {200, 429}, other: {200, 429}, "app-key": {200, 429}},
		"credential":  {first: {200, 429}, again: {200, 429}, other: {200, 429}, "app-key": {200, 429}},
		"device":      {first: {200, 429}, again: {429, 429}, other: {200, 429}, "app-key": {200, 429}},
		"consumer":    {first: {200, 429}, again: {429, 429}, other: {429, 429}, "app-key": {200, 429}},
		"ip":          {first: {200, 429}, again: {429, 429}, other: {429, 429}, "app-key": {429, 429}},
	} {
		t.Run(by, func(t *testing.T) {
			t.Parallel()
			_, server := newGateway(t, Options{Config: oneRoute(newEcho(t).URL, Plugins{
				JWT: &JWT{IssuerPrefixes: []string{"mobilev2"}}, RateLimiting: &RateLimiting{Hour: new(1), LimitBy: by},
			})})
			for _, iss := range []string{first, again, other, "app-key"} {
				token := deviceToken(iss, nil)
				if iss == "app-key" {
					token = hs(appSecret, iss)
				}
				if got := statuses(t, server, 2, "/demo", "Authorization: Bearer "+token); !cmp.Equal(got, want[iss]) {
					t.Errorf("%s: %v, want %v", iss, got, want[iss])
				}
			}
		})
	}
}
