package postgres_test

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/store/postgres"
)

// TestUnreached: whoever starts a node reads in one line where it looked for its server,
// what failed and what to look at.
func TestUnreached(t *testing.T) {
	t.Parallel()
	silent, err := net.Listen("tcp", "127.0.0.1:0") // its connections are taken, and hear nothing
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = silent.Close() })
	untrustedAt := untrusted(t)
	const runs = "; check that it runs there, and the host and port in the URL"
	for name, tc := range map[string]struct {
		user, host, database string
		want                 string
		kind                 fault.Kind
	}{
		"nobody listens": {
			"ann", "127.0.0.1:1", "x",
			"at 127.0.0.1:1: connection refused" + runs, fault.Unavailable,
		},
		"nobody listens at two places": {
			"ann", "127.0.0.1:1,localhost:2", "x?sslmode=prefer",
			"at 127.0.0.1:1 or localhost:2: connection refused" + runs, fault.Unavailable,
		},
		"no socket": {
			"ann", "", "x?host=/nowhere",
			"at /nowhere/.s.PGSQL.5432: no such file or directory" + runs, fault.Unavailable,
		},
		"no such host": {
			"ann", "db..example", "x",
			"at db..example:5432: no such host: db..example; check the host in the URL", fault.Unavailable,
		},
		"no answer": {
			"ann", silent.Addr().String(), "x?sslmode=disable&connect_timeout=1",
			"at " + silent.Addr().String() + ": no answer in time; check the host and port in the URL, and firewalls on the way", fault.Unavailable,
		},
		"another user": {
			"ann", server.Addr, "postgres",
			`at ` + server.Addr + `: role "ann" does not exist; check the user and the password, and pg_hba.conf of the server`, fault.Internal,
		},
		"no TLS": {
			"ann", server.Addr, "postgres?sslmode=require",
			"at " + server.Addr + ": server refused TLS connection; check sslmode in the URL, and the server's log", fault.Unavailable,
		},
		"a certificate of nobody known": {
			"ann", untrustedAt, "postgres?sslmode=verify-full",
			"at " + untrustedAt + ": x509: certificate signed by unknown authority; check sslrootcert and sslmode in the URL, and the server's certificate", fault.Unavailable,
		},
		"another database": {
			"carnet", server.Addr, "nothing",
			`at ` + server.Addr + `: database "nothing" does not exist; create it, or check the name in the URL`, fault.Internal,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			at := "postgres://" + tc.user + ":hush@" + tc.host + "/" + tc.database
			_, opened := postgres.Open(t.Context(), at)
			_, looked := postgres.Look(t.Context(), at)
			for what, err := range map[string]error{"Open": opened, "Look": looked} {
				if err == nil || !strings.HasSuffix(err.Error(), "no connection to PostgreSQL "+tc.want) {
					t.Errorf("%s() error = %v\nwant one that ends in %s", what, err, tc.want)
					continue
				}
				if strings.ContainsAny(err.Error(), "\n\t") || strings.Contains(err.Error(), "hush") {
					t.Errorf("%s() error = %q", what, err)
				}
				if _, ok := errors.AsType[*pgconn.ConnectError](err); !ok || fault.KindOf(err) != tc.kind {
					t.Errorf("%s() error is of the kind %v, want %v", what, fault.KindOf(err), tc.kind)
				}
			}
		})
	}
}

// untrusted is where a server is that shows a certificate which nobody has signed.
func untrusted(t *testing.T) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	own := httptest.NewTLSServer(nil)
	t.Cleanup(own.Close)
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			if _, err := io.ReadFull(conn, make([]byte, 8)); err == nil { // SSLRequest
				_, _ = conn.Write([]byte("S"))
				_ = tls.Server(conn, own.TLS).HandshakeContext(t.Context()) // which the client ends
			}
			_ = conn.Close()
		}
	}()
	return l.Addr().String()
}
