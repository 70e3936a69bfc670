package chat

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/carnetproject/carnet/internal/bot"
	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/securesession"
)

// gate decides by what it is told, when it is waited for.
type gate func(ctx context.Context, a Ask) error

func (gate) Guards(bot.ID) bool                                             { return true }
func (g gate) Enter(_ context.Context, a Ask) Verdict                       { return pondering{g, a} }
func (gate) Protect(context.Context, Ask, securesession.Surface) error      { return nil }
func (gate) Standing(context.Context, Ask) (n securesession.Notice, _ bool) { return n, false }
func (gate) Forget(bot.ID, ID)                                              {}

type pondering struct {
	gate
	a Ask
}

func (pondering) Decided() bool                    { return false }
func (p pondering) Wait(ctx context.Context) error { return p.gate(ctx, p.a) }

// sentry is a gate whose every answer a test gives.
type sentry struct {
	off      bool
	protect  map[securesession.Surface]error
	standing *securesession.Notice

	mu      sync.Mutex
	entered []string
	forgot  []ID
	open    map[string]chan error // of messages without a verdict
}

func newSentry() *sentry {
	return &sentry{protect: map[securesession.Surface]error{}, open: map[string]chan error{}}
}

func (s *sentry) Guards(b bot.ID) bool { return b == echo && !s.off }

func (s *sentry) Enter(_ context.Context, a Ask) Verdict {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.entered = append(s.entered, fmt.Sprint(a.Message, " ", a.Addr, " ", string(a.Context)))
	c := make(chan error, 1)
	s.open[a.Message] = c
	return awaited(c)
}

func (s *sentry) answer(err error, ids ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range ids {
		s.open[id] <- err
	}
}

func (s *sentry) Protect(_ context.Context, _ Ask, what securesession.Surface) error {
	return s.protect[what]
}

func (s *sentry) Standing(context.Context, Ask) (securesession.Notice, bool) {
	if s.standing == nil {
		return securesession.Notice{}, false
	}
	return *s.standing, true
}

func (s *sentry) Forget(_ bot.ID, id ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forgot = append(s.forgot, id)
}

type awaited chan error

func (a awaited) Decided() bool { return len(a) > 0 }

func (a awaited) Wait(ctx context.Context) error {
	select {
	case err := <-a:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func guarded(s *sentry) func(*Config) { return func(c *Config) { c.Gate = s } }

var lockedOut = &fault.Error{Kind: fault.Denied, Code: "unauthorized", Err: securesession.Unauthorized}

// TestMessagesWaitTogether has all that was sent enter the gate while it ponders the
// first, and what it lets in at once share a commit.
func TestMessagesWaitTogether(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m, g := newMemory(), newSentry()
		n := start(t, m, newDirect(), guarded(g))
		k := newEar()
		s, err := n.Open(t.Context(), Hello{User: ann, Bot: echo, Addr: netip.MustParseAddr("192.0.2.1")}, k)
		if err != nil {
			t.Fatal(err)
		}
		s.Ready()
		s.Send("a", body("x"))
		synctest.Wait()
		for _, id := range []string{"b", "c", "d", "e"} {
			s.Send(id, body("x"))
		}
		synctest.Wait()
		g.answer(nil, "a")
		k.want(t, "ack a 1", "message 1 user a")
		if diff := cmp.Diff([]string{"a 192.0.2.1 {}", "b 192.0.2.1 {}", "c 192.0.2.1 {}", "d 192.0.2.1 {}", "e 192.0.2.1 {}"}, g.entered); diff != "" {
			t.Errorf("entered: %s", diff)
		}
		commits := m.count("append")
		g.answer(nil, "c") // b, before it, is not decided
		k.want(t)
		g.answer(nil, "b")
		k.want(t, "ack b 2", "ack c 3", "message 2 user b", "message 3 user c")
		if got := m.count("append") - commits; got != 1 {
			t.Errorf("%d commits for two messages that were let in at once", got)
		}
		g.answer(lockedOut, "d")
		g.answer(nil, "e")
		k.want(t, "nack d denied ", "ack e 4", "message 4 user e")
	})
}

// TestNoMoreThanTheWindowWaits: what a gate would refuse as too much waits in the mailbox.
func TestNoMoreThanTheWindowWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newSentry()
		n := start(t, newMemory(), newDirect(), guarded(g), func(c *Config) { c.Limits.Window = 3 })
		s, _ := n.open(t, hello)
		tab, _ := n.open(t, hello)
		for i := range 3 {
			s.Send(fmt.Sprint("s", i), body("x"))
			tab.Send(fmt.Sprint("t", i), body("x"))
		}
		synctest.Wait()
		first := len(g.entered)
		if first > 3 {
			t.Errorf("%d messages entered at once", first)
		}
		for len(g.open) < 6 {
			var waiting []string
			for _, e := range g.entered {
				if id := e[:2]; len(g.open[id]) == 0 {
					waiting = append(waiting, id)
				}
			}
			g.answer(nil, waiting...)
			synctest.Wait()
		}
		if !slices.Contains(g.entered, "t2 invalid IP {}") {
			t.Errorf("entered: %q", g.entered)
		}
	})
}

// TestUnguarded: where the gate guards no bot it is not asked, and batches are whole.
func TestUnguarded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m, g := newMemory(), newSentry()
		g.off = true
		n := start(t, m, newDirect(), guarded(g))
		s, k := n.open(t, hello)
		release := held(m)
		finds := m.count("find")
		for _, id := range []string{"a", "b", "c"} {
			s.Send(id, body("x"))
			synctest.Wait()
		}
		release()
		k.want(t, "ack a 1", "message 1 user a", "ack b 2", "ack c 3", "message 2 user b", "message 3 user c")
		if len(g.entered) > 0 || m.count("find") != finds {
			t.Errorf("%v entered, %d looks for the conversation", g.entered, m.count("find")-finds)
		}
	})
}

// TestStandingIsTold shows where the user stands to all tabs, on all nodes, and to those
// that begin.
func TestStandingIsTold(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m, b, g := newMemory(), newDirect(), newSentry()
		here, there := start(t, m, b, guarded(g)), start(t, m, b, guarded(g))
		s, k := here.open(t, hello)
		_, far := there.open(t, hello)
		id := s.Conversation().ID
		synctest.Wait()
		here.Secure(id, securesession.Notice{Standing: securesession.Locked, Reason: securesession.Unauthorized, Message: "sign in"})
		k.want(t, "secure locked unauthorized sign in")
		far.want(t, "secure locked unauthorized sign in")

		g.standing = &securesession.Notice{Standing: securesession.Secured}
		late := newEar()
		begins, err := there.Open(t.Context(), hello, late)
		if err != nil {
			t.Fatal(err)
		}
		late.want(t)
		begins.Ready()
		late.want(t, "secure secured  ")

		news := newEar()
		begins, err = there.Open(t.Context(), hello, news)
		if err != nil {
			t.Fatal(err)
		}
		here.Secure(id, securesession.Notice{Standing: securesession.Unverified, Reason: securesession.Unavailable})
		news.want(t)
		begins.Ready()
		news.want(t, "secure unavailable temporarily_unavailable ")
		k.want(t, "secure unavailable temporarily_unavailable ")
		begins.Ready()
		news.want(t)

		there.Secure("cnv_none", securesession.Notice{Standing: securesession.Locked}) // nobody is there
		s.Close()
		far.words()
		here.Secure(id, securesession.Notice{Standing: securesession.Secured})
		far.want(t, "secure secured  ")
	})
}

// TestStandingBehindAGate: the news that comes with a verdict leaves the node although its
// mailbox was waiting.
func TestStandingBehindAGate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m, b, g := newMemory(), newDirect(), newSentry()
		here, there := start(t, m, b, guarded(g)), start(t, m, b, guarded(g))
		s, k := here.open(t, hello)
		_, far := there.open(t, hello)
		s.Send("a", body("x"))
		synctest.Wait()
		here.Secure(s.Conversation().ID, securesession.Notice{Standing: securesession.Locked})
		g.answer(lockedOut, "a")
		k.want(t, "secure locked  ", "nack a denied ")
		far.want(t, "secure locked  ")
	})
}

func TestProtect(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m, g := newMemory(), newSentry()
		n := start(t, m, newDirect(), guarded(g))
		id := fill(t, m, 3)
		again := Hello{User: ann, Bot: echo, Conversation: id}
		if _, err := n.Open(t.Context(), again, newEar()); err != nil {
			t.Errorf("what is not protected: %v", err)
		}
		g.protect[securesession.History] = lockedOut
		if ms, _, err := n.History(t.Context(), ann, id, 0, 0); fault.KindOf(err) != fault.Denied || ms != nil {
			t.Errorf("History() = %v, %v", ms, err)
		}
		if _, _, err := n.History(t.Context(), bob, id, 0, 0); fault.KindOf(err) != fault.NotFound {
			t.Errorf("the history of somebody else's: %v", err)
		}
		if ms, _, err := n.Past(t.Context(), ann, id, 0, 0); err != nil || len(ms) != 3 {
			t.Errorf("Past() = %v, %v", ms, err)
		}
		if _, _, err := n.Past(t.Context(), bob, id, 0, 0); fault.KindOf(err) != fault.NotFound {
			t.Errorf("the past of somebody else's: %v", err)
		}
		if _, err := n.Open(t.Context(), again, newEar()); err != nil {
			t.Errorf("to resume is not protected: %v", err)
		}

		g.protect[securesession.Resume] = lockedOut
		g.standing = &securesession.Notice{Standing: securesession.Locked, Message: "sign in"}
		_, err := n.Open(t.Context(), again, newEar())
		wantLocked(t, err, "sign in")
		g.off = true
		if _, err := n.Open(t.Context(), again, newEar()); err != nil {
			t.Errorf("what is guarded no more: %v", err)
		}
		g.off = false
		if _, err := n.Open(t.Context(), Hello{User: bob, Bot: echo}, newEar()); err != nil {
			t.Errorf("a conversation in which nothing was said: %v", err)
		}
	})
}

func wantLocked(t *testing.T, err error, message string) {
	t.Helper()
	locked, ok := err.(*LockedError) //nolint:errorlint // it is the outermost
	if !ok || fault.KindOf(err) != fault.Denied || locked.Notice.Message != message || err.Error() == "" {
		t.Errorf("error %v, want one of who is locked out", err)
	}
}

// TestEndIsForgotten: of a conversation that has ended the gate keeps nothing, whether its
// user speaks in it or begins the next.
func TestEndIsForgotten(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newSentry()
		n := start(t, newMemory(), newDirect(), guarded(g), func(c *Config) {
			c.Bots = map[bot.ID]Policy{echo: {Lifetime: time.Hour}}
		})
		s, k := n.open(t, hello)
		id := s.Conversation().ID
		if err := pause(t.Context(), time.Hour); err != nil {
			t.Fatal(err)
		}
		s.Send("a", body("x"))
		synctest.Wait()
		if heard := k.words(); len(heard) == 0 || heard[0] != "nack a conflict " {
			t.Errorf("heard %q", heard)
		}
		next, _ := n.open(t, hello)
		if next.Conversation().ID == id {
			t.Error("the conversation goes on")
		}
		if diff := cmp.Diff([]ID{id, id}, g.forgot); diff != "" || len(g.entered) > 0 {
			t.Errorf("forgotten: %s; entered: %q", diff, g.entered)
		}
	})
}
