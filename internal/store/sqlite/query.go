package sqlite

import (
	"context"
	"database/sql"
)

// querier is a pool or a transaction.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// prepared is a statement as a querier, which has its text already.
type prepared struct{ *sql.Stmt }

func (p prepared) QueryContext(ctx context.Context, _ string, args ...any) (*sql.Rows, error) {
	return p.Stmt.QueryContext(ctx, args...)
}

// collect reads all rows of a query.
func collect[T any](ctx context.Context, q querier, what string, scan func(rows) (T, error), query string, args ...any) ([]T, error) {
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
