package sqlite

import (
	"context"
	"database/sql"
	"time"

	"github.com/carnetproject/carnet/internal/bot"
	"github.com/carnetproject/carnet/internal/chat"
)

const (
	upsertSeen = `
		INSERT INTO presence (conversation, bot, told, seen)
		SELECT c.key, c.bot, 0, ?2 FROM json_each(?1) AS those CROSS JOIN conversations AS c ON c.id = those.value
		WHERE true
		ON CONFLICT (conversation) DO UPDATE SET told = 0, seen = excluded.seen WHERE seen <> excluded.seen`
	lapsed       = ` FROM presence AS p INDEXED BY presence_lapsed WHERE p.bot = ?1 AND p.told IN (0, ?2) AND p.seen <= ?3 `
	selectLapses = `SELECT EXISTS (SELECT 1` + lapsed + `)`
	selectLapsed = `
		SELECT p.conversation, p.seen, (SELECT id FROM conversations WHERE key = p.conversation)` + lapsed + `
		ORDER BY p.told, p.seen LIMIT ?4`
	insertHook = `INSERT INTO turns (conversation, seq, hook_at, hook, bot, ready, attempt) VALUES (?, ?, ?, ?, ?, ?, 0)`
)

// Saw notes that the users of the conversations were connected at a time: their sessions
// go on, or begin. Unknown ids are left out.
func (s *Store) Saw(ctx context.Context, ids []chat.ID, at time.Time) error {
	return s.write(ctx, "note presence", func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, upsertSeen, list[chat.ID](ids), at.UnixMilli())
		return err
	})
}

// Lapse commits a turn of the hook for each session with a bot, at most limit, whose user
// was connected last at least so long before now, and returns how many there were. Each
// session has one turn of bot.Ended, which is its last, and before it one of bot.Offline
// for each time that the user was away.
func (s *Store) Lapse(ctx context.Context, of bot.ID, hook bot.Kind, away time.Duration, now time.Time, limit int) (int, error) {
	told := 0 // of those that have heard less than the hook
	if hook == bot.Ended {
		told = 1
	}
	// A look costs no commit, and most calls find nothing.
	var some bool
	err := s.readers.QueryRowContext(ctx, selectLapses, of, told, now.Add(-away).UnixMilli()).Scan(&some)
	if err != nil || !some {
		return 0, explain("read presence", err)
	}
	n := 0
	err = s.write(ctx, "note absence", func(ctx context.Context, tx *sql.Tx) error {
		gone, err := collect(ctx, tx, "read presence", scanAbsence, selectLapsed, of, told, now.Add(-away).UnixMilli(), max(0, limit))
		if err != nil {
			return err
		}
		for _, g := range gone {
			if err := s.chat.in(ctx, tx).tellAbsence(ctx, tx, g, hook, g.seen.Add(away), now); err != nil {
				s.chat.forget() // places of turns that are not there
				return err
			}
		}
		n = len(gone)
		return nil
	})
	if err != nil {
		return 0, err
	}
	return n, nil
}

// absence is a session without a connection.
type absence struct {
	key  int64
	seen time.Time
	id   chat.ID
}

func scanAbsence(r rows) (a absence, err error) {
	err = r.Scan(&a.key, (*stamp)(&a.seen), (*string)(&a.id))
	return a, err
}

// tellAbsence adds the turn of what has happened at a time.
func (w *chatWriter) tellAbsence(ctx context.Context, tx *sql.Tx, a absence, hook bot.Kind, at, now time.Time) error {
	p, err := w.find(ctx, a.id)
	if err != nil {
		return err
	}
	var ready any // NULL while an older one waits
	if p.turns == 0 {
		ready = now.UnixMilli()
	}
	if _, err := tx.ExecContext(ctx, insertHook, p.key, p.last, at.UnixMilli(), hook, p.bot, ready); err != nil {
		return err
	}
	p.turns++
	after := `UPDATE presence SET told = 1 WHERE conversation = ?`
	if hook == bot.Ended {
		after = `DELETE FROM presence WHERE conversation = ?`
	}
	_, err = tx.ExecContext(ctx, after, a.key)
	return err
}

// WaitingTurns returns how many turns of each bot have not ended. A bot without any is
// left out.
func (s *Store) WaitingTurns(ctx context.Context) (map[bot.ID]int64, error) {
	type count struct {
		of bot.ID
		n  int64
	}
	counts, err := collect(ctx, s.readers, "count turns", func(r rows) (c count, err error) {
		err = r.Scan((*string)(&c.of), &c.n)
		return c, err
	}, `SELECT bot, COUNT(*) FROM turns GROUP BY bot`)
	if err != nil {
		return nil, err
	}
	waiting := make(map[bot.ID]int64, len(counts))
	for _, c := range counts {
		waiting[c.of] = c.n
	}
	return waiting, nil
}
