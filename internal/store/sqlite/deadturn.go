package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/carnetproject/carnet/internal/bot"
	"github.com/carnetproject/carnet/internal/chat"
	"github.com/carnetproject/carnet/internal/store/table"
)

const selectDead = `
	SELECT ` + table.DeadColumns + `
	FROM dead_turns AS d
		JOIN conversations AS c ON c.key = d.conversation
		LEFT JOIN messages AS m ON m.conversation = d.conversation AND m.seq = d.seq AND d.hook_at = 0
	WHERE `

// DropTurn is FinishTurn for a turn that is given up: the same commit puts it with the
// reason among the dead ones, and removes of those what bot.MaxDead and bot.DeadFor do
// not allow for.
func (s *Store) DropTurn(ctx context.Context, t bot.Turn, reason string, drafts []chat.Draft, at time.Time) ([]chat.Message, bool, error) {
	return s.endTurn(ctx, t, drafts, nil, at, func(ctx context.Context, tx *sql.Tx, p *place) error {
		_, err := tx.ExecContext(ctx, `
			INSERT OR REPLACE INTO dead_turns (conversation, seq, hook_at, hook, attempts, reason, at)
			VALUES (?, ?, ?, ?, ?, ?, ?)`,
			p.key, t.Seq, table.HookAt(t), table.HookOf(t), t.Attempt, reason, at.UnixMilli())
		if err != nil {
			return err
		}
		// A hundred at a time, so that no answer waits for long.
		_, err = tx.ExecContext(ctx, `
			DELETE FROM dead_turns WHERE id IN (SELECT id FROM dead_turns ORDER BY id LIMIT 100)
				AND (at < ? OR id <= (SELECT MAX(id) FROM dead_turns) - ?)`,
			at.Add(-bot.DeadFor).UnixMilli(), bot.MaxDead)
		return err
	})
}

// DeadTurns returns turns of a bot ("": of all) that were given up, whose id is greater
// than after, by growing id.
func (s *Store) DeadTurns(ctx context.Context, of bot.ID, after int64, limit int) ([]bot.Dead, error) {
	return collect(ctx, s.readers, "read dead turns", s.contexts.ScanDead,
		selectDead+`d.id > ?1 AND (?2 = '' OR c.bot = ?2) ORDER BY d.id LIMIT ?3`, after, of, max(0, limit))
}

// DeadTurn returns the turn of an id, or a fault of kind NotFound.
func (s *Store) DeadTurn(ctx context.Context, id int64) (bot.Dead, error) {
	found, err := collect(ctx, s.readers, "read dead turn", s.contexts.ScanDead, selectDead+`d.id = ?`, id)
	if err == nil && len(found) == 0 {
		err = table.ErrNoDead(id)
	}
	if err != nil {
		return bot.Dead{}, err
	}
	return found[0], nil
}

// DropDead forgets a turn that was given up. None of that id is a fault of kind NotFound.
func (s *Store) DropDead(ctx context.Context, id int64) error {
	return s.write(ctx, "drop dead turn", func(ctx context.Context, tx *sql.Tx) error {
		r, err := tx.ExecContext(ctx, `DELETE FROM dead_turns WHERE id = ?`, id)
		if err != nil {
			return err
		}
		if n, err := r.RowsAffected(); err != nil || n == 0 {
			return orNoDead(err, id)
		}
		return nil
	})
}

// RetryDead makes a turn of one that was given up, with all its attempts before it. It
// comes next in its conversation, behind the one that is ready or leased.
func (s *Store) RetryDead(ctx context.Context, id int64, at time.Time) error {
	return s.write(ctx, "retry dead turn", func(ctx context.Context, tx *sql.Tx) error {
		var key, seq, hookAt int64
		var of, hook, conversation string
		err := tx.QueryRowContext(ctx, `
			DELETE FROM dead_turns WHERE id = ? RETURNING conversation, seq, hook_at, hook,
				(SELECT bot FROM conversations WHERE key = conversation), (SELECT id FROM conversations WHERE key = conversation)`,
			id).Scan(&key, &seq, &hookAt, &hook, &of, &conversation)
		if err != nil {
			return orNoDead(err, id)
		}
		p, err := s.chat.in(ctx, tx).find(ctx, chat.ID(conversation))
		if err != nil {
			return err
		}
		var ready any // NULL behind the one that has its turn now
		if p.turns == 0 {
			ready = at.UnixMilli()
		}
		_, err = tx.ExecContext(ctx, `
			INSERT INTO turns (conversation, seq, hook_at, hook, bot, ready, attempt, again)
			VALUES (?, ?, ?, ?, ?, ?, 0, ?)`,
			key, seq, hookAt, hook, of, ready, at.UnixMilli())
		if err == nil {
			p.turns++
		}
		return err
	})
}

func orNoDead(err error, id int64) error {
	if err == nil || errors.Is(err, sql.ErrNoRows) {
		return table.ErrNoDead(id)
	}
	return err
}
