package postgres

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	partitionEvery = time.Hour
	partitionAhead = 2 // months that have their partitions before they begin
)

// Run makes the partitions of the months to come until ctx ends, and returns nil.
func (s *Store) Run(ctx context.Context) error {
	tick := time.NewTicker(partitionEvery)
	defer tick.Stop()
	for {
		if err := s.partition(ctx, time.Now()); err != nil && ctx.Err() == nil {
			slog.WarnContext(ctx, "partitions of messages were not made", slog.Any("err", err))
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// partition makes the partitions of this month and the next ones that are not there.
func (s *Store) partition(ctx context.Context, now time.Time) error {
	first := time.Date(now.UTC().Year(), now.UTC().Month(), 1, 0, 0, 0, 0, time.UTC)
	for i := range partitionAhead + 1 {
		from, to := first.AddDate(0, i, 0), first.AddDate(0, i+1, 0)
		name := "messages_" + from.Format("2006_01")
		var there bool
		if err := s.pool.QueryRow(ctx, `SELECT to_regclass($1) IS NOT NULL`, name).Scan(&there); err != nil {
			return explain("read partitions", err)
		}
		if there {
			continue
		}
		err := s.write(ctx, "make partition", func(ctx context.Context, tx pgx.Tx) error {
			if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock($1)`, order); err != nil {
				return err
			}
			_, err := tx.Exec(ctx, fmt.Sprintf(`CREATE TABLE IF NOT EXISTS %s PARTITION OF messages FOR VALUES FROM (%d) TO (%d)`,
				pgx.Identifier{name}.Sanitize(), from.UnixMilli(), to.UnixMilli()))
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}
