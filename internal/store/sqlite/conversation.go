package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"

	"github.com/carnetproject/carnet/internal/bot"
	"github.com/carnetproject/carnet/internal/chat"
	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/store/table"
)

// AddConversation adds a conversation, and if asked a welcome turn in the same
// commit. It has no messages yet, whatever its LastSeq and ReadSeq say. If the id is
// taken, that is a conflict.
func (s *Store) AddConversation(ctx context.Context, c chat.Conversation, welcome bool) error {
	return s.write(ctx, "add conversation", func(ctx context.Context, tx *sql.Tx) error {
		return s.addConversation(ctx, tx, c, welcome)
	})
}

func (s *Store) addConversation(ctx context.Context, tx *sql.Tx, c chat.Conversation, welcome bool) error {
	column, err := s.contexts.Seal(string(c.ID), c.Context)
	if err != nil {
		return err
	}
	r, err := tx.ExecContext(ctx, `
		INSERT INTO conversations (id, bot, issuer, subject, context, owned, read_seq, created)
		VALUES (?, ?, ?, ?, ?, ?, 0, ?)`,
		c.ID, c.Bot, c.User.Issuer, c.User.Subject, column, list[string](c.Owned), stamp(c.Created))
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
}

// NextConversation adds c with a welcome turn if after is the user's newest conversation
// with the bot, "" for none, and returns c. Else it returns the newest one.
func (s *Store) NextConversation(ctx context.Context, c chat.Conversation, after chat.ID) (newest chat.Conversation, err error) {
	err = s.write(ctx, "begin conversation", func(ctx context.Context, tx *sql.Tx) error {
		found, err := s.contexts.ScanConversation(tx.QueryRowContext(ctx, selectCurrent, c.User.Issuer, c.User.Subject, c.Bot))
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		if newest = found; found.ID != after {
			return nil
		}
		newest = c
		return s.addConversation(ctx, tx, c, true)
	})
	if err != nil {
		return chat.Conversation{}, err
	}
	return newest, nil
}

const (
	selectConversation = `
		SELECT id, bot, issuer, subject, context, owned, read_seq, created, moves,
			(SELECT MAX(COALESCE(MAX(seq), 0), c.last_seq) FROM messages WHERE conversation = c.key)
		FROM conversations AS c `
	selectByID    = selectConversation + `WHERE id = ?`
	selectCurrent = selectConversation + `WHERE issuer = ? AND subject = ? AND bot = ? ORDER BY key DESC LIMIT 1`
	selectStands  = `
		SELECT c.id, c.moves, (SELECT MAX(COALESCE(MAX(seq), 0), c.last_seq) FROM messages WHERE conversation = c.key)
		FROM json_each(?) AS wanted CROSS JOIN conversations AS c ON c.id = wanted.value`
	selectContext = `SELECT context, owned FROM conversations WHERE key = ?`
	updateContext = `UPDATE conversations SET context = ?2, owned = ?3 WHERE key = ?1`
	updateRead    = `UPDATE conversations SET read_seq = ?2 WHERE key = ?1 AND read_seq < ?2`
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

func (s *Store) conversation(ctx context.Context, query string, args ...any) (chat.Conversation, error) {
	c, err := s.contexts.ScanConversation(s.readers.QueryRowContext(ctx, query, args...))
	if errors.Is(err, sql.ErrNoRows) {
		return chat.Conversation{}, table.ErrNoConversation
	}
	return c, explain("read conversation", err)
}

// Stands returns where each conversation stands. Unknown ids are left out.
func (s *Store) Stands(ctx context.Context, ids []chat.ID) (map[chat.ID]chat.Stand, error) {
	type one struct {
		id chat.ID
		chat.Stand
	}
	found, err := collect(ctx, s.readers, "read where conversations stand", func(r rows) (o one, err error) {
		err = r.Scan((*string)(&o.id), &o.Moves, &o.Last)
		return o, err
	}, selectStands, list[chat.ID](ids))
	if err != nil {
		return nil, err
	}
	stands := make(map[chat.ID]chat.Stand, len(found))
	for _, o := range found {
		stands[o.id] = o.Stand
	}
	return stands, nil
}

// MoveConversations makes the conversations of from those of to, and returns how often
// each has moved by now. A user without any is not an error.
func (s *Store) MoveConversations(ctx context.Context, from, to chat.User) (map[chat.ID]int64, error) {
	moved := map[chat.ID]int64{}
	err := s.write(ctx, "move conversations", func(ctx context.Context, tx *sql.Tx) error {
		s.chat.forget() // whose they are
		_, err := collect(ctx, tx, "move conversations", func(r rows) (none struct{}, err error) {
			var id chat.ID
			var moves int64
			err = r.Scan(&id, &moves)
			moved[id] = moves
			return none, err
		}, `
			UPDATE conversations SET issuer = ?3, subject = ?4, moves = moves + 1
			WHERE issuer = ?1 AND subject = ?2 RETURNING id, moves`,
			from.Issuer, from.Subject, to.Issuer, to.Subject)
		return err
	})
	if err != nil {
		return nil, err
	}
	return moved, nil
}

// MergeContext merges set into the context as it is when this is committed. What cannot be
// merged is refused as chat.Conversation.Merge does. An unknown conversation is a fault of
// kind NotFound.
func (s *Store) MergeContext(ctx context.Context, id chat.ID, set json.RawMessage, by chat.Author) error {
	return s.write(ctx, "merge context", func(ctx context.Context, tx *sql.Tx) error {
		p, err := s.chat.in(ctx, tx).find(ctx, id)
		if err != nil {
			return err
		}
		c, err := s.mergedContext(ctx, tx, p, set, by)
		if err != nil {
			return err
		}
		return s.writeContext(ctx, tx, p, c)
	})
}

// mergedContext is what becomes of a conversation's context, which is not written yet; nil
// if set is.
func (s *Store) mergedContext(ctx context.Context, tx *sql.Tx, p *place, set json.RawMessage, by chat.Author) (*chat.Conversation, error) {
	if set == nil {
		return nil, nil
	}
	var c chat.Conversation
	err := tx.QueryRowContext(ctx, selectContext, p.key).Scan(s.contexts.Column((*string)(&p.id), &c.Context), (*list[string])(&c.Owned))
	if err != nil {
		return nil, err
	}
	return &c, c.Merge(set, by)
}

func (s *Store) writeContext(ctx context.Context, tx *sql.Tx, p *place, c *chat.Conversation) error {
	if c == nil {
		return nil
	}
	column, err := s.contexts.Seal(string(p.id), c.Context)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, updateContext, p.key, column, list[string](c.Owned))
	if err == nil {
		p.set(c.Context)
	}
	return err
}

// SetRead notes that the user has read up to a number, but never beyond the newest
// message, and never goes back. An unknown conversation is a fault of kind NotFound.
func (s *Store) SetRead(ctx context.Context, id chat.ID, seq int64) error {
	return s.write(ctx, "set read mark", func(ctx context.Context, tx *sql.Tx) error {
		p, err := s.chat.in(ctx, tx).find(ctx, id)
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, updateRead, p.key, min(seq, p.last))
		return err
	})
}
