// Package redistest starts a Redis of its own for a test.
package redistest

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/carnetproject/carnet/internal/porttest"
)

// Server is a redis-server process that keeps nothing on disk.
type Server struct {
	Addr string // host:port, the same after [Server.Start]

	t   testing.TB
	dir string
	cmd *exec.Cmd
}

// Start starts a server on a free port of the loopback; it ends with the test.
func Start(t testing.TB) *Server {
	t.Helper()
	s := &Server{t: t, dir: t.TempDir()}
	t.Cleanup(s.Kill)
	for range 10 { // somebody else may take the port meanwhile
		var err error
		if s.Addr, err = porttest.Free(); err != nil {
			t.Fatal(err)
		}
		if s.start() {
			return s
		}
	}
	t.Fatalf("redis-server does not start: %s", s.log())
	return nil
}

// URL is where the server is.
func (s *Server) URL() string { return "redis://" + s.Addr }

// Restart starts the server again after [Server.Kill]. It has forgotten everything.
func (s *Server) Restart() {
	s.t.Helper()
	if !s.start() {
		s.t.Fatalf("redis-server does not start again: %s", s.log())
	}
}

func (s *Server) start() bool {
	_, port, _ := net.SplitHostPort(s.Addr)
	s.cmd = exec.Command("redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "",
		"--appendonly", "no", "--dir", s.dir, "--logfile", filepath.Join(s.dir, "log"))
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := s.cmd.Start(); err != nil {
		s.t.Fatalf("redis-server (of Debian's package of that name): %v", err)
	}
	ended := make(chan struct{})
	go func() {
		_ = s.cmd.Wait()
		close(ended)
	}()
	for {
		if s.answers() {
			return true
		}
		select {
		case <-ended:
			s.cmd = nil
			return false
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// answers tells whether this server is there, not another that has its port.
func (s *Server) answers() bool {
	text, err := s.ask("INFO server")
	return err == nil && strings.Contains(text, fmt.Sprintf("process_id:%d\r\n", s.cmd.Process.Pid))
}

// Do sends a command as one types it, such as "CONFIG SET maxmemory 1", and returns the
// beginning of its answer (RESP). An error of the server's fails the test.
func (s *Server) Do(command string) string {
	s.t.Helper()
	text, err := s.ask(command)
	if err != nil || strings.HasPrefix(text, "-") {
		s.t.Fatalf("redis: %s: %s %v", command, text, err)
	}
	return text
}

func (s *Server) ask(command string) (string, error) {
	conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(context.Background(), "tcp", s.Addr)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := fmt.Fprint(conn, command+"\r\n"); err != nil {
		return "", err
	}
	b := make([]byte, 8<<10)
	n, err := conn.Read(b)
	return string(b[:n]), err
}

// Kill ends the server at once.
func (s *Server) Kill() {
	if s.cmd != nil {
		_ = s.cmd.Process.Signal(syscall.SIGCONT)
		_ = s.cmd.Process.Kill()
		s.cmd = nil
	}
}

// Stop halts the server: its connections stay, and nothing answers. Continue ends that.
func (s *Server) Stop() { _ = s.cmd.Process.Signal(syscall.SIGSTOP) }

// Continue lets a server that was stopped go on.
func (s *Server) Continue() { _ = s.cmd.Process.Signal(syscall.SIGCONT) }

func (s *Server) log() string {
	text, _ := os.ReadFile(filepath.Join(s.dir, "log"))
	return string(text)
}
