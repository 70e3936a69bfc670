package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"modernc.org/sqlite"

	"github.com/carnetproject/carnet/internal/consumer"
	"github.com/carnetproject/carnet/internal/fault"
)

// logChange writes to the log that all nodes follow. It belongs to the transaction of
// what it tells, and to a write of the kind that moves the version.
func logChange(ctx context.Context, tx *sql.Tx, c consumer.Change) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO changes (kind, key, added, at) VALUES (?, ?, ?, unixepoch())`,
		string(c.Kind), c.Key, c.Added)
	return err
}

// Changes returns at most that many entries of the log after a seq, oldest first.
func (s *Store) Changes(ctx context.Context, after int64, most int) ([]consumer.Change, error) {
	scan := func(r rows) (c consumer.Change, err error) {
		err = r.Scan(&c.Seq, &c.Kind, &c.Key, &c.Added)
		return c, err
	}
	return collect(ctx, s.readers, "read changes", scan,
		`SELECT seq, kind, key, added FROM changes WHERE seq > ? ORDER BY seq LIMIT ?`, after, most)
}

// NewestChange is the seq of the newest entry of the log, 0 if there never was one.
func (s *Store) NewestChange(ctx context.Context) (int64, error) {
	var seq int64
	err := s.readers.QueryRowContext(ctx, `SELECT COALESCE(MAX(seq), 0) FROM changes`).Scan(&seq)
	return seq, explain("read newest change", err)
}

// PruneChanges deletes entries of the log made before a time, but never the newest.
func (s *Store) PruneChanges(ctx context.Context, before time.Time) error {
	return s.write(ctx, "prune changes", func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `
			DELETE FROM changes WHERE seq < (
				SELECT COALESCE(MIN(seq), (SELECT MAX(seq) FROM changes)) FROM changes WHERE at >= ?)`, second(before))
		return err
	})
}

// clash makes a conflict that names the column of an error that a unique value of
// such a thing is there already. Other errors stay.
func clash(err error, thing string) error {
	if !taken(err) {
		return err
	}
	e, _ := errors.AsType[*sqlite.Error](err)
	_, column, _ := strings.Cut(e.Error(), "UNIQUE constraint failed: ")
	_, column, _ = strings.Cut(column, ".")
	column, _, _ = strings.Cut(column, " ")
	if column == "n" { // which the id follows from
		column = "id"
	}
	return &fault.Error{Kind: fault.Conflict, Field: column, Msg: fmt.Sprintf("another %s has this %s", thing, column)}
}
