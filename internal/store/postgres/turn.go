package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

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
		UPDATE turns AS t SET ready = new.at
		FROM unnest($1::bigint[], $2::bigint[]) AS new (conversation, at), LATERAL (
			SELECT seq, hook_at FROM turns WHERE conversation = new.conversation ORDER BY seq, hook_at LIMIT 1
		) AS oldest
		WHERE t.conversation = new.conversation AND t.seq = oldest.seq AND t.hook_at = oldest.hook_at AND t.ready IS NULL`
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
	updateReady = `UPDATE turns SET ready = $4 WHERE ` + theTurn + ` AND attempt = $5 AND ready IS NOT NULL`
	selectEnds  = `
		SELECT of.n FROM unnest($1::text[], $2::bigint[], $3::bigint[]) WITH ORDINALITY AS of (conversation, seq, hook_at, n)
			JOIN conversations AS c ON c.id = of.conversation
			JOIN turns AS t ON t.conversation = c.key AND t.seq = of.seq AND t.hook_at = of.hook_at`
	deleteTurns = `
		DELETE FROM turns AS t USING unnest($1::bigint[], $2::bigint[], $3::bigint[]) AS of (conversation, seq, hook_at)
		WHERE t.conversation = of.conversation AND t.seq = of.seq AND t.hook_at = of.hook_at`
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
	return s.endTurn(ctx, drafts, at, ending{turn: t, set: set})
}

// ending is the end of a turn.
type ending struct {
	turn bot.Turn
	set  json.RawMessage // of the context; nil: nothing
	also func(*pgx.Batch, *place)
}

// turnKey tells a conversation's turns apart.
type turnKey struct{ seq, hookAt int64 }

// endTurn ends a turn, and adds the drafts of its answer.
func (s *Store) endTurn(ctx context.Context, drafts []chat.Draft, at time.Time, e ending) ([]chat.Message, bool, error) {
	r, err := s.add(ctx, wish{what: "finish turn", id: chat.ID(e.turn.Conversation), drafts: drafts, at: at, ends: &e})
	if errors.Is(err, table.ErrNoConversation) {
		return nil, false, nil
	}
	if err != nil || !r.ended {
		return nil, false, err
	}
	return r.messages, true, nil
}

// end ends a turn. It is refused before anything is written.
func (p *place) end(b *pgx.Batch, w *writes, e *ending, at time.Time, in table.Contexts) error {
	if err := p.merge(b, in, e.set, chat.Server); err != nil {
		return err
	}
	k := turnKey{e.turn.Seq, table.HookAt(e.turn)}
	p.ended = append(p.ended, k)
	w.ended.conversation, w.ended.seq, w.ended.hookAt = append(w.ended.conversation, p.key), append(w.ended.seq, k.seq), append(w.ended.hookAt, k.hookAt)
	if p.turns--; p.turns > 0 {
		w.next.conversation, w.next.at = append(w.next.conversation, p.key), append(w.next.at, at.UnixMilli())
	}
	if e.also != nil {
		e.also(b, p)
	}
	return nil
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
