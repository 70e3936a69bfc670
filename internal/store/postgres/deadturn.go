package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

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
	return s.endTurn(ctx, drafts, at, ending{turn: t, also: func(b *pgx.Batch, p *place) {
		b.Queue(`DELETE FROM dead_turns WHERE conversation = $1 AND seq = $2 AND hook_at = $3`, p.key, t.Seq, table.HookAt(t))
		b.Queue(`
			INSERT INTO dead_turns (conversation, seq, hook_at, hook, attempts, reason, at) VALUES ($1, $2, $3, $4, $5, $6, $7)`,
			p.key, t.Seq, table.HookAt(t), table.HookOf(t), t.Attempt, reason, at.UnixMilli())
		// A hundred at a time, so that no answer waits for long.
		b.Queue(`
			DELETE FROM dead_turns WHERE id IN (SELECT id FROM dead_turns ORDER BY id LIMIT 100 FOR UPDATE SKIP LOCKED)
				AND (at < $1 OR id <= (SELECT MAX(id) FROM dead_turns) - $2)`,
			at.Add(-bot.DeadFor).UnixMilli(), bot.MaxDead)
	}})
}

// DeadTurns returns turns of a bot ("": of all) that were given up, whose id is greater
// than after, by growing id.
func (s *Store) DeadTurns(ctx context.Context, of bot.ID, after int64, limit int) ([]bot.Dead, error) {
	return collect(ctx, s.pool, "read dead turns", s.contexts.ScanDead,
		selectDead+`d.id > $1 AND ($2 = '' OR c.bot = $2) ORDER BY d.id LIMIT $3`, after, string(of), max(0, limit))
}

// DeadTurn returns the turn of an id, or a fault of kind NotFound.
func (s *Store) DeadTurn(ctx context.Context, id int64) (bot.Dead, error) {
	found, err := collect(ctx, s.pool, "read dead turn", s.contexts.ScanDead, selectDead+`d.id = $1`, id)
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
	return s.write(ctx, "drop dead turn", func(ctx context.Context, tx pgx.Tx) error {
		done, err := tx.Exec(ctx, `DELETE FROM dead_turns WHERE id = $1`, id)
		if err == nil && done.RowsAffected() == 0 {
			err = table.ErrNoDead(id)
		}
		return err
	})
}

// RetryDead makes a turn of one that was given up, with all its attempts before it. It
// comes next in its conversation, behind the one that is ready or leased.
func (s *Store) RetryDead(ctx context.Context, id int64, at time.Time) error {
	d, err := s.DeadTurn(ctx, id)
	if err != nil {
		return err
	}
	var seq, hookAt int64
	var hook string
	return s.in(ctx, "retry dead turn", chat.ID(d.Turn.Conversation), func(b *pgx.Batch) {
		b.Queue(`DELETE FROM dead_turns WHERE id = $1 RETURNING seq, hook_at, hook`, id).QueryRow(func(r pgx.Row) error {
			err := r.Scan(&seq, &hookAt, &hook)
			if errors.Is(err, pgx.ErrNoRows) {
				return table.ErrNoDead(id)
			}
			return err
		})
	}, func(b *pgx.Batch, p *place) error {
		var ready any // NULL behind the one that has its turn now
		if p.turns == 0 {
			ready = at.UnixMilli()
		}
		b.Queue(`
			INSERT INTO turns (conversation, seq, hook_at, hook, bot, ready, attempt, again)
			VALUES ($1, $2, $3, $4, $5, $6, 0, $7)`, p.key, seq, hookAt, hook, string(p.bot), ready, at.UnixMilli())
		p.turns++
		return nil
	})
}
