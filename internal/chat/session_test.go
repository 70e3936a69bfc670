package chat

import (
	"context"
	"encoding/json"
	"errors"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carnetproject/carnet/internal/fault"
)

func TestMessageReachesEverySession(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m, b := newMemory(), newDirect()
		here, there := start(t, m, b), start(t, m, b)
		s, mine := here.open(t, hello)
		_, tab := here.open(t, hello)
		_, phone := there.open(t, hello)
		_, stranger := there.open(t, Hello{User: bob, Bot: echo})
		s.Send("a", body("x"))
		mine.want(t, "ack a 1", "message 1 user a")
		tab.want(t, "message 1 user a")
		phone.want(t, "message 1 user a")
		stranger.want(t)
		if got := m.of(s.Conversation().ID).messages[0]; string(got.Body) != `{"text":"x"}` || got.At.Nanosecond()%1e6 != 0 {
			t.Errorf("stored %+v", got)
		}
		if n := len(here.woken); n != 2 { // two conversations begun, by here and there; one message
			t.Errorf("woken %d times by here, want 2", n)
		}
	})
}

func TestSentTwiceIsOneMessage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		n := start(t, m, newDirect())
		s, k := n.open(t, hello)
		s.Send("a", body("x"))
		s.Send("a", body("x"))
		k.want(t, "ack a 1", "ack a 1", "message 1 user a")
		s.Send("b", body("y"))
		s.Send("a", body("other"))
		k.want(t, "ack b 2", "ack a 1", "message 2 user b")
	})
}

func TestSendRefused(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		id, body, want string
	}{
		"no id":         {"", `{}`, "invalid id"},
		"long id":       {strings.Repeat("a", 65), `{}`, "invalid id"},
		"space in id":   {"a b", `{}`, "invalid id"},
		"letter in id":  {"é", `{}`, "invalid id"},
		"dot in id":     {"a.b", `{}`, "invalid id"},
		"no body":       {"a", ``, "invalid body"},
		"body too long": {"a", `"` + strings.Repeat("x", MaxBody-1) + `"`, "too_large body"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				n := start(t, newMemory(), newDirect())
				s, k := n.open(t, hello)
				s.Send(tc.id, json.RawMessage(tc.body))
				k.want(t, "nack "+tc.id+" "+tc.want)
			})
		})
	}
}

func TestSendTaken(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ id, body string }{
		"longest":   {strings.Repeat("Z", 64), `"` + strings.Repeat("x", MaxBody-2) + `"`},
		"all kinds": {"azAZ09_-", `0`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				n := start(t, newMemory(), newDirect())
				s, k := n.open(t, hello)
				s.Send(tc.id, json.RawMessage(tc.body))
				k.want(t, "ack "+tc.id+" 1", "message 1 user "+tc.id)
			})
		})
	}
}

func TestTyping(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m, b := newMemory(), newDirect()
		here, there := start(t, m, b), start(t, m, b)
		s, mine := here.open(t, hello)
		_, tab := here.open(t, hello)
		_, phone := there.open(t, hello)
		for range 5 {
			s.Typing()
			synctest.Wait()
		}
		tab.want(t, "typing user")
		phone.want(t, "typing user")
		if err := pause(t.Context(), typingEvery); err != nil {
			t.Fatal(err)
		}
		s.Typing()
		mine.want(t)
		tab.want(t, "typing user")
		phone.want(t, "typing user")
		s.Close()
		if err := pause(t.Context(), typingEvery); err != nil {
			t.Fatal(err)
		}
		s.Typing()
		tab.want(t)
	})
}

func TestRead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m, b := newMemory(), newDirect()
		id := fill(t, m, 5)
		here, there := start(t, m, b), start(t, m, b)
		s, mine := here.open(t, Hello{User: ann, Bot: echo, After: FromNow})
		tab, tabEar := here.open(t, Hello{User: ann, Bot: echo, After: FromNow})
		_, phone := there.open(t, Hello{User: ann, Bot: echo, After: FromNow})
		s.Read(3)
		synctest.Wait()
		s.Read(2)   // backwards
		tab.Read(3) // again
		synctest.Wait()
		s.Read(99) // more than there is
		mine.want(t)
		tabEar.want(t, "read 3", "read 5")
		phone.want(t, "read 3", "read 5")
		if got := m.of(id).ReadSeq; got != 5 {
			t.Errorf("stored %d, want 5", got)
		}
		if n := m.count("read"); n != 2 {
			t.Errorf("%d writes, want 2", n)
		}
		late, lateEar := here.open(t, Hello{User: ann, Bot: echo, After: FromNow})
		late.Read(4)
		tabEar.want(t)
		lateEar.want(t)
	})
}

// TestReadSurvivesTheStore marks while the store is out of reach.
func TestReadSurvivesTheStore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		id := fill(t, m, 5)
		n := start(t, m, newDirect())
		s, _ := n.open(t, Hello{User: ann, Bot: echo, After: FromNow})
		synctest.Wait()
		m.ahead(func(context.Context, string) error { return errors.New("disk gone") })
		s.Read(5)
		synctest.Wait()
		if m.of(id).ReadSeq != 0 {
			t.Fatal("the store was in reach")
		}
		m.ahead(free)
		if err := pause(t.Context(), n.c.Sweep+time.Millisecond); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if got := m.of(id).ReadSeq; got != 5 {
			t.Errorf("stored %d, want 5", got)
		}
	})
}

func TestSetContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		n := start(t, m, newDirect())
		s, _ := n.open(t, Hello{User: ann, Bot: echo, Context: json.RawMessage(`{"a":1,"b":2}`)})
		if err := s.SetContext(t.Context(), json.RawMessage(`{"b":null,"c":3}`)); err != nil {
			t.Fatal(err)
		}
		want := `{"a":1,"c":3}`
		if got := string(m.of(s.Conversation().ID).Context); got != want {
			t.Errorf("context = %s, want %s", got, want)
		}
		if err := s.SetContext(t.Context(), json.RawMessage(`"c"`)); fault.KindOf(err) != fault.Invalid {
			t.Errorf("SetContext() = %v, want invalid", err)
		}
		writes := m.count("context")
		n.open(t, Hello{User: ann, Bot: echo, Context: json.RawMessage(`{"c":3}`)})
		if m.count("context") != writes {
			t.Error("a context that changes nothing was written")
		}
		if c := s.Conversation(); c.Context != nil {
			t.Error("the session keeps a context")
		}
	})
}

func TestCloseLeavesNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m, b := newMemory(), newDirect()
		n := start(t, m, b)
		var open []*Session
		var ears []*ear
		for _, u := range []User{ann, ann, bob} {
			s, k := n.open(t, Hello{User: u, Bot: echo})
			open, ears = append(open, s), append(ears, k)
		}
		if len(n.rooms) != 2 || b.subscriptions() != 2 {
			t.Errorf("%d rooms and %d subscriptions, want 2", len(n.rooms), b.subscriptions())
		}
		open[0].Send("a", body("last words"))
		for _, s := range open {
			s.Close()
			s.Close()
			s.Send("b", body("too late"))
			s.Read(1)
			s.Ready()
		}
		synctest.Wait()
		if len(n.rooms) != 0 || n.sessions != 0 || b.subscriptions() != 0 || n.queued.Load() != 0 {
			t.Errorf("%d rooms, %d sessions, %d subscriptions, %d bytes are left",
				len(n.rooms), n.sessions, b.subscriptions(), n.queued.Load())
		}
		for _, k := range ears {
			k.want(t)
		}
		if got := m.ids(open[0].Conversation().ID); len(got) != 1 || got[0] != "a" {
			t.Errorf("stored %v, want what was sent before the end", got)
		}
	})
}

// TestIdleSessionHasNoGoroutine is not parallel, since it counts all there are.
func TestIdleSessionHasNoGoroutine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := start(t, newMemory(), newDirect())
		const sessions, ending = 100, 10 // of those that have done their work some may not be gone yet
		before := runtime.NumGoroutine()
		for range sessions {
			s, k := n.open(t, hello)
			s.Send("a", body("x"))
			synctest.Wait()
			k.words()
		}
		if now := runtime.NumGoroutine(); now > before+ending {
			t.Errorf("%d goroutines at rest, %d without a session", now, before)
		}
	})
}

// TestIdleSessionIsSmall measures what a session costs the engine, with a
// conversation of its own.
func TestIdleSessionIsSmall(t *testing.T) {
	const sessions, most = 4096, 1 << 10
	m := newMemory()
	e, err := New(Config{Store: m, Bus: quiet{}, Bots: onlyEcho()})
	if err != nil {
		t.Fatal(err)
	}
	c := Conversation{Bot: echo, User: ann, Context: json.RawMessage(`{}`)}
	open := make([]*Session, sessions)
	k := newEar()
	before := heap()
	for i := range open {
		c.ID = ID("cnv_" + randomName())
		if open[i], err = e.attach(c, 0, k); err != nil {
			t.Fatal(err)
		}
	}
	if each := (int64(heap()) - int64(before)) / sessions; each > most {
		t.Errorf("%d bytes a session, want at most %d", each, most)
	}
	runtime.KeepAlive(open)
}

func heap() uint64 {
	var s runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&s)
	return s.HeapAlloc
}

// quiet is a bus without anyone on it.
type quiet struct{}

func (quiet) Publish(context.Context, string, []byte) error { return nil }
func (quiet) Subscribe(string, func([]byte)) func()         { return func() {} }
