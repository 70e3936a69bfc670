package postgres

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"github.com/carnetproject/carnet/internal/store/table"
)

// database is a store as its tables need it.
type database struct{ db *sql.DB }

func (d database) Reader() table.Querier { return numbered{d.db} }

func (d database) Snapshot(ctx context.Context, f func(table.Querier) error) error {
	tx, err := d.db.BeginTx(ctx, &sql.TxOptions{ReadOnly: true, Isolation: sql.LevelRepeatableRead})
	if err != nil {
		return err
	}
	return errors.Join(f(numbered{tx}), tx.Rollback())
}

// Write commits what apply does unless ctx ends before.
func (d database) Write(ctx context.Context, what string, apply func(context.Context, table.Tx) error) error {
	return explain(what, d.write(ctx, apply))
}

func (d database) write(ctx context.Context, apply func(context.Context, table.Tx) error) (err error) {
	if err := ctx.Err(); err != nil {
		return err
	}
	// The commit is not given up half way: an error is to mean that nothing was written.
	whole, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience+commitTimeout)
	defer cancel()
	tx, err := d.db.BeginTx(whole, nil)
	if err != nil {
		return cmp.Or(ctx.Err(), err)
	}
	if err = apply(ctx, numbered{tx}); err == nil {
		err = ctx.Err()
	}
	if err != nil {
		_ = tx.Rollback()             // if that fails the connection is broken, and so is the transaction
		return cmp.Or(ctx.Err(), err) // a connection that ctx has ended is no fault of the server's
	}
	return tx.Commit()
}

// order is the number of the lock that orders writes.
const order = 0x6361726e // "carn"

// Order makes writes wait for one another: what they number becomes visible in order.
func (d database) Order(ctx context.Context, what string, apply func(context.Context, table.Tx) error) error {
	return d.Write(ctx, what, func(ctx context.Context, tx table.Tx) error {
		if _, err := tx.ExecContext(ctx, `SELECT pg_advisory_xact_lock(?)`, order); err != nil {
			return err
		}
		return apply(ctx, tx)
	})
}

// Change moves the version first: that locks it, and so changes wait for one another.
func (d database) Change(ctx context.Context, what string, apply func(context.Context, table.Tx) error) error {
	return d.Write(ctx, what, func(ctx context.Context, tx table.Tx) error {
		if _, err := tx.ExecContext(ctx, `UPDATE version SET n = n + 1`); err != nil {
			return err
		}
		return apply(ctx, tx)
	})
}

func (database) Number(table, column string) string {
	return fmt.Sprintf(`COALESCE(?, nextval('%s_%s_seq'))`, table, column)
}

func (database) Explain(what string, err error) error { return explain(what, err) }

// Taken takes the column from the name of the index: table_column.
func (database) Taken(err error) (column string, ok bool) {
	e, ok := taken(err)
	if !ok {
		return "", false
	}
	return strings.TrimPrefix(e.ConstraintName, e.TableName+"_"), true
}

// numbered has arguments as PostgreSQL names them.
type numbered struct {
	on interface {
		table.Querier
		ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
		PrepareContext(ctx context.Context, query string) (*sql.Stmt, error)
	}
}

func (n numbered) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	return n.on.QueryContext(ctx, number(query), args...)
}

func (n numbered) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	return n.on.QueryRowContext(ctx, number(query), args...)
}

func (n numbered) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	return n.on.ExecContext(ctx, number(query), args...)
}

func (n numbered) PrepareContext(ctx context.Context, query string) (*sql.Stmt, error) {
	return n.on.PrepareContext(ctx, number(query))
}

// statements are those of the program, by their texts with ?.
var statements sync.Map

// number writes $1, $2 … for ?, and $n for ?n. No text in a statement has a ?.
func number(query string) string {
	if text, ok := statements.Load(query); ok {
		return text.(string)
	}
	var b strings.Builder
	next := 0
	for i := 0; i < len(query); i++ {
		b.WriteByte(query[i])
		if query[i] != '?' {
			continue
		}
		end := i + 1
		for end < len(query) && '0' <= query[end] && query[end] <= '9' {
			end++
		}
		digits := query[i+1 : end]
		if digits == "" {
			next++
			digits = strconv.Itoa(next)
		}
		text := b.String()
		b.Reset()
		b.WriteString(text[:len(text)-1] + "$" + digits)
		i = end - 1
	}
	text, _ := statements.LoadOrStore(query, b.String())
	return text.(string)
}
