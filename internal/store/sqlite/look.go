package sqlite

import (
	"context"
	"errors"

	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/store/table"
)

// Look tells what there is in a file, and changes nothing.
func Look(ctx context.Context, path string) (l table.Look, err error) {
	if err := there(path); err != nil {
		return l, err
	}
	if b, err := openBulk(ctx, path, alone, "query_only(1)", "busy_timeout(0)"); fault.KindOf(err) == fault.Conflict {
		l.Others = []string{"another process"}
	} else if err != nil {
		return l, err
	} else if err := b.Close(); err != nil {
		return l, err
	}
	b, err := openBulk(ctx, path, "query_only(1)")
	if err != nil {
		return l, err
	}
	defer func() { err = errors.Join(err, b.Close()) }()
	if l.Version, err = schemaVersion(ctx, b); err != nil {
		return l, err
	}
	if l.Pending, l.Known, err = table.Pending(migrations, l.Version); err != nil {
		return l, err
	}
	var version string
	var pages, page int64
	for query, into := range map[string]any{
		`SELECT sqlite_version()`: &version, `PRAGMA page_count`: &pages, `PRAGMA page_size`: &page,
	} {
		if err := b.QueryRowContext(ctx, query).Scan(into); err != nil {
			return l, err
		}
	}
	l.Server, l.Bytes = "SQLite "+version, pages*page
	if l.Unfinished, err = b.Begun(ctx); err != nil {
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
		c := table.Count{Table: s.Name}
		if err := b.QueryRowContext(ctx, `SELECT COUNT(*) FROM `+s.Name).Scan(&c.Rows); err != nil {
			return l, err
		}
		l.Empty = l.Empty && (c.Rows == 0 || len(s.Key) == 0)
		l.Counts = append(l.Counts, c)
	}
	return l, nil
}

// Migrate brings the schema of a file up to date, and makes the file if it is not there.
func Migrate(ctx context.Context, path string) error {
	s, err := Open(ctx, path)
	if err != nil {
		return err
	}
	return s.Close()
}

// schemaVersion is that of a file, 0 if there is no schema yet.
func schemaVersion(ctx context.Context, q table.Querier) (version int64, err error) {
	var there bool
	err = q.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = 'goose_db_version')`).Scan(&there)
	if err != nil || !there {
		return 0, err
	}
	err = q.QueryRowContext(ctx, `SELECT COALESCE(MAX(version_id), 0) FROM goose_db_version WHERE is_applied`).Scan(&version)
	return version, err
}
