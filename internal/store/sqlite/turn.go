package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"time"

	"github.com/carnetproject/carnet/internal/bot"
	"github.com/carnetproject/carnet/internal/chat"
	"github.com/carnetproject/carnet/internal/store/table"
)

// Of a conversation's turns only the next has a time from which on it is ready, so that
// the index of those times holds one entry a conversation, and not the queue behind it.
// Whoever ends a turn makes the oldest of the others the next one.
const (
	insertTurn = `
		INSERT INTO turns (conversation, seq, bot, ready, attempt, hook_at, hook) VALUES (?, ?, ?, ?, ?, 0, '')`
	updateLease = `UPDATE turns SET ready = ?4, attempt = attempt + 1 WHERE conversation = ?1 AND seq = ?2 AND hook_at = ?3`
	deleteTurn  = `DELETE FROM turns WHERE conversation = ? AND seq = ? AND hook_at = ?`
	updateNext  = `
		UPDATE turns SET ready = ?2 WHERE conversation = ?1 AND ready IS NULL AND (seq, hook_at) =
			(SELECT seq, hook_at FROM turns WHERE conversation = ?1 ORDER BY seq, hook_at LIMIT 1)`
	// selectReady names the index: without it all that waits would be read.
	selectReady = `
		SELECT ` + table.TurnColumns + `, t.conversation
		FROM turns AS t INDEXED BY turns_ready
			CROSS JOIN conversations AS c ON c.key = t.conversation
			LEFT JOIN messages AS m ON m.conversation = t.conversation AND m.seq = t.seq AND t.hook_at = 0
		WHERE t.bot = ? AND t.ready <= ? ORDER BY t.ready, t.conversation LIMIT ?`
	selectLong  = `SELECT context FROM conversations WHERE key = ?`
	selectWaits = `SELECT EXISTS (SELECT 1 FROM turns INDEXED BY turns_ready WHERE bot = ? AND ready <= ?)`
)

// LeaseTurns returns turns of a bot, at most limit, that nobody else gets before
// until: of each conversation the oldest one that has not ended, unless at now it is
// leased or its retry is not due. Those that have been ready longest come first.
func (s *Store) LeaseTurns(ctx context.Context, of bot.ID, now, until time.Time, limit int) ([]bot.Turn, error) {
	// A look costs no commit, and most calls find nothing.
	var waits bool
	err := s.turnWaits.QueryRowContext(ctx, of, now.UnixMilli()).Scan(&waits)
	if err != nil || !waits {
		return nil, explain("read turns", err)
	}
	var turns []bot.Turn
	err = s.writeBrief(ctx, "lease turns", func(ctx context.Context, tx *sql.Tx) error {
		w := s.chat.in(ctx, tx)
		ready, err := collect(ctx, prepared{w.readyTurns}, "read turns", s.scanKeyed, "", of, now.UnixMilli(), max(0, limit))
		if err != nil {
			return err
		}
		for _, r := range ready {
			if _, err := w.leaseTurn.ExecContext(ctx, r.key, r.turn.Seq, table.HookAt(r.turn), until.UnixMilli()); err != nil {
				return err
			}
			r.turn.Attempt++
			turns = append(turns, r.turn)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return turns, nil
}

// owe adds the turn of a message. If no older one waits it is leased until the time
// given, unless that is zero.
func (w *chatWriter) owe(ctx context.Context, p *place, seq int64, at, until time.Time) (leased bool, err error) {
	var ready any // NULL while an older one waits
	attempt := 0
	switch {
	case p.turns > 0:
	case until.IsZero():
		ready = at.UnixMilli()
	default:
		ready, attempt = until.UnixMilli(), 1
	}
	p.turns++
	_, err = w.addTurn.ExecContext(ctx, p.key, seq, p.bot, ready, attempt)
	return attempt > 0, err
}

// turnOf is the turn of a user's message that has been leased for the first time.
func (w *chatWriter) turnOf(ctx context.Context, p *place, m chat.Message) (*bot.Turn, error) {
	t := &bot.Turn{
		Conversation: string(p.id), Bot: bot.ID(p.bot), User: p.user, Context: p.context,
		Seq: m.Seq, Kind: bot.Message, MessageID: m.ID, Body: m.Body, At: m.At, Attempt: 1,
	}
	if p.long {
		err := w.context.QueryRowContext(ctx, p.key).Scan(w.contexts.Column(&t.Conversation, &t.Context))
		return t, err
	}
	return t, nil
}

// keyedTurn is a turn with the key of its conversation.
type keyedTurn struct {
	key  int64
	turn bot.Turn
}

func (s *Store) scanKeyed(r rows) (k keyedTurn, err error) {
	k.turn, err = s.contexts.ScanTurn(table.Longer(r, &k.key))
	return k, err
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
	err := s.write(ctx, what, func(ctx context.Context, tx *sql.Tx) error {
		r, err := tx.ExecContext(ctx, `
			UPDATE turns SET ready = ?
			WHERE conversation = (SELECT key FROM conversations WHERE id = ?) AND seq = ? AND hook_at = ?
				AND attempt = ? AND ready IS NOT NULL`,
			at.UnixMilli(), t.Conversation, t.Seq, table.HookAt(t), t.Attempt)
		if err != nil {
			return err
		}
		n, err = r.RowsAffected()
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
	return s.endTurn(ctx, t, drafts, set, at, func(context.Context, *sql.Tx, *place) error { return nil })
}

// endTurn ends a turn, adds drafts and merges set in the commit that holds what also does.
func (s *Store) endTurn(ctx context.Context, t bot.Turn, drafts []chat.Draft, set json.RawMessage, at time.Time,
	also func(context.Context, *sql.Tx, *place) error,
) ([]chat.Message, bool, error) {
	var messages []chat.Message
	var ended bool
	err := s.writeWhole(ctx, "finish turn", func(ctx context.Context, tx *sql.Tx) error {
		w := s.chat.in(ctx, tx)
		p, err := w.find(ctx, chat.ID(t.Conversation))
		if errors.Is(err, table.ErrNoConversation) {
			return nil
		}
		if err != nil {
			return err
		}
		merged, err := s.mergedContext(ctx, tx, p, set, chat.Server) // refused before anything is written
		if err != nil {
			return err
		}
		if ended, err = w.finish(ctx, p, t, at); err != nil || !ended {
			return err
		}
		if err := s.writeContext(ctx, tx, p, merged); err != nil {
			return err
		}
		if err := also(ctx, tx, p); err != nil {
			return err
		}
		messages, _, err = w.append(ctx, p, drafts, at, time.Time{})
		return err
	})
	if err != nil {
		return nil, false, err
	}
	return messages, ended, nil
}

// finish removes a turn and makes the next one ready. It is false if the turn was
// not there.
func (w *chatWriter) finish(ctx context.Context, p *place, t bot.Turn, at time.Time) (bool, error) {
	r, err := w.endTurn.ExecContext(ctx, p.key, t.Seq, table.HookAt(t))
	if err != nil {
		return false, err
	}
	if n, err := r.RowsAffected(); err != nil || n == 0 {
		return false, err
	}
	if p.turns--; p.turns > 0 {
		_, err = w.nextTurn.ExecContext(ctx, p.key, at.UnixMilli())
	}
	return err == nil, err
}
