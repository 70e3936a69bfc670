package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/carnetproject/carnet/internal/bot"
	"github.com/carnetproject/carnet/internal/chat"
	"github.com/carnetproject/carnet/internal/store/table"
)

// Of a conversation's turns only the next has a time from which on it is ready, so that
// the index of those times holds one entry a conversation, and not the queue behind it.
// Whoever ends a turn makes the oldest of the others the next one.
const (
	insertTurn = `
		INSERT INTO turns (conversation, seq, bot, ready, attempt, hook_at, hook) VALUES ($1, $2, $3, $4, $5, 0, '')`
	updateNext = `
		UPDATE turns SET ready = $2 WHERE conversation = $1 AND ready IS NULL AND (seq, hook_at) =
			(SELECT seq, hook_at FROM turns WHERE conversation = $1 ORDER BY seq, hook_at LIMIT 1)`
	selectReady = `
		SELECT ` + table.TurnColumns + `, t.conversation
		FROM turns AS t
			JOIN conversations AS c ON c.key = t.conversation
			LEFT JOIN messages AS m ON m.conversation = t.conversation AND m.seq = t.seq AND t.hook_at = 0
		WHERE t.bot = $1 AND t.ready <= $2 ORDER BY t.ready, t.conversation LIMIT $3 FOR UPDATE OF t SKIP LOCKED`
	updateLeases = `
		UPDATE turns AS t SET ready = $4, attempt = attempt + 1
		FROM unnest($1::bigint[], $2::bigint[], $3::bigint[]) AS got (conversation, seq, hook_at)
		WHERE t.conversation = got.conversation AND t.seq = got.seq AND t.hook_at = got.hook_at`
	selectWaits = `SELECT COALESCE((SELECT MIN(ready) FROM turns WHERE bot = $1) <= $2, FALSE)`
	theTurn     = `conversation = (SELECT key FROM conversations WHERE id = $1) AND seq = $2 AND hook_at = $3`
	deleteTurn  = `DELETE FROM turns WHERE ` + theTurn
	updateReady = `UPDATE turns SET ready = $4 WHERE ` + theTurn + ` AND attempt = $5 AND ready IS NOT NULL`
)

// LeaseTurns returns turns of a bot, at most limit, that nobody else gets before
// until: of each conversation the oldest one that has not ended, unless at now it is
// leased or its retry is not due. Those that have been ready longest come first.
func (s *Store) LeaseTurns(ctx context.Context, of bot.ID, now, until time.Time, limit int) ([]bot.Turn, error) {
	// A look costs no commit, and most calls find nothing.
	var waits bool
	err := s.pool.QueryRow(ctx, selectWaits, string(of), now.UnixMilli()).Scan(&waits)
	if err != nil || !waits {
		return nil, explain("read turns", err)
	}
	var turns []bot.Turn
	var got struct{ conversation, seq, hookAt []int64 }
	err = s.exchange(ctx, "lease turns", func(b *pgx.Batch) {
		b.Queue(selectReady, string(of), now.UnixMilli(), max(0, limit)).Query(func(rows pgx.Rows) error {
			for rows.Next() {
				var key int64
				t, err := s.contexts.ScanTurn(table.Longer(rows, &key))
				if err != nil {
					return err
				}
				got.conversation, got.seq, got.hookAt = append(got.conversation, key), append(got.seq, t.Seq), append(got.hookAt, table.HookAt(t))
				t.Attempt++
				turns = append(turns, t)
			}
			return rows.Err()
		})
	}, func(b *pgx.Batch) error {
		if len(turns) > 0 {
			b.Queue(`SET LOCAL synchronous_commit = off`) // who knows of a lease that is lost has lost it, too
			b.Queue(updateLeases, got.conversation, got.seq, got.hookAt, until.UnixMilli())
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return turns, nil
}

// RetryTurn gives a lease back: the turn is ready again from at on. Nothing happens
// if somebody else has leased it since, or it has ended.
func (s *Store) RetryTurn(ctx context.Context, t bot.Turn, at time.Time) error {
	_, err := s.setReady(ctx, "retry turn", t, at)
	return err
}

// ExtendTurn keeps a lease until another time. It is false, and nothing happens, if
// somebody else has leased the turn since, or it has ended.
func (s *Store) ExtendTurn(ctx context.Context, t bot.Turn, until time.Time) (bool, error) {
	return s.setReady(ctx, "extend turn", t, until)
}

// setReady moves the end of a lease, which its attempt names.
func (s *Store) setReady(ctx context.Context, what string, t bot.Turn, at time.Time) (bool, error) {
	var n int64
	err := s.write(ctx, what, func(ctx context.Context, tx pgx.Tx) error {
		done, err := tx.Exec(ctx, updateReady, t.Conversation, t.Seq, table.HookAt(t), at.UnixMilli(), t.Attempt)
		n = done.RowsAffected()
		return err
	})
	return err == nil && n == 1, err
}

// FinishTurn ends a turn: in one commit it adds the drafts of the answer, merges what the
// answer sets, unless nil, into the conversation's context, and makes the conversation's
// next turn ready. Of a turn that has ended already nothing is written, and false comes
// back: the first answer counts. What cannot be merged is refused as
// chat.Conversation.Merge does.
func (s *Store) FinishTurn(ctx context.Context, t bot.Turn, drafts []chat.Draft, set json.RawMessage, at time.Time) ([]chat.Message, bool, error) {
	return s.endTurn(ctx, t, drafts, set, at, func(*pgx.Batch, *place) {})
}

// endTurn ends a turn, adds drafts and merges set in the commit that holds what also queues.
func (s *Store) endTurn(ctx context.Context, t bot.Turn, drafts []chat.Draft, set json.RawMessage, at time.Time,
	also func(*pgx.Batch, *place),
) (messages []chat.Message, ended bool, err error) {
	var there []chat.Message
	of, wanted := make([]string, len(drafts)), make([]string, len(drafts))
	for i, d := range drafts {
		of[i], wanted[i] = t.Conversation, d.ID
	}
	err = s.in(ctx, "finish turn", chat.ID(t.Conversation), func(b *pgx.Batch) {
		b.Queue(deleteTurn, t.Conversation, t.Seq, table.HookAt(t)).Exec(func(done pgconn.CommandTag) error {
			ended = done.RowsAffected() == 1
			return nil
		})
		queueWritten(b, of, wanted, func(_ chat.ID, m chat.Message) { there = append(there, m) })
	}, func(b *pgx.Batch, p *place) error {
		if !ended {
			return nil
		}
		if p.turns--; p.turns > 0 {
			b.Queue(updateNext, p.key, at.UnixMilli())
		}
		if err := s.merge(b, p, set, chat.Server); err != nil {
			return err
		}
		also(b, p)
		var rows added
		p.there = there
		messages, _ = p.append(&rows, drafts, at, time.Time{})
		rows.queue(b)
		return nil
	})
	if errors.Is(err, table.ErrNoConversation) {
		return nil, false, nil
	}
	if err != nil || !ended {
		return nil, false, err
	}
	return messages, true, nil
}

// WaitingTurns returns how many turns of each bot have not ended. A bot without any is
// left out.
func (s *Store) WaitingTurns(ctx context.Context) (map[bot.ID]int64, error) {
	waiting := map[bot.ID]int64{}
	_, err := collect(ctx, s.pool, "count turns", func(r table.Rows) (none struct{}, err error) {
		var of bot.ID
		var n int64
		err = r.Scan((*string)(&of), &n)
		waiting[of] = n
		return none, err
	}, `SELECT bot, COUNT(*) FROM turns GROUP BY bot`)
	if err != nil {
		return nil, err
	}
	return waiting, nil
}
