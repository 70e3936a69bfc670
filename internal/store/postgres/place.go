package postgres

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/jackc/pgx/v5"

	"github.com/carnetproject/carnet/internal/chat"
	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/store/table"
)

var errNoConversation = fault.New(fault.NotFound, "no such conversation")

// place is where a conversation stands, as who holds its lock may move it.
type place struct {
	id  chat.ID
	key int64
	standing
	bot     string
	user    chat.User
	context json.RawMessage
	owned   table.List[string]
}

// standing is the part that messages and turns move.
type standing struct {
	last  int64 // number of the newest message
	turns int64 // how many have not ended
}

const selectPlace = `
	SELECT key, bot, last_seq, turns, issuer, subject, context, owned FROM conversations WHERE id = $1 FOR NO KEY UPDATE`

// in commits what apply does with a conversation that nobody else writes to meanwhile.
// An unknown conversation is a fault of kind NotFound. When ctx ends before the commit
// has begun, nothing is written.
func (s *Store) in(ctx context.Context, what string, id chat.ID, apply func(ctx context.Context, tx pgx.Tx, p *place) error) error {
	return s.write(ctx, what, func(ctx context.Context, tx pgx.Tx) error {
		p := &place{id: id}
		err := tx.QueryRow(ctx, selectPlace, string(id)).Scan(
			&p.key, &p.bot, &p.last, &p.turns, &p.user.Issuer, &p.user.Subject,
			s.contexts.Column((*string)(&p.id), &p.context), &p.owned)
		if errors.Is(err, pgx.ErrNoRows) {
			return errNoConversation
		}
		if err != nil {
			return err
		}
		stood := p.standing
		if err := apply(ctx, tx, p); err != nil || stood == p.standing {
			return err
		}
		_, err = tx.Exec(ctx, `UPDATE conversations SET last_seq = $2, turns = $3 WHERE key = $1`, p.key, p.last, p.turns)
		return err
	})
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

// merge merges set, unless nil, into the conversation's context. It is refused before
// anything is written.
func (s *Store) merge(ctx context.Context, tx pgx.Tx, p *place, set json.RawMessage, by chat.Author) error {
	if set == nil {
		return nil
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
	_, err = tx.Exec(ctx, `UPDATE conversations SET context = $2, owned = $3 WHERE key = $1`, p.key, column, table.List[string](c.Owned))
	return err
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
