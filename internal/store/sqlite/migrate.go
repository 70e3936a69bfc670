package sqlite

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"
	"time"

	"github.com/pressly/goose/v3"
)

//go:embed migrations/*.sql
var migrations embed.FS

// migrateAttempts bounds how often a migration is tried again because another
// process was making the same one. Each step is one transaction, so whoever comes
// second fails without a trace and then finds it done.
const migrateAttempts = 20

// migrate brings the schema up to date, unless a copy into it is not finished.
func migrate(ctx context.Context, db *sql.DB) error {
	if err := whole(ctx, db); err != nil {
		return err
	}
	return upgrade(ctx, db)
}

func upgrade(ctx context.Context, db *sql.DB) error {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	for attempt := 1; ; attempt++ {
		err := migrateOnce(ctx, db, files)
		if err == nil || attempt == migrateAttempts {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func migrateOnce(ctx context.Context, db *sql.DB, files fs.FS) error {
	p, err := goose.NewProvider(goose.DialectSQLite3, db, files, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return err
	}
	current, target, err := p.GetVersions(ctx)
	switch {
	case err != nil:
		return fmt.Errorf("read schema version: %w", err)
	case current > target:
		return fmt.Errorf("schema is version %d, this program knows %d: use a newer one", current, target)
	case current == target:
		return nil
	}
	_, err = p.Up(ctx)
	return err
}
