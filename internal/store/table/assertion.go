package table

import (
	"context"
	"time"
)

// UseAssertion notes that the assertion of an id was shown, until it expires. Of callers
// that show the same one, at once or later, exactly one gets true.
func (t *Tables) UseAssertion(ctx context.Context, id [32]byte, expires time.Time) (bool, error) {
	var n int64
	err := t.db.Write(ctx, "use assertion", func(ctx context.Context, tx Tx) (err error) {
		n, err = affected(tx.ExecContext(ctx,
			`INSERT INTO assertions (id, expires) VALUES (?, ?) ON CONFLICT DO NOTHING`, digest(id), Stamp(expires)))
		return err
	})
	return err == nil && n == 1, err
}

// DeleteExpiredAssertions forgets the assertions that expired before the given time, and
// tells how many they were.
func (t *Tables) DeleteExpiredAssertions(ctx context.Context, before time.Time) (int, error) {
	var n int64
	err := t.db.Write(ctx, "delete assertions", func(ctx context.Context, tx Tx) (err error) {
		n, err = affected(tx.ExecContext(ctx, `DELETE FROM assertions WHERE expires < ?`, Stamp(before)))
		return err
	})
	if err != nil {
		return 0, err
	}
	return int(n), nil
}
