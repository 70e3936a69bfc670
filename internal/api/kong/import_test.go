package kong

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/carnetproject/carnet/internal/fault"
)

func noEnv(string) (string, bool) { return "", false }

// wanted reads a kong.yml of which all can be done.
func wanted(t *testing.T, text string) *Wanted {
	t.Helper()
	w, err := ReadYAML([]byte(text), noEnv)
	if err != nil {
		t.Fatal(err)
	}
	if len(w.Unsupported) > 0 {
		t.Fatalf("not supported: %v", w.Unsupported)
	}
	return w
}

// load imports a kong.yml, and returns what the plan said.
func (n *node) load(text string, prune bool) []string {
	n.t.Helper()
	i := Importer{Catalog: n.catalog, Registry: n.registry, Prune: prune}
	p, err := i.Plan(n.t.Context(), wanted(n.t, text))
	if err != nil {
		n.t.Fatal(err)
	}
	if err := i.Apply(n.t.Context(), p); err != nil {
		n.t.Fatal(err)
	}
	return said(p)
}

func said(p *Plan) []string {
	var out []string
	for _, s := range p.Steps {
		out = append(out, strings.Join(append([]string{s.Op + " " + s.What}, s.Changes...), "; "))
	}
	slices.Sort(out)
	return out
}

func (n *node) export(secrets bool) string {
	n.t.Helper()
	var out bytes.Buffer
	if err := (Exporter{Catalog: n.catalog, Registry: n.registry, Secrets: secrets}).Write(n.t.Context(), &out); err != nil {
		n.t.Fatal(err)
	}
	return out.String()
}

const everything = `
_format_version: "3.0"
_transform: true
upstreams:
- name: pool
  algorithm: least-connections
  targets: [{target: "10.0.0.1:9000", weight: 10}, {target: "10.0.0.2:9000"}]
services:
- name: content
  url: http://pool/v3
  retries: 2
  tags: [sunbird]
  routes:
  - name: read
    paths: [/content/v1/read, "~/content/v2/[a-z]+"]
    methods: [GET]
    headers: {x-version: ["1", "2"]}
    plugins:
    - {name: request-size-limiting, config: {allowed_payload_size: 2}}
  - paths: [/unnamed]
    strip_path: false
  plugins:
  - {name: jwt, config: {claims_to_verify: [exp], uri_param_names: [], issuer_prefixes: [mobilev2]}}
  - {name: acl, config: {allow: [contentAccess]}}
  - {name: rate-limiting, config: {hour: 5000, policy: local, limit_by: credential}}
- {name: spare, host: spare.test, port: 9000, enabled: false}
routes:
- {name: top, hosts: ["*.top.test"], service: spare, preserve_host: true}
plugins:
- {name: cors, config: {origins: ["https://a.test"], credentials: true, max_age: 60}}
- {name: rate-limiting, consumer: mobile, service: content, config: {hour: 100}}
- {name: rate-limiting, consumer: mobile, route: read, config: {hour: 10}, enabled: false}
consumers:
- username: mobile
  custom_id: m-1
  tags: [a]
  acls: [{group: contentAccess}, {group: "two words"}]
  jwt_secrets:
  - {key: legacy, secret: "tricky: 'quoted' # and \"more\""}
  - {key: other, algorithm: HS512, secret: "0123"}
  plugins: [{name: rate-limiting, config: {minute: 7}}]
- username: empty
acls:
- {group: late, consumer: empty}
jwt_secrets:
- {key: late-key, consumer: empty, secret: s}
`

// TestRoundTrip is the property of export and import: what one node has, another one
// gets, and nothing is left to change.
func TestRoundTrip(t *testing.T) {
	t.Parallel()
	one := newNode(t, options{})
	text := everything + fmt.Sprintf("- key: mobilev2\n  consumer: mobile\n  algorithm: RS256\n  rsa_public_key: %q\n", publicKey())
	one.load(text, false)
	if again := one.load(text, true); len(again) > 0 {
		t.Errorf("to import it again would change %q", again)
	}
	exported := one.export(true)
	if again := one.load(exported, true); len(again) > 0 {
		t.Errorf("to import what was exported would change %q", again)
	}
	two := newNode(t, options{})
	two.load(exported, false)
	if got := two.export(true); got != exported {
		t.Errorf("the other node has something else (-one +two):\n%s", cmp.Diff(exported, got))
	}
	if diff := cmp.Diff(one.catalog.state.Load().config, two.catalog.state.Load().config); diff != "" {
		t.Errorf("its gateway has something else (-one +two):\n%s", diff)
	}
	for _, path := range []string{"/consumers/mobile", "/services/content", "/routes/read"} {
		if a, b := one.must(200, "GET", path, nil)["id"], two.must(200, "GET", path, nil)["id"]; a != b {
			t.Errorf("%s has the id %v, and %v there", path, a, b)
		}
	}
	empty := newNode(t, options{})
	if got := empty.load(empty.export(false), true); len(got) > 0 {
		t.Errorf("what an empty node exports would change %q", got)
	}
}

// TestExportOfTheFile takes what a configuration file has to another node.
func TestExportOfTheFile(t *testing.T) {
	t.Parallel()
	n := newNode(t, options{file: fileConfig()})
	text := n.export(true)
	if strings.Contains(text, "s3cret") {
		t.Errorf("the file's secret is exported:\n%s", text)
	}
	if _, err := ReadYAML([]byte(text), noEnv); err == nil || !strings.Contains(err.Error(), "DECK_SECRET_FILED_KEY") {
		t.Errorf("error = %v, want one that names the variable", err)
	}
	w, err := ReadYAML([]byte(text), func(string) (string, bool) { return "file-s3cret", true })
	if err != nil {
		t.Fatal(err)
	}
	for _, to := range []*node{n, newNode(t, options{})} {
		i := Importer{Catalog: to.catalog, Registry: to.registry}
		p, err := i.Plan(t.Context(), w)
		if err != nil {
			t.Fatal(err)
		}
		if (to == n) != (len(p.Steps) == 0) {
			t.Errorf("the plan is %q", said(p))
		}
		if err := i.Apply(t.Context(), p); err != nil {
			t.Fatal(err)
		}
		token := hs256(t, "filed-key", "file-s3cret")
		if a := to.call("/file", token); a.status != 502 { // nobody listens there
			t.Errorf("its route is answered %d %s", a.status, a.text)
		}
	}
	w = wanted(t, `{_format_version: "3.0", services: [{name: fs, url: "http://127.0.0.1:1/other"}]}`)
	if _, err := (Importer{Catalog: n.catalog, Registry: n.registry}).Plan(t.Context(), w); fault.KindOf(err) != fault.Conflict || !strings.Contains(err.Error(), "carnet.yaml") {
		t.Errorf("error = %v, want a conflict that names the file", err)
	}
}

func TestPlans(t *testing.T) {
	t.Parallel()
	const before = `
_format_version: "3.0"
services:
- name: a
  host: a
  routes: [{name: r, paths: [/r]}]
  plugins: [{name: acl, config: {allow: [g]}}]
- {name: b, host: b}
consumers:
- {username: u, acls: [{group: g}, {group: h}], jwt_secrets: [{key: k, secret: s}, {key: l, secret: s}]}
- {username: v, plugins: [{name: rate-limiting, config: {minute: 1}}]}
`
	for name, tc := range map[string]struct {
		file  string
		prune bool
		want  []string
	}{
		"the same":          {before, true, nil},
		"nothing":           {`{_format_version: "3.0"}`, false, nil},
		"a change":          {`{_format_version: "3.0", services: [{name: a, host: c}]}`, false, []string{"change service a; host: a → c"}},
		"a route elsewhere": {`{_format_version: "3.0", services: [{name: b, host: b, routes: [{name: r, paths: [/r]}]}]}`, false, nil},
		"a secret":          {`{_format_version: "3.0", consumers: [{username: u, jwt_secrets: [{key: k, secret: new}]}]}`, false, []string{"change jwt k of consumer u; secret: another one"}},
		"another owner":     {`{_format_version: "3.0", consumers: [{username: v, jwt_secrets: [{key: k, secret: s}]}]}`, false, nil},
		"less": {`{_format_version: "3.0", services: [{name: a, host: a}], consumers: [{username: u, acls: [{group: g}]}]}`, true, []string{
			"delete acl h of consumer u", "delete consumer v", "delete jwt k of consumer u", "delete jwt l of consumer u",
			"delete plugin acl of service a", "delete plugin rate-limiting of consumer v", "delete route r of service a", "delete service b",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := newNode(t, options{})
			n.load(before, false)
			switch name {
			case "a route elsewhere":
				i := Importer{Catalog: n.catalog, Registry: n.registry}
				if _, err := i.Plan(t.Context(), wanted(t, tc.file)); err == nil {
					t.Error("two routes of one name were planned")
				}
				return
			case "another owner":
				got := n.load(tc.file, false)
				if len(got) != 1 || !strings.HasPrefix(got[0], "change jwt k of consumer v") {
					t.Errorf("plan = %q", got)
				}
			default:
				if got := n.load(tc.file, tc.prune); !slices.Equal(got, tc.want) {
					t.Errorf("plan = %q, want %q", got, tc.want)
				}
			}
			if again := n.load(tc.file, tc.prune); len(again) > 0 {
				t.Errorf("to import it again would change %q", again)
			}
		})
	}
}

// TestPlansThatCannotBe are refused before anything is written.
func TestPlansThatCannotBe(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ file, want string }{
		"a service that is not there": {`{_format_version: "3.0", routes: [{name: r, paths: [/r], service: x}]}`, `no service "x"`},
		"no such consumer":            {`{_format_version: "3.0", acls: [{group: g, consumer: x}]}`, `no consumer "x"`},
		"one twice":                   {`{_format_version: "3.0", services: [{name: a, host: a}, {name: a, host: b}]}`, "service a stands twice"},
		"two routes for one path":     {`{_format_version: "3.0", consumers: [{username: u}], services: [{name: a, host: a, routes: [{name: r, paths: [/r]}, {name: s, paths: [/r]}]}]}`, "matches the same requests"},
		"what the gateway refuses":    {`{_format_version: "3.0", services: [{name: a b, host: a}]}`, "name"},
		"counters that nobody shares": {`{_format_version: "3.0", services: [{name: a, host: a, plugins: [{name: rate-limiting, config: {minute: 1, policy: redis}}]}]}`, "nodes have nothing to count in"},
	} {
		n := newNode(t, options{})
		i := Importer{Catalog: n.catalog, Registry: n.registry}
		if _, err := i.Plan(t.Context(), wanted(t, tc.file)); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: error = %v, want one that says %q", name, err, tc.want)
		}
		if all := n.export(true); strings.Count(all, "\n") != 1 {
			t.Errorf("%s: something was written:\n%s", name, all)
		}
	}
}

func TestReadYAML(t *testing.T) {
	t.Parallel()
	env := func(name string) (string, bool) {
		value, ok := map[string]string{"DECK_HOST": "h.test", "DECK_PORT": "9000", "DECK_EMPTY": ""}[name]
		return value, ok
	}
	for name, tc := range map[string]struct {
		file        string
		err         string
		unsupported []string
		open        bool
	}{
		"empty":                {"", "one YAML document", nil, false},
		"a list":               {"- a", "mapping", nil, false},
		"no version":           {"services: []", "_format_version", nil, false},
		"a number as version":  {"_format_version: 3.0", "_format_version", nil, false},
		"a future version":     {`_format_version: "4.0"`, "_format_version", nil, false},
		"two documents":        {"_format_version: \"3.0\"\n---\na: 1", "one YAML document", nil, false},
		"an alias":             {"_format_version: \"3.0\"\na: &x [1]\nb: *x", "aliases", nil, false},
		"a key twice":          {"_format_version: \"3.0\"\nservices: []\nservices: []", "", nil, false},
		"variables":            {"_format_version: \"3.0\"\nservices: [{name: a, host: '${{ env \"DECK_HOST\" }}', port: ${{ env \"DECK_PORT\" | toInt }}}]", "", nil, false},
		"a variable in quotes": {"_format_version: \"3.0\"\nservices: [{name: a, host: h, port: \"${{ env 'DECK_PORT' }}\"}]", "", nil, false},
		"a variable not set":   {"_format_version: \"3.0\"\nservices: [{name: a, host: ${{ env \"DECK_NO\" }}}]", "DECK_NO", nil, false},
		"another placeholder":  {"_format_version: \"3.0\"\nservices: [{name: a, host: ${{ secret \"x\" }}}]", "placeholder", nil, false},
		"other sections": {
			"_format_version: \"3.0\"\ncertificates: []\n_info: {select_tags: [a]}", "",
			[]string{"_info", "certificates"},
			false,
		},
		"other credentials": {
			"_format_version: \"3.0\"\nconsumers: [{username: u, keyauth_credentials: [{key: k}]}]", "",
			[]string{"keyauth_credentials of consumer u"},
			false,
		},
		"an expression of a route": {
			"_format_version: \"3.0\"\nservices: [{name: a, host: h, routes: [{name: r, expression: x}]}]", "",
			[]string{"route r of service a"},
			false,
		},
		"redis": {
			"_format_version: \"3.0\"\nservices: [{name: a, host: h, routes: [{name: r, paths: [/r]}], plugins: [{name: rate-limiting, config: {minute: 1, policy: redis}}]}]", "",
			nil, false,
		},
		"a log":         {"_format_version: \"3.0\"\nservices: [{name: a, host: h, plugins: [{name: statsd}]}]", "", []string{"plugin statsd of service a"}, false},
		"a log for all": {"_format_version: \"3.0\"\nplugins: [{name: prometheus}]", "", []string{"plugin prometheus"}, false},
		"all refused":   {"_format_version: \"3.0\"\nplugins: [{name: ip-restriction}]", "", []string{"plugin ip-restriction"}, true},
		"disabled":      {"_format_version: \"3.0\"\nplugins: [{name: ip-restriction, enabled: false}]", "", []string{"plugin ip-restriction"}, false},
		"by the id of its route": {
			"_format_version: \"3.0\"\nservices: [{name: a, host: h, routes: [{name: r, id: 0b3a1f5e-1c7d-4c7e-9b0a-2f6f3b1c9d11, paths: [/r]}]}]\n" +
				"plugins: [{name: opa, route: 0b3a1f5e-1c7d-4c7e-9b0a-2f6f3b1c9d11}]", "",
			[]string{"plugin opa of route r", "route r of service a"},
			false,
		},
		"no list":    {"_format_version: \"3.0\"\nservices: {a: b}", "", []string{"services"}, false},
		"no mapping": {"_format_version: \"3.0\"\nservices: [a]", "", []string{"services[0]"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, err := ReadYAML([]byte(tc.file), env)
			if name == "a key twice" {
				if err == nil {
					t.Error("it was taken")
				}
				return
			}
			if (err != nil) != (tc.err != "") || err != nil && !strings.Contains(err.Error(), tc.err) {
				t.Fatalf("error = %v, want one that says %q", err, tc.err)
			}
			if err != nil {
				return
			}
			var got []string
			open := false
			for _, u := range w.Unsupported {
				got = append(got, u.What)
				open = open || u.Open
			}
			slices.Sort(got)
			if !slices.Equal(got, tc.unsupported) || open != tc.open {
				t.Errorf("not supported: %q, open %v; want %q, %v", got, open, tc.unsupported, tc.open)
			}
			if strings.Contains(name, "variable") {
				if d := w.wishes[0].doc; d["port"] != int64(9000) {
					t.Errorf("port = %v", d["port"])
				}
			}
		})
	}
}

// TestOldPaths reads paths as a Kong before 3.0 did.
func TestOldPaths(t *testing.T) {
	t.Parallel()
	for version, want := range map[string][]string{"1.1": {"/a", "~/b/[0-9]+"}, "3.0": {"/a", "/b/[0-9]+"}} {
		w := wanted(t, `{_format_version: "`+version+`", services: [{name: a, host: h, routes: [{name: r, paths: [/a, "/b/[0-9]+"]}]}]}`)
		if got := texts(w.wishes[1].doc, "paths"); !slices.Equal(got, want) {
			t.Errorf("%s: paths are %q, want %q", version, got, want)
		}
	}
}

func TestReadSunbird(t *testing.T) {
	t.Parallel()
	n := newNode(t, options{})
	n.load(`{_format_version: "3.0", services: [{name: api, host: h}], consumers: [{username: gone}, {username: a, acls: [{group: old}]}]}`, false)
	run := func(text string) []string {
		w, err := ReadSunbird([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		i := Importer{Catalog: n.catalog, Registry: n.registry}
		p, err := i.Plan(t.Context(), w)
		if err != nil {
			t.Fatal(err)
		}
		if err := i.Apply(t.Context(), p); err != nil {
			t.Fatal(err)
		}
		return said(p)
	}
	const file = `[
		{"username":"a","groups":["g"],"state":"present","rate_limits":[{"api":"api","config.hour":5,"config.policy":"local"}]},
		{"username":"b","groups":[],"state":"present","credential_iss":"b-key","secret":"b-secret"},
		{"username":"gone","groups":[],"state":"absent"},{"username":"never","groups":[],"state":"absent"}]`
	if got, want := run(file), []string{
		"create acl g of consumer a", "create consumer b", "create jwt b-key of consumer b", "create jwt of consumer a",
		"create plugin rate-limiting of service api of consumer a", "delete acl old of consumer a", "delete consumer gone",
	}; !slices.Equal(got, want) {
		t.Errorf("plan = %q, want %q", got, want)
	}
	if got := run(file); len(got) > 0 {
		t.Errorf("the second run would change %q", got)
	}
	if got, want := run(`[{"username":"a","groups":["g"],"state":"present","rate_limits":[{"api":"api","state":"absent"}]}]`),
		[]string{"delete plugin rate-limiting of service api of consumer a"}; !slices.Equal(got, want) {
		t.Errorf("plan = %q, want %q", got, want)
	}
	for _, bad := range []string{"", "{}", "[1]", `[{"state":"present"}]`, `[{"username":"a"}]`, `[{"username":"a","state":"present","rate_limits":[1]}]`} {
		if _, err := ReadSunbird([]byte(bad)); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%s: error = %v", bad, err)
		}
	}
}
