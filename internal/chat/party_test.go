package chat

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carnetproject/carnet/internal/bot"
	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/limit"
)

// use puts a policy of the bot in force that tests talk to.
func (n *node) use(p Policy) { n.Use(map[bot.ID]Policy{echo: p}) }

// reader is an ear that hears the codes of refusals.
type reader struct{ *ear }

func (r reader) Nack(id string, e *fault.Error) { r.note("nack %s %s", id, errorCode(e)) }

// TestBotComesAndGoes has a bot go under two open sessions, and come back.
func TestBotComesAndGoes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := start(t, newMemory(), newDirect(), by(Policy{Waiting: 2}))
		one := reader{newEar()}
		s, err := n.Open(t.Context(), hello, one)
		if err != nil {
			t.Fatal(err)
		}
		s.Ready()
		_, two := n.open(t, hello)
		id := s.Conversation().ID
		s.Send("a", body("a"))
		one.want(t, "ack a 1", "message 1 user a")
		two.want(t, "message 1 user a")

		n.Use(nil)
		s.Send("a", body("a")) // it has missed the answer
		one.want(t, "ack a 1")
		for range 2 { // and what waits for the bot is not why
			wait(t, 3*time.Second)
			s.Send("b", body("b"))
			one.want(t, "nack b bot_not_running")
		}
		s.Typing()
		two.want(t, "typing user") // no more has it heard
		if _, err := n.Open(t.Context(), hello, newEar()); fault.KindOf(err) != fault.NotFound {
			t.Errorf("Open() = %v, want not found", err)
		}
		page, _, err := n.History(t.Context(), ann, id, 0, 0)
		if err != nil || len(page) != 1 {
			t.Errorf("History() = %v, %v", page, err)
		}
		if got := len(n.store.of(id).turns); got != 2 || n.Knows(echo) {
			t.Errorf("%d turns wait, want 2; known: %t", got, n.Knows(echo))
		}

		n.use(Policy{})
		s.Send("b", body("b"))
		one.want(t, "ack b 2", "message 2 user b")
		two.want(t, "message 2 user b")
		n.open(t, hello)
	})
}

// TestOnlyBotsAreKnown asks for bots that there have never been, which must not stay in
// memory.
func TestOnlyBotsAreKnown(t *testing.T) {
	t.Parallel()
	n, err := New(Config{Store: newMemory(), Bots: onlyEcho()})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 10 {
		id := bot.ID(fmt.Sprint("bot", i))
		if _, err := n.Open(t.Context(), Hello{User: ann, Bot: id}, newEar()); n.Knows(id) || fault.KindOf(err) != fault.NotFound {
			t.Errorf("%s: Open() = %v", id, err)
		}
	}
	known := 0
	n.parties.Range(func(any, any) bool { known++; return true })
	if known != 1 || !n.Knows(echo) {
		t.Errorf("%d bots are known, want echo alone", known)
	}
}

// TestTermsChange changes a bot's policy under an open session.
func TestTermsChange(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		second := limit.Rate{N: 1, Per: time.Second}
		n, began := start(t, newMemory(), newDirect()), time.Now()
		s, k := n.open(t, hello)
		n.use(Policy{Rate: second})
		s.Send("a", body("a"))
		k.want(t, "ack a 1", "message 1 user a")
		n.use(Policy{Rate: second, Waiting: 100}) // what was counted goes on counting
		s.Send("b", body("b"))
		k.want(t, "nack b unavailable ")
		n.use(Policy{Waiting: 3})
		s.Send("b", body("b"))
		s.Send("c", body("c"))
		k.want(t, "nack c unavailable ", "ack b 2", "message 2 user b")
		n.use(Policy{})
		s.Send("c", body("c"))
		k.want(t, "ack c 3", "message 3 user c")

		n.use(Policy{Hooks: true, SessionTimeout: time.Minute})
		wait(t, time.Hour-time.Second) // while it is there, with what waits
		wantHooks(t, n.store, s.Conversation().ID, began)
		n.use(Policy{Hooks: true, SessionTimeout: time.Minute, Lifetime: time.Hour})
		wait(t, time.Second)
		s.Send("d", body("d"))
		k.want(t, "nack d conflict ", "reconnect within 30s")
	})
}

// TestHooksOfTheGone are not noted before the bot is back: it hears then who has gone
// since.
func TestHooksOfTheGone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n, began := start(t, newMemory(), newDirect()), time.Now()
		s, _ := n.open(t, hello)
		id := s.Conversation().ID
		n.use(Policy{Hooks: true})
		wait(t, time.Minute)
		s.Close()
		n.Use(nil)
		wait(t, time.Hour)
		wantHooks(t, n.store, id, began)
		n.use(Policy{Hooks: true})
		wait(t, time.Minute)
		wantHooks(t, n.store, id, began, "offline 1m30s", "ended 31m0s")
	})
}
