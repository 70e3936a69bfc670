package chat

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"sync/atomic"

	"github.com/carnetproject/carnet/internal/bot"
	"github.com/carnetproject/carnet/internal/chat"
	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/httpx"
	"github.com/carnetproject/carnet/internal/secret"
)

// pusher takes what bots say and set unasked.
type pusher interface {
	PushContext(ctx context.Context, of bot.ID, to chat.ID, set json.RawMessage) error
	Push(ctx context.Context, of bot.ID, to chat.ID, id string, body json.RawMessage) (chat.Message, error)
}

// Push lets bots say something unasked, and set context: each shows a token of its own.
// Safe for concurrent use.
type Push struct {
	engine pusher
	tokens atomic.Pointer[PushTokens]
}

// NewPush returns the surface for the bots of the tokens.
func NewPush(e pusher, t PushTokens) *Push {
	p := &Push{engine: e}
	p.Use(t)
	return p
}

// Use puts other tokens in force.
func (p *Push) Use(t PushTokens) { p.tokens.Store(&t) }

// PushTokens are those of bots that may push. The zero PushTokens let nobody.
type PushTokens struct{ of map[bot.ID]secret.Bytes }

// minPushToken is how short a bot's token may be, in bytes.
const minPushToken = 16

// NewPushTokens takes tokens of which each tells for one bot.
func NewPushTokens(of map[bot.ID]secret.Bytes) (PushTokens, error) {
	ids := slices.Sorted(maps.Keys(of))
	for i, id := range ids {
		if of[id].Len() < minPushToken {
			return PushTokens{}, fault.BadField(string(id)+".token", "must have at least 16 bytes")
		}
		for _, other := range ids[:i] {
			if of[id].Equal(of[other]) {
				return PushTokens{}, fault.BadField(string(id)+".token", "must be another one than that of "+string(other))
			}
		}
	}
	return PushTokens{of}, nil
}

// Mount serves the paths.
func (p *Push) Mount(mux *http.ServeMux) {
	const context = "/chat/v1/conversations/{id}/context"
	mux.Handle("POST /chat/v1/conversations/{id}/messages", httpx.Handler(p.say))
	mux.Handle("PATCH "+context, httpx.Handler(p.set))
	mux.Handle(context, httpx.Handler(notPatch))
}

// The bounds of a request's body: a message or a set, and what is around it.
const (
	maxPush = chat.MaxBody + 1<<10
	maxSet  = 2*chat.MaxContext + 1<<10
)

// set merges members of the context that are the server's own from then on.
func (p *Push) set(w http.ResponseWriter, r *http.Request) error {
	w.Header().Set("Cache-Control", "no-store")
	of, ok := p.bot(httpx.Bearer(r))
	if !ok {
		return fault.New(fault.Unauthenticated, "a bot's token is required as bearer")
	}
	var change struct {
		Set json.RawMessage `json:"set"`
	}
	if err := httpx.ReadJSON(w, r, maxSet, &change); err != nil {
		return err
	}
	if len(change.Set) == 0 {
		return fault.BadField("set", "must be a JSON object")
	}
	if err := p.engine.PushContext(r.Context(), of, chat.ID(r.PathValue("id")), change.Set); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func notPatch(w http.ResponseWriter, _ *http.Request) error {
	w.Header().Set("Allow", http.MethodPatch)
	return fault.New(fault.MethodNotAllowed, "the method must be PATCH")
}

func (p *Push) say(w http.ResponseWriter, r *http.Request) error {
	w.Header().Set("Cache-Control", "no-store")
	of, ok := p.bot(httpx.Bearer(r))
	if !ok {
		return fault.New(fault.Unauthenticated, "a bot's token is required as bearer")
	}
	var push struct {
		ID   string          `json:"id"`
		Body json.RawMessage `json:"body"`
	}
	if err := httpx.ReadJSON(w, r, maxPush, &push); err != nil {
		return err
	}
	m, err := p.engine.Push(r.Context(), of, chat.ID(r.PathValue("id")), push.ID, push.Body)
	if err != nil {
		return err
	}
	httpx.WriteJSON(w, http.StatusCreated, toMessage(m))
	return nil
}

// bot is whose token it is. All tokens are compared, so that the time tells nothing.
func (p *Push) bot(token string) (of bot.ID, ok bool) {
	shown := secret.FromString(token)
	for id, t := range p.tokens.Load().of {
		if t.Equal(shown) {
			of, ok = id, true
		}
	}
	return of, ok
}
