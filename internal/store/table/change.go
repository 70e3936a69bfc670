package table

import (
	"context"
	"fmt"
	"time"

	"github.com/carnetproject/carnet/internal/consumer"
	"github.com/carnetproject/carnet/internal/fault"
)

// logChange writes to the log that all nodes follow. It belongs to the transaction of
// what it tells, and to a write of the kind that moves the version.
func logChange(ctx context.Context, tx Tx, c consumer.Change) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO changes (kind, key, added, at) VALUES (?, ?, ?, ?)`,
		string(c.Kind), c.Key, c.Added, time.Now().Unix())
	return err
}

// Changes returns at most that many entries of the log after a seq, oldest first.
func (t *Tables) Changes(ctx context.Context, after int64, most int) ([]consumer.Change, error) {
	scan := func(r Rows) (c consumer.Change, err error) {
		err = r.Scan(&c.Seq, &c.Kind, &c.Key, &c.Added)
		return c, err
	}
	return collect(ctx, t, t.db.Reader(), "read changes", scan,
		`SELECT seq, kind, key, added FROM changes WHERE seq > ? ORDER BY seq LIMIT ?`, after, most)
}

// NewestChange is the seq of the newest entry of the log, 0 if there never was one.
func (t *Tables) NewestChange(ctx context.Context) (int64, error) {
	var seq int64
	err := t.db.Reader().QueryRowContext(ctx, `SELECT COALESCE(MAX(seq), 0) FROM changes`).Scan(&seq)
	return seq, t.db.Explain("read newest change", err)
}

// PruneChanges deletes entries of the log made before a time, but never the newest.
func (t *Tables) PruneChanges(ctx context.Context, before time.Time) error {
	return t.db.Write(ctx, "prune changes", func(ctx context.Context, tx Tx) error {
		_, err := tx.ExecContext(ctx, `
			DELETE FROM changes WHERE seq < (
				SELECT COALESCE(MIN(seq), (SELECT MAX(seq) FROM changes)) FROM changes WHERE at >= ?)`, second(before))
		return err
	})
}

// clash makes a conflict that names the column of an error that a unique value of
// such a thing is there already. Other errors stay.
func (t *Tables) clash(err error, thing string) error {
	column, ok := t.db.Taken(err)
	if !ok {
		return err
	}
	if column == "n" { // which the id follows from
		column = "id"
	}
	return &fault.Error{Kind: fault.Conflict, Field: column, Msg: fmt.Sprintf("another %s has this %s", thing, column)}
}
