package kong

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/carnetproject/carnet/internal/gateway"
)

// TestPluginsAreThoseOfTheGateway holds the names here to those there, both ways.
func TestPluginsAreThoseOfTheGateway(t *testing.T) {
	t.Parallel()
	all := reflect.TypeFor[gateway.Plugins]()
	var names []string
	for i := range all.NumField() {
		name := tagName(all.Field(i))
		names = append(names, name)
		s := configs[name]
		if s == nil {
			t.Errorf("the gateway's plugin %s is not known here", name)
			continue
		}
		theirs := all.Field(i).Type.Elem()
		members := map[string]bool{}
		for j := range theirs.NumField() {
			member := tagName(theirs.Field(j))
			members[member] = true
			if s.field(member) == nil && oldNames[member] == "" {
				t.Errorf("%s: the gateway's %s cannot be set here", name, member)
			}
		}
		for _, f := range s.fields {
			if !members[f.name] && f.only == "" && !strings.HasPrefix(f.name, "redis") {
				t.Errorf("%s: %s is taken, and the gateway does not know it", name, f.name)
			}
		}
	}
	slices.Sort(names)
	if got := pluginNames(); !slices.Equal(got, names) {
		t.Errorf("plugins are %q, the gateway's %q", got, names)
	}
}

// TestEveryMemberOfAPlugin sets each member to something else than its default, and
// finds it in the gateway's configuration, and back.
func TestEveryMemberOfAPlugin(t *testing.T) {
	t.Parallel()
	for name, config := range map[string]Document{
		"jwt": {
			"uri_param_names": []any{"t"}, "cookie_names": []any{"c"}, "header_names": []any{"h"}, "key_claim_name": "sub",
			"secret_is_base64": true, "claims_to_verify": []any{"exp"}, "anonymous": "nobody", "run_on_preflight": false,
			"maximum_expiration": int64(60), "realm": "r", "issuer_prefixes": []any{"p"}, "deny_bare_prefix": false, "kid_lookup": true,
			"anonymous_on": "missing_only", "status_profile": "sunbird", "leeway": int64(3), "audience": []any{"a"},
			"required_claims": Document{"scope": []any{"s"}}, "claim_headers": Document{"sub": "X-Sub"}, "hide_credentials": true,
		},
		"acl": {"allow": []any{"g"}, "hide_groups_header": true, "always_use_authenticated_groups": true},
		"rate-limiting": {
			"second": int64(1), "minute": int64(2), "hour": int64(3), "day": int64(4), "month": int64(5), "year": int64(6),
			"limit_by": "header", "header_name": "x", "path": "/p", "fault_tolerant": false, "hide_client_headers": true,
			"error_code": int64(503), "error_message": "m", "window": "sliding", "headers": "both",
			"policy": "redis", "sync_rate": 0.5,
		},
		"cors": {
			"origins": []any{"https://a.test"}, "methods": []any{"GET"}, "headers": []any{"x"}, "exposed_headers": []any{"y"},
			"max_age": int64(5), "credentials": true, "private_network": true, "preflight_continue": true, "allow_origin_absent": false,
		},
		"request-size-limiting": {"allowed_payload_size": int64(7), "size_unit": "bytes", "require_content_length": true},
	} {
		for _, f := range configs[name].fields {
			if _, there := config[f.name]; !there && f.only == "" && !strings.HasPrefix(f.name, "redis") && f.name != "deny" {
				t.Errorf("%s: nothing sets %s", name, f.name)
			}
		}
		d, wrong := completePlugin(Document{"name": name, "config": config})
		if wrong != nil {
			t.Errorf("%s: %v", name, wrong.list())
			continue
		}
		var p gateway.Plugins
		e := newEntity(plugins, d)
		if e.misfit != nil {
			t.Errorf("%s: %v", name, e.misfit)
			continue
		}
		if !attach(e, &p) || attach(e, &p) {
			t.Errorf("%s is not attached once", name)
		}
		back := detach(&p)
		if len(back) != 1 || !cmp.Equal(back[0]["config"], d["config"]) {
			t.Errorf("%s comes back as something else:\n%s", name, cmp.Diff(d["config"], back[0]["config"]))
		}
		for member, want := range config {
			if got := back[0]["config"].(Document)[member]; !cmp.Equal(got, want) { //nolint:forcetypeassert // a panic fails the test as well
				t.Errorf("%s: %s is %v, want %v", name, member, got, want)
			}
		}
	}
}

func TestPluginDefaults(t *testing.T) {
	t.Parallel()
	d, wrong := completePlugin(Document{"name": "jwt"})
	if wrong != nil {
		t.Fatal(wrong.list())
	}
	config, _ := d["config"].(Document)
	for name, want := range map[string]any{
		"uri_param_names": []any{"jwt"}, "cookie_names": []any{}, "header_names": []any{"authorization"}, "key_claim_name": "iss",
		"secret_is_base64": false, "claims_to_verify": nil, "anonymous": nil, "run_on_preflight": true, "maximum_expiration": int64(0), "realm": nil,
	} {
		if !cmp.Equal(config[name], want) {
			t.Errorf("%s = %v, want %v", name, config[name], want)
		}
	}
	if d["enabled"] != true {
		t.Errorf("enabled = %v", d["enabled"])
	}
	var p gateway.Plugins
	if !attach(newEntity(plugins, d), &p) || !cmp.Equal(p.JWT, &gateway.JWT{}) {
		t.Errorf("a jwt plugin of defaults is %+v in the gateway", p.JWT)
	}
}

// TestRedisIsNotKept shows that what Kong writes of Redis, which may be a password, goes
// nowhere.
func TestRedisIsNotKept(t *testing.T) {
	t.Parallel()
	n := newNode(t, options{})
	a := n.ask("POST", "/plugins", map[string]any{"name": "rate-limiting", "config": map[string]any{
		"minute": 1, "policy": "local", "redis": map[string]any{"host": "h", "password": "pa55word"},
		"redis_host": "h", "redis_port": 6379, "redis_password": "pa55word", "redis_timeout": 2000,
	}})
	if a.status != 201 {
		t.Fatalf("%d %s", a.status, a.text)
	}
	rows, _, err := n.store.Entities(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{a.text, string(rows[0].Doc), n.export(true)} {
		if text == "" || strings.Contains(text, "pa55word") {
			t.Errorf("the password is in %s", text)
		}
	}
}

// TestSyncRate may be a fraction, in JSON and in a form.
func TestSyncRate(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		given any
		want  float64
		wrong bool
	}{
		"a fraction":            {0.25, 0.25, false},
		"a whole number":        {int64(2), 2, false},
		"a fraction in a form":  {raw("0.25"), 0.25, false},
		"a number in a form":    {raw("2"), 2, false},
		"the default":           {int64(-1), 0, false},
		"the default in a form": {raw("-1"), 0, false},
		"a word":                {"often", 0, true},
		"a word in a form":      {raw("often"), 0, true},
	} {
		d, wrong := completePlugin(Document{"name": "rate-limiting", "config": Document{"minute": int64(1), "policy": "redis", "sync_rate": tc.given}})
		if tc.wrong {
			if wrong == nil {
				t.Errorf("%s: taken as %v", name, d)
			}
			continue
		}
		if wrong != nil {
			t.Errorf("%s: %v", name, wrong)
		} else if made, err := bindPlugin(d); err != nil {
			t.Errorf("%s: %v", name, err)
		} else if got := made.Interface().(*gateway.RateLimiting).SyncRate; got != tc.want {
			t.Errorf("%s: %v, want %v", name, got, tc.want)
		}
	}
}
