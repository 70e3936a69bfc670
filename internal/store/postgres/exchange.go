package postgres

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// exchange commits, in two round trips, what decide makes of what read has read: read
// queues statements, of which some may write, with functions that take their rows, and
// decide those that follow. If it queues none, or errs, nothing is written; and neither if
// ctx ends before the commit has begun.
func (s *Store) exchange(ctx context.Context, what string, read func(*pgx.Batch), decide func(*pgx.Batch) error) error {
	if err := ctx.Err(); err != nil {
		return explain(what, err)
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return explain(what, err)
	}
	defer conn.Release()
	return explain(what, exchange(ctx, conn.Conn(), read, decide))
}

func exchange(ctx context.Context, conn *pgx.Conn, read func(*pgx.Batch), decide func(*pgx.Batch) error) error {
	asked, wrote := &pgx.Batch{}, &pgx.Batch{}
	asked.Queue(`BEGIN`)
	read(asked)
	err := conn.SendBatch(ctx, asked).Close()
	if err == nil {
		err = decide(wrote)
	}
	if err == nil {
		err = ctx.Err()
	}
	// The commit is not given up half way: an error is to mean that nothing was written.
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), commitTimeout)
	defer cancel()
	if err == nil && wrote.Len() > 0 {
		wrote.Queue(`COMMIT`).Exec(committed)
		err = conn.SendBatch(ending, wrote).Close()
	}
	if conn.PgConn().TxStatus() != idle {
		_, _ = conn.Exec(ending, `ROLLBACK`) // if that fails the connection is broken, and so is the transaction
	}
	return err
}

// idle is what a connection without a transaction says of itself.
const idle = 'I'

var errUndone = errors.New("the transaction had failed")

// committed tells whether a COMMIT was one: of a transaction that has failed, the server
// answers ROLLBACK to it, and no error.
func committed(answer pgconn.CommandTag) error {
	if answer.String() != "COMMIT" {
		return errUndone
	}
	return nil
}
