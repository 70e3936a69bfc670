package chat

import (
	"encoding/json"
	"errors"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/carnetproject/carnet/internal/bot"
	"github.com/carnetproject/carnet/internal/fault"
)

// lease takes the next turn of a store that has one.
func lease(t *testing.T, n *node) bot.Turn {
	t.Helper()
	now := n.now()
	turns, err := n.store.LeaseTurns(t.Context(), echo, now, now, 1)
	if err != nil || len(turns) != 1 {
		t.Fatalf("LeaseTurns() = %v, %v", turns, err)
	}
	return turns[0]
}

func TestReply(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m, b := newMemory(), newDirect()
		here, there := start(t, m, b), start(t, m, b)
		s, k := here.open(t, Hello{User: ann, Bot: echo, Context: json.RawMessage(`{"a":1,"b":2}`)})
		_, phone := there.open(t, hello)
		turn := lease(t, there)
		answer := bot.Answer{
			Replies: []bot.Reply{{Body: body("hello")}, {Body: body("there")}},
			Context: json.RawMessage(`{"b":null,"c":3}`),
		}
		for range 2 { // the second counts for nothing
			if err := there.Reply(t.Context(), turn, answer); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		kept := m.of(s.Conversation().ID)
		if len(kept.messages) != 2 || len(kept.turns) != 0 || string(kept.Context) != `{"a":1,"c":3}` {
			t.Fatalf("stored %+v", kept)
		}
		for _, message := range kept.messages {
			if !regexp.MustCompile(`^bot_[a-z2-7]{26}$`).MatchString(message.ID) || message.From != FromBot {
				t.Errorf("message %+v", message)
			}
		}
		want := []string{"message 1 bot " + kept.messages[0].ID, "message 2 bot " + kept.messages[1].ID}
		k.want(t, want...)
		phone.want(t, want...)
	})
}

func TestReplyWithoutWords(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		n := start(t, m, newDirect())
		s, k := n.open(t, hello)
		if err := n.Reply(t.Context(), lease(t, n), bot.Answer{}); err != nil {
			t.Fatal(err)
		}
		k.want(t)
		if kept := m.of(s.Conversation().ID); len(kept.turns) != 0 {
			t.Error("the turn goes on")
		}
	})
}

func TestReplyRefused(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		answer bot.Answer
		kind   fault.Kind
	}{
		"no body":       {bot.Answer{Replies: make([]bot.Reply, 1)}, fault.Invalid},
		"not JSON":      {bot.Answer{Replies: []bot.Reply{{Body: json.RawMessage(`{"text":`)}}}, fault.Invalid},
		"too long":      {bot.Answer{Replies: []bot.Reply{{Body: body(strings.Repeat("x", MaxBody))}}}, fault.TooLarge},
		"too many":      {bot.Answer{Replies: make([]bot.Reply, maxReplies+1)}, fault.TooLarge},
		"context":       {bot.Answer{Context: json.RawMessage(`[1]`)}, fault.Invalid},
		"large context": {bot.Answer{Context: body(strings.Repeat("x", MaxContext))}, fault.TooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				m := newMemory()
				n := start(t, m, newDirect())
				s, _ := n.open(t, hello)
				err := n.Reply(t.Context(), lease(t, n), tc.answer)
				if e, ok := errors.AsType[*fault.Error](err); !ok || e.Kind != tc.kind {
					t.Errorf("Reply() = %v, want %v", err, tc.kind)
				}
				if kept := m.of(s.Conversation().ID); len(kept.turns) != 1 || len(kept.messages) != 0 {
					t.Error("the turn has ended")
				}
			})
		})
	}
}

func TestGiveUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		n := start(t, m, newDirect())
		s, k := n.open(t, hello)
		if err := n.GiveUp(t.Context(), lease(t, n), "gone"); err != nil {
			t.Fatal(err)
		}
		k.want(t) // nobody asked to be welcomed
		s.Send("a", body("x"))
		k.want(t, "ack a 1", "message 1 user a")
		if err := n.GiveUp(t.Context(), lease(t, n), "gone"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		kept := m.of(s.Conversation().ID)
		if len(kept.turns) != 0 || len(kept.messages) != 2 {
			t.Fatalf("stored %+v", kept)
		}
		if diff := cmp.Diff([]string{"gone", "gone"}, kept.dead); diff != "" {
			t.Errorf("kept reasons (-want +got):\n%s", diff)
		}
		last := kept.messages[1]
		if last.From != FromSystem || !strings.Contains(string(last.Body), "could not answer") {
			t.Errorf("message %+v", last)
		}
		k.want(t, "message 2 system "+last.ID)
	})
}

// TestStream tells of an answer on two nodes before it is committed.
func TestStream(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m, b := newMemory(), newDirect()
		here, there := start(t, m, b), start(t, m, b)
		s, k := here.open(t, hello)
		_, phone := there.open(t, hello)
		turn, id := lease(t, here), bot.NewReplyID()
		here.Stream(t.Context(), turn, bot.Delta{ID: id, Text: "he"})
		here.Stream(t.Context(), turn, bot.Delta{ID: id, Text: "llo <"})
		k.want(t, "delta "+id+" he", "delta "+id+" llo <")
		phone.want(t, "delta "+id+" he", "delta "+id+" llo <")
		if kept := m.of(s.Conversation().ID); len(kept.messages) != 0 {
			t.Fatalf("stored %+v", kept)
		}
		if err := here.Reply(t.Context(), turn, bot.Answer{Replies: []bot.Reply{{ID: id, Body: body("hello <")}}}); err != nil {
			t.Fatal(err)
		}
		k.want(t, "message 1 bot "+id)
		phone.want(t, "message 1 bot "+id)
	})
}

func TestBotTyping(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m, b := newMemory(), newDirect()
		here, there := start(t, m, b), start(t, m, b)
		_, k := here.open(t, hello)
		_, phone := there.open(t, hello)
		here.Engine.Typing(t.Context(), lease(t, here))
		k.want(t, "typing bot")
		phone.want(t, "typing bot")
	})
}
