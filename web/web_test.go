package web

import (
	"bytes"
	"compress/gzip"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func demo() http.Handler {
	return Handler(Options{Demo: &Demo{ClientID: "app_1", Bots: []string{"echo", "menu"}}})
}

// get asks h for a target with headers, given as name, value and so on.
func get(h http.Handler, target string, headers ...string) *httptest.ResponseRecorder {
	method, target, found := strings.Cut(target, " ")
	if !found {
		method, target = http.MethodGet, method
	}
	r := httptest.NewRequest(method, target, nil)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestHandlerServes(t *testing.T) {
	t.Parallel()
	h := demo()
	for target, want := range map[string]struct {
		status int
		media  string
	}{
		"/":                       {200, "text/html; charset=utf-8"},
		"HEAD /":                  {200, "text/html; charset=utf-8"},
		"/sdk/carnet.js":          {200, "text/javascript; charset=utf-8"},
		"/sdk/carnet-chat.js":     {200, "text/javascript; charset=utf-8"},
		"/sdk/carnet.global.js":   {200, "text/javascript; charset=utf-8"},
		"/demo/demo.js":           {200, "text/javascript; charset=utf-8"},
		"/demo/demo.css":          {200, "text/css; charset=utf-8"},
		"/demo/icon.svg":          {200, "image/svg+xml"},
		"/demo.json":              {200, "application/json"},
		"/demo/":                  {404, "text/plain; charset=utf-8"},
		"/sdk/":                   {404, "text/plain; charset=utf-8"},
		"/index.html":             {404, "text/plain; charset=utf-8"},
		"/sdk/src/index.ts":       {404, "text/plain; charset=utf-8"},
		"POST /":                  {405, "text/plain; charset=utf-8"},
		"POST /sdk/carnet.js":     {405, "text/plain; charset=utf-8"},
		"/sdk/%2e%2e/demo.json":   {404, "text/plain; charset=utf-8"},
		"/dist/demo/index.html":   {404, "text/plain; charset=utf-8"},
		"/demo/demo.js/../../../": {307, "text/html; charset=utf-8"}, // the mux shows the clean address
	} {
		t.Run(target, func(t *testing.T) {
			t.Parallel()
			w := get(h, target)
			if w.Code != want.status || w.Header().Get("Content-Type") != want.media {
				t.Errorf("status %d, content type %q, want %d, %q", w.Code, w.Header().Get("Content-Type"), want.status, want.media)
			}
			if body := w.Body.Len() > 0; w.Code == 200 && body == strings.HasPrefix(target, "HEAD") {
				t.Errorf("a body of %d bytes", w.Body.Len())
			}
		})
	}
}

func TestHandlerWithoutDemo(t *testing.T) {
	t.Parallel()
	h := Handler(Options{})
	for target, want := range map[string]int{
		"/sdk/carnet.js": 200, "/sdk/carnet-chat.js": 200,
		"/": 404, "/demo.json": 404, "/demo/demo.js": 404, "/demo/demo.css": 404,
	} {
		if w := get(h, target); w.Code != want {
			t.Errorf("%s: status %d, want %d", target, w.Code, want)
		}
	}
}

func TestDemoFacts(t *testing.T) {
	t.Parallel()
	var got map[string]any
	if err := json.Unmarshal(get(demo(), "/demo.json").Body.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"client_id": "app_1", "bots": []any{"echo", "menu"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("/demo.json (-want +got):\n%s", diff)
	}
}

// What is told of a script is true of what is served.
func TestScripts(t *testing.T) {
	t.Parallel()
	h := demo()
	var paths []string
	for _, s := range Scripts() {
		paths = append(paths, s.Path)
		w := get(h, s.Path+"?v="+s.Version)
		body := w.Body.Bytes()
		if w.Code != 200 || !strings.Contains(w.Header().Get("Cache-Control"), "immutable") {
			t.Errorf("%s is not the version %s: %d %q", s.Path, s.Version, w.Code, w.Header().Get("Cache-Control"))
		}
		sum := sha512.Sum384(body)
		if want := "sha384-" + base64.StdEncoding.EncodeToString(sum[:]); s.Integrity != want {
			t.Errorf("%s: integrity %s, want %s", s.Path, s.Integrity, want)
		}
		if zipped := get(h, s.Path, "Accept-Encoding", "gzip").Body.Len(); s.Size != len(body) || s.Gzip != zipped {
			t.Errorf("%s: %d and %d bytes, want %d and %d", s.Path, s.Size, s.Gzip, len(body), zipped)
		}
		if module := bytes.Contains(body, []byte("export{")); s.Module != module {
			t.Errorf("%s: Module %v, want %v", s.Path, s.Module, module)
		}
	}
	want := []string{"/sdk/carnet.js", "/sdk/carnet.global.js", "/sdk/carnet-chat.js"}
	if diff := cmp.Diff(want, paths); diff != "" {
		t.Errorf("scripts (-want +got):\n%s", diff)
	}
}

func TestFileCaching(t *testing.T) {
	t.Parallel()
	h := demo()
	first := get(h, "/sdk/carnet.js")
	etag := first.Header().Get("ETag")
	version := strings.Trim(etag, `"`)
	zipped := get(h, "/sdk/carnet.js", "Accept-Encoding", "gzip").Header().Get("ETag")
	if etag == zipped {
		t.Errorf("plain and compressed both have the ETag %s", etag)
	}
	const good, ask = "public, max-age=31536000, immutable", "no-cache"
	for name, tc := range map[string]struct {
		target  string
		headers []string
		status  int
		cache   string
	}{
		"first":                     {"/sdk/carnet.js", nil, 200, ask},
		"unchanged":                 {"/sdk/carnet.js", []string{"If-None-Match", etag}, 304, ask},
		"unchanged, weak":           {"/sdk/carnet.js", []string{"If-None-Match", `"x", W/` + etag}, 304, ask},
		"unchanged, compressed":     {"/sdk/carnet.js", []string{"If-None-Match", zipped, "Accept-Encoding", "gzip"}, 304, ask},
		"changed":                   {"/sdk/carnet.js", []string{"If-None-Match", `"x"`}, 200, ask},
		"of the other coding":       {"/sdk/carnet.js", []string{"If-None-Match", zipped}, 200, ask},
		"this version":              {"/sdk/carnet.js?v=" + version, nil, 200, good},
		"another version":           {"/sdk/carnet.js?v=x", nil, 200, ask},
		"no version":                {"/sdk/carnet.js?v=", nil, 200, ask},
		"another file's version":    {"/sdk/carnet-chat.js?v=" + version, nil, 200, ask},
		"a version beside the rest": {"/sdk/carnet.js?a=b&v=" + version, nil, 200, good},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := get(h, tc.target, tc.headers...)
			if w.Code != tc.status || w.Header().Get("Cache-Control") != tc.cache {
				t.Errorf("status %d, Cache-Control %q, want %d, %q", w.Code, w.Header().Get("Cache-Control"), tc.status, tc.cache)
			}
		})
	}
}

func TestFileCompression(t *testing.T) {
	t.Parallel()
	h := demo()
	plain := get(h, "/sdk/carnet-chat.js").Body.Bytes()
	for header, want := range map[string]bool{
		"": false, "gzip": true, "GZIP": true, "br, gzip": true, "deflate, gzip;q=1.0, *;q=0.5": true, "gzip; q=0.1": true,
		"br": false, "gzip;q=0": false, "gzip;q=0.000": false, "gzip;q=": false, "gzip;q=x": false, "xgzip": false,
	} {
		w := get(h, "/sdk/carnet-chat.js", "Accept-Encoding", header)
		if got := w.Header().Get("Content-Encoding") == "gzip"; got != want {
			t.Errorf("Accept-Encoding %q: compressed %v, want %v", header, got, want)
		}
		if w.Header().Get("Vary") != "Accept-Encoding" {
			t.Errorf("Accept-Encoding %q: caches are not told", header)
		}
		body := w.Body.Bytes()
		if want {
			z, err := gzip.NewReader(w.Body)
			if err != nil {
				t.Fatal(err)
			}
			if body, err = io.ReadAll(z); err != nil {
				t.Fatal(err)
			}
		}
		if !bytes.Equal(body, plain) {
			t.Errorf("Accept-Encoding %q: another content", header)
		}
	}
}

// The page must work under its own policy: no script or style within it, nothing of
// other origins. That the browser agrees is the end-to-end test's to show.
func TestPagePolicy(t *testing.T) {
	t.Parallel()
	w := get(demo(), "/")
	csp := w.Header().Get("Content-Security-Policy")
	for _, want := range []string{"default-src 'none'", "script-src 'self'", "connect-src 'self'", "frame-ancestors 'none'"} {
		if !strings.Contains(csp, want) {
			t.Errorf("policy %q lacks %q", csp, want)
		}
	}
	if strings.Contains(csp, "unsafe") {
		t.Errorf("policy %q is unsafe", csp)
	}
	page := w.Body.String()
	for name, forbidden := range map[string]*regexp.Regexp{
		"script within":     regexp.MustCompile(`<script[^>]*>[^<]`),
		"style within":      regexp.MustCompile(`<style|\sstyle=`),
		"handler within":    regexp.MustCompile(`\son[a-z]+=`),
		"other origin":      regexp.MustCompile(`(?:src|href)="(?:[a-z]+:)?//`),
		"code made of text": regexp.MustCompile(`javascript:`),
	} {
		if found := forbidden.FindString(page); found != "" {
			t.Errorf("%s: %s", name, found)
		}
	}
	for _, name := range []string{"/sdk/carnet-chat.js", "/sdk/carnet.js", "/sdk/carnet.global.js", "/demo/demo.js"} {
		script := get(demo(), name).Body.String()
		if found := regexp.MustCompile(`\beval\(|\bnew Function\b|innerHTML|document\.write|insertAdjacentHTML`).FindString(script); found != "" {
			t.Errorf("%s makes code of text: %s", name, found)
		}
	}
}

func TestSDKForOtherOrigins(t *testing.T) {
	t.Parallel()
	h := demo()
	for target, want := range map[string]string{"/sdk/carnet.js": "*", "/sdk/carnet-chat.js": "*", "/": "", "/demo.json": "", "/demo/demo.js": ""} {
		if got := get(h, target, "Origin", "https://shop.example").Header().Get("Access-Control-Allow-Origin"); got != want {
			t.Errorf("%s: Access-Control-Allow-Origin %q, want %q", target, got, want)
		}
	}
}
