package kong

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/carnetproject/carnet/internal/secret"
)

func TestAuthentication(t *testing.T) {
	t.Parallel()
	closed, open := newNode(t, options{}), newNode(t, options{open: true})
	for name, tc := range map[string]struct {
		n      *node
		header http.Header
		status int
	}{
		"nothing shown":              {closed, nil, 401},
		"bearer":                     {closed, asAdmin, 200},
		"Kong's header":              {closed, http.Header{"Kong-Admin-Token": {adminSecret}}, 200},
		"another secret":             {closed, http.Header{"Authorization": {"Bearer " + adminSecret + "x"}}, 401},
		"another scheme":             {closed, http.Header{"Authorization": {"Basic " + adminSecret}}, 401},
		"empty":                      {closed, http.Header{"Kong-Admin-Token": {""}}, 401},
		"open":                       {open, nil, 200},
		"open, for a page":           {open, http.Header{"Origin": {"https://evil.example"}}, 403},
		"open, for a page's picture": {open, http.Header{"Sec-Fetch-Site": {"cross-site"}}, 403},
		"open, typed by a person":    {open, http.Header{"Sec-Fetch-Site": {"none"}}, 200},
	} {
		for _, path := range []string{"/consumers", "/nothing", "/", "/status"} {
			want := tc.status
			if want == 200 && path == "/nothing" {
				want = 404
			}
			a := tc.n.send("GET", tc.n.api.URL+path, "", nil, tc.header)
			if a.status != want {
				t.Errorf("%s: GET %s is answered %d, want %d", name, path, a.status, want)
			}
			if want == 401 && (a.text != `{"message":"Unauthorized"}` || a.header.Get("WWW-Authenticate") != "Bearer") {
				t.Errorf("%s: %s, WWW-Authenticate %q", name, a.text, a.header.Get("WWW-Authenticate"))
			}
			if a.header.Get("Cache-Control") != "no-store" {
				t.Errorf("%s: GET %s may be cached", name, path)
			}
		}
	}
}

func TestEmptySecretLetsNobodyIn(t *testing.T) {
	t.Parallel()
	h := New(Config{})
	for _, shown := range []string{"", " ", "x"} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Kong-Admin-Token", shown)
		if p := h.authenticate(r); p == nil {
			t.Errorf("%q is let in", shown)
		}
	}
	if !(secret.Bytes{}).Equal(secret.FromString("")) {
		t.Error("the case that this is about does not exist")
	}
}

func TestPathsAndMethods(t *testing.T) {
	t.Parallel()
	n := newNode(t, options{})
	n.service("s", "/s")
	n.must(201, "POST", "/consumers", map[string]any{"username": "bob"})
	n.must(201, "POST", "/consumers/bob/acls", map[string]any{"group": "g"})
	for request, want := range map[string]int{
		"GET /":                            200,
		"POST /":                           405,
		"GET /status":                      200,
		"GET /plugins/enabled":             200,
		"DELETE /plugins/enabled":          405,
		"GET /services/":                   200,
		"GET /services/s/":                 200,
		"GET /services/s/routes/":          200,
		"GET /services/s/routes/s-route":   200,
		"GET /routes/s-route/service":      200,
		"GET /services/t":                  404,
		"GET /services/t/routes":           404,
		"GET /services/s/consumers":        404,
		"GET /services/s/routes/t/plugins": 404,
		"GET /nothing":                     404,
		"GET /apis":                        404, // Kong 3 has none
		"DELETE /services":                 405,
		"PATCH /consumers":                 405,
		"POST /services/s":                 405,
		"DELETE /services/unknown":         204,
		"DELETE /plugins/unknown":          204,
		"DELETE /consumers/unknown":        204,
		"DELETE /services/s/routes/t":      404,
		"DELETE /services/s":               400, // it has a route
		"PATCH /services/t":                404,
		"GET /consumers/%00":               404,
		"GET /consumers/bob%2F":            404,
		"GET /consumers/%zz":               400, // not a path of HTTP
		"GET /consumers/bob/acls/g":        200,
		"PATCH /consumers/bob/acls/g":      405,
		"GET /acls":                        200,
		"GET /acls/g":                      404,
		"DELETE /consumers/bob/acls/other": 404,
		"DELETE /consumers/bob/acls/g":     204,
	} {
		method, path, _ := strings.Cut(request, " ")
		if strings.Contains(path, "%zz") {
			continue // the client refuses to send it; net/http refuses to read it
		}
		var body any
		if method == "PATCH" || method == "POST" {
			body = map[string]any{}
		}
		if method == "DELETE" && want == 204 && strings.HasSuffix(path, "acls/g") {
			defer func() {
				if a := n.ask(method, path, body); a.status != want || a.text != "" {
					t.Errorf("%s is answered %d %s, want %d", request, a.status, a.text, want)
				}
			}()
			continue
		}
		a := n.ask(method, path, body)
		if a.status != want {
			t.Errorf("%s is answered %d, want %d: %s", request, a.status, want, a.text)
		}
		switch a.status {
		case 404:
			if a.text != `{"message":"Not found"}` {
				t.Errorf("%s: %s", request, a.text)
			}
		case 405:
			if a.text != `{"message":"Method not allowed"}` {
				t.Errorf("%s: %s", request, a.text)
			}
		}
	}
}

func TestBodies(t *testing.T) {
	t.Parallel()
	n := newNode(t, options{})
	for name, tc := range map[string]struct {
		media, body string
		status      int
	}{
		"JSON":                  {"application/json", `{"username":"a"}`, 201},
		"JSON with charset":     {"application/json; charset=utf-8", `{"username":"b"}`, 201},
		"form":                  {"application/x-www-form-urlencoded", "username=c&tags=x&tags[]=y&tags[2]=z", 201},
		"no media type":         {"", `{"username":"d"}`, 415},
		"text":                  {"text/plain", "username=e", 415},
		"no JSON":               {"application/json", "username=f", 400},
		"JSON list":             {"application/json", `[]`, 400},
		"JSON null":             {"application/json", `null`, 400},
		"two JSON values":       {"application/json", `{"username":"g"}{}`, 400},
		"a member twice":        {"application/json", `{"username":"h","username":"i"}`, 400},
		"deep JSON":             {"application/json", `{"username":` + strings.Repeat("[", 1000) + strings.Repeat("]", 1000) + `}`, 400},
		"form with bad escape":  {"application/x-www-form-urlencoded", "username=%zz", 400},
		"form with a bad index": {"application/x-www-form-urlencoded", "tags[x]=1", 400},
		"form that is a record": {"application/x-www-form-urlencoded", "a=1&a.b=2", 400},
		"too large":             {"application/json", `{"username":"` + strings.Repeat("x", maxBody) + `"}`, 413},
		"parts without border":  {"multipart/form-data", "x", 400},
		"broken parts":          {"multipart/form-data; boundary=b", "--b\r\nno header", 400},
	} {
		if a := n.send("POST", n.api.URL+"/consumers", tc.media, strings.NewReader(tc.body), asAdmin); a.status != tc.status {
			t.Errorf("%s is answered %d, want %d: %s", name, a.status, tc.status, a.text)
		}
	}
	if tags := n.must(200, "GET", "/consumers/c", nil)["tags"]; !cmp.Equal(tags, []any{"x", "y", "z"}) {
		t.Errorf("tags of a form are %v", tags)
	}
}

// TestSecretsStayIn is about who is told a secret: those who set it, and others only if
// the operator says so.
func TestSecretsStayIn(t *testing.T) {
	t.Parallel()
	const value = "kept-to-ourselves"
	for _, shows := range []bool{false, true} {
		n := newNode(t, options{showSecrets: shows})
		n.must(201, "POST", "/consumers", map[string]any{"username": "bob"})
		made := n.must(201, "POST", "/consumers/bob/jwt", map[string]any{"key": "k", "secret": value})
		if made["secret"] != value {
			t.Errorf("who made it is told %v", made["secret"])
		}
		for _, request := range []string{
			"GET /jwts", "GET /jwts/k", "GET /consumers/bob/jwt", "GET /consumers/bob/jwt/k", "GET /consumers/bob", "PATCH /jwts/k",
			"GET /", "GET /consumers",
		} {
			method, path, _ := strings.Cut(request, " ")
			var body any
			if method == "PATCH" {
				body = map[string]any{"tags": []string{"x"}}
			}
			a := n.ask(method, path, body)
			if want := shows && strings.Contains(path, "jwt"); strings.Contains(a.text, value) != want || a.status != 200 {
				t.Errorf("show_secrets %v: %s is answered %d %s", shows, request, a.status, a.text)
			}
		}
		if a := n.ask("PATCH", "/jwts/k", map[string]any{"secret": "another"}); a.doc["secret"] != "another" {
			t.Errorf("who changes it is told %s", a.text)
		}
		if a := n.ask("POST", "/consumers/bob/jwt", map[string]any{"key": "k", "secret": value}); a.status != 409 || strings.Contains(a.text, value) {
			t.Errorf("a refusal is %d %s", a.status, a.text)
		}
		replaced := n.must(200, "PUT", "/consumers/bob/jwt/k", map[string]any{})
		if s, _ := replaced["secret"].(string); !alnum32.MatchString(s) {
			t.Errorf("a credential that is replaced without a secret gets %q", s)
		}
	}
}

func TestEntityLife(t *testing.T) {
	t.Parallel()
	n := newNode(t, options{})
	service, route := n.service("s", "/s")
	for name, want := range map[string]any{
		"protocol": "http", "retries": 5.0, "connect_timeout": 60000.0, "enabled": true, "path": nil, "tags": nil, "ca_certificates": nil,
	} {
		if service[name] != want {
			t.Errorf("service.%s = %v, want %v", name, service[name], want)
		}
	}
	if to, _ := route["service"].(map[string]any); to["id"] != service["id"] {
		t.Errorf("route.service = %v", route["service"])
	}
	n.must(200, "GET", "/routes/s-route", nil)
	if a := n.call("/s", ""); a.status != 200 {
		t.Fatalf("the gateway answers %d", a.status)
	}
	// A change is in force with its answer.
	n.must(200, "PATCH", "/routes/s-route", map[string]any{"paths": []string{"/t"}, "tags": []string{"x"}})
	if a, b := n.call("/s", ""), n.call("/t", ""); a.status != 404 || b.status != 200 {
		t.Errorf("/s is answered %d and /t %d, want 404 and 200", a.status, b.status)
	}
	patched := n.must(200, "GET", "/services/s/routes/s-route", nil)
	if patched["id"] != route["id"] || patched["created_at"] != route["created_at"] || patched["strip_path"] != true {
		t.Errorf("PATCH made %v of %v", patched, route)
	}
	// PUT replaces: what it leaves out is as if never said.
	put := n.must(200, "PUT", "/services/s/routes/s-route", map[string]any{"hosts": []string{"s.test"}})
	if put["paths"] != nil || put["tags"] != nil || put["id"] != route["id"] || put["name"] != "s-route" {
		t.Errorf("PUT made %v", put)
	}
	id := "0b3a1f5e-1c7d-4c7e-9b0a-2f6f3b1c9d11"
	if made := n.must(200, "PUT", "/services/"+id, map[string]any{"host": "h"}); made["id"] != id || made["name"] != nil {
		t.Errorf("PUT of an id made %v", made)
	}
	if again := n.ask("POST", "/services", map[string]any{"id": id, "host": "h"}); again.status != 409 {
		t.Errorf("an id that is taken is answered %d", again.status)
	}
	taken := n.ask("POST", "/services", map[string]any{"name": "s", "host": "h"})
	if want := map[string]any{
		"code": 5.0, "name": "unique constraint violation", "message": `UNIQUE violation detected on '{name="s"}'`,
		"fields": map[string]any{"name": "s"},
	}; taken.status != 409 || !cmp.Equal(taken.doc, want) {
		t.Errorf("a name that is taken is answered %d %s", taken.status, taken.text)
	}
	dangling := n.ask("POST", "/routes", map[string]any{"paths": []string{"/x"}, "service": map[string]any{"id": "0b3a1f5e-1c7d-4c7e-9b0a-2f6f3b1c9d12"}})
	if dangling.status != 400 || dangling.doc["code"] != 4.0 {
		t.Errorf("a service that is not there is answered %d %s", dangling.status, dangling.text)
	}
	// What hangs on something goes with it.
	n.must(201, "POST", "/services/s/plugins", map[string]any{"name": "jwt"})
	n.must(201, "POST", "/routes/s-route/plugins", map[string]any{"name": "acl", "config": map[string]any{"allow": []string{"g"}}})
	n.must(204, "DELETE", "/routes/s-route", nil)
	n.must(204, "DELETE", "/services/s", nil)
	if all := n.must(200, "GET", "/plugins", nil); !cmp.Equal(all["data"], []any{}) {
		t.Errorf("plugins that are left: %v", all["data"])
	}
}

func TestURLOfAService(t *testing.T) {
	t.Parallel()
	n := newNode(t, options{})
	for url, want := range map[string]map[string]any{
		"http://h":                 {"protocol": "http", "host": "h", "port": 80.0, "path": nil},
		"https://h":                {"protocol": "https", "host": "h", "port": 443.0, "path": nil},
		"http://h:9000/a/b":        {"protocol": "http", "host": "h", "port": 9000.0, "path": "/a/b"},
		"http://[::1]:9000":        {"protocol": "http", "host": "::1", "port": 9000.0, "path": nil},
		"ftp://h":                  nil,
		"nonsense":                 nil,
		"http://user:secret@h/":    nil,
		"internal://nothing":       nil,
		"http://h:99999":           nil,
		"http://h:80/a?query=lost": nil,
	} {
		a := n.ask("POST", "/services", map[string]any{"url": url})
		if want == nil {
			if a.status != 400 {
				t.Errorf("%s is answered %d %s", url, a.status, a.text)
			}
			continue
		}
		for name, v := range want {
			if a.status != 201 || a.doc[name] != v {
				t.Errorf("%s: %s = %v, want %v: %s", url, name, a.doc[name], v, a.text)
			}
		}
	}
}

func TestTags(t *testing.T) {
	t.Parallel()
	n := newNode(t, options{})
	for name, tags := range map[string][]string{"a": {"x"}, "b": {"x", "y"}, "c": {"y"}, "d": nil} {
		n.must(201, "POST", "/services", map[string]any{"name": name, "host": "h", "tags": tags})
		n.must(201, "POST", "/consumers", map[string]any{"username": name, "tags": tags})
	}
	for query, want := range map[string]string{"": "abcd", "x": "ab", "x,y": "b", "x/y": "abc", "z": ""} {
		for path, member := range map[string]string{"/services": "name", "/consumers": "username"} {
			doc := n.must(200, "GET", path+"?tags="+url.QueryEscape(query), nil)
			data, _ := doc["data"].([]any)
			got := map[string]bool{}
			for _, v := range data {
				one, _ := v.(map[string]any)
				name, _ := one[member].(string)
				got[name] = true
			}
			if len(got) != len(want) {
				t.Errorf("%s with tags %q: %v, want %s", path, query, got, want)
			}
			for _, name := range want {
				if !got[string(name)] {
					t.Errorf("%s with tags %q lacks %c", path, query, name)
				}
			}
		}
	}
	if a := n.ask("POST", "/services", map[string]any{"host": "h", "tags": []string{"a,b"}}); a.status != 400 {
		t.Errorf("a tag with a comma is answered %d", a.status)
	}
}
