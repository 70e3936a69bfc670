package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/carnetproject/carnet/internal/bot"
	"github.com/carnetproject/carnet/internal/chat"
	"github.com/carnetproject/carnet/internal/store/table"
)

const (
	upsertSeen = `
		INSERT INTO presence (conversation, bot, told, seen)
		SELECT key, bot, 0, $2 FROM conversations WHERE id = ANY($1) ORDER BY key
		ON CONFLICT (conversation) DO UPDATE SET told = 0, seen = excluded.seen WHERE presence.seen <> excluded.seen`
	selectLapses = `
		SELECT COALESCE(LEAST(
			(SELECT MIN(seen) FROM presence WHERE bot = $1 AND told = 0), (SELECT MIN(seen) FROM presence WHERE bot = $1 AND told = $2)
		) <= $3, FALSE)`
	// What another node has at hand is its to tell.
	selectLapsed = `
		SELECT p.seen, c.key, c.bot, c.last_seq, c.turns
		FROM presence AS p JOIN conversations AS c ON c.key = p.conversation
		WHERE p.bot = $1 AND p.told IN (0, $2) AND p.seen <= $3 ORDER BY p.told, p.seen LIMIT $4 FOR NO KEY UPDATE SKIP LOCKED`
	insertHook = `INSERT INTO turns (conversation, seq, hook_at, hook, bot, ready, attempt) VALUES ($1, $2, $3, $4, $5, $6, 0)`
)

// Saw notes that the users of the conversations were connected at a time: their sessions
// go on, or begin. Unknown ids are left out.
func (s *Store) Saw(ctx context.Context, ids []chat.ID, at time.Time) error {
	return s.write(ctx, "note presence", func(ctx context.Context, tx pgx.Tx) error {
		_, err := tx.Exec(ctx, upsertSeen, texts(ids), at.UnixMilli())
		return err
	})
}

// Lapse commits a turn of the hook for each session with a bot, at most limit, whose user
// was connected last at least so long before now, and returns how many there were. Each
// session has one turn of bot.Ended, which is its last, and before it one of bot.Offline
// for each time that the user was away.
func (s *Store) Lapse(ctx context.Context, of bot.ID, hook bot.Kind, away time.Duration, now time.Time, limit int) (int, error) {
	told := 0 // of those that have heard less than the hook
	after := `UPDATE presence SET told = 1 WHERE conversation = $1`
	if hook == bot.Ended {
		told, after = 1, `DELETE FROM presence WHERE conversation = $1`
	}
	// A look costs no commit, and most calls find nothing.
	args := []any{string(of), told, now.Add(-away).UnixMilli()}
	var some bool
	err := s.pool.QueryRow(ctx, selectLapses, args...).Scan(&some)
	if err != nil || !some {
		return 0, explain("read presence", err)
	}
	n := 0
	err = s.write(ctx, "note absence", func(ctx context.Context, tx pgx.Tx) error {
		gone, err := collect(ctx, tx, "read presence", scanAbsence, selectLapsed, append(args, max(0, limit))...)
		if err != nil {
			return err
		}
		n = len(gone)
		var b pgx.Batch
		for _, g := range gone {
			var ready any // NULL while an older one waits
			if g.turns == 0 {
				ready = now.UnixMilli()
			}
			b.Queue(insertHook, g.key, g.last, g.seen.Add(away).UnixMilli(), string(hook), g.bot, ready)
			b.Queue(`UPDATE conversations SET turns = turns + 1 WHERE key = $1`, g.key)
			b.Queue(after, g.key)
		}
		return tx.SendBatch(ctx, &b).Close()
	})
	if err != nil {
		return 0, err
	}
	return n, nil
}

// absence is a session without a connection.
type absence struct {
	key  int64
	bot  string
	seen time.Time
	standing
}

func scanAbsence(r table.Rows) (a absence, err error) {
	err = r.Scan((*table.Stamp)(&a.seen), &a.key, &a.bot, &a.last, &a.turns)
	return a, err
}
