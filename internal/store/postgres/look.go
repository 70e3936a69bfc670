package postgres

import (
	"context"
	"errors"

	"github.com/carnetproject/carnet/internal/store/table"
)

// Look tells what there is in a database, and changes nothing.
func Look(ctx context.Context, url string) (l table.Look, err error) {
	b, err := openBulk(ctx, url, func(*Bulk) error { return nil })
	if err != nil {
		return l, err
	}
	defer func() { err = errors.Join(err, b.Close()) }()
	if l.Version, err = version(ctx, b); err != nil {
		return l, err
	}
	if l.Pending, l.Known, err = table.Pending(migrations, l.Version); err != nil {
		return l, err
	}
	if err := b.QueryRowContext(ctx, `SELECT 'PostgreSQL ' || current_setting('server_version'), pg_database_size(current_database())`).
		Scan(&l.Server, &l.Bytes); err != nil {
		return l, explain("read the database", err)
	}
	if l.Unfinished, err = b.Begun(ctx); err != nil {
		return l, err
	}
	if l.Others, err = connected(ctx, b); err != nil {
		return l, err
	}
	if l.Empty = true; l.Version == 0 {
		return l, nil
	}
	shapes, err := b.Shapes(ctx)
	if err != nil {
		return l, err
	}
	for _, s := range shapes {
		c, err := b.count(ctx, s.Name)
		if err != nil {
			return l, explain("count rows", err)
		}
		l.Empty = l.Empty && (c.Rows == 0 || len(s.Key) == 0)
		l.Counts = append(l.Counts, c)
	}
	return l, nil
}

// aboutFrom is from how many rows on the server's estimate will do.
const aboutFrom = 100_000

// count counts the rows of a table, unless the server knows that they are many.
func (b *Bulk) count(ctx context.Context, name string) (table.Count, error) {
	c := table.Count{Table: name}
	err := b.QueryRowContext(ctx, `
		SELECT COALESCE(SUM(GREATEST(c.reltuples, 0)), 0)::bigint FROM pg_partition_tree(?::regclass) AS t JOIN pg_class AS c ON c.oid = t.relid
		WHERE t.isleaf`, name).Scan(&c.Rows)
	if c.About = c.Rows >= aboutFrom; c.About || err != nil {
		return c, err
	}
	return c, b.QueryRowContext(ctx, `SELECT COUNT(*) FROM `+name).Scan(&c.Rows)
}

// Migrate brings the schema of a database up to date.
func Migrate(ctx context.Context, url string) error {
	s, err := Open(ctx, url)
	if err != nil {
		return err
	}
	return s.Close()
}

// version is that of the schema, 0 if there is none yet.
func version(ctx context.Context, q table.Querier) (v int64, err error) {
	var there bool
	err = q.QueryRowContext(ctx, `SELECT to_regclass('goose_db_version') IS NOT NULL`).Scan(&there)
	if err != nil || !there {
		return 0, explain("read schema version", err)
	}
	err = q.QueryRowContext(ctx, `SELECT COALESCE(MAX(version_id), 0) FROM goose_db_version WHERE is_applied`).Scan(&v)
	return v, explain("read schema version", err)
}
