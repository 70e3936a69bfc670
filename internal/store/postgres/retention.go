package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/carnetproject/carnet/internal/store/table"
)

const (
	// sweeping is the number of the lock of who deletes old messages, one node at a time.
	sweeping = 0x63617264 // "card"
	// cutBatch is how many rows one commit deletes.
	cutBatch = 1000
	// dropPatience is how long a partition waits for those who read it, while others wait
	// behind it.
	dropPatience = time.Second
)

const (
	selectOldTurns = `
		SELECT ` + table.TurnColumns + `
		FROM turns AS t
			JOIN conversations AS c ON c.key = t.conversation
			JOIN messages AS m ON m.conversation = t.conversation AND m.seq = t.seq
		WHERE t.hook_at = 0 AND m.at < $1 ORDER BY t.conversation, t.seq LIMIT $2`
	deleteOldDead = `
		DELETE FROM dead_turns AS d USING messages AS m
		WHERE m.conversation = d.conversation AND m.seq = d.seq AND d.hook_at = 0 AND m.at < $1`
	deleteOld = `
		DELETE FROM messages_default WHERE ctid = ANY (ARRAY (SELECT ctid FROM messages_default WHERE at < $1 LIMIT $2))`
)

// DeleteMessages deletes the messages that are older than a time, and their turns with
// them: months that are over by then as a whole, so that what is younger than a month more
// may stay. The conversations stay, and their numbers go on. If another node is about it,
// nothing happens.
func (s *Store) DeleteMessages(ctx context.Context, before time.Time) error {
	const what = "delete old messages"
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return explain(what, err)
	}
	defer conn.Release()
	var ours bool
	if err := conn.QueryRow(ctx, `SELECT pg_try_advisory_lock($1)`, sweeping).Scan(&ours); err != nil || !ours {
		return explain(what, err)
	}
	defer unlock(ctx, conn)
	if err := s.endOldTurns(ctx, before); err != nil {
		return err
	}
	if err := s.dropMonths(ctx, before); err != nil {
		return err
	}
	for {
		var n int64
		err := s.write(ctx, what, func(ctx context.Context, tx pgx.Tx) error {
			done, err := tx.Exec(ctx, deleteOld, before.UnixMilli(), cutBatch)
			n = done.RowsAffected()
			return err
		})
		if err != nil || n < cutBatch {
			return err
		}
	}
}

// unlock gives the lock of sweeping back, with the connection if need be.
func unlock(ctx context.Context, conn *pgxpool.Conn) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), commitTimeout)
	defer cancel()
	if _, err := conn.Exec(ctx, `SELECT pg_advisory_unlock($1)`, sweeping); err != nil {
		_ = conn.Conn().Close(ctx)
	}
}

// endOldTurns ends the turns of messages that are older than a time, without an answer.
func (s *Store) endOldTurns(ctx context.Context, before time.Time) error {
	for {
		turns, err := collect(ctx, s.pool, "read old turns", s.contexts.ScanTurn, selectOldTurns, before.UnixMilli(), cutBatch)
		if err != nil {
			return err
		}
		for _, t := range turns {
			if _, _, err := s.FinishTurn(ctx, t, nil, nil, before); err != nil {
				return err
			}
		}
		if len(turns) < cutBatch {
			break
		}
	}
	return s.write(ctx, "delete old turns", func(ctx context.Context, tx pgx.Tx) error {
		_, err := tx.Exec(ctx, deleteOldDead, before.UnixMilli())
		return err
	})
}

// dropMonths drops the partitions of months that have ended before a time.
func (s *Store) dropMonths(ctx context.Context, before time.Time) error {
	names, err := collect(ctx, s.pool, "read partitions", func(r table.Rows) (name string, err error) {
		err = r.Scan(&name)
		return name, err
	}, `SELECT c.relname::text FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid WHERE i.inhparent = 'messages'::regclass`)
	if err != nil {
		return err
	}
	for _, name := range names {
		month, err := time.Parse(monthName, name)
		if err != nil || month.AddDate(0, 1, 0).After(before) { // the default one, or too young
			continue
		}
		err = s.write(ctx, "drop partition", func(ctx context.Context, tx pgx.Tx) error {
			if _, err := tx.Exec(ctx, `SET LOCAL lock_timeout = `+milliseconds(dropPatience)); err != nil {
				return err
			}
			_, err := tx.Exec(ctx, `DROP TABLE IF EXISTS `+pgx.Identifier{name}.Sanitize())
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}
