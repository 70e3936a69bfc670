package pgtest

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/carnetproject/carnet/internal/porttest"
)

// Standby starts a server that follows s, which from then on commits nothing that the
// standby has not. It ends with the test.
func (s *Server) Standby(t testing.TB) (*Server, error) {
	dir, err := os.MkdirTemp("", "carnet-pg")
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	b := &Server{dir: filepath.Join(dir, "data"), as: s.as}
	if b.Addr, err = porttest.Free(); err != nil {
		return nil, err
	}
	if s.as != nil {
		if err := os.Chown(dir, int(s.as.Uid), int(s.as.Gid)); err != nil {
			return nil, err
		}
	}
	copied := b.command(context.Background(), "pg_basebackup", "-D", b.dir, "-d", s.URL("postgres"), "-R", "-X", "stream", "-c", "fast", "--no-sync")
	if out, err := copied.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("pg_basebackup: %w\n%s", err, out)
	}
	_, port, _ := net.SplitHostPort(b.Addr)
	for _, arg := range s.args {
		switch {
		case arg == s.dir:
			arg = b.dir
		case strings.HasPrefix(arg, "port="):
			arg = "port=" + port
		}
		b.args = append(b.args, arg)
	}
	if err := b.Restart(); err != nil {
		return nil, err
	}
	t.Cleanup(b.Kill)
	for _, q := range []string{"ALTER SYSTEM SET synchronous_standby_names = '*'", "SELECT pg_reload_conf()"} {
		if err := s.exec(context.Background(), q); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// Promote has a standby take writes. It returns when it does.
func (s *Server) Promote() error { return s.exec(context.Background(), "SELECT pg_promote()") }
