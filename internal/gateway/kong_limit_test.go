package gateway

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// limitCase is a case of rate_limiting. What it expects stands in as many forms as
// there are cases; each form is read by the check of its case.
type limitCase struct {
	ID, Name string
	Config   map[string]any `json:"plugin_config"`
	Expect   json.RawMessage
}

// limitChecks run the cases.
var limitChecks = map[string]func(*testing.T, *limitCase){
	"rate_limiting-003": sharedSequence,
	"rate_limiting-008": sharedSequence,
	"rate_limiting-009": sharedSequence,
	"rate_limiting-012": sharedSequence,
	"rate_limiting-014": sharedSequence,
	"rate_limiting-015": sharedSequence,
	"rate_limiting-018": sharedSequence,
	"rate_limiting-034": func(t *testing.T, c *limitCase) {
		var want struct {
			Status  int
			Message string
		}
		c.expect(t, &want)
		server, _, redis := c.openShared(t)
		redis.fail(errors.New("dial tcp: refused"))
		a := call(t, server, "GET", "/test")
		if a.status != want.Status || a.message(t) != want.Message || tellsLimits(a) {
			t.Errorf("%d %s %v", a.status, a.body, a.header)
		}
	},
	"rate_limiting-035": func(t *testing.T, c *limitCase) { // but that the node counts by itself, and says so
		server, _, redis := c.openShared(t)
		redis.fail(errors.New("dial tcp: refused"))
		for i, status := range []int{200, 200, 200, 200, 200, 200, 429} {
			if a := call(t, server, "GET", "/test"); a.status != status || !tellsLimits(a) {
				t.Errorf("request %d: %d %v, want %d", i, a.status, a.header, status)
			}
		}
	},
	"rate_limiting-036": func(t *testing.T, c *limitCase) { // internal/limit has what happens every 10 seconds
		server, clock, redis := c.openShared(t)
		if got, want := statuses(t, server, 8, "/test"), []int{200, 200, 200, 200, 200, 200, 429, 429}; !cmp.Equal(got, want) {
			t.Errorf("%v, want %v", got, want)
		}
		clock.turn(61 * time.Second)
		if a := call(t, server, "GET", "/test"); a.status != 200 || redis.asked() != 0 {
			t.Errorf("after 61 seconds: %d; Redis was asked %d times, want 0", a.status, redis.asked())
		}
	},
	"rate_limiting-054": func(t *testing.T, c *limitCase) { // Redis is that of the node, not of the plugin
		_, err := New(t.Context(), Options{Config: oneRoute("http://localhost:1", Plugins{RateLimiting: c.plugin(t)})})
		if want := "services[0].routes[0].plugins.rate-limiting.policy: " + NothingShared; err == nil || err.Error() != want {
			t.Errorf("New() = %v, want %s", err, want)
		}
	},
	"rate_limiting-055": func(t *testing.T, c *limitCase) { // internal/api/kong takes them, and forgets them
		delete(c.Config, "redis_host")
		delete(c.Config, "redis_port")
		c.valid(t)
	},
	"rate_limiting-057": func(t *testing.T, c *limitCase) { c.refused(t) },
	"rate_limiting-001": func(t *testing.T, c *limitCase) {
		server, _ := c.open(t)
		c.sequence(t, c.Expect, server, "/test")
	},
	"rate_limiting-016": func(t *testing.T, c *limitCase) {
		server, _ := c.open(t)
		c.sequence(t, c.Expect, server, "/test")
	},
	"rate_limiting-020": func(t *testing.T, c *limitCase) {
		var want struct {
			Absent []string `json:"absent_headers"`
		}
		c.expect(t, &want)
		server, _ := c.open(t)
		for i, status := range []int{200, 200, 200, 200, 200, 200, 429} {
			a := call(t, server, "GET", "/test")
			if a.status != status || len(want.Absent) != 6 {
				t.Errorf("request %d: %d, want %d", i, a.status, status)
			}
			for _, name := range want.Absent {
				if a.header.Get(name) != "" {
					t.Errorf("request %d: %s: %s", i, name, a.header.Get(name))
				}
			}
		}
	},
	"rate_limiting-021": func(t *testing.T, c *limitCase) {
		server, _ := c.open(t)
		c.sequence(t, c.Expect, server, "/test")
	},
	"rate_limiting-022": func(t *testing.T, c *limitCase) {
		var want struct {
			Status  []int
			First   map[string]int
			Message string `json:"429_message"`
		}
		c.expect(t, &want)
		server, clock := c.open(t)
		for i, wait := range []time.Duration{0, 0, time.Second} {
			clock.turn(wait)
			a := call(t, server, "GET", "/test")
			if a.status != want.Status[i] || a.status == 429 && a.message(t) != want.Message {
				t.Errorf("request %d: %d %s", i, a.status, a.body)
			}
			for name, value := range want.First {
				if got := a.header.Get(name); i == 0 && got != fmt.Sprint(value) {
					t.Errorf("%s: %s, want %d", name, got, value)
				}
			}
		}
	},
	"rate_limiting-025": func(t *testing.T, c *limitCase) {
		var want struct{ Each json.RawMessage }
		c.expect(t, &want)
		server, _ := c.open(t)
		c.sequence(t, want.Each, server, "/1-test")
		c.sequence(t, want.Each, server, "/2-test")
	},
	"rate_limiting-029": func(t *testing.T, c *limitCase) {
		server, _ := c.open(t, func(cfg *Config) {
			cfg.Services[0].Routes[0].Plugins.JWT = &JWT{}
			cfg.Consumers[0].JWTSecrets = append(cfg.Consumers[0].JWTSecrets, JWTSecret{Key: "app-key-2", Secret: stated(appSecret)})
		})
		var got []int
		for _, key := range []string{"app-key", "app-key-2"} {
			got = append(got, statuses(t, server, 6, "/test", "Authorization: Bearer "+hs(appSecret, key))...)
		}
		c.statuses(t, got)
	},
	"rate_limiting-030": func(t *testing.T, c *limitCase) {
		server, _ := c.open(t)
		c.sequence(t, c.Expect, server, "/test")
	},
	"rate_limiting-031": func(t *testing.T, c *limitCase) {
		server, _ := c.open(t, func(cfg *Config) {
			cfg.Services[0].Routes[0].Plugins.JWT = &JWT{Anonymous: "app"}
		})
		c.sequence(t, c.Expect, server, "/test")
	},
	"rate_limiting-039": func(t *testing.T, c *limitCase) {
		server, _ := c.open(t, func(cfg *Config) {
			cfg.Services[0].Routes = append(cfg.Services[0].Routes, Route{Name: "other", Paths: []string{"/other"}})
		})
		c.statuses(t, append(statuses(t, server, 6, "/test"), statuses(t, server, 6, "/other")...))
	},
	"rate_limiting-040": func(t *testing.T, c *limitCase) {
		var want struct {
			Second struct {
				Status  int
				Headers []string
			}
		}
		c.expect(t, &want)
		server, _ := c.open(t)
		call(t, server, "GET", "/test")
		a := call(t, server, "GET", "/test")
		if a.status != want.Second.Status || !document429.MatchString(a.body) {
			t.Errorf("%d %s", a.status, a.body)
		}
		for _, line := range want.Second.Headers {
			name, value, exact := strings.Cut(line, ": ")
			if got := a.header.Get(name); got == "" || exact && got != value {
				t.Errorf("%s: %q, want %q", name, got, value)
			}
		}
	},
	"rate_limiting-041": func(t *testing.T, c *limitCase) {
		var want struct{ Equal []string }
		c.expect(t, &want)
		server, _ := c.open(t)
		call(t, server, "GET", "/test")
		a := call(t, server, "GET", "/test")
		if got, same := a.header.Get(want.Equal[0]), a.header.Get(want.Equal[1]); got == "" || got != same {
			t.Errorf("%s: %q, %s: %q", want.Equal[0], got, want.Equal[1], same)
		}
	},
	"rate_limiting-046": func(t *testing.T, c *limitCase) {
		var want struct {
			Counter int `json:"hour_counter"`
		}
		c.expect(t, &want)
		server, _ := c.open(t)
		statuses(t, server, 4, "/test")
		a := call(t, server, "GET", "/test")
		if got := a.header.Get("X-RateLimit-Remaining-Hour"); a.status != 429 || got != fmt.Sprint(100-want.Counter) {
			t.Errorf("%d, hour remaining %s after %d counted", a.status, got, want.Counter)
		}
	},
	"rate_limiting-049": func(t *testing.T, c *limitCase) {
		c.Config["hour"] = 3.0 // for 5000
		var got []int
		for range 2 { // nodes
			server, _ := c.open(t)
			got = append(got, statuses(t, server, 4, "/test")...)
		}
		if want := []int{200, 200, 200, 429, 200, 200, 200, 429}; !cmp.Equal(got, want) {
			t.Errorf("two nodes: %v, want %v", got, want)
		}
	},
	"rate_limiting-051": func(t *testing.T, c *limitCase) { c.refused(t) },
	"rate_limiting-058": func(t *testing.T, c *limitCase) { c.valid(t) }, // it is redis by another name
}

// TestKongLimitCases runs each case of rate_limiting.
func TestKongLimitCases(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("../../testdata/kong/cases.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Cases []limitCase `json:"rate_limiting"`
	}
	if err := json.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	if got := len(limitChecks); got != len(file.Cases) {
		t.Errorf("%d cases are run, the file has %d", got, len(file.Cases))
	}
	for _, c := range file.Cases {
		t.Run(c.ID, func(t *testing.T) {
			t.Parallel()
			if check := limitChecks[c.ID]; check != nil {
				check(t, &c)
			} else {
				t.Errorf("%s: does not run", c.Name)
			}
		})
	}
}

// plugin is the configuration of c, as a file with it would be read.
func (c *limitCase) plugin(t *testing.T) *RateLimiting {
	t.Helper()
	p := &RateLimiting{}
	for name, value := range c.Config {
		number, _ := value.(float64)
		text, _ := value.(string)
		switch name {
		case "second":
			p.Second = new(int(number))
		case "minute":
			p.Minute = new(int(number))
		case "hour":
			p.Hour = new(int(number))
		case "limit_by":
			p.LimitBy = text
		case "path":
			p.Path = text
		case "policy":
			p.Policy = text
		case "header_name":
			p.HeaderName = text
		case "sync_rate":
			p.SyncRate = number
		case "fault_tolerant":
			p.FaultTolerant = new(value == true)
		case "hide_client_headers":
			p.HideClientHeaders = value == true
		case "scope": // in words, for the check to set up
		default:
			t.Fatalf("no member %s", name)
		}
	}
	return p
}

// sharedSequence has two gateways that share a Redis see the requests in turn.
func sharedSequence(t *testing.T, c *limitCase) {
	var want struct{ Status []int }
	c.expect(t, &want)
	one, _, redis := c.openShared(t)
	d := redis.dial
	_, other := newGateway(t, Options{Config: c.gateway(t), Clock: d.now, Shared: redis.shared(d)})
	for i, status := range want.Status {
		a := call(t, []*httptest.Server{one, other}[i%2], "GET", "/test", "Test-Header: tenant", "Authorization: Bearer "+hs(appSecret, "app-key"))
		left := fmt.Sprint(max(5-i, 0))
		if a.status != status || a.header.Get("X-RateLimit-Remaining-Minute") != left || a.header.Get("RateLimit-Remaining") != left ||
			a.header.Get("X-RateLimit-Limit-Minute") != "6" || !holds(a.header.Get("RateLimit-Reset"), "1..60 on each") {
			t.Errorf("request %d: %d, want %d with %s remaining: %v", i, a.status, status, left, a.header)
		}
	}
}

// tellsLimits tells whether an answer has headers about rate limits.
func tellsLimits(a answer) bool {
	for name := range a.header {
		if strings.Contains(name, "Ratelimit") {
			return true
		}
	}
	return false
}

// gateway is a configuration whose one route has the plugin.
func (c *limitCase) gateway(t *testing.T, edits ...func(*Config)) Config {
	t.Helper()
	cfg := oneRoute(newEcho(t).URL, Plugins{RateLimiting: c.plugin(t)})
	cfg.Services[0].Routes[0].Paths = []string{"/"}
	for _, edit := range edits {
		edit(&cfg)
	}
	return cfg
}

// open starts a gateway of it.
func (c *limitCase) open(t *testing.T, edits ...func(*Config)) (*httptest.Server, *dial) {
	t.Helper()
	d := newDial()
	_, server := newGateway(t, Options{Config: c.gateway(t, edits...), Clock: d.now})
	return server, d
}

// openShared is open with something to share.
func (c *limitCase) openShared(t *testing.T) (*httptest.Server, *dial, *memory) {
	t.Helper()
	d := newDial()
	redis := newMemory(d)
	_, server := newGateway(t, Options{Config: c.gateway(t), Clock: d.now, Shared: redis.shared(d)})
	return server, d, redis
}

func (c *limitCase) expect(t *testing.T, to any) {
	t.Helper()
	if err := json.Unmarshal(c.Expect, to); err != nil {
		t.Fatal(err)
	}
}

func (c *limitCase) statuses(t *testing.T, got []int) {
	t.Helper()
	var want struct{ Status []int }
	c.expect(t, &want)
	if diff := cmp.Diff(want.Status, got); diff != "" {
		t.Error(diff)
	}
}

// refused validates the plugin instead of running it.
func (c *limitCase) refused(t *testing.T) {
	t.Helper()
	var want struct {
		Valid bool
		Error string
	}
	c.expect(t, &want)
	cfg := oneRoute("http://localhost:1", Plugins{RateLimiting: c.plugin(t)})
	if err := cfg.Validate(); want.Valid || err == nil || !strings.Contains(err.Error(), want.Error) {
		t.Errorf("Validate() = %v, want %q", err, want.Error)
	}
}

// valid validates the plugin instead of running it.
func (c *limitCase) valid(t *testing.T) {
	t.Helper()
	cfg := oneRoute("http://localhost:1", Plugins{RateLimiting: c.plugin(t)})
	if err := cfg.Validate(); err != nil {
		t.Errorf("Validate() = %v", err)
	}
}

// sequence sends as many requests as statuses are expected. Every other member is a
// header: its value for each request, the same one for all, or a relation.
func (c *limitCase) sequence(t *testing.T, expect json.RawMessage, server *httptest.Server, target string) {
	t.Helper()
	var want map[string]any
	if err := json.Unmarshal(expect, &want); err != nil {
		t.Fatal(err)
	}
	for i, status := range want["status"].([]any) {
		a := call(t, server, "GET", target)
		if float64(a.status) != status {
			t.Errorf("%s %d: %d, want %v", target, i, a.status, status)
		}
		for name, value := range want {
			if name == "status" {
				continue
			}
			if list, ok := value.([]any); ok {
				value = list[i]
			}
			if !holds(a.header.Get(name), value) {
				t.Errorf("%s %d: %s: %q, want %v", target, i, name, a.header.Get(name), value)
			}
		}
	}
}

// holds tells whether a header has the value, or is in the range, that a case names.
func holds(got string, want any) bool {
	var n float64
	if _, err := fmt.Sscanf(got, "%g", &n); err != nil {
		return false
	}
	switch want {
	case "> 0":
		return n > 0
	case ">= 0":
		return n >= 0
	case "1..60 on each":
		return n >= 1 && n <= 60
	default:
		return n == want
	}
}
