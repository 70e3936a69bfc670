package postgres

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5/pgconn"
)

// unreached is a server that was not connected to. Its text is one line, without the
// password: where the server should be, what failed, and what to look at.
type unreached struct{ err *pgconn.ConnectError }

func (e unreached) Unwrap() error { return e.err }

// Error is in the place of the driver's, which has a line for each address and each try.
func (e unreached) Error() string {
	c := e.err.Config
	_, at := pgconn.NetworkAddress(c.Host, c.Port)
	places := []string{at}
	for _, f := range c.Fallbacks { // of sslmode, too, for the same address
		if _, at := pgconn.NetworkAddress(f.Host, f.Port); !slices.Contains(places, at) {
			places = append(places, at)
		}
	}
	var causes []string
	hint := ""
	for _, one := range branches(e.err.Unwrap()) {
		cause, look := why(one)
		if !slices.Contains(causes, cause) {
			causes = append(causes, cause)
		}
		hint = cmp.Or(hint, look)
	}
	text := fmt.Sprintf("no connection to PostgreSQL at %s: %s; %s", strings.Join(places, " or "), strings.Join(causes, ", "), hint)
	return strings.Join(strings.Fields(text), " ")
}

// branches are the errors that err joins, one for each try. Where a server has answered,
// its words are all that counts.
func branches(err error) []error {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return []error{e}
	}
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return []error{err}
	}
	var all []error
	for _, one := range joined.Unwrap() {
		all = append(all, branches(one)...)
	}
	return all
}

// why tells in short why a server was not connected to, and what to look at.
func why(err error) (cause, look string) {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		switch {
		case strings.HasPrefix(e.Code, "28"):
			return e.Message, "check the user and the password, and pg_hba.conf of the server"
		case e.Code == "3D000":
			return e.Message, "create it, or check the name in the URL"
		case strings.HasPrefix(e.Code, "53"):
			return e.Message, "check its max_connections, and pool_max_conns of all nodes"
		}
		return e.Message, "check the server's log"
	}
	if e, ok := errors.AsType[*net.DNSError](err); ok && !e.IsTimeout {
		return e.Err + ": " + e.Name, "check the host in the URL"
	}
	if e, ok := errors.AsType[syscall.Errno](err); ok {
		return e.Error(), "check that it runs there, and the host and port in the URL"
	}
	if e, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return e.Err.Error(), "check sslrootcert and sslmode in the URL, and the server's certificate"
	}
	if _, network := errors.AsType[net.Error](err); network || pgconn.Timeout(err) || errors.Is(err, context.DeadlineExceeded) {
		return "no answer in time", "check the host and port in the URL, and firewalls on the way"
	}
	for inner := errors.Unwrap(err); inner != nil; inner = errors.Unwrap(err) {
		err = inner
	}
	return err.Error(), "check sslmode in the URL, and the server's log"
}
