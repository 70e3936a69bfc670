package postgres

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

const (
	partitionEvery = time.Hour
	partitionAhead = 2 // months that have their partitions before they begin
)

// Run commits appends and answers, and makes the partitions of the months to come, until
// ctx ends. Then it commits those that wait, and returns nil. It can run once.
func (s *Store) Run(ctx context.Context) error {
	defer close(s.stopped)
	var riding sync.WaitGroup
	for _, lane := range s.lanes {
		riding.Go(func() { s.ride(ctx, lane) })
	}
	s.tend(ctx)
	riding.Wait()
	return nil
}

// tend makes partitions until ctx ends.
func (s *Store) tend(ctx context.Context) {
	tick := time.NewTicker(partitionEvery)
	defer tick.Stop()
	for {
		if err := s.partition(ctx, time.Now()); err != nil && ctx.Err() == nil {
			slog.WarnContext(ctx, "partitions of messages were not made", slog.Any("err", err))
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// monthName is the name of a month's partition, as [time.Time.Format] takes it.
const monthName = "messages_2006_01"

// partition makes the partitions of this month and the next ones that are not there.
func (s *Store) partition(ctx context.Context, now time.Time) error {
	first := time.Date(now.UTC().Year(), now.UTC().Month(), 1, 0, 0, 0, 0, time.UTC)
	var failed error
	for i := range partitionAhead + 1 {
		failed = errors.Join(failed, s.makeMonth(ctx, first.AddDate(0, i, 0)))
	}
	return failed
}

// makeMonth makes the partition of a month. If the default one has messages of that month,
// as when a clock was far ahead, all of it stays there.
func (s *Store) makeMonth(ctx context.Context, from time.Time) error {
	name := from.Format(monthName)
	var there bool
	if err := s.pool.QueryRow(ctx, `SELECT to_regclass($1) IS NOT NULL`, name).Scan(&there); err != nil || there {
		return explain("read partitions", err)
	}
	err := s.write(ctx, "make partition", func(ctx context.Context, tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock($1)`, order); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, createMonth(from))
		return err
	})
	if e, ok := errors.AsType[*pgconn.PgError](err); ok && e.Code == checkViolation {
		return nil
	}
	return err
}

// createMonth makes the partition of the month that begins at a time.
func createMonth(from time.Time) string {
	return fmt.Sprintf(`CREATE TABLE IF NOT EXISTS %s PARTITION OF messages FOR VALUES FROM (%d) TO (%d)`,
		pgx.Identifier{from.Format(monthName)}.Sanitize(), from.UnixMilli(), from.AddDate(0, 1, 0).UnixMilli())
}

// checkViolation is an SQLSTATE: of the default partition, which may have no message
// of another's.
const checkViolation = "23514"
