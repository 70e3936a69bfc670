package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/carnetproject/carnet/internal/bot"
	"github.com/carnetproject/carnet/internal/chat"
	"github.com/carnetproject/carnet/internal/store/table"
)

// place is where a conversation stands, as who holds its lock may move it.
type place struct {
	id  chat.ID
	key int64 // 0: there is none
	standing
	bot     bot.ID
	user    chat.User
	column  string // of the context
	context json.RawMessage
	owned   string // column of the context's members that are the server's

	there []chat.Message // of the ids that are to be added, and what was added since
	ended []turnKey      // the turns that were

	// Of a group: what it moves the conversation by before it knows better, where that
	// came to, and the number of the newest message before it and of the one that [known]
	// was about.
	expected, moved standing
	before, known   int64
}

// standing is the part that messages and turns move.
type standing struct {
	last  int64 // number of the newest message
	turns int64 // how many have not ended
}

// unknown is in place of the number of a newest message.
const unknown = -1

const (
	selectPlace = `
		SELECT key, bot, last_seq, turns, issuer, subject, context, owned FROM conversations
		WHERE id = $1 FOR NO KEY UPDATE`
	updatePlaces = `
		UPDATE conversations AS c SET last_seq = new.last, turns = new.turns
		FROM unnest($1::bigint[], $2::bigint[], $3::bigint[]) AS new (key, last, turns) WHERE c.key = new.key`
	// movePlaces waits for who holds one, moveFreePlaces leaves it out.
	movePlaces = moves + `unnest($1::text[], $2::bigint[], $3::bigint[]) WITH ORDINALITY AS new (id, messages, turns, n)
		WHERE c.id = new.id ` + whereTo
	moveFreePlaces = moves + `(
			SELECT held.key, new.messages, new.turns, new.n
			FROM unnest($1::text[], $2::bigint[], $3::bigint[]) WITH ORDINALITY AS new (id, messages, turns, n)
				JOIN conversations AS held ON held.id = new.id FOR NO KEY UPDATE OF held SKIP LOCKED
		) AS new
		WHERE c.key = new.key ` + whereTo
	moves   = `UPDATE conversations AS c SET last_seq = c.last_seq + new.messages, turns = c.turns + new.turns FROM `
	whereTo = `RETURNING new.n, c.key, c.bot, c.last_seq, c.turns, c.issuer, c.subject, c.context, c.owned`
)

// expect adds what a would move if nothing of it were there.
func (p *place) expect(a *addition) {
	p.expected.last += int64(len(a.drafts))
	for _, d := range a.drafts {
		if d.From == chat.FromUser {
			p.expected.turns++
		}
	}
	if a.ends != nil {
		p.expected.turns--
	}
}

// trust takes it for granted that the conversation lacks some ids if its newest message has
// the number last, and is false if that is not sure.
func (p *place) trust(last int64, sure bool) bool {
	if !sure || p.known != unknown && p.known != last {
		return false
	}
	p.known = last
	return true
}

// stale tells whether something was taken for granted that is not so.
func (p *place) stale() bool { return p.known != unknown && p.known != p.before }

// found is where the conversation has come to.
func (p *place) found(at *place) {
	p.key, p.bot, p.user, p.column, p.owned = at.key, at.bot, at.user, at.column, at.owned
	p.moved = at.standing
	p.standing = standing{p.moved.last - p.expected.last, p.moved.turns - p.expected.turns}
	p.before = p.last
}

// find is the message that has an id already.
func (p *place) find(id string) (chat.Message, bool) {
	i := slices.IndexFunc(p.there, func(m chat.Message) bool { return m.ID == id })
	if i < 0 {
		return chat.Message{}, false
	}
	return p.there[i], true
}

// open makes the context known, which most writes do without.
func (p *place) open(c table.Contexts) (err error) {
	if p.context == nil {
		p.context, err = c.Open(string(p.id), p.column)
	}
	return err
}

// in commits what apply does with a conversation that nobody else writes to meanwhile, in
// one exchange with what read asks for. An unknown conversation is a fault of kind NotFound.
func (s *Store) in(ctx context.Context, what string, id chat.ID, read func(*pgx.Batch), apply func(*pgx.Batch, *place) error) error {
	p := &place{id: id}
	return s.exchange(ctx, what, func(b *pgx.Batch) {
		b.Queue(selectPlace, string(id)).QueryRow(func(r pgx.Row) error {
			err := r.Scan(&p.key, (*string)(&p.bot), &p.last, &p.turns, &p.user.Issuer, &p.user.Subject, &p.column, &p.owned)
			if errors.Is(err, pgx.ErrNoRows) {
				return nil
			}
			return err
		})
		read(b)
	}, func(b *pgx.Batch) error {
		if p.key == 0 {
			return table.ErrNoConversation
		}
		stood := p.standing
		err := apply(b, p)
		if err == nil && p.standing != stood {
			b.Queue(updatePlaces, []int64{p.key}, []int64{p.last}, []int64{p.turns})
		}
		return err
	})
}

// nothing is what [Store.in] need not ask for.
func nothing(*pgx.Batch) {}

// merge merges set, unless nil, into the conversation's context. It is refused before
// anything is written.
func (p *place) merge(b *pgx.Batch, in table.Contexts, set json.RawMessage, by chat.Author) error {
	if set == nil {
		return nil
	}
	if err := p.open(in); err != nil {
		return err
	}
	var owned table.List[string]
	if err := owned.Scan(p.owned); err != nil {
		return err
	}
	c := chat.Conversation{Context: p.context, Owned: owned}
	if err := c.Merge(set, by); err != nil {
		return err
	}
	column, err := in.Seal(string(p.id), c.Context)
	if err != nil {
		return err
	}
	list, err := table.List[string](c.Owned).Value()
	if err != nil {
		return err
	}
	p.context, p.owned = c.Context, list.(string)
	b.Queue(`UPDATE conversations SET context = $2, owned = $3 WHERE key = $1`, p.key, column, p.owned)
	return nil
}

// write commits what apply does unless ctx ends before.
func (s *Store) write(ctx context.Context, what string, apply func(context.Context, pgx.Tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	tx, err := s.pool.Begin(ctx)
	if err != nil {
		return explain(what, err)
	}
	if err = apply(ctx, tx); err == nil {
		err = ctx.Err()
	}
	// The commit is not given up half way: an error is to mean that nothing was written.
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), commitTimeout)
	defer cancel()
	if err != nil {
		_ = tx.Rollback(ending) // if that fails the connection is broken, and so is the transaction
		return explain(what, err)
	}
	return explain(what, tx.Commit(ending))
}

// collect reads all rows of a query, within patience.
func collect[T any](ctx context.Context, q interface {
	Query(ctx context.Context, query string, args ...any) (pgx.Rows, error)
}, what string, scan func(table.Rows) (T, error), query string, args ...any,
) ([]T, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	rows, err := q.Query(ctx, query, args...)
	if err != nil {
		return nil, explain(what, err)
	}
	all, err := pgx.CollectRows(rows, func(r pgx.CollectableRow) (T, error) { return scan(r) })
	if len(all) == 0 {
		all = nil
	}
	return all, explain(what, err)
}
