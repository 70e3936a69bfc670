// Package table keeps what every store keeps in the same way: all but conversations, of
// which it reads the rows, in tables of SQL that SQLite and PostgreSQL read alike.
package table

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/carnetproject/carnet/internal/consumer"
)

// DB is a database as the tables need it. Statements have ? or ?1, ?2 … for their
// arguments.
type DB interface {
	// Reader reads what is committed.
	Reader() Querier
	// Snapshot calls f with a reader that sees one moment.
	Snapshot(ctx context.Context, f func(Querier) error) error
	// Write commits what apply does, all or nothing.
	Write(ctx context.Context, what string, apply func(context.Context, Tx) error) error
	// Order is Write for writes whose numbers are to become visible in their order, and
	// that are to see one another: they come one after the other.
	Order(ctx context.Context, what string, apply func(context.Context, Tx) error) error
	// Change is Order for what all nodes must notice: it moves the version.
	Change(ctx context.Context, what string, apply func(context.Context, Tx) error) error
	// Number is an argument for a column that counts rows: NULL stands for the next
	// number.
	Number(table, column string) string
	// Explain says what was being done when err happened, and marks as temporary what
	// the same call may survive later. A fault keeps its kind; nil stays nil.
	Explain(what string, err error) error
	// Taken reports whether err says that a unique value is there already, and of which
	// column.
	Taken(err error) (column string, ok bool)
}

// told is a database whose writes that nodes must notice are told of.
type told struct {
	DB
	tell func()
}

func (d told) Order(ctx context.Context, what string, apply func(context.Context, Tx) error) error {
	defer d.tell() // after an error, too: it may be that of a commit whose answer was lost
	return d.DB.Order(ctx, what, apply)
}

func (d told) Change(ctx context.Context, what string, apply func(context.Context, Tx) error) error {
	defer d.tell()
	return d.DB.Change(ctx, what, apply)
}

// Source answers queries.
type Source interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// Querier is what is common to a pool and a transaction.
type Querier interface {
	Source
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// Tx is a transaction.
type Tx interface {
	Querier
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	PrepareContext(ctx context.Context, query string) (*sql.Stmt, error)
}

// Tables are the tables of one database. Safe for concurrent use.
type Tables struct {
	db  DB
	ids *consumer.IDs
}

// New returns the tables of a database whose schema is up to date.
func New(ctx context.Context, db DB) (*Tables, error) {
	ids, err := readIDs(ctx, db.Reader())
	if err != nil {
		return nil, err
	}
	return &Tables{db, ids}, nil
}

// Tell has f called after each write that nodes must notice. It must not block. Call
// Tell before the tables are used.
func (t *Tables) Tell(f func()) { t.db = told{t.db, f} }

// Hot are statements that are worth to be prepared.
func Hot() []string { return []string{selectByKey} }

// Plan is a statement that must read no more than it needs of millions of rows.
type Plan struct {
	Query string
	Args  int
}

// Plans are the statements whose plans a store's tests look at, by names.
func Plans() map[string]Plan {
	return map[string]Plan{
		"credential by key":         {selectByKey, 1},
		"credential by id or key":   {selectByName, 3},
		"page of credentials":       {selectPage, 2},
		"page of one consumer's":    {selectPageOf, 3},
		"credentials to be deleted": {deleteRemoved, 1},
	}
}

// Ping reports whether the store answers.
func (t *Tables) Ping(ctx context.Context) error {
	_, err := t.Version(ctx)
	return err
}

// Version is a number that grows with every write to keys, apps, users, consumers or
// credentials, by any process. Who sees the same number twice has missed nothing in
// between.
func (t *Tables) Version(ctx context.Context) (int64, error) {
	var n int64
	err := t.db.Reader().QueryRowContext(ctx, `SELECT n FROM version`).Scan(&n)
	return n, t.db.Explain("read version", err)
}

// Rows is what is common to sql.Row and sql.Rows.
type Rows interface{ Scan(into ...any) error }

// collect reads all rows of a query.
func collect[T any](ctx context.Context, t *Tables, q Querier, what string, scan func(Rows) (T, error), query string, args ...any) ([]T, error) {
	return Collect(ctx, t.db.Explain, q, what, scan, query, args...)
}

// Collect reads all rows of a query.
func Collect[T any](ctx context.Context, explain func(what string, err error) error, q Source, what string, scan func(Rows) (T, error), query string, args ...any) ([]T, error) {
	found, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, explain(what, err)
	}
	defer found.Close() //nolint:errcheck // after the last row there is nothing left to fail
	var all []T
	for found.Next() {
		one, err := scan(found)
		if err != nil {
			return nil, explain(what, err)
		}
		all = append(all, one)
	}
	return all, explain(what, found.Err())
}

// affected is how many rows a statement has changed.
func affected(r sql.Result, err error) (int64, error) {
	if err != nil {
		return 0, err
	}
	n, err := r.RowsAffected()
	if err != nil {
		return 0, fmt.Errorf("count rows: %w", err)
	}
	return n, nil
}
