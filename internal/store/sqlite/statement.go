package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/carnetproject/carnet/internal/chat"
	"github.com/carnetproject/carnet/internal/store/table"
)

const selectPlace = `
	SELECT key, bot, issuer, subject, context, (SELECT MAX(COALESCE(MAX(seq), 0), c.last_seq) FROM messages WHERE conversation = c.key),
		(SELECT COUNT(*) FROM turns WHERE conversation = c.key)
	FROM conversations AS c WHERE id = ?`

// chatStatements are the writes that every message and answer costs.
type chatStatements struct {
	dataVersion, place                    *sql.Stmt
	addMessage, messageByID               *sql.Stmt // message.go
	readyTurns, context                   *sql.Stmt // turn.go
	addTurn, leaseTurn, endTurn, nextTurn *sql.Stmt
}

// chatWriter makes the writes of conversations cheap: it keeps their statements
// parsed, and remembers where conversations stand. Only writes may use it: they all
// run in the writer's goroutine.
type chatWriter struct {
	parsed         chatStatements
	chatStatements         // bound to tx, which ends them
	tx             *sql.Tx // the one that runs, or the last that ran

	places   map[chat.ID]*place
	version  int64 // SQLite's data_version that places belong to
	contexts *table.Contexts
}

// place is where a conversation stands.
type place struct {
	id      chat.ID
	key     int64
	bot     string
	user    chat.User
	context json.RawMessage // nil if it is long
	long    bool
	last    int64 // number of the newest message
	turns   int64 // how many have not ended
}

// What is remembered: so many places, each with a context of at most so many bytes, of
// about 10 MB in all.
const (
	maxPlaces    = 1 << 14
	shortContext = 256
)

// set notes what the context is now.
func (p *place) set(context json.RawMessage) {
	if p.long = len(context) > shortContext; p.long {
		context = nil
	}
	p.context = context
}

func newChatWriter(ctx context.Context, db *sql.DB, contexts *table.Contexts) (*chatWriter, error) {
	w := &chatWriter{places: map[chat.ID]*place{}, contexts: contexts}
	for into, text := range map[**sql.Stmt]string{
		&w.parsed.dataVersion: `PRAGMA data_version`,
		&w.parsed.place:       selectPlace,
		&w.parsed.addMessage:  insertMessage,
		&w.parsed.messageByID: selectMessageByID,
		&w.parsed.readyTurns:  selectReady,
		&w.parsed.context:     selectLong,
		&w.parsed.addTurn:     insertTurn,
		&w.parsed.leaseTurn:   updateLease,
		&w.parsed.endTurn:     deleteTurn,
		&w.parsed.nextTurn:    updateNext,
	} {
		s, err := db.PrepareContext(ctx, text)
		if err != nil {
			return nil, fmt.Errorf("prepare %s: %w", text, err)
		}
		*into = s
	}
	return w, nil
}

// in returns w ready for writes of tx. What it remembers holds until another process
// has written.
func (w *chatWriter) in(ctx context.Context, tx *sql.Tx) *chatWriter {
	if w.tx == tx {
		return w
	}
	p := &w.parsed
	w.tx, w.chatStatements = tx, chatStatements{
		dataVersion: tx.StmtContext(ctx, p.dataVersion),
		place:       tx.StmtContext(ctx, p.place),
		addMessage:  tx.StmtContext(ctx, p.addMessage),
		messageByID: tx.StmtContext(ctx, p.messageByID),
		readyTurns:  tx.StmtContext(ctx, p.readyTurns),
		context:     tx.StmtContext(ctx, p.context),
		addTurn:     tx.StmtContext(ctx, p.addTurn),
		leaseTurn:   tx.StmtContext(ctx, p.leaseTurn),
		endTurn:     tx.StmtContext(ctx, p.endTurn),
		nextTurn:    tx.StmtContext(ctx, p.nextTurn),
	}
	var version int64
	if err := w.dataVersion.QueryRowContext(ctx).Scan(&version); err != nil || version != w.version {
		w.forget()
		w.version = version
	}
	return w
}

// forget is for a transaction that was undone, too.
func (w *chatWriter) forget() { clear(w.places) }

// find returns where a conversation stands. Who adds messages, or adds or ends turns,
// moves it.
func (w *chatWriter) find(ctx context.Context, id chat.ID) (*place, error) {
	if p := w.places[id]; p != nil {
		return p, nil
	}
	p := &place{id: id}
	var context json.RawMessage
	err := w.place.QueryRowContext(ctx, string(id)).Scan(&p.key, &p.bot, &p.user.Issuer, &p.user.Subject,
		w.contexts.Column((*string)(&p.id), &context), &p.last, &p.turns)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, table.ErrNoConversation
	}
	if err != nil {
		return nil, err
	}
	p.set(context)
	if len(w.places) == maxPlaces {
		w.forget()
	}
	w.places[id] = p
	return p, nil
}
