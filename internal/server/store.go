package server

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/carnetproject/carnet/internal/bot"
	"github.com/carnetproject/carnet/internal/chat"
	"github.com/carnetproject/carnet/internal/config"
	"github.com/carnetproject/carnet/internal/store/postgres"
	"github.com/carnetproject/carnet/internal/store/sqlite"
	"github.com/carnetproject/carnet/internal/store/table"
)

// store is where a node keeps its state.
type store struct {
	*table.Tables
	conversations
	now func(context.Context) (time.Time, error) // by the store's clock; nil: there is none but this machine's
}

// conversations is the part that each store has in a way of its own. What each method
// promises stands with the interfaces of chat and bot.
type conversations interface {
	FindConversation(ctx context.Context, id chat.ID) (chat.Conversation, error)
	CurrentConversation(ctx context.Context, user chat.User, with bot.ID) (chat.Conversation, error)
	AddConversation(ctx context.Context, c chat.Conversation, welcome bool) error
	NextConversation(ctx context.Context, c chat.Conversation, after chat.ID) (chat.Conversation, error)
	Stands(ctx context.Context, ids []chat.ID) (map[chat.ID]chat.Stand, error)
	MoveConversations(ctx context.Context, from, to chat.User) (map[chat.ID]int64, error)
	MergeContext(ctx context.Context, id chat.ID, set json.RawMessage, by chat.Author) error
	SetRead(ctx context.Context, id chat.ID, seq int64) error

	AppendMessages(ctx context.Context, id chat.ID, drafts []chat.Draft, at, until time.Time) ([]chat.Message, *bot.Turn, error)
	FindMessage(ctx context.Context, in chat.ID, id string) (chat.Message, error)
	MessagesBefore(ctx context.Context, id chat.ID, before int64, limit int) ([]chat.Message, error)
	MessagesAfter(ctx context.Context, id chat.ID, after int64, limit int) ([]chat.Message, error)
	DeleteMessages(ctx context.Context, before time.Time) error

	Saw(ctx context.Context, ids []chat.ID, at time.Time) error
	Lapse(ctx context.Context, of bot.ID, hook bot.Kind, away time.Duration, now time.Time, limit int) (int, error)

	LeaseTurns(ctx context.Context, of bot.ID, now, until time.Time, limit int) ([]bot.Turn, error)
	ExtendTurn(ctx context.Context, t bot.Turn, until time.Time) (bool, error)
	RetryTurn(ctx context.Context, t bot.Turn, at time.Time) error
	FinishTurn(ctx context.Context, t bot.Turn, drafts []chat.Draft, set json.RawMessage, at time.Time) ([]chat.Message, bool, error)
	DropTurn(ctx context.Context, t bot.Turn, reason string, drafts []chat.Draft, at time.Time) ([]chat.Message, bool, error)
	WaitingTurns(ctx context.Context) (map[bot.ID]int64, error)
	DeadTurns(ctx context.Context, of bot.ID, after int64, limit int) ([]bot.Dead, error)
	DeadTurn(ctx context.Context, id int64) (bot.Dead, error)
	RetryDead(ctx context.Context, id int64, at time.Time) error
	DropDead(ctx context.Context, id int64) error

	// SealContexts has contexts sealed from now on.
	SealContexts(b table.Box)
	// Run does the store's own work until ctx ends.
	Run(ctx context.Context) error
	Close() error
}

// shared tells whether other nodes may have the store, too.
func shared(c *config.Config) bool { return strings.HasPrefix(c.Store, "postgres") }

// openStore opens the store at a URL that the configuration has.
func openStore(ctx context.Context, url string) (store, error) {
	if path, ok := strings.CutPrefix(url, "sqlite://"); ok {
		s, err := sqlite.Open(ctx, path)
		if err != nil {
			return store{}, fmt.Errorf("open store: %w", err)
		}
		return store{s.Tables, s, nil}, nil
	}
	s, err := postgres.Open(ctx, url)
	if err != nil {
		return store{}, fmt.Errorf("open store: %w", err)
	}
	return store{s.Tables, s, s.Now}, nil
}
