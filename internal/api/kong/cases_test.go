package kong

import (
	"bytes"
	"encoding/json"
	"mime/multipart"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// kongCase is one of testdata/kong/cases.json.
type kongCase struct {
	ID, Name string
	Expect   struct {
		Status   int
		BodyHas  map[string]any `json:"body_has"`
		BodyJSON map[string]any `json:"body_json"`
		Fields   map[string]any
	}
	Steps []string
}

func kongCases(t *testing.T, section string) []kongCase {
	t.Helper()
	data, err := os.ReadFile("../../../testdata/kong/cases.json")
	if err != nil {
		t.Fatal(err)
	}
	var all map[string]json.RawMessage
	if err := json.Unmarshal(data, &all); err != nil {
		t.Fatal(err)
	}
	var cases []kongCase
	if err := json.Unmarshal(all[section], &cases); err != nil {
		t.Fatal(err)
	}
	return cases
}

var alnum32 = regexp.MustCompile(`^[A-Za-z0-9]{32}$`)

// has checks a member against what the case says of it, in words or as a value.
func (c *kongCase) has(t *testing.T, n *node, doc map[string]any, name string, want any) {
	t.Helper()
	got := any(doc)
	for step := range strings.SplitSeq(name, ".") {
		m, _ := got.(map[string]any)
		got = m[step]
	}
	text, _ := got.(string)
	var ok bool
	switch want {
	case "id of bob":
		ok = got == n.must(200, "GET", "/consumers/bob", nil)["id"]
	case "uuid":
		ok = isUUID(text)
	case "32 alnum", "matches ^[A-Za-z0-9]{32}$":
		ok = alnum32.MatchString(text)
	case "unix seconds":
		at, is := got.(float64)
		ok = is && at > 1.7e9 && at < 1e11
	case "array":
		_, ok = got.([]any)
	default:
		ok = cmp.Equal(got, want)
	}
	if !ok {
		t.Errorf("%s = %v, want %v", name, got, want)
	}
}

// requests are what the cases send, where their own words cannot be sent as they are.
// Each runs on a node that has the consumer bob, with a credential of the key "known".
var requests = map[string]func(n *node) answer{
	"admin_api-001": func(n *node) answer { return n.ask("POST", "/consumers/bob/jwt/", map[string]any{}) },
	"admin_api-003": func(n *node) answer {
		return n.ask("POST", "/consumers/bob/jwt/", map[string]any{"key": "bob2", "secret": "tooshort"})
	},
	"admin_api-005": func(n *node) answer {
		crlf := strings.ReplaceAll(publicKey(), "\n", "\r\n")
		return n.form("POST", "/consumers/bob/jwt/", url.Values{"key": {"bob3"}, "algorithm": {"RS256"}, "rsa_public_key": {crlf}})
	},
	"admin_api-007": func(n *node) answer {
		n.must(201, "POST", "/consumers", map[string]any{"username": "mobile_devicev2"})
		var body bytes.Buffer
		w := multipart.NewWriter(&body)
		_ = w.WriteField("key", "mobile_devicev2_key1")
		_ = w.WriteField("algorithm", "RS256")
		part, err := w.CreateFormFile("rsa_public_key", "key.pem")
		if err != nil {
			n.t.Fatal(err)
		}
		_, _ = part.Write([]byte(publicKey()))
		_ = w.Close()
		return n.send("POST", n.api.URL+"/consumers/mobile_devicev2/jwt", w.FormDataContentType(), &body, asAdmin)
	},
	"admin_api-009": func(n *node) answer {
		return n.ask("POST", "/consumers/bob/jwt/", map[string]any{"key": "bob5", "algorithm": "RS256", "rsa_public_key": "test"})
	},
	"admin_api-010": func(n *node) answer {
		return n.ask("POST", "/consumers/bob/jwt/", map[string]any{"key": "bob5", "algorithm": "HS256"})
	},
	"admin_api-014": func(n *node) answer { return n.ask("GET", "/consumers/bob/jwt/", nil) },
	"admin_api-015": func(n *node) answer {
		id, _ := n.must(200, "GET", "/jwts/known", nil)["id"].(string)
		return n.ask("GET", "/consumers/bob/jwt/"+id, nil)
	},
	"admin_api-017": func(n *node) answer { return n.ask("PUT", "/consumers/bob/jwt/abcd", map[string]any{}) },
	"admin_api-018": func(n *node) answer {
		id, _ := n.must(200, "GET", "/jwts/known", nil)["id"].(string)
		return n.ask("PATCH", "/consumers/bob/jwt/"+id, map[string]any{"key": "alice", "secret": "newsecret"})
	},
	"admin_api-021": func(n *node) answer { return n.ask("DELETE", "/consumers/bob/jwt/blah", nil) },
	"admin_api-022": func(n *node) answer {
		a := n.ask("GET", "/jwts/", nil)
		if b := n.ask("GET", "/jwts", nil); a.text != b.text {
			n.t.Errorf("with a slash %s, without %s", a.text, b.text)
		}
		return a
	},
	"admin_api-025": func(n *node) answer {
		id := n.must(200, "GET", "/consumers/bob", nil)["id"]
		return n.ask("POST", "/jwts", map[string]any{"key": "key", "consumer": map[string]any{"id": id}})
	},
	"admin_api-026": func(n *node) answer { return n.ask("PUT", "/jwts/key", map[string]any{}) },
	"admin_api-027": func(n *node) answer {
		id := n.must(200, "GET", "/consumers/bob", nil)["id"]
		return n.ask("PUT", "/jwts/key", map[string]any{"consumer": map[string]any{"id": id}})
	},
	"admin_api-028": func(n *node) answer {
		id, _ := n.must(200, "GET", "/jwts/known", nil)["id"].(string)
		byKey, byID := n.ask("GET", "/jwts/known/consumer", nil), n.ask("GET", "/jwts/"+id+"/consumer", nil)
		if byKey.text != byID.text || byKey.text != n.ask("GET", "/consumers/bob", nil).text {
			n.t.Errorf("by key %s, by id %s: want bob", byKey.text, byID.text)
		}
		return byID
	},
	"admin_api-030": func(n *node) answer {
		if a := n.form("POST", "/consumers", url.Values{"username": {"by-form"}}); a.status != 201 {
			n.t.Errorf("form is answered %d: %s", a.status, a.text)
		}
		var body bytes.Buffer
		w := multipart.NewWriter(&body)
		_ = w.WriteField("username", "by-parts")
		_ = w.Close()
		if a := n.send("POST", n.api.URL+"/consumers", w.FormDataContentType(), &body, asAdmin); a.status != 201 {
			n.t.Errorf("multipart is answered %d: %s", a.status, a.text)
		}
		return n.ask("POST", "/consumers", map[string]any{"username": "u"})
	},
	"admin_api-031": func(n *node) answer { return n.ask("POST", "/consumers", map[string]any{}) },
	"admin_api-032": func(n *node) answer {
		n.must(201, "POST", "/consumers", map[string]any{"username": "taken"})
		return n.ask("POST", "/consumers", map[string]any{"username": "taken"})
	},
	"admin_api-034": func(n *node) answer {
		return n.send("POST", n.api.URL+"/consumers", "invalid", strings.NewReader("x"), asAdmin)
	},
	"admin_api-035": func(n *node) answer {
		return n.send("POST", n.api.URL+"/consumers", "application/json", strings.NewReader(""), asAdmin)
	},
}

func TestAdminAPICases(t *testing.T) {
	t.Parallel()
	for _, c := range kongCases(t, "admin_api") {
		if c.ID == "admin_api-023" {
			continue // pages: TestPages
		}
		t.Run(c.ID, func(t *testing.T) {
			t.Parallel()
			n := newNode(t, options{})
			n.must(201, "POST", "/consumers", map[string]any{"username": "bob"})
			n.must(201, "POST", "/consumers/bob/jwt", map[string]any{"key": "known", "secret": "s"})
			request := requests[c.ID]
			if request == nil {
				t.Fatalf("nothing sends %s (%s)", c.ID, c.Name)
			}
			a := request(n)
			if a.status != c.Expect.Status {
				t.Fatalf("%s is answered %d, want %d: %s", c.Name, a.status, c.Expect.Status, a.text)
			}
			for name, want := range c.Expect.BodyHas {
				c.has(t, n, a.doc, name, want)
			}
			if c.Expect.BodyJSON != nil && !cmp.Equal(a.doc, c.Expect.BodyJSON) {
				t.Errorf("body is %s, want %v", a.text, c.Expect.BodyJSON)
			}
			for name, want := range c.Expect.Fields {
				got, _ := a.doc["fields"].(map[string]any)
				if !cmp.Equal(got[name], want) {
					t.Errorf("fields.%s = %v, want %v", name, got[name], want)
				}
			}
		})
	}
}

// TestPages is admin_api-023, and that no entry is lost between pages.
func TestPages(t *testing.T) {
	t.Parallel()
	n := newNode(t, options{})
	n.must(201, "POST", "/consumers", map[string]any{"username": "bob"})
	want := map[string]bool{}
	for _, key := range []string{"a", "b", "c"} {
		n.must(201, "POST", "/consumers/bob/jwt", map[string]any{"key": key})
		n.must(201, "POST", "/consumers", map[string]any{"username": "u" + key})
		n.must(201, "POST", "/services", map[string]any{"name": "s" + key, "host": "h"})
		want[key] = true
	}
	for path, tc := range map[string]struct {
		member string
		prefix string
		more   int
	}{
		"/jwts": {"key", "", 0}, "/consumers/bob/jwt": {"key", "", 0},
		"/consumers": {"username", "u", 1}, "/services": {"name", "s", 0},
	} {
		seen := map[string]bool{}
		next := path + "?size=1"
		for pages := 1; ; pages++ {
			doc := n.must(200, "GET", next, nil)
			data, _ := doc["data"].([]any)
			if len(data) != 1 {
				t.Fatalf("%s has %d entries, want 1", next, len(data))
			}
			one, _ := data[0].(map[string]any)
			name, _ := one[tc.member].(string)
			seen[strings.TrimPrefix(name, tc.prefix)] = true
			offset, hasOffset := doc["offset"]
			if doc["next"] == nil {
				if hasOffset {
					t.Errorf("the last page of %s has the offset %v", path, offset)
				}
				if pages != len(want)+tc.more {
					t.Errorf("%s has %d pages", path, pages)
				}
				break
			}
			link, _ := doc["next"].(string)
			if u, err := url.Parse(link); err != nil || u.Path != path || u.Query().Get("size") != "1" || u.Query().Get("offset") != offset {
				t.Fatalf("next = %q with offset %v", link, offset)
			}
			next = link
		}
		for key := range want {
			if !seen[key] {
				t.Errorf("%s lacks %s: %v", path, key, seen)
			}
		}
	}
	for _, q := range []string{"size=0", "size=1001", "size=x", "offset=%21", "offset=eA", "tags=a,b/c"} {
		if a := n.ask("GET", "/jwts?"+q, nil); a.status != 400 || a.doc["code"] == nil {
			t.Errorf("?%s is answered %d: %s", q, a.status, a.text)
		}
	}
}

func TestInvalidationCases(t *testing.T) {
	t.Parallel()
	if got := len(kongCases(t, "invalidation")); got != 2 {
		t.Fatalf("there are %d cases of invalidation, and 2 here", got)
	}
	setup := func(t *testing.T) *node {
		n := newNode(t, options{})
		n.service("echo", "/echo")
		n.must(201, "POST", "/services/echo/plugins", map[string]any{"name": "jwt"})
		n.must(201, "POST", "/consumers", map[string]any{"username": "bob"})
		n.must(201, "POST", "/consumers/bob/jwt", map[string]any{"key": "key123", "secret": "s3cret"})
		return n
	}
	wants := func(n *node, status int, iss string) {
		n.t.Helper()
		if a := n.call("/echo", hs256(n.t, iss, "s3cret")); a.status != status {
			n.t.Errorf("iss %s is answered %d, want %d: %s", iss, a.status, status, a.text)
		}
	}
	t.Run("invalidation-001", func(t *testing.T) {
		t.Parallel()
		n := setup(t)
		wants(n, 200, "key123")
		n.must(204, "DELETE", "/consumers/bob/jwt/key123", nil)
		wants(n, 401, "key123")
	})
	t.Run("invalidation-002", func(t *testing.T) {
		t.Parallel()
		n := setup(t)
		wants(n, 200, "key123")
		wants(n, 401, "keyhello")
		n.must(200, "PATCH", "/consumers/bob/jwt/key123", map[string]any{"key": "keyhello"})
		wants(n, 200, "keyhello")
		wants(n, 401, "key123")
	})
}
