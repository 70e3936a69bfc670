package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/carnetproject/carnet/internal/porttest"
)

// binary is the real program, built once for all tests.
var binary string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "carnet-e2e-")
	if err != nil {
		panic(err)
	}
	binary = filepath.Join(dir, "carnet")
	build := exec.Command("go", "build", "-o", binary, ".")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		panic(err)
	}
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// node is a running carnet with the demo on a data directory of its own.
type node struct {
	t                      *testing.T
	data                   string
	environ                []string
	public, gateway, admin string // URLs
	demo                   map[string]string
	cmd                    *exec.Cmd
	log                    *syncBuffer
}

// syncBuffer is written by the child's output and read by the test.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// newNode prepares a node; start runs it. environ are further CARNET_ variables.
func newNode(t *testing.T, environ ...string) *node {
	t.Helper()
	n := &node{t: t, data: t.TempDir(), log: &syncBuffer{}}
	addrs := freeAddrs(t, 3)
	n.public, n.gateway, n.admin = "http://"+addrs[0], "http://"+addrs[1], "http://"+addrs[2]
	n.environ = append([]string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"),
		"CARNET_LISTEN_PUBLIC=" + addrs[0], "CARNET_LISTEN_GATEWAY=" + addrs[1], "CARNET_LISTEN_ADMIN=" + addrs[2],
		"CARNET_POLL_INTERVAL=100ms",
	}, environ...)
	t.Cleanup(func() {
		n.stop(syscall.SIGTERM)
		if t.Failed() {
			t.Logf("the node's output:\n%s", n.log)
		}
	})
	return n
}

func freeAddrs(t *testing.T, count int) (addrs []string) {
	t.Helper()
	for range count {
		addr, err := porttest.Free()
		if err != nil {
			t.Fatal(err)
		}
		addrs = append(addrs, addr)
	}
	return addrs
}

// start runs the node with the demo and waits until it is ready.
func (n *node) start() {
	n.t.Helper()
	n.serve("--demo")
	n.demo = n.readEnv()
}

// serve runs the node and waits until it is ready.
func (n *node) serve(flags ...string) {
	n.t.Helper()
	n.launch(flags...)
	n.wait("ready", func() bool {
		resp, err := http.Get(n.admin + "/readyz")
		if err != nil {
			return false
		}
		_ = resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
}

// launch runs the node.
func (n *node) launch(flags ...string) {
	n.t.Helper()
	n.cmd = exec.Command(binary, append([]string{"serve", "--data", n.data}, flags...)...)
	n.cmd.Env = n.environ
	n.cmd.Stdout, n.cmd.Stderr = n.log, n.log
	if err := n.cmd.Start(); err != nil {
		n.t.Fatal(err)
	}
}

// stop ends the node with a signal and returns its exit code.
func (n *node) stop(sig os.Signal) int {
	if n.cmd == nil {
		return 0
	}
	_ = n.cmd.Process.Signal(sig)
	return n.exit()
}

// exit waits for the node's end and returns its exit code.
func (n *node) exit() int {
	err := n.cmd.Wait()
	n.cmd = nil
	if e, ok := errors.AsType[*exec.ExitError](err); ok {
		return e.ExitCode()
	}
	return 0
}

// patience is how long these tests wait for what must come: long, as a machine may have
// much else to do.
const patience = time.Minute

// wait polls a condition for as long as there is patience.
func (n *node) wait(what string, condition func() bool) {
	n.t.Helper()
	ctx, cancel := context.WithTimeout(n.t.Context(), patience)
	defer cancel()
	for !condition() {
		select {
		case <-ctx.Done():
			n.t.Fatalf("not %s in time; the node's output:\n%s", what, n.log)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// readEnv reads demo.env as a shell would.
func (n *node) readEnv() map[string]string {
	n.t.Helper()
	text, err := os.ReadFile(filepath.Join(n.data, "demo.env"))
	if err != nil {
		n.t.Fatal(err)
	}
	vars := map[string]string{}
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok && !strings.HasPrefix(name, "#") {
			vars[name] = value
		}
	}
	return vars
}

// carnet runs a command of the binary on the node's data and returns its output.
func (n *node) carnet(args ...string) string {
	n.t.Helper()
	cmd := exec.CommandContext(n.t.Context(), binary, append(args, "--data", n.data)...)
	cmd.Env = n.environ
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		n.t.Fatalf("carnet %s: %v\n%s%s", strings.Join(args, " "), err, out, &stderr)
	}
	return string(out)
}

// reply is an answer with its JSON body, if it has one.
type reply struct {
	status int
	header http.Header
	text   string
	body   map[string]any
}

func (r reply) str(name string) string { s, _ := r.body[name].(string); return s }

// do sends a request. body is a form (url.Values), JSON (string) or nil.
func (n *node) do(method, target string, body any, headers ...string) (reply, error) {
	var reader io.Reader
	kind := ""
	switch b := body.(type) {
	case url.Values:
		reader, kind = strings.NewReader(b.Encode()), "application/x-www-form-urlencoded"
	case string:
		reader, kind = strings.NewReader(b), "application/json"
	}
	req, err := http.NewRequestWithContext(n.t.Context(), method, target, reader)
	if err != nil {
		return reply{}, err
	}
	if kind != "" {
		req.Header.Set("Content-Type", kind)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Add(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return reply{}, err
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return reply{}, err
	}
	r := reply{status: resp.StatusCode, header: resp.Header, text: string(text)}
	_ = json.Unmarshal(text, &r.body) // not every answer is JSON
	return r, nil
}

// must is do with the status that is wanted.
func (n *node) must(status int, method, target string, body any, headers ...string) reply {
	n.t.Helper()
	r, err := n.do(method, target, body, headers...)
	if err != nil {
		n.t.Fatal(err)
	}
	if r.status != status {
		n.t.Fatalf("%s %s = %d, want %d: %s", method, target, r.status, status, r.text)
	}
	return r
}

func bearer(token string) string { return fmt.Sprintf("Bearer %s", token) }
