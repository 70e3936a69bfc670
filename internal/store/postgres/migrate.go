package postgres

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
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

// migrate brings the schema up to date, unless a copy into it is not finished.
func migrate(ctx context.Context, db *sql.DB) error {
	if err := whole(ctx, db); err != nil {
		return err
	}
	return upgrade(ctx, db)
}

// upgrade brings the schema up to date. A newer one will do as long as it says so: then
// nodes can be replaced by newer ones, one after the other.
func upgrade(ctx context.Context, db *sql.DB) error {
	p, err := newProvider(db)
	if err != nil {
		return err
	}
	current, target, err := p.GetVersions(ctx)
	if err != nil {
		return fmt.Errorf("read schema version: %w", err)
	}
	if current == target {
		return nil
	}
	if current < target {
		_, err = p.Up(ctx)
		return err
	}
	var oldest int64
	if err := db.QueryRowContext(ctx, `SELECT oldest FROM schema_readers`).Scan(&oldest); err != nil {
		return fmt.Errorf("read whom the schema is for: %w", err)
	}
	if target < oldest {
		return fmt.Errorf("schema is version %d, for programs that know %d or later, this one knows %d: use a newer one", current, oldest, target)
	}
	return nil
}
