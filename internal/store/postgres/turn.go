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
		UPDATE turns SET ready = $2 WHERE conversation = $1 AND ready IS NULL AND (seq, hook_at) =
			(SELECT seq, hook_at FROM turns WHERE conversation = $1 ORDER BY seq, hook_at LIMIT 1)`
	selectReady = `
		SELECT t.seq, t.attempt, c.id, c.bot, c.issuer, c.subject, c.context, c.created, m.id, m.body, m.at, t.again,
			t.hook, t.hook_at
		FROM turns AS t
			JOIN conversations AS c ON c.key = t.conversation
			LEFT JOIN messages AS m ON m.conversation = t.conversation AND m.seq = t.seq AND t.hook_at = 0
		WHERE t.bot = $1 AND t.ready <= $2 ORDER BY t.ready, t.conversation LIMIT $3 FOR UPDATE OF t SKIP LOCKED`
	selectWaits = `SELECT EXISTS (SELECT 1 FROM turns WHERE bot = $1 AND ready <= $2)`
	theTurn     = `conversation = (SELECT key FROM conversations WHERE id = $1) AND seq = $2 AND hook_at = $3`
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
	err = s.write(ctx, "lease turns", func(ctx context.Context, tx pgx.Tx) (err error) {
		turns, err = collect(ctx, tx, "read turns", s.scanTurn, selectReady, string(of), now.UnixMilli(), max(0, limit))
		if err != nil {
			return err
		}
		var b pgx.Batch
		b.Queue(`SET LOCAL synchronous_commit = off`) // who knows of a lease that is lost has lost it, too
		for i := range turns {
			t := &turns[i]
			b.Queue(`UPDATE turns SET ready = $4, attempt = attempt + 1 WHERE `+theTurn, t.Conversation, t.Seq, hookAt(*t), until.UnixMilli())
			t.Attempt++
		}
		return tx.SendBatch(ctx, &b).Close()
	})
	if err != nil {
		return nil, err
	}
	return turns, nil
}

func (s *Store) scanTurn(r table.Rows) (t bot.Turn, err error) {
	var messageID *string
	var began, at, happened table.Stamp
	var hook bot.Kind
	err = r.Scan(&t.Seq, &t.Attempt, &t.Conversation, (*string)(&t.Bot), &t.User.Issuer, &t.User.Subject,
		s.contexts.Column(&t.Conversation, &t.Context), &began, &messageID, (*table.Document)(&t.Body), &at, (*table.Stamp)(&t.Again),
		(*string)(&hook), &happened)
	switch {
	case hook != "":
		t.Kind, t.At = hook, time.Time(happened)
		t.MessageID = bot.HookID(hook, t.At)
	case t.Seq == 0:
		t.Kind, t.MessageID, t.At = bot.Welcome, string(bot.Welcome), time.Time(began)
	default:
		t.Kind, t.At = bot.Message, time.Time(at)
		if messageID != nil {
			t.MessageID = *messageID
		}
	}
	return t, err
}

// hookAt is the column of that name.
func hookAt(t bot.Turn) int64 {
	if !t.Kind.Hook() {
		return 0
	}
	return t.At.UnixMilli()
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
		done, err := tx.Exec(ctx, `UPDATE turns SET ready = $4 WHERE `+theTurn+` AND attempt = $5 AND ready IS NOT NULL`,
			t.Conversation, t.Seq, hookAt(t), at.UnixMilli(), t.Attempt)
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
	return s.endTurn(ctx, t, drafts, set, at, func(context.Context, pgx.Tx, *place) error { return nil })
}

// endTurn ends a turn, adds drafts and merges set in the commit that holds what also does.
func (s *Store) endTurn(ctx context.Context, t bot.Turn, drafts []chat.Draft, set json.RawMessage, at time.Time,
	also func(context.Context, pgx.Tx, *place) error,
) ([]chat.Message, bool, error) {
	var messages []chat.Message
	var ended bool
	err := s.in(ctx, "finish turn", chat.ID(t.Conversation), func(ctx context.Context, tx pgx.Tx, p *place) error {
		done, err := tx.Exec(ctx, `DELETE FROM turns WHERE conversation = $1 AND seq = $2 AND hook_at = $3`, p.key, t.Seq, hookAt(t))
		if ended = done.RowsAffected() == 1; err != nil || !ended {
			return err
		}
		if p.turns--; p.turns > 0 {
			if _, err := tx.Exec(ctx, updateNext, p.key, at.UnixMilli()); err != nil {
				return err
			}
		}
		if err := s.merge(ctx, tx, p, set, chat.Server); err != nil {
			return err
		}
		if err := also(ctx, tx, p); err != nil {
			return err
		}
		messages, _, err = p.append(ctx, tx, chat.ID(t.Conversation), drafts, at, time.Time{})
		return err
	})
	if errors.Is(err, errNoConversation) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	if !ended {
		return nil, false, nil
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
