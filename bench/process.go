package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// childFlag makes this binary serve one of the references.
const childFlag = "-serve"

// process is a server that runs beside the load, so that its CPU can be told apart.
type process struct {
	cmd  *exec.Cmd
	addr string
}

// startChild runs this binary as the reference called name. extra goes to its environment.
func startChild(ctx context.Context, name string, extra ...string) (*process, error) {
	addr, err := freeAddr()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, os.Args[0], childFlag, name)
	cmd.Env = append(os.Environ(), append(extra, "BENCH_ADDR="+addr)...)
	return start(ctx, cmd, addr, "/")
}

// buildCarnet builds the product's own binary into dir.
func buildCarnet(ctx context.Context, dir string) (string, error) {
	bin := filepath.Join(dir, "carnet")
	cmd := exec.CommandContext(ctx, "go", "build", "-o", bin, "github.com/carnetproject/carnet/cmd/carnet")
	cmd.Stderr = os.Stderr
	return bin, cmd.Run()
}

// node is a running carnet.
type node struct {
	*process
	public, gateway string // addresses
	bin, config     string
}

// startNode runs the real binary on a data directory of its own with a configuration
// that has the listeners, unlimited rates and yaml. environ is added to the environment.
func startNode(ctx context.Context, dir, yaml string, environ ...string) (*node, error) {
	bin, err := buildCarnet(ctx, dir)
	if err != nil {
		return nil, err
	}
	n := &node{bin: bin, config: filepath.Join(dir, "carnet.yaml")}
	addrs := make([]string, 3)
	for i := range addrs {
		if addrs[i], err = freeAddr(); err != nil {
			return nil, err
		}
	}
	n.public, n.gateway = addrs[0], addrs[1]
	text := fmt.Sprintf("data: %s\nlisten: {public: %q, gateway: %q, admin: %q}\nlog: {level: warn}\n"+
		"limits: {sts_per_ip: none, sts_per_app: none, sts_per_identity: none, login_per_ip: none, login_per_user: none, token_per_app: none,\n"+
		"  register_per_device: none, register_per_ip: none}\n%s",
		filepath.Join(dir, "data"), addrs[0], addrs[1], addrs[2], yaml)
	if err := os.WriteFile(n.config, []byte(text), 0o600); err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, bin, "serve", "--config", n.config)
	cmd.Env = append(os.Environ(), environ...)
	n.process, err = start(ctx, cmd, addrs[2], "/readyz")
	return n, err
}

// carnet runs a command of the node's binary and returns what it prints.
func (n *node) carnet(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, n.bin, append(args, "--config", n.config)...)
	out, err := cmd.Output()
	if e, ok := errors.AsType[*exec.ExitError](err); ok {
		return "", fmt.Errorf("carnet %s: %s", args, e.Stderr)
	}
	return string(out), err
}

// start waits until the server answers path with 200.
func start(ctx context.Context, cmd *exec.Cmd, addr, path string) (*process, error) {
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &process{cmd, addr}
	for range 600 {
		if resp, err := http.Get("http://" + addr + path); err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return p, nil
			}
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
	p.stop()
	return nil, fmt.Errorf("%s does not answer", cmd.Path)
}

func (p *process) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	_ = p.cmd.Wait()
}

// cpu is the processor time that the process has taken so far.
func (p *process) cpu() (time.Duration, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	f := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	user, err1 := strconv.Atoi(f[11]) // fields 14 and 15 of proc(5), in hundredths
	system, err2 := strconv.Atoi(f[12])
	return time.Duration(user+system) * 10 * time.Millisecond, errors.Join(err1, err2)
}

func freeAddr() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String(), nil
}
