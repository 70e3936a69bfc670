package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"

	"github.com/carnetproject/carnet/internal/bot"
	"github.com/carnetproject/carnet/internal/chat"
	"github.com/carnetproject/carnet/internal/fault"
)

var errNoConversation = fault.New(fault.NotFound, "no such conversation")

// AddConversation adds a conversation, and if asked a welcome turn in the same
// commit. It has no messages yet, whatever its LastSeq and ReadSeq say. If the id is
// taken, that is a conflict.
func (s *Store) AddConversation(ctx context.Context, c chat.Conversation, welcome bool) error {
	return s.write(ctx, "add conversation", func(ctx context.Context, tx *sql.Tx) error {
		r, err := tx.ExecContext(ctx, `
			INSERT INTO conversations (id, bot, issuer, subject, context, read_seq, created)
			VALUES (?, ?, ?, ?, ?, 0, ?)`,
			c.ID, c.Bot, c.User.Issuer, c.User.Subject, string(c.Context), stamp(c.Created))
		if taken(err) {
			return fault.New(fault.Conflict, "the conversation exists already")
		}
		if err != nil || !welcome {
			return err
		}
		key, err := r.LastInsertId()
		if err != nil {
			return err
		}
		_, err = s.chat.in(ctx, tx).addTurn.ExecContext(ctx, key, 0, c.Bot, c.Created.UnixMilli(), 0)
		return err
	})
}

const (
	selectConversation = `
		SELECT id, bot, issuer, subject, context, read_seq, created,
			(SELECT COALESCE(MAX(seq), 0) FROM messages WHERE conversation = c.key)
		FROM conversations AS c `
	selectByID     = selectConversation + `WHERE id = ?`
	selectCurrent  = selectConversation + `WHERE issuer = ? AND subject = ? AND bot = ? ORDER BY key DESC LIMIT 1`
	selectLastSeqs = `
		SELECT c.id, (SELECT COALESCE(MAX(seq), 0) FROM messages WHERE conversation = c.key)
		FROM json_each(?) AS wanted CROSS JOIN conversations AS c ON c.id = wanted.value`
	updateContext = `UPDATE conversations SET context = ?2 WHERE key = ?1`
	updateRead    = `
		UPDATE conversations SET read_seq = mark.seq
		FROM (SELECT MIN(?2, COALESCE(MAX(seq), 0)) AS seq FROM messages WHERE conversation = ?1) AS mark
		WHERE key = ?1 AND read_seq < mark.seq`
)

// FindConversation returns the conversation of an id, or a fault of kind NotFound.
func (s *Store) FindConversation(ctx context.Context, id chat.ID) (chat.Conversation, error) {
	return s.conversation(ctx, selectByID, id)
}

// CurrentConversation returns the conversation of the user with the bot that was
// added last, or a fault of kind NotFound.
func (s *Store) CurrentConversation(ctx context.Context, user chat.User, with bot.ID) (chat.Conversation, error) {
	return s.conversation(ctx, selectCurrent, user.Issuer, user.Subject, with)
}

func (s *Store) conversation(ctx context.Context, query string, args ...any) (c chat.Conversation, err error) {
	err = s.readers.QueryRowContext(ctx, query, args...).Scan(&c.ID, &c.Bot, &c.User.Issuer, &c.User.Subject,
		(*document)(&c.Context), &c.ReadSeq, (*stamp)(&c.Created), &c.LastSeq)
	if errors.Is(err, sql.ErrNoRows) {
		return chat.Conversation{}, errNoConversation
	}
	return c, explain("read conversation", err)
}

// LastSeqs returns the number of the newest message of each conversation, 0 for one
// without messages. Unknown ids are left out.
func (s *Store) LastSeqs(ctx context.Context, ids []chat.ID) (map[chat.ID]int64, error) {
	type last struct {
		id  chat.ID
		seq int64
	}
	found, err := collect(ctx, s.readers, "read newest numbers", func(r rows) (l last, err error) {
		err = r.Scan((*string)(&l.id), &l.seq)
		return l, err
	}, selectLastSeqs, list[chat.ID](ids))
	if err != nil {
		return nil, err
	}
	seqs := make(map[chat.ID]int64, len(found))
	for _, l := range found {
		seqs[l.id] = l.seq
	}
	return seqs, nil
}

// SetContext puts another context in the place of the conversation's. An unknown
// conversation is a fault of kind NotFound.
func (s *Store) SetContext(ctx context.Context, id chat.ID, to json.RawMessage) error {
	return s.edit(ctx, "set context", id, updateContext, string(to))
}

// SetRead notes that the user has read up to a number, but never beyond the newest
// message, and never goes back. An unknown conversation is a fault of kind NotFound.
func (s *Store) SetRead(ctx context.Context, id chat.ID, seq int64) error {
	return s.edit(ctx, "set read mark", id, updateRead, seq)
}

// edit runs an update whose arguments are the conversation's key and one value.
func (s *Store) edit(ctx context.Context, what string, id chat.ID, update string, value any) error {
	return s.write(ctx, what, func(ctx context.Context, tx *sql.Tx) error {
		p, err := s.chat.in(ctx, tx).find(ctx, id)
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, update, p.key, value)
		return err
	})
}
