package postgres

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"maps"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/carnetproject/carnet/internal/fault"
)

// minConns is how many connections a store needs: whoever migrates has a lock by one of them.
const minConns = 2

// connect opens the pool, which has no connection yet.
func connect(ctx context.Context, at string) (*Store, error) {
	c, err := parse(at)
	if err != nil {
		return nil, err
	}
	for name, value := range map[string]string{
		"application_name":                    "carnet",
		"statement_timeout":                   milliseconds(statementTimeout),
		"lock_timeout":                        milliseconds(lockTimeout),
		"idle_in_transaction_session_timeout": milliseconds(idleTimeout),
		"synchronous_commit":                  "on",
		"timezone":                            "UTC",
	} {
		if c.ConnConfig.RuntimeParams[name] == "" {
			c.ConnConfig.RuntimeParams[name] = value
		}
	}
	c.AfterConnect = setUp(c.ConnConfig)
	dial := c.ConnConfig.DialFunc
	c.ConnConfig.DialFunc = func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return impatient{conn}, nil
	}
	pool, err := pgxpool.NewWithConfig(ctx, c)
	if err != nil {
		return nil, explain("store", err)
	}
	s := &Store{pool: pool, db: stdlib.OpenDBFromPool(pool), seed: maphash.MakeSeed(), known: newKnown(), stopped: make(chan struct{})}
	for i := range s.lanes {
		s.lanes[i] = make(chan *addition, maxLane)
	}
	return s, nil
}

// parse reads a URL. Its error does not quote that, which may hold a password.
func parse(at string) (*pgxpool.Config, error) {
	u, unread := url.Parse(at)
	if unread != nil {
		return nil, fault.New(fault.Invalid, "a store in PostgreSQL must be postgres://[user[:password]@]host[:port]/database; "+
			"in a password write what is no letter or digit as %XX")
	}
	c, err := pgxpool.ParseConfig(at)
	if err != nil {
		text := err.Error() // the URL, in backticks, and what is wrong
		return nil, fault.New(fault.Invalid, "the URL of the store in PostgreSQL: "+text[strings.LastIndex(text, "`: ")+len("`: "):])
	}
	switch {
	case !u.Query().Has("pool_max_conns"):
		c.MaxConns = defaultConns
	case c.MaxConns < minConns:
		return nil, fault.Newf(fault.Invalid, "the URL of the store in PostgreSQL: pool_max_conns must be at least %d", minConns)
	}
	c.ConnConfig.ConnectTimeout = cmp.Or(c.ConnConfig.ConnectTimeout, connectTimeout)
	return c, nil
}

// setUp returns what a connection does first: it learns our arrays, and makes the settings
// of c for its session.
// They are no part of the first message, of which a pooler takes but a few (PgBouncer:
// ignore_startup_parameters), and passes on fewer.
func setUp(c *pgx.ConnConfig) func(context.Context, *pgx.Conn) error {
	settings := c.RuntimeParams
	c.RuntimeParams = map[string]string{"client_encoding": "UTF8"}
	for _, name := range []string{"application_name", "options"} {
		if value, ok := settings[name]; ok {
			c.RuntimeParams[name] = value
			delete(settings, name)
		}
	}
	query := `SELECT COALESCE(current_setting('carnet.taken', true), ''), set_config('carnet.taken', 'yes', false)`
	args := []any{pgx.QueryExecModeSimpleProtocol} // one round trip, and nothing that is prepared
	for i, name := range slices.Sorted(maps.Keys(settings)) {
		query += fmt.Sprintf(`, set_config($%d, $%d, false)`, 2*i+1, 2*i+2)
		args = append(args, name, settings[name])
	}
	return func(ctx context.Context, conn *pgx.Conn) error {
		useArrays(conn.TypeMap())
		var taken string
		got := make([]any, 2+len(settings)) // nil: not wanted
		got[0] = &taken
		if err := conn.QueryRow(ctx, query, args...).Scan(got...); err != nil {
			return err
		}
		if taken != "" {
			return errShared
		}
		return nil
	}
}

// errShared is a session that another connection has set up before.
var errShared = errors.New("a pooler in front of PostgreSQL gives a session to several connections by turns: " +
	"it must keep sessions whole, as PgBouncer does with pool_mode = session")

// meetPooler makes two connections at once: where sessions are not whole, the second has
// that of the first.
func (s *Store) meetPooler(ctx context.Context) error {
	one, err := s.pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer one.Release()
	two, err := s.pool.Acquire(ctx)
	if err != nil {
		return err
	}
	two.Release()
	return nil
}

// impatient is a connection that ends if the server owes an answer for too long: it may
// be gone without a word.
type impatient struct{ net.Conn }

func (c impatient) Write(b []byte) (int, error) {
	if err := c.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return 0, err
	}
	return c.Conn.Write(b)
}

func milliseconds(d time.Duration) string { return fmt.Sprint(d.Milliseconds()) }
