package chat

import (
	"encoding/json"
	"testing"
	"testing/synctest"

	"github.com/carnetproject/carnet/internal/bot"
	"github.com/carnetproject/carnet/internal/fault"
)

// TestNewConversation begins another one where there is one, and goes on with that.
func TestNewConversation(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		n := start(t, m, newDirect())
		if _, err := n.Current(t.Context(), ann, echo); fault.KindOf(err) != fault.NotFound {
			t.Errorf("Current() = %v before there is one, want not found", err)
		}
		first, _ := n.open(t, hello)
		second, _ := n.open(t, Hello{User: ann, Bot: echo, New: true, Context: json.RawMessage(`{"page":"/loans","gone":null}`)})
		c := second.Conversation()
		if c.ID == first.Conversation().ID || m.of(c.ID).welcomes != 1 {
			t.Errorf("the other conversation is %+v, want one of its own with a welcome", c)
		}
		if kept := m.of(c.ID); string(kept.Context) != `{"page":"/loans"}` || m.count("context") != 0 {
			t.Errorf("context %s, written %d times more: the welcome must have it", kept.Context, m.count("context"))
		}
		if now, err := n.Current(t.Context(), ann, echo); err != nil || now.ID != c.ID {
			t.Errorf("Current() = %s, %v; want %s", now.ID, err, c.ID)
		}
		if third, _ := n.open(t, hello); third.Conversation().ID != c.ID {
			t.Errorf("the next session goes on with %s, want %s", third.Conversation().ID, c.ID)
		}
	})
}

// TestBeginWhileBusy: who is new has to wait while half of what may wait is waiting, and
// takes no room from those who talk already.
func TestBeginWhileBusy(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		n := start(t, m, newDirect(), by(Policy{Waiting: 4}))
		s, ear := n.open(t, hello)
		another := Hello{User: ann, Bot: echo, New: true}
		n.open(t, another)
		n.open(t, Hello{User: bob, Bot: echo})
		for name, h := range map[string]Hello{"another one": another, "the first": {User: User{Issuer: "app_1", Subject: "eve"}, Bot: echo}} {
			_, err := n.Open(t.Context(), h, newEar())
			if f := fault.Public(err); f.Kind != fault.Unavailable || f.Code != "busy" || f.RetryAfter <= 0 {
				t.Errorf("%s: Open() = %v, want busy for a while", name, err)
			}
		}
		if made := len(m.all); made != 3 {
			t.Errorf("%d conversations are there, want 3", made)
		}
		s.Send("a", body("a"))
		ear.want(t, "ack a 1", "message 1 user a")
		n.open(t, Hello{User: ann, Bot: echo, Conversation: s.Conversation().ID}) // goes on

		id := s.Conversation().ID
		for _, turn := range m.of(id).turns {
			turn.Conversation, turn.Bot = string(id), echo
			if err := n.Reply(t.Context(), turn, bot.Answer{}); err != nil {
				t.Fatal(err)
			}
		}
		n.open(t, another)
	})
}
