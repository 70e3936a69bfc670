package kore

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/carnetproject/carnet/internal/bot"
	"github.com/carnetproject/carnet/internal/chat"
	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/securesession"
)

// guard is a gate that refuses everything while it is shut.
type guard struct {
	mu     sync.Mutex
	engine *chat.Engine
	shut   bool
}

// set shuts the gate, or opens it.
func (g *guard) set(e *chat.Engine, shut bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.engine, g.shut = e, shut
}

func (g *guard) Guards(bot.ID) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.shut
}

var signIn = securesession.Notice{
	Standing: securesession.Locked, Reason: securesession.Unauthorized,
	Message: "<TimelineMessage><Text>Sign in &amp; go on</Text></TimelineMessage>",
}

func (g *guard) Enter(_ context.Context, a chat.Ask) chat.Verdict {
	g.engine.Secure(a.ID, signIn)
	return blocked{}
}

func (g *guard) Protect(ctx context.Context, _ chat.Ask, s securesession.Surface) error {
	if s == securesession.Resume {
		return nil
	}
	return blocked{}.Wait(ctx)
}

func (g *guard) Standing(context.Context, chat.Ask) (securesession.Notice, bool) {
	return signIn, false
}
func (g *guard) Forget(bot.ID, chat.ID) {}

type blocked struct{}

func (blocked) Decided() bool { return true }

func (blocked) Wait(context.Context) error {
	return &fault.Error{Kind: fault.Denied, Code: "unauthorized", Msg: "the session is not authorized", Err: securesession.Unauthorized}
}

// TestLockedOut shows the user of a page what to do, in red that nothing was sent, and
// nothing of what was said before.
func TestLockedOut(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	bearer := w.login("st-echo", nil)
	p := w.open(bearer, "")
	p.wantText("Hello! I say what you say.")
	p.send(1795302301218, "Hello?")
	p.wantText("Hello?")
	w.guard.set(w.engine, true)
	p.send(1795302301219, "Anybody?")
	var shown []string
	for len(shown) < 2 {
		if f := p.next(); f["type"] == "bot_response" {
			shown = append(shown, bubbleText(f))
		}
	}
	if got := strings.Join(shown, "|"); got != "Sign in & go on|This message was not sent." {
		t.Errorf("shown: %q", got)
	}
	if got := texts(w.past(bearer, "&limit=10")); strings.Contains(strings.Join(got, "|"), "Hello?") {
		t.Errorf("the history of who is locked out: %q", got)
	}
	p.cut()
	again := w.open(w.login("st-echo", nil), "&isReconnect=true") // which looks into what was said
	again.wantQuiet()
	w.guard.set(w.engine, false)
	again.send(1795302301219, "Anybody?")
	again.wantText("Anybody?")
	if got := strings.Join(texts(w.past(bearer, "&limit=10")), "|"); strings.Contains(got, "Sign in") || strings.Contains(got, "not sent") {
		t.Errorf("what is no part of the conversation is in its history: %q", got)
	}
}

// TestHookLockedOut answers what the user is to see, and keeps nothing of it.
func TestHookLockedOut(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.hookPage("st-echo", nil)
	p.post(eventMessage(onConnect))
	w.guard.set(w.engine, true)
	a := p.post(textMessage("Hello?"))
	if a.status != http.StatusOK {
		t.Fatalf("status %d", a.status)
	}
	wantSaid(t, a, "Sign in & go on")
	w.guard.set(w.engine, false)
	wantSaid(t, p.post(textMessage("Hello?")), "Hello?")
}
