package postgres

import (
	"context"
	"math"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/carnetproject/carnet/internal/bot"
	"github.com/carnetproject/carnet/internal/chat"
	"github.com/carnetproject/carnet/internal/store/table"
)

const (
	// selectWritten are those of the ids that conversations have. For each it looks into the
	// index, whatever the planner thinks of the sizes of tables.
	selectWritten = `
		SELECT ` + table.MessageColumns + `, want.conversation
		FROM unnest($1::text[], $2::text[]) AS want (conversation, wanted), LATERAL (
			SELECT ` + table.MessageColumns + ` FROM messages AS m
			WHERE m.conversation = (SELECT key FROM conversations AS c WHERE c.id = want.conversation) AND m.id = want.wanted LIMIT 1
		) AS m`
	insertMessages = `
		INSERT INTO messages (conversation, seq, id, sender, at, body)
		SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[], $5::bigint[], $6::text[])`
	insertTurns = `
		INSERT INTO turns (conversation, seq, bot, ready, attempt, hook_at, hook)
		SELECT *, 0, '' FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::bigint[], $5::bigint[])`
)

// writes are rows, column by column.
type writes struct {
	messages struct {
		conversation, seq, at []int64
		id, sender, body      []string
	}
	turns struct {
		conversation, seq, attempt []int64
		bot                        []string
		ready                      []*int64
	}
	ended struct{ conversation, seq, hookAt []int64 }
	next  struct{ conversation, at []int64 } // whose next turn becomes ready
}

// grow makes room for messages and turns.
func (w *writes) grow(messages, turns int) {
	m, t := &w.messages, &w.turns
	m.conversation, m.seq, m.at = make([]int64, 0, messages), make([]int64, 0, messages), make([]int64, 0, messages)
	m.id, m.sender, m.body = make([]string, 0, messages), make([]string, 0, messages), make([]string, 0, messages)
	t.conversation, t.seq, t.attempt = make([]int64, 0, turns), make([]int64, 0, turns), make([]int64, 0, turns)
	t.bot, t.ready = make([]string, 0, turns), make([]*int64, 0, turns)
}

// queue has the rows written.
func (w *writes) queue(b *pgx.Batch) {
	if e := &w.ended; len(e.seq) > 0 {
		b.Queue(deleteTurns, e.conversation, e.seq, e.hookAt)
	}
	if m := &w.messages; len(m.seq) > 0 {
		b.Queue(insertMessages, m.conversation, m.seq, m.id, m.sender, m.at, m.body)
	}
	if t := &w.turns; len(t.seq) > 0 {
		b.Queue(insertTurns, t.conversation, t.seq, t.bot, t.ready, t.attempt)
	}
	if n := &w.next; len(n.at) > 0 {
		b.Queue(updateNext, n.conversation, n.at)
	}
}

// append adds the drafts at the end of a conversation, and turns as AppendMessages does. It
// needs the conversation's context if until is not zero.
func (p *place) append(to *writes, drafts []chat.Draft, at, until time.Time) (messages []chat.Message, turn *bot.Turn) {
	messages = make([]chat.Message, len(drafts))
	for i, d := range drafts {
		if m, ok := p.find(d.ID); ok {
			messages[i] = m
			continue
		}
		p.last++
		m := chat.Message{Seq: p.last, ID: d.ID, From: d.From, Body: d.Body, At: time.UnixMilli(at.UnixMilli()).UTC()}
		messages[i], p.there = m, append(p.there, m)
		rows := &to.messages
		rows.conversation, rows.seq, rows.at = append(rows.conversation, p.key), append(rows.seq, m.Seq), append(rows.at, at.UnixMilli())
		rows.id, rows.sender, rows.body = append(rows.id, m.ID), append(rows.sender, string(m.From)), append(rows.body, string(m.Body))
		if d.From == chat.FromUser && p.owe(to, m, until) {
			turn = &bot.Turn{
				Conversation: string(p.id), Seq: m.Seq, Bot: p.bot, Kind: bot.Message, MessageID: m.ID, Body: m.Body,
				At: m.At, User: p.user, Context: p.context, Attempt: 1,
			}
		}
	}
	return messages, turn
}

// owe adds the turn of a message. If no older one waits it is leased until the time
// given, unless that is zero.
func (p *place) owe(to *writes, m chat.Message, until time.Time) (leased bool) {
	var ready *int64 // nil while an older one waits
	attempt := int64(0)
	switch {
	case p.turns > 0:
	case until.IsZero():
		ready = new(m.At.UnixMilli())
	default:
		ready, attempt = new(until.UnixMilli()), 1
	}
	p.turns++
	rows := &to.turns
	rows.conversation, rows.seq, rows.attempt = append(rows.conversation, p.key), append(rows.seq, m.Seq), append(rows.attempt, attempt)
	rows.bot, rows.ready = append(rows.bot, string(p.bot)), append(rows.ready, ready)
	return attempt > 0
}

const selectMessages = `
	SELECT ` + table.MessageColumns + ` FROM messages
	WHERE conversation = (SELECT key FROM conversations WHERE id = $1) AND `

const (
	messagesBefore = selectMessages + `seq < $2 ORDER BY seq DESC LIMIT $3`
	messagesAfter  = selectMessages + `seq > $2 ORDER BY seq LIMIT $3`
	messageByID    = selectMessages + `id = $2`
)

// MessagesBefore returns the newest messages before a number, oldest first, at most
// limit; before 0 is from the end. An unknown conversation has none.
func (s *Store) MessagesBefore(ctx context.Context, id chat.ID, before int64, limit int) ([]chat.Message, error) {
	if before == 0 {
		before = math.MaxInt64
	}
	messages, err := collect(ctx, s.pool, "read messages", table.ScanMessage, messagesBefore, string(id), before, max(0, limit))
	slices.Reverse(messages)
	return messages, err
}

// MessagesAfter returns the oldest messages after a number, oldest first, at most
// limit. An unknown conversation has none.
func (s *Store) MessagesAfter(ctx context.Context, id chat.ID, after int64, limit int) ([]chat.Message, error) {
	return collect(ctx, s.pool, "read messages", table.ScanMessage, messagesAfter, string(id), after, max(0, limit))
}

// FindMessage returns the message of an id, or a fault of kind NotFound.
func (s *Store) FindMessage(ctx context.Context, in chat.ID, id string) (chat.Message, error) {
	found, err := collect(ctx, s.pool, "read message", table.ScanMessage, messageByID, string(in), id)
	if err == nil && len(found) == 0 {
		err = table.ErrNoMessage
	}
	if err != nil {
		return chat.Message{}, err
	}
	return found[0], nil
}
