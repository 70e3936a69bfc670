package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"strings"

	"modernc.org/sqlite"

	"github.com/carnetproject/carnet/internal/store/table"
)

// Columns are those of the tables that all stores have alike.
type (
	stamp       = table.Stamp
	list[T any] = table.List[T]
	rows        = table.Rows
)

// collect reads all rows of a query.
func collect[T any](ctx context.Context, q table.Source, what string, scan func(rows) (T, error), query string, args ...any) ([]T, error) {
	return table.Collect(ctx, explain, q, what, scan, query, args...)
}

// prepared is a statement as a source, which has its text already.
type prepared struct{ *sql.Stmt }

func (p prepared) QueryContext(ctx context.Context, _ string, args ...any) (*sql.Rows, error) {
	return p.Stmt.QueryContext(ctx, args...)
}

// database is a store as its tables need it. There is one writer, so that all writes
// come one after the other.
type database struct{ s *Store }

func (d database) Reader() table.Querier { return reader{d.s.readers, d.s.hot} }

func (d database) Snapshot(ctx context.Context, f func(table.Querier) error) error {
	tx, err := d.s.readers.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return err
	}
	return errors.Join(f(tx), tx.Rollback())
}

func (d database) Write(ctx context.Context, what string, apply func(context.Context, table.Tx) error) error {
	return d.s.write(ctx, what, func(ctx context.Context, tx *sql.Tx) error { return apply(ctx, tx) })
}

func (d database) Order(ctx context.Context, what string, apply func(context.Context, table.Tx) error) error {
	return d.Write(ctx, what, apply)
}

func (d database) Change(ctx context.Context, what string, apply func(context.Context, table.Tx) error) error {
	return d.s.change(ctx, what, func(ctx context.Context, tx *sql.Tx) error { return apply(ctx, tx) })
}

func (database) Number(string, string) string { return "?" } // of a primary key, which takes NULL for the next

func (database) Explain(what string, err error) error { return explain(what, err) }

func (database) Taken(err error) (column string, ok bool) {
	if !taken(err) {
		return "", false
	}
	e, _ := errors.AsType[*sqlite.Error](err)
	_, column, _ = strings.Cut(e.Error(), "UNIQUE constraint failed: ")
	_, column, _ = strings.Cut(column, ".")
	column, _, _ = strings.Cut(column, " ")
	return column, true
}

// reader reads, with the statements that it has for some texts.
type reader struct {
	*sql.DB
	hot map[string]*sql.Stmt
}

func (r reader) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	if s := r.hot[query]; s != nil {
		return s.QueryRowContext(ctx, args...)
	}
	return r.DB.QueryRowContext(ctx, query, args...)
}
