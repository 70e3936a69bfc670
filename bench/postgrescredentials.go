package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/carnetproject/carnet/internal/consumer"
	"github.com/carnetproject/carnet/internal/jose"
	"github.com/carnetproject/carnet/internal/store/postgres"
	"github.com/carnetproject/carnet/internal/store/postgres/pgtest"
)

// postgresLegacyGroup measures how long PostgreSQL takes to find one of as many legacy
// credentials as BENCH_LEGACY says: such as nobody has asked for before, and the same over
// and over. The machine's memory may well hold them all.
func postgresLegacyGroup() group {
	return group{[]string{"postgres/import", "postgres/size", "postgres/credentials"}, func(ctx context.Context, report func(Result)) error {
		rows, err := countOf("BENCH_LEGACY", legacyRows)
		if err != nil {
			return err
		}
		return withPostgres(func(server *pgtest.Server) error {
			url, err := server.Database("")
			if err != nil {
				return err
			}
			s, err := postgres.Open(ctx, url)
			if err != nil {
				return err
			}
			return errors.Join(measurePostgresLegacy(ctx, s, rows, report), measureSize(ctx, url, rows, report), s.Close())
		})
	}}
}

func measurePostgresLegacy(ctx context.Context, s *postgres.Store, rows int, report func(Result)) error {
	began := time.Now()
	if err := importLegacy(ctx, s, rows); err != nil {
		return err
	}
	const least = 10_000
	rate := float64(rows) / time.Since(began).Seconds()
	report(Result{Name: "postgres/import", Value: rate, Unit: "rows/s", Target: fmt.Sprintf("≥ %d, of %d", least, rows), OK: rate >= least})

	find := func(i int) (float64, error) {
		start := time.Now()
		_, _, err := s.FindCredential(ctx, legacyKey(i))
		return float64(time.Since(start)) / 1e6, err
	}
	warm, err := slowest(func(int) (float64, error) { return find(0) })
	if err != nil {
		return err
	}
	cold, err := slowest(func(i int) (float64, error) { return find(1 + i*(rows-1)/coldLookups) })
	if err != nil {
		return err
	}
	const most = 10 // ms
	report(Result{
		Name: "postgres/credentials", Value: cold, Reference: warm, Ratio: cold / warm, Unit: "ms p99",
		Target: fmt.Sprintf("≤ %d ms, of %d", most, rows), OK: cold <= most,
	})
	return nil
}

// measureSize tells what a credential takes, with its share of the indexes.
func measureSize(ctx context.Context, url string, rows int, report func(Result)) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	var size int64
	err = conn.QueryRow(ctx, `SELECT pg_total_relation_size('credentials')`).Scan(&size)
	const most = 480 // bytes
	perRow := float64(size) / float64(rows)
	report(Result{
		Name: "postgres/size", Value: perRow, Unit: "bytes/row",
		Target: fmt.Sprintf("≤ %d: %.1f GB for 12 M", most, perRow*12e6/1e9), OK: perRow <= most,
	})
	return errors.Join(err, conn.Close(ctx))
}

// slowest is the 99th percentile of what many calls return.
func slowest(f func(i int) (float64, error)) (float64, error) {
	took := make([]float64, coldLookups)
	for i := range took {
		var err error
		if took[i], err = f(i); err != nil {
			return 0, err
		}
	}
	slices.Sort(took)
	return took[len(took)*99/100], nil
}

// importLegacy adds the credentials of one consumer, as an import does.
func importLegacy(ctx context.Context, s *postgres.Store, rows int) error {
	const batch = 8192
	owner := consumer.Info{ID: uuid.NewString(), Username: "mobile_device", Created: time.Now()}
	if err := s.AddConsumer(ctx, owner); err != nil {
		return err
	}
	sealed := make([]byte, 72) // as a secret of 32 characters is
	for first := 0; first < rows; first += batch {
		b := consumer.Batch{Progress: func() string { return "" }}
		for i := first; i < min(first+batch, rows); i++ {
			copy(sealed, legacySecret(i))
			b.Records = append(b.Records, consumer.Record{
				Key: legacyKey(i), ConsumerID: owner.ID, Algorithm: jose.HS256, Sealed: slices.Clone(sealed), Created: time.Now(),
			})
		}
		slices.SortFunc(b.Records, func(a, b consumer.Record) int { return strings.Compare(a.Key, b.Key) })
		if err := s.Import(ctx, "bench", b); err != nil {
			return err
		}
	}
	return nil
}
