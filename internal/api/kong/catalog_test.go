package kong

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/carnetproject/carnet/internal/gateway"
	"github.com/carnetproject/carnet/internal/secret"
)

// fileConfig is a configuration file with one of everything.
func fileConfig() gateway.Config {
	minute := 100
	return gateway.Config{
		Consumers: []gateway.Consumer{{
			Username: "filed", Groups: []string{"readers"},
			JWTSecrets: []gateway.JWTSecret{{Key: "filed-key", Secret: gateway.Secret{Bytes: secret.FromString("file-s3cret")}}},
		}},
		Services: []gateway.Service{{
			Name: "fs", URL: "http://127.0.0.1:1/base",
			Plugins: gateway.Plugins{JWT: &gateway.JWT{}},
			Routes:  []gateway.Route{{Name: "fr", Paths: []string{"/file"}, Plugins: gateway.Plugins{ACL: &gateway.ACL{Allow: []string{"readers"}}}}},
		}},
		Overrides: []gateway.Override{{Consumer: "filed", Service: "fs", Plugins: gateway.Plugins{RateLimiting: &gateway.RateLimiting{Minute: &minute}}}},
	}
}

func TestTheFileComesFirst(t *testing.T) {
	t.Parallel()
	n := newNode(t, options{file: fileConfig(), showSecrets: true})
	service := n.must(200, "GET", "/services/fs", nil)
	if service["host"] != "127.0.0.1" || service["path"] != "/base" || service["connect_timeout"] != 5000.0 {
		t.Errorf("the file's service is shown as %v", service)
	}
	for _, path := range []string{"/services/fs/routes/fr", "/consumers/filed", "/consumers/filed/acls/readers", "/jwts/filed-key", "/consumers/filed/jwt/filed-key"} {
		if a := n.ask("GET", path, nil); a.status != 200 || strings.Contains(a.text, "s3cret") {
			t.Errorf("%s is answered %d %s", path, a.status, a.text)
		}
	}
	if all := n.must(200, "GET", "/services/fs/plugins", nil); len(all["data"].([]any)) != 2 { //nolint:forcetypeassert // a panic fails the test as well
		t.Errorf("plugins of the file's service: %v", all["data"])
	}
	for request, body := range map[string]map[string]any{
		"PATCH /services/fs":                {"retries": 1},
		"PUT /services/fs":                  {"host": "h"},
		"DELETE /services/fs":               nil,
		"POST /services":                    {"name": "fs", "host": "h"},
		"PATCH /routes/fr":                  {"paths": []string{"/x"}},
		"POST /services/fs/routes":          {"name": "fr", "paths": []string{"/x"}},
		"POST /services/fs/plugins":         {"name": "jwt"},
		"PATCH /consumers/filed":            {"custom_id": "x"},
		"DELETE /consumers/filed":           nil,
		"POST /consumers/filed/acls":        {"group": "writers"},
		"DELETE /consumers/filed/acls/g":    nil,
		"POST /consumers/filed/jwt":         {"key": "another"},
		"PATCH /jwts/filed-key":             {"key": "another"},
		"DELETE /consumers/filed/jwt/other": nil,
	} {
		method, path, _ := strings.Cut(request, " ")
		var a answer
		if body == nil {
			a = n.ask(method, path, nil)
		} else {
			a = n.ask(method, path, body)
		}
		missing := strings.HasSuffix(path, "other")
		if missing && a.status == 404 {
			continue
		}
		if a.status != 409 || !strings.Contains(a.text, "carnet.yaml") {
			t.Errorf("%s is answered %d %s, want 409 and the name of the file", request, a.status, a.text)
		}
	}
	for path, body := range map[string]map[string]any{
		"/consumers": {"username": "filed"}, "/jwts": {"key": "filed-key", "consumer": map[string]any{"username": "bob"}},
	} {
		n.ask("POST", "/consumers", map[string]any{"username": "bob"})
		if a := n.ask("POST", path, body); a.status != 409 {
			t.Errorf("a name of the file's at %s is answered %d %s", path, a.status, a.text)
		}
	}
	// What the file has may be added to.
	n.must(201, "POST", "/services/fs/routes", map[string]any{"name": "more", "paths": []string{"/more"}})
	if a := n.call("/more", ""); a.status != 401 {
		t.Errorf("a route of the file's service is answered %d, want its jwt's 401", a.status)
	}
	n.must(201, "POST", "/services/fs/plugins", map[string]any{"name": "rate-limiting", "config": map[string]any{"minute": 1}})
	if a := n.ask("POST", "/consumers/filed/plugins", map[string]any{"name": "rate-limiting", "service": map[string]any{"name": "fs"}, "config": map[string]any{"minute": 1}}); a.status != 409 {
		t.Errorf("a plugin where the file has one is answered %d %s", a.status, a.text)
	}
}

// TestNothingUnusableIsStored asks for what the gateway cannot use: it is refused, and
// all is as before.
func TestNothingUnusableIsStored(t *testing.T) {
	t.Parallel()
	n := newNode(t, options{file: fileConfig()})
	n.service("s", "/s")
	n.must(201, "POST", "/services/s/plugins", map[string]any{"name": "jwt"})
	before, revision, err := n.store.Entities(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		path   string
		body   map[string]any
		fields map[string]any
	}{
		"a path that is taken":       {"/services/s/routes", map[string]any{"paths": []string{"/s"}}, nil},
		"a path of the file's":       {"/services/s/routes", map[string]any{"paths": []string{"/file"}}, nil},
		"a path out of form":         {"/services/s/routes", map[string]any{"paths": []string{"/a//b"}}, map[string]any{"paths": nil}},
		"a route for everything":     {"/services/s/routes", map[string]any{"name": "x"}, nil},
		"a bad expression":           {"/services/s/routes", map[string]any{"paths": []string{"~/("}}, map[string]any{"paths": nil}},
		"a bad host":                 {"/services/s/routes", map[string]any{"hosts": []string{"a b"}}, map[string]any{"hosts": nil}},
		"a name with blanks":         {"/services", map[string]any{"name": "a b", "host": "h"}, map[string]any{"name": nil}},
		"a plugin that is not there": {"/plugins", map[string]any{"name": "key-auth"}, map[string]any{"name": nil}},
		"an unknown member":          {"/plugins", map[string]any{"name": "jwt", "config": map[string]any{"foo": 1}}, map[string]any{"config": map[string]any{"foo": "unknown field"}}},
		"a wrong type":               {"/plugins", map[string]any{"name": "jwt", "config": map[string]any{"run_on_preflight": "yes"}}, map[string]any{"config": map[string]any{"run_on_preflight": "expected a boolean"}}},
		"too high":                   {"/plugins", map[string]any{"name": "jwt", "config": map[string]any{"maximum_expiration": 1e9}}, map[string]any{"config": map[string]any{"maximum_expiration": "value should be between 0 and 31536000"}}},
		"what the gateway refuses":   {"/plugins", map[string]any{"name": "jwt", "config": map[string]any{"maximum_expiration": 5}}, map[string]any{"config": map[string]any{"maximum_expiration": nil}}},
		"limits in no order":         {"/plugins", map[string]any{"name": "rate-limiting", "config": map[string]any{"minute": 5, "hour": 1}}, map[string]any{"config": map[string]any{"hour": nil}}},
		"counters in Redis":          {"/plugins", map[string]any{"name": "rate-limiting", "config": map[string]any{"minute": 5, "policy": "redis"}}, map[string]any{"config": map[string]any{"policy": nil}}},
		"both lists of acl":          {"/plugins", map[string]any{"name": "acl", "config": map[string]any{"allow": []string{"a"}, "deny": []string{"b"}}}, nil},
		"the same plugin again":      {"/services/s/plugins", map[string]any{"name": "jwt"}, nil},
		"jwt for a consumer":         {"/consumers/bob/plugins", map[string]any{"name": "jwt"}, nil},
		"a hash of an upstream":      {"/upstreams", map[string]any{"name": "u", "hash_on": "ip"}, map[string]any{"hash_on": nil}},
	} {
		n.ask("PUT", "/consumers/bob", map[string]any{})
		a := n.ask("POST", tc.path, tc.body)
		if a.status != 400 && a.status != 409 {
			t.Errorf("%s is answered %d %s", name, a.status, a.text)
		}
		got, _ := a.doc["fields"].(map[string]any)
		for member, want := range tc.fields {
			if got[member] == nil || want != nil && !subset(want, got[member]) {
				t.Errorf("%s: fields are %v, want %v", name, got, tc.fields)
			}
		}
	}
	after, now, err := n.store.Entities(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if now != revision || !cmp.Equal(before, after) {
		t.Errorf("the store was changed: revision %d, was %d", now, revision)
	}
	if a := n.call("/s", ""); a.status != 401 {
		t.Errorf("the gateway answers %d, want 401 as before", a.status)
	}
}

// subset tells whether want's members are in got; nil stands for anything.
func subset(want, got any) bool {
	w, isMap := want.(map[string]any)
	if !isMap {
		return want == nil && got != nil || cmp.Equal(want, got)
	}
	g, _ := got.(map[string]any)
	for name := range w {
		if !subset(w[name], g[name]) {
			return false
		}
	}
	return true
}

// TestAFileThatChanges puts another file over what is stored.
func TestAFileThatChanges(t *testing.T) {
	t.Parallel()
	n := newNode(t, options{})
	n.service("s", "/s")
	n.must(201, "POST", "/services/s/plugins", map[string]any{"name": "jwt", "config": map[string]any{"issuer_prefixes": []string{"p"}}})
	n.service("other", "/other")
	with := func(edit func(*gateway.Config)) gateway.Config {
		var c gateway.Config
		edit(&c)
		return c
	}
	echo := gateway.Service{Name: "mine", URL: n.upstream.URL}
	for name, tc := range map[string]struct {
		file        gateway.Config
		s, other, x int // statuses
	}{
		"nothing clashes": {with(func(*gateway.Config) {}), 401, 200, 404},
		"a service of the same name": {with(func(c *gateway.Config) {
			c.Services = []gateway.Service{{Name: "other", URL: n.upstream.URL, Routes: []gateway.Route{{Name: "x", Paths: []string{"/x"}}}}}
		}), 401, 404, 200},
		"a route for the same path": {with(func(c *gateway.Config) {
			echo.Routes = []gateway.Route{{Name: "y", Paths: []string{"/other", "/x"}}}
			c.Services = []gateway.Service{echo}
		}), 401, 200, 200},
		"its plugin cannot be used any more: it is closed": {with(func(c *gateway.Config) {
			c.Consumers = []gateway.Consumer{{Username: "c", JWTSecrets: []gateway.JWTSecret{{Key: "p", Secret: gateway.Secret{Bytes: secret.FromString("s")}}}}}
		}), 404, 200, 404},
	} {
		if err := n.catalog.SetFile(t.Context(), tc.file); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for path, want := range map[string]int{"/s": tc.s, "/other": tc.other, "/x": tc.x} {
			if a := n.call(path, ""); a.status != want {
				t.Errorf("%s: %s is answered %d, want %d", name, path, a.status, want)
			}
		}
	}
	// A file that is wrong by itself changes nothing.
	if err := n.catalog.SetFile(t.Context(), gateway.Config{Services: []gateway.Service{{Name: "a b"}}}); err == nil {
		t.Error("a file with mistakes was taken")
	}
	if err := n.catalog.SetFile(t.Context(), gateway.Config{}); err != nil {
		t.Fatal(err)
	}
	if a, b := n.call("/s", ""), n.call("/other", ""); a.status != 401 || b.status != 200 {
		t.Errorf("after all that, /s is answered %d and /other %d", a.status, b.status)
	}
	// A plugin of everything that cannot be used any more leaves the old state in force.
	n.must(201, "POST", "/plugins", map[string]any{"name": "jwt", "config": map[string]any{"issuer_prefixes": []string{"p"}}})
	if err := n.catalog.SetFile(t.Context(), with(func(c *gateway.Config) {
		c.Consumers = []gateway.Consumer{{Username: "c", JWTSecrets: []gateway.JWTSecret{{Key: "p", Secret: gateway.Secret{Bytes: secret.FromString("s")}}}}}
	})); err == nil || !strings.Contains(err.Error(), "jwt") {
		t.Errorf("error = %v, want one that names the plugin", err)
	}
	if a := n.call("/other", ""); a.status != 401 {
		t.Errorf("/other is answered %d, want 401", a.status)
	}
}

// TestTwoNodes changes one store from two nodes.
func TestTwoNodes(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "carnet.db")
	one, two := newNode(t, options{path: path}), newNode(t, options{path: path})
	one.service("s", "/s")
	if a := two.call("/s", ""); a.status != 404 {
		t.Fatalf("the other node answers %d before it follows", a.status)
	}
	if err := two.catalog.Follow(t.Context()); err != nil {
		t.Fatal(err)
	}
	if a := two.call("/s", ""); a.status != 200 {
		t.Errorf("the other node answers %d", a.status)
	}
	// The other one has not seen this yet, and must not undo it.
	one.must(201, "POST", "/services/s/plugins", map[string]any{"name": "jwt"})
	two.must(201, "POST", "/services/s/routes", map[string]any{"name": "r2", "paths": []string{"/r2"}})
	if a := two.call("/r2", ""); a.status != 401 {
		t.Errorf("the node that was late answers %d, want 401", a.status)
	}
	if a := one.ask("POST", "/services/s/routes", map[string]any{"name": "r2", "paths": []string{"/r3"}}); a.status != 409 {
		t.Errorf("a name that another node has taken is answered %d", a.status)
	}
	// A consumer that is renamed keeps its plugins.
	one.must(201, "POST", "/consumers", map[string]any{"username": "bob"})
	one.must(201, "POST", "/consumers/bob/plugins", map[string]any{"name": "rate-limiting", "config": map[string]any{"minute": 1}})
	one.must(201, "POST", "/consumers/bob/jwt", map[string]any{"key": "k", "secret": "s3cret"})
	one.must(200, "PATCH", "/consumers/bob", map[string]any{"username": "rob"})
	if err := two.catalog.Follow(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := two.registry.Follow(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, n := range []*node{one, two} {
		first, second := n.call("/s", hs256(t, "k", "s3cret")), n.call("/s", hs256(t, "k", "s3cret"))
		if first.status != 200 || second.status != 429 {
			t.Errorf("the renamed consumer is answered %d and %d, want 200 and 429", first.status, second.status)
		}
	}
	one.must(204, "DELETE", "/consumers/rob", nil)
	if all := one.must(200, "GET", "/plugins", nil); strings.Contains(fmt.Sprint(all), "rate-limiting") {
		t.Errorf("the plugin of a deleted consumer is left: %v", all)
	}
	if a := one.call("/s", hs256(t, "k", "s3cret")); a.status != 401 {
		t.Errorf("the deleted consumer is answered %d, want 401", a.status)
	}
}

// TestManyWriters has two nodes add services at once: none is lost.
func TestManyWriters(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "carnet.db")
	nodes := []*node{newNode(t, options{path: path}), newNode(t, options{path: path})}
	var wg sync.WaitGroup
	const each = 8
	for i, n := range nodes {
		wg.Go(func() {
			for j := range each {
				name := fmt.Sprintf("s%d-%d", i, j)
				if a := n.ask("POST", "/services", map[string]any{"name": name, "host": "h"}); a.status != 201 {
					t.Errorf("%s is answered %d %s", name, a.status, a.text)
				}
			}
		})
	}
	wg.Wait()
	all, revision, err := nodes[0].store.Entities(t.Context())
	if err != nil || len(all) != 2*each || revision != 2*each {
		t.Errorf("%d services at revision %d, want %d: %v", len(all), revision, 2*each, err)
	}
}

// TestApplyFails shows that a node which cannot put in force what it has stored says so,
// and catches up.
func TestApplyFails(t *testing.T) {
	t.Parallel()
	n := newNode(t, options{})
	fails := true
	c := NewCatalog(CatalogConfig{
		Store: n.store, Consumers: n.registry, Check: n.gateway.Check,
		Apply: func(ctx context.Context, g gateway.Config) error {
			if fails {
				return context.DeadlineExceeded
			}
			return n.gateway.Reload(ctx, g)
		},
	})
	_, err := entities{c, services}.add(t.Context(), Document{"name": "s", "host": "h"})
	if err == nil || problemOf(err).status != 503 {
		t.Errorf("error = %v, want one that is answered 503", err)
	}
	fails = false
	if err := c.Follow(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := (entities{c, services}).get(t.Context(), under{}, "s"); err != nil {
		t.Errorf("after Follow: %v", err)
	}
}
