package kong

import (
	"maps"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// script is Sunbird's onboarding (kong_apis.py, kong_consumers.py), call by call, with
// its own way to ask: no authentication, and a body of two quotes with DELETE.
type script struct{ *node }

func (s script) do(method, path string, body any) map[string]any {
	s.t.Helper()
	var a answer
	if method == http.MethodDelete {
		a = s.send(method, s.api.URL+path, "application/x-www-form-urlencoded", strings.NewReader(`""`), nil)
	} else {
		a = s.ask(method, path, body)
	}
	if a.status >= 400 {
		s.t.Fatalf("%s %s is answered %d: the script stops: %s", method, path, a.status, a.text)
	}
	return a.doc
}

func (s script) exists(path string) bool {
	s.t.Helper()
	a := s.ask("GET", path, nil)
	if a.status != 200 && a.status != 404 {
		s.t.Fatalf("GET %s is answered %d: the script stops: %s", path, a.status, a.text)
	}
	return a.status == 200
}

func (s script) data(path string) []map[string]any {
	s.t.Helper()
	list, ok := s.do("GET", path, nil)["data"].([]any)
	if !ok {
		s.t.Fatalf("%s has no data", path)
	}
	var out []map[string]any
	for _, v := range list {
		out = append(out, v.(map[string]any)) //nolint:forcetypeassert // a panic fails the test as well
	}
	return out
}

// saveAPIs is save_apis.
func (s script) saveAPIs(apis ...map[string]any) {
	s.t.Helper()
	saved := map[string]any{} // id by name
	list := s.do("GET", "/apis?size=2000", nil)
	if list["total"] == nil {
		s.t.Fatalf("no total: %v", list)
	}
	for _, a := range s.data("/apis?size=2000") {
		saved[a["name"].(string)] = a["id"] //nolint:forcetypeassert // a panic fails the test as well
	}
	for _, a := range apis {
		body := maps.Clone(a)
		delete(body, "plugins")
		name, _ := a["name"].(string)
		if id, there := saved[name].(string); there {
			body["id"] = id
			s.do("PATCH", "/apis/"+id, body)
		} else {
			s.do("POST", "/apis", body)
		}
		delete(saved, name)
	}
	for _, id := range saved {
		s.do("DELETE", "/apis/"+id.(string), nil) //nolint:forcetypeassert // a panic fails the test as well
	}
	for _, a := range apis {
		s.savePlugins(a)
	}
}

// savePlugins is _save_plugins_for_api.
func (s script) savePlugins(a map[string]any) {
	s.t.Helper()
	path := "/apis/" + a["name"].(string) + "/plugins" //nolint:forcetypeassert // a panic fails the test as well
	saved := map[any]any{}
	for _, p := range s.data(path) {
		if p["consumer_id"] == nil {
			saved[p["name"]] = p["id"]
		}
	}
	wanted, _ := a["plugins"].([]map[string]any)
	for _, p := range wanted {
		if id, there := saved[p["name"]].(string); there {
			p = maps.Clone(p)
			p["id"] = id
			s.do("PATCH", path+"/"+id, p)
		} else {
			s.do("POST", path, p)
		}
		delete(saved, p["name"])
	}
	for _, id := range saved {
		s.do("DELETE", path+"/"+id.(string), nil) //nolint:forcetypeassert // a panic fails the test as well
	}
}

// saveConsumer is what save_consumers does for one. It returns the credential from which
// the script makes a token.
func (s script) saveConsumer(c map[string]any) map[string]any {
	s.t.Helper()
	name, _ := c["username"].(string)
	if c["state"] == "absent" {
		if s.exists("/consumers/" + name) {
			s.do("DELETE", "/consumers/"+name, nil)
		}
		return nil
	}
	if !s.exists("/consumers/" + name) {
		s.do("POST", "/consumers", map[string]any{"username": name})
	}
	acls := "/consumers/" + name + "/acls"
	saved := map[string]bool{}
	for _, g := range s.data(acls) {
		saved[g["group"].(string)] = true //nolint:forcetypeassert // a panic fails the test as well
	}
	wanted, _ := c["groups"].([]string)
	for _, g := range wanted {
		if !saved[g] {
			s.do("POST", acls, map[string]any{"group": g})
		}
		delete(saved, g)
	}
	for g := range saved {
		s.do("DELETE", acls+"/"+g, nil)
	}
	credential := s.saveCredential(name, c)
	id := s.do("GET", "/consumers/"+name, nil)["id"]
	limits, _ := c["rate_limits"].([]map[string]any)
	for _, l := range limits {
		s.saveLimit(id, l)
	}
	return credential
}

// saveCredential is _get_first_or_create_jwt_credential.
func (s script) saveCredential(name string, c map[string]any) map[string]any {
	s.t.Helper()
	alg := c["credential_algorithm"]
	if alg == nil {
		alg = "HS256"
	}
	path := "/consumers/" + name + "/jwt"
	for _, saved := range s.data(path) {
		if saved["algorithm"] != alg {
			continue
		}
		body := map[string]any{"rsa_public_key": c["credential_rsa_public_key"], "key": c["credential_iss"]}
		if body["rsa_public_key"] == nil {
			body["rsa_public_key"] = saved["rsa_public_key"]
		}
		if body["rsa_public_key"] == nil {
			body["rsa_public_key"] = ""
		}
		if body["key"] == nil {
			body["key"] = saved["key"]
		}
		return s.do("PATCH", path+"/"+saved["id"].(string), body) //nolint:forcetypeassert // a panic fails the test as well
	}
	body := map[string]any{"algorithm": alg}
	for from, to := range map[string]string{"credential_rsa_public_key": "rsa_public_key", "credential_iss": "key"} {
		if c[from] != nil {
			body[to] = c[from]
		}
	}
	return s.do("POST", path, body)
}

// saveLimit is what _save_rate_limits does for one.
func (s script) saveLimit(consumer any, l map[string]any) {
	s.t.Helper()
	path := "/apis/" + l["api"].(string) + "/plugins" //nolint:forcetypeassert // a panic fails the test as well
	var saved string
	for _, p := range s.data(path) {
		if p["name"] == "rate-limiting" && p["consumer_id"] == consumer {
			saved, _ = p["id"].(string)
		}
	}
	body := maps.Clone(l)
	delete(body, "api")
	delete(body, "state")
	body["name"], body["consumer_id"] = "rate-limiting", consumer
	switch {
	case l["state"] == "absent" && saved != "":
		s.do("DELETE", path+"/"+saved, nil)
	case l["state"] == "absent":
	case saved == "":
		s.do("POST", path, body)
	default:
		s.do("PATCH", path+"/"+saved, body)
	}
}

func TestSunbirdOnboarding(t *testing.T) {
	t.Parallel()
	s := script{newNode(t, options{version: Kong014, open: true, showSecrets: true})}
	content := map[string]any{
		"name": "readContent", "uris": "/content/v1/read", "upstream_url": s.upstream.URL + "/v3/read", "strip_uri": true,
		"plugins": []map[string]any{
			{"name": "jwt"},
			{"name": "cors"},
			{"name": "acl", "config.whitelist": []string{"contentAccess"}},
			{"name": "rate-limiting", "config.policy": "local", "config.hour": 3, "config.limit_by": "credential"},
			{"name": "request-size-limiting", "config.allowed_payload_size": 1},
		},
	}
	old := map[string]any{"name": "old", "uris": "/old", "upstream_url": s.upstream.URL, "plugins": []map[string]any{}}
	portal := map[string]any{"username": "portal", "groups": []string{"contentAccess", "other"}, "state": "present"}
	keyed := map[string]any{
		"username": "mobile_devicev2", "groups": []string{"contentAccess"}, "state": "present",
		"credential_algorithm": "RS256", "credential_iss": "mobilev2", "credential_rsa_public_key": publicKey(),
	}
	s.saveAPIs(content, old)
	first := s.saveConsumer(portal)
	s.saveConsumer(keyed)

	if got := s.data("/consumers/portal/acls"); len(got) != 2 || got[0]["consumer_id"] == nil || got[0]["consumer"] != nil {
		t.Errorf("groups are %v", got)
	}
	if at, _ := first["created_at"].(float64); at < 1e12 {
		t.Errorf("created_at = %v, want milliseconds", first["created_at"])
	}
	// The second run changes nothing, and prints the same token.
	portal["groups"] = []string{"contentAccess"}
	s.saveAPIs(content)
	again := s.saveConsumer(portal)
	if again["key"] != first["key"] || again["secret"] != first["secret"] || first["secret"] == nil {
		t.Errorf("the second run prints another credential: %v, was %v", again, first)
	}
	if s.exists("/apis/old") || s.exists("/services/old") {
		t.Error("an API that the file does not name is still there")
	}
	plugins := map[any]map[string]any{}
	for _, p := range s.data("/apis/readContent/plugins") {
		plugins[p["name"]], _ = p["config"].(map[string]any)
	}
	if len(plugins) != 5 || !cmp.Equal(plugins["acl"]["whitelist"], []any{"contentAccess"}) || plugins["rate-limiting"]["hour"] != 3.0 {
		t.Errorf("plugins are %v", plugins)
	}

	key, _ := first["key"].(string)
	value, _ := first["secret"].(string)
	token := hs256(t, key, value)
	if a := s.call("/content/v1/read/do_1", ""); a.status != 401 {
		t.Errorf("without a token: %d", a.status)
	}
	a := s.call("/content/v1/read/do_1", token)
	if a.status != 200 || a.doc["path"] != "/v3/read/do_1" || a.doc["x-consumer-username"] != "portal" || a.doc["x-consumer-groups"] != "contentAccess" {
		t.Fatalf("with the token: %d %s", a.status, a.text)
	}
	s.call("/content/v1/read/do_1", token)
	s.call("/content/v1/read/do_1", token)
	if a := s.call("/content/v1/read/do_1", token); a.status != 429 {
		t.Errorf("the fourth call of the hour is answered %d", a.status)
	}
	// A limit for this consumer alone takes the place of the API's.
	portal["rate_limits"] = []map[string]any{{"api": "readContent", "config.policy": "local", "config.hour": 50, "state": "present"}}
	s.saveConsumer(portal)
	s.saveConsumer(portal)
	if a := s.call("/content/v1/read/do_1", token); a.status != 200 {
		t.Errorf("with a limit of its own: %d %s", a.status, a.text)
	}
	portal["rate_limits"] = []map[string]any{{"api": "readContent", "state": "absent"}}
	s.saveConsumer(portal)
	if a := s.call("/content/v1/read/do_1", token); a.status != 429 {
		t.Errorf("without it again: %d %s", a.status, a.text)
	}
	portal["state"] = "absent"
	s.saveConsumer(portal)
	if a := s.call("/content/v1/read/do_1", token); a.status != 403 { // as Kong 0.14 has it
		t.Errorf("a consumer that is gone is answered %d %s", a.status, a.text)
	}
}

// TestKong014Shapes has what the scripts do not run into.
func TestKong014Shapes(t *testing.T) {
	t.Parallel()
	n := newNode(t, options{version: Kong014})
	n.must(201, "POST", "/consumers", map[string]any{"username": "bob"})
	n.must(201, "POST", "/consumers/bob/jwt", map[string]any{"key": "k"})
	for name, tc := range map[string]struct {
		request string
		body    map[string]any
		status  int
		text    string
	}{
		"taken":      {"POST /consumers", map[string]any{"username": "bob"}, 409, `{"username":"already exists with value 'bob'"}`},
		"taken key":  {"POST /consumers/bob/jwt", map[string]any{"key": "k"}, 409, `{"key":"already exists with value 'k'"}`},
		"schema":     {"POST /apis", map[string]any{"name": "a"}, 400, `{"upstream_url":"required field missing"}`},
		"config":     {"POST /plugins", map[string]any{"name": "jwt", "config.foo": 1}, 400, `{"config.foo":"unknown field"}`},
		"not there":  {"DELETE /consumers/nobody", nil, 404, `{"message":"Not found"}`},
		"empty list": {"GET /apis", nil, 200, `{"data":[],"total":0}`},
		"version":    {"GET /", nil, 200, ""},
	} {
		method, path, _ := strings.Cut(tc.request, " ")
		var body any
		if tc.body != nil {
			body = tc.body
		}
		a := n.ask(method, path, body)
		if a.status != tc.status || tc.text != "" && a.text != tc.text {
			t.Errorf("%s is answered %d %s, want %d %s", name, a.status, a.text, tc.status, tc.text)
		}
	}
	if v := n.must(200, "GET", "/", nil)["version"]; v != "0.14.1" {
		t.Errorf("version = %v", v)
	}
	made := n.must(201, "POST", "/apis", map[string]any{
		"name": "a", "uris": []string{"/a", "/b/[0-9]+"}, "hosts": "a.test,b.test", "upstream_url": "http://h:9000/x",
	})
	if !cmp.Equal(made["uris"], []any{"/a", "/b/[0-9]+"}) || !cmp.Equal(made["hosts"], []any{"a.test", "b.test"}) || made["upstream_url"] != "http://h:9000/x" {
		t.Errorf("an API is shown as %v", made)
	}
	if route := n.must(200, "GET", "/routes/a", nil); !cmp.Equal(route["paths"], []any{"/a", "~/b/[0-9]+"}) {
		t.Errorf("its route is %v", route)
	}
	if a := n.ask("POST", "/apis", map[string]any{"name": "a", "uris": "/c", "upstream_url": "http://h"}); a.status != 409 {
		t.Errorf("a name that is taken is answered %d %s", a.status, a.text)
	}
	if patched := n.must(200, "PATCH", "/apis/a", map[string]any{"strip_uri": false}); patched["strip_uri"] != false || patched["created_at"] != made["created_at"] {
		t.Errorf("PATCH made %v of %v", patched, made)
	}
	n.must(204, "DELETE", "/apis/a", nil)
	if a := n.ask("GET", "/routes/a", nil); a.status != 404 {
		t.Errorf("the route of a deleted API is answered %d", a.status)
	}
}
