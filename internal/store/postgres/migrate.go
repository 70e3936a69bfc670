package postgres

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"

	"github.com/carnetproject/carnet/internal/fault"
)

//go:embed migrations/*.sql
var migrations embed.FS

// newProvider returns what brings the schema up to date, one node at a time.
func newProvider(db *sql.DB) (*goose.Provider, error) {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, err
	}
	locker, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(1, 120)) // a try a second, for two minutes
	if err != nil {
		return nil, err
	}
	return goose.NewProvider(goose.DialectPostgres, db, files,
		goose.WithDisableGlobalRegistry(true), goose.WithSessionLocker(locker))
}

// migrate brings the schema of the database at url up to date, unless a copy into it is not
// finished; db is the same one.
func migrate(ctx context.Context, db *sql.DB, url string) error {
	if err := whole(ctx, db); err != nil {
		return err
	}
	old, err := outdated(ctx, db)
	if err != nil || !old {
		return err
	}
	// By connections of its own: a migration may take longer than a node's statements.
	b, err := openBulk(ctx, url, func(b *Bulk) error { return upgrade(ctx, b.db) })
	if err != nil {
		return err
	}
	return b.Close()
}

// upgrade brings the schema up to date.
func upgrade(ctx context.Context, db *sql.DB) error {
	if old, err := outdated(ctx, db); err != nil || !old {
		return err
	}
	p, err := newProvider(db)
	if err == nil {
		_, err = p.Up(ctx)
	}
	return err
}

// outdated tells whether migrations are to be made. A newer schema will do as long as it says
// so: then nodes can be replaced by newer ones, one after the other.
func outdated(ctx context.Context, db *sql.DB) (bool, error) {
	if err := fit(ctx, db); err != nil {
		return false, err
	}
	p, err := newProvider(db)
	if err != nil {
		return false, err
	}
	current, target, err := p.GetVersions(ctx)
	if err != nil {
		return false, fmt.Errorf("read schema version: %w", err)
	}
	if current <= target {
		return current < target, nil
	}
	var oldest int64
	if err := db.QueryRowContext(ctx, `SELECT oldest FROM schema_readers`).Scan(&oldest); err != nil {
		return false, fmt.Errorf("read whom the schema is for: %w", err)
	}
	if target < oldest {
		return false, fault.Newf(fault.Conflict, "schema is version %d, for programs that know %d or later, this one knows %d: use a newer one", current, oldest, target)
	}
	return false, nil
}

// fit is nil if a database can hold a store.
func fit(ctx context.Context, db *sql.DB) error {
	var encoding string
	var schema bool
	err := db.QueryRowContext(ctx, `SELECT current_setting('server_encoding'), current_schema() IS NOT NULL`).Scan(&encoding, &schema)
	switch {
	case err != nil:
		return fmt.Errorf("read the database: %w", err)
	case encoding != "UTF8":
		return fault.Newf(fault.Invalid, "the database has the encoding %s and must have UTF8: create it with ENCODING 'UTF8' TEMPLATE template0", encoding)
	case !schema:
		return fault.New(fault.Invalid, "search_path names no schema that is there and that the role may use: create one, or check the URL")
	}
	return nil
}
