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
	owned   table.List[string]

	there []chat.Message // of the ids that are to be added
}

// standing is the part that messages and turns move.
type standing struct {
	last  int64 // number of the newest message
	turns int64 // how many have not ended
}

const (
	selectPlaces = `
		SELECT id, key, bot, last_seq, turns, issuer, subject, context, owned FROM conversations
		WHERE id = ANY($1) FOR NO KEY UPDATE`
	updatePlaces = `
		UPDATE conversations AS c SET last_seq = new.last, turns = new.turns
		FROM unnest($1::bigint[], $2::bigint[], $3::bigint[]) AS new (key, last, turns) WHERE c.key = new.key`
)

func (p *place) scan(r table.Rows) error {
	return r.Scan((*string)(&p.id), &p.key, (*string)(&p.bot), &p.last, &p.turns, &p.user.Issuer, &p.user.Subject, &p.column, &p.owned)
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
	p := &place{}
	return s.exchange(ctx, what, func(b *pgx.Batch) {
		b.Queue(selectPlaces, []string{string(id)}).QueryRow(func(r pgx.Row) error {
			if err := p.scan(r); !errors.Is(err, pgx.ErrNoRows) {
				return err
			}
			return nil
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
func (s *Store) merge(b *pgx.Batch, p *place, set json.RawMessage, by chat.Author) error {
	if set == nil {
		return nil
	}
	if err := p.open(s.contexts); err != nil {
		return err
	}
	c := chat.Conversation{Context: p.context, Owned: p.owned}
	if err := c.Merge(set, by); err != nil {
		return err
	}
	p.context, p.owned = c.Context, c.Owned
	column, err := s.contexts.Seal(string(p.id), c.Context)
	if err != nil {
		return err
	}
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
