// Package pgtest starts a PostgreSQL of its own for tests.
package pgtest

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/carnetproject/carnet/internal/porttest"
)

// Server is a PostgreSQL server process.
type Server struct {
	Addr string // host:port, the same after [Server.Restart]

	dir   string
	args  []string
	as    *syscall.Credential // PostgreSQL refuses to run as root; nil: as we are
	cmd   *exec.Cmd
	ended chan struct{}
	names atomic.Int64
}

// Start starts a server on a free port of the loopback; it ends with the test.
func Start(t testing.TB, settings ...string) *Server {
	t.Helper()
	dir, err := os.MkdirTemp("", "carnet-pg") // PostgreSQL's user may not look into t.TempDir
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	s, err := New(dir, settings...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Kill)
	return s
}

// New starts a server that keeps its data below dir, with settings such as
// "max_connections=10" over its own. Commits do not wait for the disk unless settings
// have fsync=on: a killed server loses nothing, a dead machine is nobody's test.
func New(dir string, settings ...string) (*Server, error) {
	s := &Server{dir: filepath.Join(dir, "data")}
	if os.Getuid() == 0 {
		if err := s.demote(dir); err != nil {
			return nil, err
		}
	}
	init := s.command(context.Background(), "initdb", "-D", s.dir, "-U", "carnet", "--auth=trust", "--no-sync",
		"--encoding=UTF8", "--locale=C")
	if out, err := init.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("initdb (of Debian's package postgresql): %w\n%s", err, out)
	}
	for range 10 { // somebody else may take the port meanwhile
		var err error
		if s.Addr, err = porttest.Free(); err != nil {
			return nil, err
		}
		_, port, _ := net.SplitHostPort(s.Addr)
		own := []string{
			"listen_addresses=127.0.0.1", "port=" + port, "unix_socket_directories=", "fsync=off", "max_connections=300",
			"shared_buffers=64MB", "logging_collector=off", "log_min_messages=fatal",
		}
		s.args = []string{"-D", s.dir}
		for _, setting := range append(own, settings...) {
			s.args = append(s.args, "-c", setting)
		}
		if err := s.Restart(); err == nil {
			return s, nil
		}
	}
	return nil, fmt.Errorf("postgres does not start: %s", s.log())
}

// demote makes the user that Debian's package has made the owner.
func (s *Server) demote(dir string) error {
	u, err := user.Lookup("postgres")
	if err != nil {
		return fmt.Errorf("user of Debian's package postgresql: %w", err)
	}
	uid, _ := strconv.ParseUint(u.Uid, 10, 32)
	gid, _ := strconv.ParseUint(u.Gid, 10, 32)
	s.as = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	return os.Chown(dir, int(uid), int(gid))
}

func (s *Server) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, program(name), args...)
	cmd.Dir = filepath.Dir(s.dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: s.as, Pdeathsig: syscall.SIGKILL}
	return cmd
}

// program is where Debian has it.
func program(name string) string {
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/" + name)
	if len(found) == 0 {
		return name
	}
	slices.Sort(found)
	return found[len(found)-1]
}

// Restart starts the server again after [Server.Kill], on the same data.
func (s *Server) Restart() error {
	log, err := os.OpenFile(filepath.Join(filepath.Dir(s.dir), "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	s.cmd = s.command(context.Background(), "postgres", s.args...)
	s.cmd.Stdout, s.cmd.Stderr = log, log
	if err := s.cmd.Start(); err != nil {
		return err
	}
	cmd, ended := s.cmd, make(chan struct{})
	s.ended = ended
	go func() {
		_ = cmd.Wait()
		close(ended)
	}()
	for {
		err := s.exec(context.Background(), "SELECT 1")
		if err == nil {
			return nil
		}
		select {
		case <-ended:
			return fmt.Errorf("postgres has ended: %s", s.log())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (s *Server) exec(ctx context.Context, query string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	conn, err := pgx.Connect(ctx, s.URL("postgres"))
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, query)
	_ = conn.Close(ctx)
	return err
}

// URL is where a database is.
func (s *Server) URL(database string) string { return "postgres://carnet@" + s.Addr + "/" + database }

// Database makes a database and returns its URL: an empty one, or a copy of another
// one that nobody is connected to.
func (s *Server) Database(of string) (url string, err error) {
	name := fmt.Sprint("test", s.names.Add(1))
	if of == "" {
		of = "template0"
	}
	return s.URL(name), s.exec(context.Background(), "CREATE DATABASE "+name+" TEMPLATE "+of)
}

// Kill ends the server and all its sessions at once.
func (s *Server) Kill() {
	if s.cmd != nil {
		_ = s.cmd.Process.Signal(syscall.SIGCONT)
		_ = s.cmd.Process.Signal(syscall.SIGQUIT) // at once, and its children with it
		<-s.ended
		s.cmd = nil
	}
}

// Stop halts the server with all its sessions: connections stay, and nothing answers.
func (s *Server) Stop() { s.signal(syscall.SIGSTOP) }

// Continue lets a server that was stopped go on.
func (s *Server) Continue() { s.signal(syscall.SIGCONT) }

// signal is for the server and its children, each of which is a session of its own.
func (s *Server) signal(what syscall.Signal) {
	pid := s.cmd.Process.Pid
	_ = syscall.Kill(pid, what) // first, so that it has no more children meanwhile
	list, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	for _, child := range strings.Fields(string(list)) {
		if n, err := strconv.Atoi(child); err == nil {
			_ = syscall.Kill(n, what)
		}
	}
}

func (s *Server) log() string {
	text, _ := os.ReadFile(filepath.Join(filepath.Dir(s.dir), "log"))
	return string(text)
}
