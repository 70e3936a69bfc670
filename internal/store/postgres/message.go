package postgres

import (
	"context"
	"math"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/carnetproject/carnet/internal/bot"
	"github.com/carnetproject/carnet/internal/chat"
	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/store/table"
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
	err := s.in(ctx, "append messages", id, func(ctx context.Context, tx pgx.Tx, p *place) (err error) {
		messages, turn, err = p.append(ctx, tx, id, drafts, at, until)
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	return messages, turn, nil
}

// append adds the drafts at the end of a conversation, and turns as AppendMessages does.
func (p *place) append(ctx context.Context, tx pgx.Tx, id chat.ID, drafts []chat.Draft, at, until time.Time) (messages []chat.Message, turn *bot.Turn, err error) {
	messages = make([]chat.Message, len(drafts))
	if len(drafts) == 0 {
		return messages, nil, nil
	}
	there, err := p.written(ctx, tx, drafts)
	if err != nil {
		return nil, nil, err
	}
	var add pgx.Batch
	for i, d := range drafts {
		if m, ok := there[d.ID]; ok {
			messages[i] = m
			continue
		}
		p.last++
		m := chat.Message{Seq: p.last, ID: d.ID, From: d.From, Body: d.Body, At: time.UnixMilli(at.UnixMilli()).UTC()}
		messages[i], there[d.ID] = m, m
		add.Queue(`INSERT INTO messages (conversation, seq, id, sender, at, body) VALUES ($1, $2, $3, $4, $5, $6)`,
			p.key, m.Seq, m.ID, string(m.From), at.UnixMilli(), string(m.Body))
		if d.From == chat.FromUser && p.owe(&add, m, at, until) {
			turn = &bot.Turn{
				Conversation: string(id), Seq: m.Seq, Bot: bot.ID(p.bot), Kind: bot.Message, MessageID: m.ID, Body: m.Body,
				At: m.At, User: p.user, Context: p.context, Attempt: 1,
			}
		}
	}
	return messages, turn, tx.SendBatch(ctx, &add).Close()
}

// written are those of the drafts' ids that the conversation has.
func (p *place) written(ctx context.Context, tx pgx.Tx, drafts []chat.Draft) (map[string]chat.Message, error) {
	there := map[string]chat.Message{}
	ids := make([]string, len(drafts))
	for i, d := range drafts {
		ids[i] = d.ID
	}
	found, err := collect(ctx, tx, "read messages", scanMessage,
		`SELECT seq, id, sender, body, at FROM messages WHERE conversation = $1 AND id = ANY($2)`, p.key, ids)
	for _, m := range found {
		there[m.ID] = m
	}
	return there, err
}

// owe adds the turn of a message. If no older one waits it is leased until the time
// given, unless that is zero.
func (p *place) owe(add *pgx.Batch, m chat.Message, at, until time.Time) (leased bool) {
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
	add.Queue(insertTurn, p.key, m.Seq, p.bot, ready, attempt)
	return attempt > 0
}

var errNoMessage = fault.New(fault.NotFound, "no such message")

const selectMessages = `
	SELECT seq, id, sender, body, at FROM messages
	WHERE conversation = (SELECT key FROM conversations WHERE id = $1) AND `

// MessagesBefore returns the newest messages before a number, oldest first, at most
// limit; before 0 is from the end. An unknown conversation has none.
func (s *Store) MessagesBefore(ctx context.Context, id chat.ID, before int64, limit int) ([]chat.Message, error) {
	if before == 0 {
		before = math.MaxInt64
	}
	messages, err := collect(ctx, s.pool, "read messages", scanMessage,
		selectMessages+`seq < $2 ORDER BY seq DESC LIMIT $3`, string(id), before, max(0, limit))
	slices.Reverse(messages)
	return messages, err
}

// MessagesAfter returns the oldest messages after a number, oldest first, at most
// limit. An unknown conversation has none.
func (s *Store) MessagesAfter(ctx context.Context, id chat.ID, after int64, limit int) ([]chat.Message, error) {
	return collect(ctx, s.pool, "read messages", scanMessage,
		selectMessages+`seq > $2 ORDER BY seq LIMIT $3`, string(id), after, max(0, limit))
}

// FindMessage returns the message of an id, or a fault of kind NotFound.
func (s *Store) FindMessage(ctx context.Context, in chat.ID, id string) (chat.Message, error) {
	found, err := collect(ctx, s.pool, "read message", scanMessage, selectMessages+`id = $2`, string(in), id)
	if err == nil && len(found) == 0 {
		err = errNoMessage
	}
	if err != nil {
		return chat.Message{}, err
	}
	return found[0], nil
}

func scanMessage(r table.Rows) (m chat.Message, err error) {
	var body string
	err = r.Scan(&m.Seq, &m.ID, (*string)(&m.From), &body, (*table.Stamp)(&m.At))
	m.Body = []byte(body)
	return m, err
}
