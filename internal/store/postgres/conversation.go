package postgres

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/jackc/pgx/v5"

	"github.com/carnetproject/carnet/internal/bot"
	"github.com/carnetproject/carnet/internal/chat"
	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/store/table"
)

// AddConversation adds a conversation, and if asked a welcome turn in the same
// commit. It has no messages yet, whatever its LastSeq and ReadSeq say. If the id is
// taken, that is a conflict.
func (s *Store) AddConversation(ctx context.Context, c chat.Conversation, welcome bool) error {
	return s.write(ctx, "add conversation", func(ctx context.Context, tx pgx.Tx) error {
		return s.addConversation(ctx, tx, c, welcome)
	})
}

func (s *Store) addConversation(ctx context.Context, tx pgx.Tx, c chat.Conversation, welcome bool) error {
	turns := 0
	if welcome {
		turns = 1
	}
	column, err := s.contexts.Seal(string(c.ID), c.Context)
	if err != nil {
		return err
	}
	var key int64
	err = tx.QueryRow(ctx, `
		INSERT INTO conversations (id, bot, issuer, subject, context, owned, created, turns)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8) RETURNING key`,
		string(c.ID), string(c.Bot), c.User.Issuer, c.User.Subject, column,
		table.List[string](c.Owned), table.Stamp(c.Created), turns).Scan(&key)
	if _, there := taken(err); there {
		return fault.New(fault.Conflict, "the conversation exists already")
	}
	if err != nil || !welcome {
		return err
	}
	_, err = tx.Exec(ctx, insertTurn, key, 0, string(c.Bot), c.Created.UnixMilli(), 0)
	return err
}

// birth is the class of the locks under which users' conversations begin.
const birth = 0x63617262 // "carb"

// NextConversation adds c with a welcome turn if after is the user's newest conversation
// with the bot, "" for none, and returns c. Else it returns the newest one.
func (s *Store) NextConversation(ctx context.Context, c chat.Conversation, after chat.ID) (chat.Conversation, error) {
	newest := c
	err := s.write(ctx, "begin conversation", func(ctx context.Context, tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock($1, hashtext(concat_ws(chr(31), $2::text, $3::text, $4::text)))`,
			birth, c.User.Issuer, c.User.Subject, string(c.Bot)); err != nil {
			return err
		}
		found, err := s.contexts.ScanConversation(tx.QueryRow(ctx, selectConversation+currentOf, c.User.Issuer, c.User.Subject, string(c.Bot)))
		if err != nil && !errors.Is(err, pgx.ErrNoRows) {
			return err
		}
		if found.ID != after {
			newest = found
			return nil
		}
		return s.addConversation(ctx, tx, c, true)
	})
	if err != nil {
		return chat.Conversation{}, err
	}
	return newest, nil
}

const selectConversation = `
	SELECT id, bot, issuer, subject, context, owned, read_seq, created, moves, last_seq FROM conversations `

// FindConversation returns the conversation of an id, or a fault of kind NotFound.
func (s *Store) FindConversation(ctx context.Context, id chat.ID) (chat.Conversation, error) {
	return s.conversation(ctx, selectConversation+`WHERE id = $1`, string(id))
}

// CurrentConversation returns the conversation of the user with the bot that was
// added last, or a fault of kind NotFound.
func (s *Store) CurrentConversation(ctx context.Context, user chat.User, with bot.ID) (chat.Conversation, error) {
	return s.conversation(ctx, selectConversation+currentOf,
		user.Issuer, user.Subject, string(with))
}

const currentOf = `WHERE issuer = $1 AND subject = $2 AND bot = $3 ORDER BY key DESC LIMIT 1`

func (s *Store) conversation(ctx context.Context, query string, args ...any) (chat.Conversation, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	c, err := s.contexts.ScanConversation(s.pool.QueryRow(ctx, query, args...))
	if errors.Is(err, pgx.ErrNoRows) {
		return chat.Conversation{}, table.ErrNoConversation
	}
	return c, explain("read conversation", err)
}

const selectStands = `SELECT id, moves, last_seq FROM conversations WHERE id = ANY($1)`

// Stands returns where each conversation stands. Unknown ids are left out.
func (s *Store) Stands(ctx context.Context, ids []chat.ID) (map[chat.ID]chat.Stand, error) {
	stands := make(map[chat.ID]chat.Stand, len(ids))
	_, err := collect(ctx, s.pool, "read where conversations stand", func(r table.Rows) (none struct{}, err error) {
		var id chat.ID
		var at chat.Stand
		err = r.Scan((*string)(&id), &at.Moves, &at.Last)
		stands[id] = at
		return none, err
	}, selectStands, texts(ids))
	if err != nil {
		return nil, err
	}
	return stands, nil
}

// texts are names as an array argument.
func texts[T ~string](all []T) []string {
	list := make([]string, len(all))
	for i, one := range all {
		list[i] = string(one)
	}
	return list
}

// MoveConversations makes the conversations of from those of to, and returns how often
// each has moved by now. A user without any is not an error.
func (s *Store) MoveConversations(ctx context.Context, from, to chat.User) (map[chat.ID]int64, error) {
	moved := map[chat.ID]int64{}
	err := s.write(ctx, "move conversations", func(ctx context.Context, tx pgx.Tx) error {
		_, err := collect(ctx, tx, "move conversations", func(r table.Rows) (none struct{}, err error) {
			var id chat.ID
			var moves int64
			err = r.Scan((*string)(&id), &moves)
			moved[id] = moves
			return none, err
		}, `
			UPDATE conversations SET issuer = $3, subject = $4, moves = moves + 1
			WHERE issuer = $1 AND subject = $2 RETURNING id, moves`,
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
	return s.in(ctx, "merge context", id, nothing, func(b *pgx.Batch, p *place) error {
		return p.merge(b, s.contexts, set, by)
	})
}

// SetRead notes that the user has read up to a number, but never beyond the newest
// message, and never goes back. An unknown conversation is a fault of kind NotFound.
func (s *Store) SetRead(ctx context.Context, id chat.ID, seq int64) error {
	return s.in(ctx, "set read mark", id, nothing, func(b *pgx.Batch, p *place) error {
		b.Queue(`UPDATE conversations SET read_seq = $2 WHERE key = $1 AND read_seq < $2`, p.key, min(seq, p.last))
		return nil
	})
}
