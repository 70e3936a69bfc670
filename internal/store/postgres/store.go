// Package postgres keeps Carnet's state in PostgreSQL, which any number of nodes share.
//
// A write that returned nil is committed, with synchronous_commit on. One that returned
// an error is not, but for one case that no client of a server can tell: the connection
// broke while the server answered the commit. So whoever tries again must find out, as
// all of Carnet's writes do.
package postgres

import (
	"context"
	"database/sql"
	"errors"
	"hash/maphash"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/carnetproject/carnet/internal/store/table"
)

// The bounds of what one node asks of the server.
const (
	defaultConns     = 16
	statementTimeout = 10 * time.Second
	lockTimeout      = 5 * time.Second
	idleTimeout      = 15 * time.Second // of a transaction whose node says nothing
	connectTimeout   = 5 * time.Second
	// patience is how long this side waits for a free connection and a transaction, or for
	// an answer.
	patience      = 12 * time.Second
	commitTimeout = 5 * time.Second
)

// Store is an open database. Appends and answers wait for [Store.Run] to begin, and are
// refused once it has ended; all else works from [Open] to [Store.Close]. Safe for
// concurrent use.
type Store struct {
	*table.Tables

	pool *pgxpool.Pool
	db   *sql.DB // over the pool

	contexts table.Contexts

	lanes   [lanes]chan *addition
	seed    maphash.Seed // of the lanes' choice
	known   *known
	stopped chan struct{} // closed when Run has ended
}

// SealContexts has the contexts of conversations sealed from now on. Call it before the
// store is used.
func (s *Store) SealContexts(b table.Box) { s.contexts = table.Contexts{Box: b} }

// Open connects to the server at url (postgres://user@host/database, with the options
// of libpq and pool_max_conns, 16 by default) and brings the schema up to date: of nodes
// that start at once one does. A schema that is too new for this program is refused.
func Open(ctx context.Context, url string) (*Store, error) {
	s, err := connect(ctx, url)
	if err != nil {
		return nil, err
	}
	if err := s.meetPooler(ctx); err != nil {
		return nil, errors.Join(explain("store", err), s.Close())
	}
	if err := migrate(ctx, s.db, url); err != nil {
		return nil, errors.Join(explain("store", err), s.Close())
	}
	// Before the first message: one in the default partition would be in the month's way.
	if err := s.partition(ctx, time.Now()); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	if s.Tables, err = table.New(ctx, database{s.db}); err != nil {
		return nil, errors.Join(explain("store", err), s.Close())
	}
	return s, nil
}

// Close closes the connections. Call it after Run has returned.
func (s *Store) Close() error {
	err := s.db.Close()
	s.pool.Close()
	return err
}
