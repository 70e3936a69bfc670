package sqlite

import (
	"context"
	"database/sql"
	"math"
	"slices"
	"time"

	"github.com/carnetproject/carnet/internal/bot"
	"github.com/carnetproject/carnet/internal/chat"
	"github.com/carnetproject/carnet/internal/store/table"
)

const (
	insertMessage = `
		INSERT INTO messages (conversation, seq, id, sender, at, body) VALUES (?, ?, ?, ?, ?, ?)
		ON CONFLICT (conversation, id) DO NOTHING`
	selectMessageByID = `SELECT ` + table.MessageColumns + ` FROM messages WHERE conversation = ? AND id = ?`
)

// AppendMessages commits the drafts in their order, each user's together with the
// turn that the bot owes for it, and returns the messages that they have become. A
// draft whose id the conversation has already writes nothing, and yields the message
// that has it. An unknown conversation is a fault of kind NotFound.
//
// If until is not zero and no older turn of the conversation waits, the first of the
// turns is leased in the same commit, as if by LeaseTurns, and returned.
func (s *Store) AppendMessages(ctx context.Context, id chat.ID, drafts []chat.Draft, at, until time.Time) ([]chat.Message, *bot.Turn, error) {
	var messages []chat.Message
	var turn *bot.Turn
	err := s.writeWhole(ctx, "append messages", func(ctx context.Context, tx *sql.Tx) error {
		w := s.chat.in(ctx, tx)
		p, err := w.find(ctx, id)
		if err != nil {
			return err
		}
		messages, turn, err = w.append(ctx, p, drafts, at, until)
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	return messages, turn, nil
}

// append adds the drafts at the end of a conversation, and turns as AppendMessages does.
func (w *chatWriter) append(ctx context.Context, p *place, drafts []chat.Draft, at, until time.Time) (messages []chat.Message, turn *bot.Turn, err error) {
	now := at.UnixMilli()
	messages = make([]chat.Message, len(drafts))
	for i, d := range drafts {
		r, err := w.addMessage.ExecContext(ctx, p.key, p.last+1, d.ID, string(d.From), now, string(d.Body))
		if err != nil {
			return nil, nil, err
		}
		added, err := r.RowsAffected()
		if err != nil {
			return nil, nil, err
		}
		if added == 0 {
			messages[i], err = table.ScanMessage(w.messageByID.QueryRowContext(ctx, p.key, d.ID))
			if err != nil {
				return nil, nil, err
			}
			continue
		}
		p.last++
		messages[i] = chat.Message{Seq: p.last, ID: d.ID, From: d.From, Body: d.Body, At: time.UnixMilli(now).UTC()}
		if d.From != chat.FromUser {
			continue
		}
		leased, err := w.owe(ctx, p, p.last, at, until)
		if err == nil && leased {
			turn, err = w.turnOf(ctx, p, messages[i])
		}
		if err != nil {
			return nil, nil, err
		}
	}
	return messages, turn, nil
}

const selectMessages = `
	SELECT ` + table.MessageColumns + ` FROM messages
	WHERE conversation = (SELECT key FROM conversations WHERE id = ?) AND `

// MessagesBefore returns the newest messages before a number, oldest first, at most
// limit; before 0 is from the end. An unknown conversation has none.
func (s *Store) MessagesBefore(ctx context.Context, id chat.ID, before int64, limit int) ([]chat.Message, error) {
	if before == 0 {
		before = math.MaxInt64
	}
	messages, err := collect(ctx, s.readers, "read messages", table.ScanMessage,
		selectMessages+`seq < ? ORDER BY seq DESC LIMIT ?`, id, before, max(0, limit))
	slices.Reverse(messages)
	return messages, err
}

// MessagesAfter returns the oldest messages after a number, oldest first, at most
// limit. An unknown conversation has none.
func (s *Store) MessagesAfter(ctx context.Context, id chat.ID, after int64, limit int) ([]chat.Message, error) {
	return collect(ctx, s.readers, "read messages", table.ScanMessage,
		selectMessages+`seq > ? ORDER BY seq LIMIT ?`, id, after, max(0, limit))
}

// FindMessage returns the message of an id, or a fault of kind NotFound.
func (s *Store) FindMessage(ctx context.Context, in chat.ID, id string) (chat.Message, error) {
	found, err := collect(ctx, s.readers, "read message", table.ScanMessage, selectMessages+`id = ?`, in, id)
	if err == nil && len(found) == 0 {
		err = table.ErrNoMessage
	}
	if err != nil {
		return chat.Message{}, err
	}
	return found[0], nil
}
