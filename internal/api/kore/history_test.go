package kore

import (
	"context"
	"encoding/json"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/carnetproject/carnet/internal/bot"
	"github.com/carnetproject/carnet/internal/chat"
)

// TestHistoryWaits reads the history of a conversation to which its bot has said nothing
// yet: it is answered when the bot speaks, and the store is not asked meanwhile.
func TestHistoryWaits(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	bearer := w.login("st-quiet", nil)
	w.open(bearer, "")
	conv, err := w.engine.Current(t.Context(), chat.User{Issuer: string(w.shop.ID), Subject: "ann"}, "quiet")
	w.must(err)
	var pushed error
	l := &listening{Engine: w.engine, opened: func() {
		_, pushed = w.engine.Push(t.Context(), "quiet", conv.ID, "", json.RawMessage(`{"text":"late"}`))
	}}
	w.c.Engine = l
	if d := cmp.Diff([]string{"late"}, texts(w.past(bearer, ""))); d != "" {
		t.Fatalf("history (-want +got):\n%s", d)
	}
	w.must(pushed)
	if n := l.asked.Load(); n != 2 {
		t.Errorf("the conversation was read %d times, want before and after", n)
	}
}

// listening is an engine that counts how often it is asked for a conversation, and calls
// opened before who opens one can listen.
type listening struct {
	*chat.Engine
	asked  atomic.Int32
	opened func()
}

func (l *listening) Current(ctx context.Context, u chat.User, b bot.ID) (chat.Conversation, error) {
	l.asked.Add(1)
	return l.Engine.Current(ctx, u, b)
}

func (l *listening) Open(ctx context.Context, h chat.Hello, s chat.Sink) (*chat.Session, error) {
	defer l.opened()
	return l.Engine.Open(ctx, h, s)
}
