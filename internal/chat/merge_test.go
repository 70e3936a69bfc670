package chat

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/carnetproject/carnet/internal/fault"
)

var visitor = User{Issuer: "app_1", Subject: "visitor"}

func TestMerge(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m, b := newMemory(), newDirect()
		here, there := start(t, m, b), start(t, m, b)
		s, page := here.open(t, Hello{User: visitor, Bot: echo})
		_, tab := there.open(t, Hello{User: visitor, Bot: echo})
		_, known := there.open(t, hello)
		_, stranger := here.open(t, Hello{User: bob, Bot: echo})
		id := s.Conversation().ID
		for range 2 { // the second has nothing left to do
			if err := here.Merge(t.Context(), visitor, ann); err != nil {
				t.Fatal(err)
			}
		}
		page.want(t, "moved")
		tab.want(t, "moved")
		known.want(t)
		stranger.want(t)

		if _, _, err := there.History(t.Context(), visitor, id, 0, 0); fault.KindOf(err) != fault.NotFound {
			t.Errorf("the visitor's history: %v, want not found", err)
		}
		again, k := there.open(t, Hello{User: ann, Bot: echo, Conversation: id})
		again.Send("a", body("it is me"))
		k.want(t, "ack a 1", "message 1 user a")
		if fresh, _ := here.open(t, Hello{User: visitor, Bot: echo}); fresh.Conversation().ID == id {
			t.Error("the visitor still has the conversation")
		}
		k.want(t)
	})
}

// TestMergeUnheard has a node that the bus does not reach, and a session that begins
// while its conversation moves.
func TestMergeUnheard(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m, b := newMemory(), newDirect()
		b.fail(errors.New("no route to host"))
		here, there := start(t, m, b), start(t, m, b)
		s, k := there.open(t, Hello{User: visitor, Bot: echo})
		late, err := here.Open(t.Context(), Hello{User: visitor, Bot: echo}, newEar())
		if err != nil {
			t.Fatal(err)
		}
		if err := here.Merge(t.Context(), visitor, ann); err != nil {
			t.Fatal(err)
		}
		k.want(t)
		late.Ready()
		late.sink.(*ear).want(t, "moved")
		_, known := there.open(t, Hello{User: ann, Bot: echo, Conversation: s.Conversation().ID})
		k.want(t, "moved") // who opens it knows
		if err := pause(t.Context(), 2*there.c.Sweep); err != nil {
			t.Fatal(err)
		}
		k.want(t)
		known.want(t)
	})
}

func TestMergeSwept(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m, b := newMemory(), newDirect()
		n := start(t, m, b)
		_, k := n.open(t, Hello{User: visitor, Bot: echo})
		if _, err := m.MoveConversations(t.Context(), visitor, ann); err != nil { // by a node that dies then
			t.Fatal(err)
		}
		k.want(t)
		if err := pause(t.Context(), n.c.Sweep); err != nil {
			t.Fatal(err)
		}
		k.want(t, "moved")
	})
}

func TestMergeRefused(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		n := start(t, m, newDirect())
		s, k := n.open(t, hello)
		if err := n.Merge(t.Context(), ann, ann); err != nil {
			t.Errorf("Merge() with oneself = %v, want nil", err)
		}
		down := errors.New("disk trouble")
		m.ahead(func(_ context.Context, what string) error {
			if what == "move" {
				return down
			}
			return nil
		})
		if err := n.Merge(t.Context(), ann, bob); !errors.Is(err, down) {
			t.Errorf("Merge() = %v, want %v", err, down)
		}
		k.want(t)
		if got := m.of(s.Conversation().ID).User; got != ann {
			t.Errorf("the conversation is of %v", got)
		}
	})
}
