package kong

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/gateway"
)

// world is entities by short names: their ids are derived from them.
type world struct{ all []*entity }

func wid(name string) string { return fileID(services, name) }

func (w *world) add(t *testing.T, k *kind, name string, d Document) {
	t.Helper()
	d["id"] = wid(name)
	full, wrong := checkOf(k)(d)
	if wrong != nil {
		t.Fatalf("%s: %q", name, wrong.list())
	}
	w.all = append(w.all, newEntity(k, full))
}

func at(parents ...string) Document {
	d := Document{}
	for i := 0; i < len(parents); i += 2 {
		d[parents[i]] = refer(wid(parents[i+1]))
	}
	return d
}

func limitOf(n int64, under Document) Document {
	d := clone(under)
	d["name"], d["config"] = "rate-limiting", Document{"minute": n}
	return d
}

func limits(n int) *gateway.RateLimiting { return &gateway.RateLimiting{Minute: &n} }

// TestPlaces attaches a plugin to everything that it can be attached to.
func TestPlaces(t *testing.T) {
	t.Parallel()
	w := &world{}
	w.add(t, services, "s", Document{"name": "s", "host": "h"})
	w.add(t, routes, "r", Document{"name": "r", "paths": []any{"/r"}, "service": refer(wid("s"))})
	for n, under := range map[int64]Document{
		1: at(), 2: at("service", "s"), 3: at("route", "r"), 4: at("consumer", "c"), 5: at("consumer", "c", "service", "s"),
		6: at("consumer", "c", "route", "r"), 7: at("route", "r", "service", "s"), 8: at("consumer", "c", "route", "r", "service", "s"),
	} {
		w.add(t, plugins, "p"+string(rune('0'+n)), limitOf(n, under))
	}
	a, err := assemble(gateway.Config{}, w.all, map[string]string{wid("c"): "carol"}, func(c gateway.Config) error { return c.Validate() })
	if err != nil || len(a.flaws) > 0 {
		t.Fatalf("%v, flaws %v", err, a.flaws)
	}
	if got := a.config.Plugins.RateLimiting; !cmp.Equal(got, limits(1)) {
		t.Errorf("everywhere: %+v", got)
	}
	if got := a.config.Services[0].Plugins.RateLimiting; !cmp.Equal(got, limits(2)) {
		t.Errorf("service: %+v", got)
	}
	if got := a.config.Services[0].Routes[0].Plugins.RateLimiting; !cmp.Equal(got, limits(3)) {
		t.Errorf("route: %+v", got)
	}
	got := map[[3]string]int{}
	for _, o := range a.config.Overrides {
		got[[3]string{o.Consumer, o.Service, o.Route}] = *o.Plugins.RateLimiting.Minute
	}
	want := map[[3]string]int{
		{"carol", "", ""}: 4, {"carol", "s", ""}: 5, {"carol", "", "r"}: 6, {"", "s", "r"}: 7, {"carol", "s", "r"}: 8,
	}
	if !cmp.Equal(got, want) {
		t.Errorf("overrides (-want +got):\n%s", cmp.Diff(want, got))
	}
}

// TestFlaws leaves out what cannot be in force, and never what would open something.
func TestFlaws(t *testing.T) {
	t.Parallel()
	refuse := func(field string) func(gateway.Config) error {
		return func(c gateway.Config) error {
			if len(c.Services) == 0 && c.Plugins.JWT == nil {
				return nil
			}
			return errors.Join(fault.BadField(field, "refused"))
		}
	}
	for name, tc := range map[string]struct {
		build func(t *testing.T, w *world)
		check func(gateway.Config) error
		flaws map[string]string // by short name, a part of the message
		open  string            // short name
		err   string
	}{
		"a service without its name": {func(t *testing.T, w *world) {
			t.Helper()
			w.add(t, services, "s", Document{"host": "h"})
		}, nil, nil, "", ""},
		"a route of a disabled service": {func(t *testing.T, w *world) {
			t.Helper()
			w.add(t, services, "s", Document{"host": "h", "enabled": false})
			w.add(t, routes, "r", Document{"paths": []any{"/r"}, "service": refer(wid("s"))})
			w.add(t, plugins, "p", limitOf(1, at("route", "r")))
		}, nil, nil, "", ""},
		"a route of a service that is gone": {func(t *testing.T, w *world) {
			t.Helper()
			w.add(t, routes, "r", Document{"paths": []any{"/r"}, "service": refer(wid("s"))})
			w.add(t, plugins, "p", limitOf(1, at("route", "r")))
		}, nil, map[string]string{"r": "service is not in force", "p": "route is not in force"}, "", ""},
		"a plugin of a consumer that is gone": {func(t *testing.T, w *world) {
			t.Helper()
			w.add(t, plugins, "p", limitOf(1, at("consumer", "c")))
		}, nil, map[string]string{"p": "consumer is not there"}, "", ""},
		"a target of an upstream that is gone": {func(t *testing.T, w *world) {
			t.Helper()
			w.add(t, targets, "t", Document{"target": "h:1", "upstream": refer(wid("u"))})
		}, nil, map[string]string{"t": "upstream is not in force"}, "", ""},
		"a bad service": {func(t *testing.T, w *world) {
			t.Helper()
			w.add(t, services, "s", Document{"host": "h"})
			w.add(t, routes, "r", Document{"paths": []any{"/r"}, "service": refer(wid("s"))})
		}, refuse("services[0].url"), map[string]string{"s": "refused", "r": "service is not in force"}, "", ""},
		"a bad plugin closes its service": {func(t *testing.T, w *world) {
			t.Helper()
			w.add(t, services, "s", Document{"host": "h"})
			w.add(t, plugins, "p", limitOf(1, at("service", "s")))
		}, refuse("services[0].plugins.rate-limiting.minute"), map[string]string{"s": "its plugin rate-limiting is broken", "p": "refused"}, "", ""},
		"a bad plugin for all opens": {func(t *testing.T, w *world) {
			t.Helper()
			w.add(t, plugins, "p", Document{"name": "jwt"})
		}, refuse("plugins.jwt.realm"), map[string]string{"p": "refused"}, "p", ""},
		"nobody's fault": {func(t *testing.T, w *world) {
			t.Helper()
			w.add(t, services, "s", Document{"host": "h"})
		}, refuse("cache"), nil, "", "refused"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := &world{}
			tc.build(t, w)
			check := tc.check
			if check == nil {
				check = func(c gateway.Config) error { return c.Validate() }
			}
			a, err := assemble(gateway.Config{}, w.all, nil, check)
			if tc.err != "" {
				if err == nil || !strings.Contains(err.Error(), tc.err) {
					t.Errorf("error = %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if len(a.flaws) != len(tc.flaws) {
				t.Errorf("flaws are %v, want %v", a.flaws, tc.flaws)
			}
			for short, part := range tc.flaws {
				f := a.flaws[wid(short)]
				if !strings.Contains(f.msg, part) || f.open != (short == tc.open) {
					t.Errorf("%s: %+v, want one that says %q", short, f, part)
				}
			}
		})
	}
}

// TestUpstreams sends requests to the targets that the Admin API names.
func TestUpstreams(t *testing.T) {
	t.Parallel()
	n := newNode(t, options{})
	address := strings.TrimPrefix(n.upstream.URL, "http://")
	n.must(201, "POST", "/upstreams", map[string]any{"name": "pool", "healthchecks": map[string]any{"passive": map[string]any{}}})
	n.must(201, "POST", "/services", map[string]any{"name": "s", "host": "pool"})
	n.must(201, "POST", "/services/s/routes", map[string]any{"paths": []string{"/s"}})
	n.must(201, "POST", "/upstreams/pool/targets", map[string]any{"target": address})
	if a := n.call("/s", ""); a.status != 200 {
		t.Errorf("the target answers %d %s", a.status, a.text)
	}
	if a := n.ask("POST", "/upstreams/pool/targets", map[string]any{"target": address}); a.status != 409 {
		t.Errorf("the same target again is answered %d %s", a.status, a.text)
	}
	n.must(201, "POST", "/upstreams", map[string]any{"name": "other"})
	n.must(201, "POST", "/upstreams/other/targets", map[string]any{"target": address})
	if doc := n.must(200, "PATCH", "/upstreams/pool/targets/"+address, map[string]any{"weight": 7}); doc["weight"] != 7.0 {
		t.Errorf("PATCH made %v", doc)
	}
	if a := n.ask("GET", "/upstreams/other/targets/"+address, nil); a.doc["weight"] != 100.0 {
		t.Errorf("the other upstream's target is %s", a.text)
	}
	n.must(204, "DELETE", "/upstreams/pool", nil)
	if all := n.must(200, "GET", "/upstreams/other/targets", nil); len(all["data"].([]any)) != 1 { //nolint:forcetypeassert // a panic fails the test as well
		t.Errorf("targets of the other upstream: %v", all)
	}
	if got, _, err := n.store.Entities(t.Context()); err != nil || len(got) != 4 { // service, route, upstream, target
		t.Errorf("%d entities are left, %v", len(got), err)
	}
}
