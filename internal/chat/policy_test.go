package chat

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carnetproject/carnet/internal/bot"
	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/limit"
)

func (m *memory) WaitingTurns(ctx context.Context) (map[bot.ID]int64, error) {
	if err := m.enter(ctx, "count"); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	waiting := map[bot.ID]int64{}
	for _, r := range m.all {
		if len(r.turns) > 0 {
			waiting[r.Bot] += int64(len(r.turns))
		}
	}
	return waiting, nil
}

func (m *memory) FindMessage(ctx context.Context, in ID, id string) (found Message, err error) {
	err = m.use(ctx, "message", in, func(r *record) error {
		for _, found = range r.messages {
			if found.ID == id {
				return nil
			}
		}
		return fault.New(fault.NotFound, "no such message")
	})
	return found, err
}

// by sets the policy of the bot that tests talk to.
func by(p Policy) func(*Config) {
	return func(c *Config) { c.Bots = map[bot.ID]Policy{echo: p} }
}

// TestLifetime lets a conversation end while its user is there.
func TestLifetime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := start(t, newMemory(), newDirect(), by(Policy{Lifetime: time.Hour}))
		s, ann1 := n.open(t, hello)
		_, ann2 := n.open(t, hello)
		first := s.Conversation().ID
		wait(t, time.Hour-time.Second)
		s.Send("a", body("in time"))
		ann1.want(t, "ack a 1", "message 1 user a")
		ann2.want(t, "message 1 user a")

		wait(t, time.Second)
		s.Send("a", body("in time")) // it has missed the answer
		ann1.want(t, "ack a 1")
		s.Send("b", body("too late"))
		ann1.want(t, "nack b conflict ", "reconnect within 30s")
		ann2.want(t, "reconnect within 30s")
		if got := n.store.ids(first); len(got) != 1 {
			t.Errorf("the conversation has %v", got)
		}
		if _, err := n.Push(t.Context(), echo, first, "p", body("news")); errorCode(err) != "conversation_ended" {
			t.Errorf("Push() = %v", err)
		}
		if page, _, err := n.History(t.Context(), ann, first, 0, 0); err != nil || len(page) != 1 {
			t.Errorf("History() = %v, %v: what was said must be there", page, err)
		}
		if _, err := n.Current(t.Context(), ann, echo); fault.KindOf(err) != fault.NotFound {
			t.Errorf("Current() = %v", err)
		}

		again, ear := n.open(t, Hello{User: ann, Bot: echo, Conversation: first, After: 1})
		next := again.Conversation()
		if next.ID == first || n.store.of(next.ID).welcomes != 1 {
			t.Fatalf("who names the one that has ended goes on in %+v, want a new one", next)
		}
		again.Send("b", body("too late"))
		ear.want(t, "ack b 1", "message 1 user b")
		for name, h := range map[string]Hello{"without a name": hello, "by the old name": {User: ann, Bot: echo, Conversation: first, After: 1}} {
			other, ear := n.open(t, h)
			if got := other.Conversation().ID; got != next.ID {
				t.Errorf("%s: goes on in %s, want %s", name, got, next.ID)
			}
			if h.Conversation != "" {
				ear.want(t) // what it had of the old one says nothing of the new
			}
		}
	})
}

func errorCode(err error) string { return fault.Public(err).Code }

// TestPushAgain repeats what was pushed before the end.
func TestPushAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := start(t, newMemory(), newDirect(), by(Policy{Lifetime: time.Hour}))
		s, _ := n.open(t, hello)
		for range 2 {
			m, err := n.Push(t.Context(), echo, s.Conversation().ID, "p", body("news"))
			if err != nil || m.Seq != 1 {
				t.Errorf("Push() = %+v, %v", m, err)
			}
			wait(t, time.Hour)
		}
	})
}

// TestWaiting floods a bot that does not answer, from two nodes.
func TestWaiting(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		one, two := start(t, m, newDirect(), by(Policy{Waiting: 4})), start(t, m, newDirect(), by(Policy{Waiting: 4}))
		s, ear := one.open(t, hello) // whose welcome is the first turn
		elsewhere, far := two.open(t, Hello{User: bob, Bot: echo, New: true})
		wait(t, 3*time.Second)
		s.Send("a", body("a"))
		s.Send("b", body("b"))
		s.Send("c", body("c"))
		ear.want(t, "nack c unavailable ", "ack a 1", "ack b 2", "message 1 user a", "message 2 user b")
		wait(t, 3*time.Second)
		elsewhere.Send("d", body("d"))
		far.want(t, "nack d unavailable ")

		id := s.Conversation().ID
		for _, turn := range m.of(id).turns[:2] {
			turn.Conversation, turn.Bot = string(id), echo
			for range 2 { // what had ended is not counted again
				if err := one.Reply(t.Context(), turn, bot.Answer{}); err != nil {
					t.Error(err)
				}
			}
		}
		s.Send("b", body("b")) // is there already, and makes no turn
		s.Send("c", body("c"))
		s.Send("e", body("e"))
		ear.want(t, "nack e unavailable ", "ack b 2", "ack c 3", "message 3 user c")
		s.Send("e", body("e"))
		s.Send("f", body("f"))
		ear.want(t, "nack f unavailable ", "ack e 4", "message 4 user e")
		wait(t, 3*time.Second) // b, c, e and the other's welcome
		elsewhere.Send("d", body("d"))
		far.want(t, "nack d unavailable ")
	})
}

// TestBotRate is what a bot can take of all users together.
func TestBotRate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := start(t, newMemory(), newDirect(), by(Policy{Rate: limit.Rate{N: 2, Per: time.Second}}))
		for i, u := range []User{ann, bob, ann} {
			s, ear := n.open(t, Hello{User: u, Bot: echo, New: true})
			s.Send("a", body("a"))
			want := []string{"ack a 1", "message 1 user a"}
			if i == 2 {
				want = []string{"nack a unavailable "}
			}
			ear.want(t, want...)
		}
	})
}

// TestSendsOnTheWay bounds what waits for a store that hangs, and how long.
func TestSendsOnTheWay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		n := start(t, m, newDirect(), func(c *Config) { c.Limits.Sends = 2 })
		s, ear := n.open(t, hello)
		m.ahead(func(ctx context.Context, what string) error {
			if what == "append" {
				return pause(ctx, time.Hour)
			}
			return nil
		})
		for i := range 3 {
			s.Send(fmt.Sprint("m", i), body("hi"))
		}
		ear.want(t, "nack m2 unavailable ")
		wait(t, 2*commitWithin)
		ear.want(t, "nack m0 unavailable ", "nack m1 unavailable ")
		m.ahead(free)
		s.Send("m1", body("hi"))
		ear.want(t, "ack m1 1", "message 1 user m1")
		if q, sends := n.queued.Load(), n.sends.Load(); q != 0 || sends != 0 {
			t.Errorf("%d bytes of %d messages are said to wait, want none", q, sends)
		}
	})
}

// TestGateKnows sends a message again whose ack was lost, when nothing is let in any more.
func TestGateKnows(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		shut := false
		asked := 0
		n := start(t, newMemory(), newDirect(), func(c *Config) {
			c.Gate = gate(func(context.Context, Ask) error {
				asked++
				if shut {
					return fault.New(fault.Denied, "sign in")
				}
				return nil
			})
		})
		s, ear := n.open(t, hello)
		s.Send("a", body("a"))
		ear.want(t, "ack a 1", "message 1 user a")
		s.Close()
		shut = true
		s, ear = n.open(t, Hello{User: ann, Bot: echo, After: 1})
		s.Send("a", body("a"))
		s.Send("b", body("b"))
		ear.want(t, "ack a 1", "nack b denied ")
		if asked != 2 {
			t.Errorf("the gate was asked %d times, want 2: not for what it let in", asked)
		}
	})
}
