package gateway

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/carnetproject/carnet/internal/httpx"
)

// documented is the first block of a language in a file of docs.
func documented(t *testing.T, file, language string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../../docs", file))
	if err != nil {
		t.Fatal(err)
	}
	_, after, ok := strings.Cut(string(text), "\n```"+language+"\n")
	block, _, closed := strings.Cut(after, "\n```\n")
	if !ok || !closed {
		t.Fatalf("%s has no block of %s", file, language)
	}
	return block
}

// nginx runs Debian's nginx as docs/beside.md says, between a gateway and an
// upstream. It returns where nginx listens.
func nginx(t *testing.T, gateway, upstream *httptest.Server) (address string) {
	t.Helper()
	path, err := exec.LookPath("nginx")
	if err != nil {
		if path, err = exec.LookPath("/usr/sbin/nginx"); err != nil {
			t.Fatal("nginx is needed: scripts/setup-test installs it")
		}
	}
	l := must(new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0"))
	defer func() { _ = l.Close() }() // nginx has its own copy
	address = l.Addr().String()
	server := documented(t, "beside.md", "nginx")
	for old, here := range map[string]string{
		"listen 80;":  "listen " + address + ";",
		"carnet:8000": gateway.Listener.Addr().String(),
		"app:9000":    upstream.Listener.Addr().String(),
	} {
		if !strings.Contains(server, old) {
			t.Fatalf("docs/beside.md does not say %q", old)
		}
		server = strings.ReplaceAll(server, old, here)
	}
	dir := t.TempDir()
	config := "daemon off; worker_processes 1; pid nginx.pid; error_log stderr;\nevents {}\nhttp {\naccess_log off;\n"
	if os.Geteuid() == 0 {
		config = "user root;\n" + config
	}
	for _, kind := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		config += fmt.Sprintf("%s_temp_path %s;\n", kind, filepath.Join(dir, kind))
	}
	file := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(file, []byte(config+server+"\n}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	socket, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = socket.Close() }()
	var log bytes.Buffer
	cmd := exec.CommandContext(t.Context(), path, "-p", dir, "-e", "stderr", "-c", file)
	// It takes over the listener as from an older nginx: so clients need not wait for it.
	cmd.ExtraFiles, cmd.Env = []*os.File{socket}, append(os.Environ(), "NGINX=3;")
	cmd.Stdout, cmd.Stderr = &log, &log
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) } // so that it ends its worker, too
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Wait() // the end of the test's context ends it
		if t.Failed() {
			t.Logf("nginx said:\n%s", log.String())
		}
	})
	return address
}

// get sends a request through nginx.
func get(t *testing.T, address, target string, lines ...string) answer {
	t.Helper()
	return raw(t, address, []byte("GET "+target+" HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n"+strings.Join(append(lines, ""), "\r\n")+"\r\n"))
}

func TestBesideNginx(t *testing.T) {
	t.Parallel()
	upstream := newEcho(t)
	two := 2
	cfg := oneRoute("http://elsewhere", Plugins{JWT: &JWT{}, ACL: &ACL{Allow: []string{"staff"}}})
	cfg.VerifyPath = "/verify"
	cfg.Services[0].Routes[0].Hosts = []string{"shop.example"}
	cfg.Services[0].Routes = append(
		cfg.Services[0].Routes,
		Route{Name: "open", Hosts: []string{"shop.example"}, Paths: []string{"/open"}, Methods: []string{"GET"}},
		Route{Name: "some", Paths: []string{"/some"}, Plugins: Plugins{RateLimiting: &RateLimiting{Hour: &two, LimitBy: "ip"}}},
		Route{Name: "tls", Paths: []string{"/tls"}, Protocols: []string{"https"}},
		Route{Name: "elsewhere", Hosts: []string{"open.example"}},
	)
	_, server := newGateway(t, Options{Config: cfg, Trusts: httpx.Trusts(here), ClientAddr: httpx.ClientAddr(here)})
	at := nginx(t, server, upstream)
	app := "Authorization: Bearer " + hs(appSecret, "app-key")

	for name, tc := range map[string]struct {
		target string
		lines  []string
		status int
	}{
		"token":               {"/demo/x?y=z", []string{app}, 200},
		"token in the query":  {"/demo?jwt=" + hs(appSecret, "app-key"), nil, 200},
		"no token":            {"/demo", nil, 401},
		"bad token":           {"/demo", []string{app + "x"}, 401},
		"wrong group":         {"/demo", []string{"Authorization: Bearer " + deviceToken("mobilev2", nil)}, 403},
		"no route":            {"/nowhere", []string{app}, 404},
		"for everybody":       {"/open", nil, 200},
		"plain HTTP":          {"/tls", nil, 426},
		"two ways to read it": {"/open/%2e%2e%2fdemo", nil, 400},
		"dot segments":        {"/open/../demo", nil, 401},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := get(t, at, tc.target, tc.lines...)
			if a.status != tc.status {
				t.Errorf("%d %s, want %d", a.status, a.body, tc.status)
			}
			if got := a.header.Get("Www-Authenticate"); (got != "") != (tc.status == 401) {
				t.Errorf("%d with WWW-Authenticate %q", a.status, got)
			}
		})
	}
	t.Run("limit", func(t *testing.T) {
		t.Parallel()
		for i, want := range []int{200, 200, 429} {
			if a := get(t, at, "/some"); a.status != want || (a.header.Get("Retry-After") != "") != (want == 429) {
				t.Errorf("request %d: %d %v, want %d", i, a.status, a.header, want)
			}
		}
	})
	t.Run("what the upstream gets", func(t *testing.T) {
		t.Parallel()
		up := get(t, at, "/demo/x?y=z", append([]string{app}, besideSpoofs...)...).seen(t)
		want := map[string]string{
			"X-Consumer-Username": "app", "X-Consumer-Custom-Id": "app-1", "X-Consumer-Groups": "mobileAdmin, staff",
			"X-Credential-Identifier": "app-key", "X-Anonymous-Consumer": "",
		}
		for name, value := range want {
			if got := strings.Join(up.Header.Values(name), "|"); got != value {
				t.Errorf("%s %q, want %q", name, got, value)
			}
		}
		if up.URI != "/demo/x?y=z" || up.Header.Get("X-Consumer-Id") == "evil" {
			t.Errorf("the upstream got %+v", up)
		}
	})
}

// besideSpoofs are what a client could hope to be believed in.
var besideSpoofs = []string{
	"X-Consumer-ID: evil", "X-Consumer-Username: evil", "X-Consumer-Groups: evil", "X-Consumer-Custom-ID: evil",
	"X-Credential-Identifier: evil", "X-Anonymous-Consumer: evil", "X_Consumer_ID: evil",
	"X-Original-Method: GET", "X-Original-URI: /open", "X-Original-Host: open.example",
	"X_Original_URI: /open", "Content-Length: 0",
}

// A client that answers Carnet's question in nginx's place is not heard.
func TestNginxCannotBeSpoofed(t *testing.T) {
	t.Parallel()
	upstream := newEcho(t)
	cfg := oneRoute("http://elsewhere", Plugins{JWT: &JWT{}})
	cfg.VerifyPath = "/verify"
	cfg.Services[0].Routes[0].Hosts = []string{"shop.example"}
	cfg.Services[0].Routes = append(cfg.Services[0].Routes,
		Route{Name: "open", Paths: []string{"/open"}}, Route{Name: "elsewhere", Hosts: []string{"open.example"}})
	_, server := newGateway(t, Options{Config: cfg, Trusts: httpx.Trusts(here)})
	at := nginx(t, server, upstream)
	for _, line := range append([]string{
		"X-Original-URL: http://open.example/open", "X-Forwarded-Uri: /open", "X-Forwarded-Method: GET",
		"X-Forwarded-Host: open.example", "X-Rewrite-URL: /open", "Forwarded: host=open.example",
	}, besideSpoofs...) {
		if a := get(t, at, "/demo", line); a.status != http.StatusUnauthorized && a.status != http.StatusBadRequest {
			t.Errorf("%s: %d %s", line, a.status, a.body)
		}
		a := get(t, at, "/open", line)
		if a.status == http.StatusBadRequest {
			continue
		}
		for name, values := range a.seen(t).Header {
			if kindOf(name) == identity || strings.Contains(strings.Join(values, " "), "evil") {
				t.Errorf("%s: the upstream got %s %q", line, name, values)
			}
		}
	}
	for _, target := range []string{"/_carnet", "/verify"} {
		if a := get(t, at, target, original3("GET", "open.example", "/open")...); a.status != 404 {
			t.Errorf("a client can ask at %s itself: %d %s", target, a.status, a.body)
		}
	}
}
