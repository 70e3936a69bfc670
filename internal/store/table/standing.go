package table

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/carnetproject/carnet/internal/connector"
)

// Standing returns where an actor stands in a restriction group; the zero Standing for
// one that is not known.
func (t *Tables) Standing(ctx context.Context, group, actor string) (s connector.Standing, err error) {
	err = t.db.Reader().QueryRowContext(ctx,
		`SELECT step, until FROM standings WHERE restriction = ? AND actor = ?`, group, actor).Scan(&s.Step, (*instant)(&s.Until))
	if errors.Is(err, sql.ErrNoRows) {
		return connector.Standing{}, nil
	}
	return s, t.db.Explain("read standing", err)
}

// ChangeStanding replaces an actor's standing by what next makes of it. Of changes at
// once each sees what the one before has made.
func (t *Tables) ChangeStanding(ctx context.Context, group, actor string, next func(connector.Standing) connector.Standing) error {
	return t.db.Write(ctx, "change standing", func(ctx context.Context, tx Tx) error {
		// To insert first locks the row, whether or not it was there.
		var s connector.Standing
		err := tx.QueryRowContext(ctx, `
			INSERT INTO standings (restriction, actor, step, until) VALUES (?, ?, 0, NULL)
			ON CONFLICT (restriction, actor) DO UPDATE SET step = standings.step
			RETURNING step, until`, group, actor).Scan(&s.Step, (*instant)(&s.Until))
		if err != nil {
			return err
		}
		s = next(s)
		_, err = tx.ExecContext(ctx, `UPDATE standings SET step = ?, until = ? WHERE restriction = ? AND actor = ?`,
			s.Step, instant(s.Until), group, actor)
		return err
	})
}

// Standings lists up to limit actors of a group whose step is in effect, by their order,
// after one.
func (t *Tables) Standings(ctx context.Context, group, after string, limit int, now time.Time) ([]connector.ActorStanding, error) {
	scan := func(r Rows) (a connector.ActorStanding, err error) {
		err = r.Scan(&a.Actor, &a.Step, (*instant)(&a.Until))
		return a, err
	}
	return collect(ctx, t, t.db.Reader(), "read standings", scan, `
		SELECT actor, step, until FROM standings
		WHERE restriction = ? AND actor > ? AND step > 0 AND until > ? ORDER BY actor LIMIT ?`,
		group, after, instant(now), limit)
}

// ForgetStandings drops the standing of an actor, or all of a group if actor is empty.
func (t *Tables) ForgetStandings(ctx context.Context, group, actor string) error {
	return t.db.Write(ctx, "forget standings", func(ctx context.Context, tx Tx) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM standings WHERE restriction = ?1 AND (?2 = '' OR actor = ?2)`, group, actor)
		return err
	})
}

// DeleteExpiredStandings forgets the standings that ended before the given time, and
// tells how many they were.
func (t *Tables) DeleteExpiredStandings(ctx context.Context, before time.Time) (int, error) {
	var n int64
	err := t.db.Write(ctx, "delete standings", func(ctx context.Context, tx Tx) (err error) {
		n, err = affected(tx.ExecContext(ctx, `DELETE FROM standings WHERE until < ?`, instant(before)))
		return err
	})
	if err != nil {
		return 0, err
	}
	return int(n), nil
}
