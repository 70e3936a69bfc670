package table

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/carnetproject/carnet/internal/consumer"
	"github.com/carnetproject/carnet/internal/fault"
)

// AddUses adds to what is there of the same consumer and day. Use of consumers that are
// gone is passed over.
func (t *Tables) AddUses(ctx context.Context, all []consumer.Use) error {
	return t.db.Order(ctx, "save use of consumers", func(ctx context.Context, tx Tx) error {
		for i := range all {
			if err := addUse(ctx, tx, &all[i]); err != nil && fault.KindOf(err) != fault.NotFound {
				return err
			}
		}
		return nil
	})
}

func addUse(ctx context.Context, tx Tx, u *consumer.Use) error {
	owner, err := ownerOf(ctx, tx, u.ConsumerID)
	if err != nil {
		return err
	}
	var seen []byte
	err = tx.QueryRowContext(ctx, `SELECT seen FROM consumer_uses WHERE consumer = ? AND day = ?`, owner, second(u.Day)).Scan(&seen)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	_, err = tx.ExecContext(ctx, `
		INSERT INTO consumer_uses (consumer, day, requests, last, seen) VALUES (?, ?, ?, ?, ?)
		ON CONFLICT (consumer, day) DO UPDATE SET
			requests = consumer_uses.requests + excluded.requests,
			last = CASE WHEN consumer_uses.last > excluded.last THEN consumer_uses.last ELSE excluded.last END, seen = excluded.seen`,
		owner, second(u.Day), u.Requests, second(u.Last), append([]byte{}, u.Seen.Merge(seen)...))
	return err
}

// Uses lists the days of the consumer of an id, oldest first.
func (t *Tables) Uses(ctx context.Context, consumerID string) ([]consumer.Use, error) {
	scan := func(r Rows) (u consumer.Use, err error) {
		u.ConsumerID = consumerID
		err = r.Scan((*second)(&u.Day), &u.Requests, (*second)(&u.Last), (*[]byte)(&u.Seen))
		return u, err
	}
	return collect(ctx, t, t.db.Reader(), "read use of consumer", scan, `
		SELECT day, requests, last, seen FROM consumer_uses
		WHERE consumer = (SELECT n FROM consumers WHERE id = ?) ORDER BY day`, consumerID)
}

// PruneUses deletes the days before one.
func (t *Tables) PruneUses(ctx context.Context, before time.Time) error {
	return t.db.Write(ctx, "prune use of consumers", func(ctx context.Context, tx Tx) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM consumer_uses WHERE day < ?`, second(before))
		return err
	})
}
