package postgres

import (
	"context"
	"time"
)

// Now is the time by the server's clock, which is one for all nodes.
func (s *Store) Now(ctx context.Context) (now time.Time, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	err = s.pool.QueryRow(ctx, `SELECT clock_timestamp()`).Scan(&now)
	return now, explain("read the time", err)
}
