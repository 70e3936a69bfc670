package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// manySockets are open while the chat is measured, each with a token of its own.
const manySockets = 10_000

// socketGroup measures what connections take.
func socketGroup() group {
	return group{[]string{"socket/connect", "socket/resume", "socket/idle"}, func(ctx context.Context, report func(Result)) error {
		return withChat(ctx, func(n *node, c *crowd, _ string) error { return measureSockets(n, c, report) })
	}}
}

// withChat has f work with a node, and with visitors that are not connected yet.
func withChat(ctx context.Context, f func(n *node, c *crowd, dir string) error) error {
	return withDir(func(dir string) error { return openChat(ctx, dir, f) })
}

func openChat(ctx context.Context, dir string, f func(n *node, c *crowd, dir string) error) error {
	if err := roomFor(manySockets + 1000); err != nil {
		return err
	}
	answerer, err := startAnswerer()
	if err != nil {
		return err
	}
	defer answerer.stop()
	n, err := startChat(ctx, dir, answerer.addr)
	if err != nil {
		return err
	}
	defer n.stop()
	form, err := n.page(ctx)
	if err != nil {
		return err
	}
	tokens, err := sessionTokens(n.public, form, manySockets)
	if err != nil {
		return err
	}
	c := newCrowd(n.public, tokens)
	defer c.close()
	return f(n, c, dir)
}

// startChat runs a node whose only bot is a webhook at addr, and whose limits do not
// mind that everybody has one address.
func startChat(ctx context.Context, dir, addr string) (*node, error) {
	secret := dir + "/data/secrets/default"
	if err := os.MkdirAll(secret, 0o700); err != nil {
		return nil, err
	}
	if err := os.WriteFile(secret+"/bot", []byte("a secret of the bench's own"), 0o600); err != nil {
		return nil, err
	}
	return startNode(ctx, dir, `chat:
  connections_per_ip: 100000
  connects_per_ip: none
  sends_per_user: none
  bots:
    bench: {type: webhook, url: 'http://`+addr+`', secret: 'srn:vault::default:secret:bot', welcome: none, concurrency: 256}
`)
}

// page registers an app whose visitors need no proof, and returns what asks for a token.
func (n *node) page(ctx context.Context) (form string, err error) {
	out, err := n.carnet(ctx, "apps", "add", "page", "--public", "--session-algorithm", "ES256", "--json")
	if err != nil {
		return "", err
	}
	var app struct {
		ID string `json:"client_id"`
	}
	if err := json.Unmarshal([]byte(out), &app); err != nil {
		return "", fmt.Errorf("carnet apps add: %w", err)
	}
	form = "isAnonymous=true&clientId=" + app.ID
	return form, settle(ctx, n.public, request("POST", "/sts", form, "Content-Type", "application/x-www-form-urlencoded"))
}

// roomFor refuses to begin without enough file descriptors. The runtime has raised the
// limit as far as it may, for this process and for the node.
func roomFor(files uint64) error {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	if limit.Cur < files {
		return fmt.Errorf("%d sockets need a limit of %d open files (ulimit -n), which is %d", manySockets, files, limit.Cur)
	}
	return nil
}

// measureSockets opens all connections, weighs them, and opens them again.
func measureSockets(n *node, c *crowd, report func(Result)) error {
	if err := c.connect(200); err != nil { // what the first ones need is not the others'
		return err
	}
	before, err := n.rss()
	if err != nil {
		return err
	}
	start := time.Now()
	if err := c.connect(manySockets); err != nil {
		return err
	}
	report(alone("socket/connect", "per s", float64(manySockets-200)/time.Since(start).Seconds()))
	time.Sleep(5 * time.Second) // what connecting took is collected, what stays is what idle connections take
	after, err := n.rss()
	if err != nil {
		return err
	}
	report(absolute("socket/idle", "KB", float64(after-before)/(manySockets-200)/1024, 12))
	c.close()
	start = time.Now()
	if err := c.connect(manySockets); err != nil {
		return err
	}
	report(alone("socket/resume", "per s", manySockets/time.Since(start).Seconds()))
	return nil
}

// alone is a figure without a target or a reference.
func alone(name, unit string, value float64) Result {
	return Result{name, value, unit, 0, 0, "–", true}
}

// absolute is a figure that may not exceed limit.
func absolute(name, unit string, value, limit float64) Result {
	return Result{name, value, unit, 0, 0, fmt.Sprintf("≤ %g %s", limit, unit), value <= limit}
}

// rss is the resident memory of the process in bytes.
func (p *process) rss() (int64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kb, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 10, 64)
			return kb * 1024, err
		}
	}
	return 0, errors.New("no VmRSS")
}
