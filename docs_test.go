package carnet_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/carnetproject/carnet/carnettest"
)

// snippet is the first block of code under a heading of docs/protect-a-service.md.
func snippet(t *testing.T, heading, language string) string {
	t.Helper()
	page, err := os.ReadFile("docs/protect-a-service.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(page), "\n## "+heading+"\n")
	_, code, begun := strings.Cut(section, "```"+language+"\n")
	code, _, ended := strings.Cut(code, "```")
	if !found || !begun || !ended {
		t.Fatalf("docs/protect-a-service.md has no %s under %q", language, heading)
	}
	return code
}

// TestNode runs the page's service for Node with jose, against the keys of an issuer.
func TestNode(t *testing.T) {
	t.Parallel()
	issuer := carnettest.NewIssuer(t)
	modules, err := filepath.Abs("web/node_modules")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.Symlink(modules, filepath.Join(dir, "node_modules")); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "service.mjs")
	if err := os.WriteFile(file, []byte(snippet(t, "Node", "js")), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	node := exec.CommandContext(ctx, "node", file)
	node.Env = append(os.Environ(), "ISSUER="+issuer.URL, "AUDIENCE="+carnettest.Audience, "PORT=0")
	node.Stderr = t.Output()
	out, err := node.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := node.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cancel(); _ = node.Wait() })
	var port int
	line, _ := bufio.NewReader(out).ReadString('\n')
	if _, err := fmt.Sscanf(line, "on port %d", &port); err != nil {
		t.Fatalf("node says %q", line)
	}
	for name, tc := range map[string]struct {
		token string
		want  string
	}{
		"good":             {issuer.AccessToken("ann", "demo"), "200 hello ann\n"},
		"no token":         {"", "401 "},
		"no scope":         {issuer.AccessToken("ann", "other"), "403 "},
		"session token":    {issuer.Token("JWT", map[string]any{"scope": "demo"}), "401 "},
		"expired":          {issuer.Token("at+jwt", map[string]any{"exp": 1, "scope": "demo"}), "401 "},
		"no expiry":        {issuer.Token("at+jwt", map[string]any{"exp": nil, "scope": "demo"}), "401 "},
		"other audience":   {issuer.Token("at+jwt", map[string]any{"aud": "https://other.test", "scope": "demo"}), "401 "},
		"no client_id":     {issuer.Token("at+jwt", map[string]any{"client_id": nil, "scope": "demo"}), "401 "},
		"another issuer's": {carnettest.NewIssuer(t).AccessToken("ann", "demo"), "401 "},
		"changed":          {issuer.AccessToken("ann", "demo") + "A", "401 "},
	} {
		if got := call(t, fmt.Sprintf("http://127.0.0.1:%d/", port), tc.token); got != tc.want {
			t.Errorf("%s: answered %q, want %q", name, got, tc.want)
		}
	}
}

// call is the status and the body of a request with token.
func call(t *testing.T, url, token string) string {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%d %s", resp.StatusCode, body)
}
