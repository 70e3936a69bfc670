package server

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/carnetproject/carnet/internal/bot"
	"github.com/carnetproject/carnet/internal/chat"
	"github.com/carnetproject/carnet/internal/connector"
	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/observe"
	"github.com/carnetproject/carnet/internal/secret"
	"github.com/carnetproject/carnet/internal/securesession"
)

// watcher is a sink that passes on what becomes of sends, and where the user stands.
type watcher chan string

func (w watcher) Ack(id string, _ int64, _ time.Time) { w <- "ack " + id }
func (w watcher) Nack(id string, e *fault.Error)      { w <- "nack " + id + " " + e.Code }
func (w watcher) Secure(n securesession.Notice)       { w <- "secure " + string(n.Standing) }
func (watcher) Message(chat.Message)                  {}
func (watcher) Typing(chat.From)                      {}
func (watcher) Read(int64)                            {}
func (watcher) Delta(string, string)                  {}
func (watcher) Moved()                                {}
func (watcher) Reconnect(time.Duration)               {}
func (watcher) Free() int                             { return 100 }

func (w watcher) wants(t *testing.T, words ...string) {
	t.Helper()
	for _, want := range words {
		select {
		case got := <-w:
			if got != want {
				t.Fatalf("told %q, want %q", got, want)
			}
		case <-time.After(time.Minute):
			t.Fatalf("not told %q", want)
		}
	}
}

// guarded is an engine with a gate, beside the node's own, on the same store.
type guarded struct {
	*Server
	engine *chat.Engine
}

func newGuarded(t *testing.T, core *Core) (g guarded) {
	t.Helper()
	g.Server = &Server{core: core, metrics: observe.NewMetrics()}
	var err error
	if g.connectors, err = newConnectors(core, g.metrics); err != nil {
		t.Fatal(err)
	}
	gate, err := g.gate(t.Context(), func() *chat.Engine { return g.engine })
	if err != nil {
		t.Fatal(err)
	}
	g.engine, err = chat.New(chat.Config{
		Store: core.store, Gate: gate, Log: core.log, Bots: map[bot.ID]chat.Policy{"echo": {}, "menu": {}},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	var running sync.WaitGroup
	running.Go(func() { _ = g.engine.Run(ctx) })
	running.Go(func() { _ = gate.Run(ctx) })
	t.Cleanup(func() { stop(); running.Wait() })
	return g
}

func (g guarded) open(t *testing.T, h chat.Hello) (*chat.Session, watcher) {
	t.Helper()
	w := make(watcher, 100)
	s, err := g.engine.Open(t.Context(), h, w)
	if err != nil {
		t.Fatal(err)
	}
	s.Ready()
	return s, w
}

// decided is how often the gate has decided so.
func (g guarded) decided(source, reason string) int {
	w := httptest.NewRecorder()
	g.metrics.Exposition().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	n := 0
	for line := range strings.Lines(w.Body.String()) {
		if strings.HasPrefix(line, "carnet_securesession_decisions_total") && strings.Contains(line, `source="`+source+`"`) && strings.Contains(line, `reason="`+reason+`"`) {
			_, _ = fmt.Sscan(line[strings.LastIndex(line, " "):], &n)
		}
	}
	return n
}

// TestConversationMoves has a conversation go from node to node: it keeps its standing,
// and gains none. Then the connector changes, and goes.
func TestConversationMoves(t *testing.T) {
	t.Parallel()
	const yaml = "chat: {bots: {echo: {secure_session: {connector: STILL, interval: 1h, error_message: Sign in.}}, menu: {state: stopped}}}\n"
	withAPI(t, yaml, func(n apiNode) {
		first, second := newGuarded(t, n.core), newGuarded(t, n.core)
		ann := chat.Hello{User: chat.User{Issuer: "i", Subject: "ann"}, Bot: "echo", Context: json.RawMessage(`{"subject":"c-1","page":"/"}`)}
		here, heard := first.open(t, ann)
		here.Send("m1", json.RawMessage(`"hi"`))
		heard.wants(t, "secure secured", "ack m1")
		c, err := n.core.store.FindConversation(t.Context(), here.Conversation().ID)
		if err != nil || !strings.Contains(string(c.Context), `"identity":"c-1"`) || len(c.Owned) != 3 {
			t.Errorf("the context has %s, of the server %q, error %v", c.Context, c.Owned, err)
		}
		// The answer's "subject" is the one that was asked with, and the server's now.
		ann.Context = nil
		there, heard := second.open(t, ann)
		if there.Conversation().ID != here.Conversation().ID {
			t.Fatal("another conversation")
		}
		heard.wants(t, "secure secured")
		there.Send("m2", json.RawMessage(`"hi"`))
		heard.wants(t, "secure secured", "ack m2")
		if calls := second.decided("call", ""); calls != 0 || second.decided("cache", "") != 1 {
			t.Errorf("%d calls on the second node, %d decisions of the first used", calls, second.decided("cache", ""))
		}

		eve, heardEve := second.open(t, chat.Hello{User: chat.User{Issuer: "i", Subject: "eve"}, Bot: "echo", Context: json.RawMessage(`{"subject":"c-9"}`)})
		eve.Send("m1", json.RawMessage(`"hi"`))
		heardEve.wants(t, "secure locked", "nack m1 unauthorized")
		moved, heardEve := first.open(t, chat.Hello{User: eve.Conversation().User, Bot: "echo"})
		heardEve.wants(t, "secure locked")
		moved.Send("m1", json.RawMessage(`"hi"`))
		heardEve.wants(t, "secure locked", "nack m1 unauthorized")

		n.write("apis/still.json", connectorFile("still", n.api+"/down", "", "$.subject", "$.subject"))
		second.reloadConnectors(t)
		there.Send("m3", json.RawMessage(`"hi"`))
		heard.wants(t, "secure unavailable", "nack m3 temporarily_unavailable")
		if err := os.Remove(filepath.Join(n.dir, "apis/still.json")); err != nil {
			t.Fatal(err)
		}
		second.reloadConnectors(t)
		there.Send("m3", json.RawMessage(`"hi"`))
		heard.wants(t, "secure unavailable", "nack m3 temporarily_unavailable")

		stopped, heard := first.open(t, chat.Hello{User: ann.User, Bot: "menu"})
		stopped.Send("m1", json.RawMessage(`"hi"`))
		heard.wants(t, "nack m1 bot_not_running")
	})
}

func (g guarded) reloadConnectors(t *testing.T) {
	t.Helper()
	next, err := g.connectors.prepare(g.core.Config)
	if err != nil {
		t.Fatal(err)
	}
	g.connectors.use(next)
}

// TestRotatedSecret has the API asked again about who was let in with an older version of
// its key, once the newer one was used.
func TestRotatedSecret(t *testing.T) {
	t.Parallel()
	withAPI(t, "chat: {bots: {echo: {secure_session: {connector: still, interval: 1h}}}}\n", func(n apiNode) {
		put := func(value string) {
			t.Helper()
			if _, err := n.core.Safe.Put(t.Context(), "key", secret.Plain, secret.FromString(value)); err != nil {
				t.Fatal(err)
			}
			n.core.Secrets.StoreChanged()
		}
		put("one")
		n.write("apis/still.json", connectorFile("still", n.api+"/still", `,"Headers":{"X-Key":"srn:vault::default:secret:key"}`, "$.subject", "$.subject"))
		g := newGuarded(t, n.core)
		enter := func(who string) (say func(id string, calls int)) {
			s, heard := g.open(t, chat.Hello{User: chat.User{Issuer: "i", Subject: who}, Bot: "echo", Context: json.RawMessage(`{"subject":"c-1"}`)})
			return func(id string, calls int) {
				t.Helper()
				s.Send(id, json.RawMessage(`"hi"`))
				for got := ""; got != "ack "+id; {
					select {
					case got = <-heard:
					case <-time.After(time.Minute):
						t.Fatalf("no ack of %s", id)
					}
				}
				if got := g.decided("call", ""); got != calls {
					t.Errorf("%s, %s: %d calls, want %d", who, id, got, calls)
				}
			}
		}
		ann, bob := enter("ann"), enter("bob")
		ann("m1", 1)
		ann("m2", 1)
		put("two")
		ann("m3", 1) // nobody has used it
		bob("m1", 2)
		bob("m2", 3)
		ann("m4", 4)
		ann("m5", 4)
		bob("m3", 4)
	})
}

func TestWhoAsks(t *testing.T) {
	t.Parallel()
	c := chat.Conversation{ID: "cnv_1", Bot: "echo", User: chat.User{Issuer: "i", Subject: "ann"}, Context: json.RawMessage(`{}`)}
	other := c
	other.User.Subject = "bob"
	here := netip.MustParseAddr("192.0.2.1")
	ann, bob := inGate(chat.Ask{Conversation: &c, Message: "m1", Addr: here}), inGate(chat.Ask{Conversation: &other, Addr: here})
	if ann.Key != (securesession.Key{Bot: "echo", Conversation: "cnv_1"}) || ann.Message != "m1" || string(ann.Context) != "{}" {
		t.Errorf("asks %+v", ann)
	}
	if ann.Identity == bob.Identity || ann.Actor[connector.ByCustomer] == bob.Actor[connector.ByCustomer] {
		t.Error("two users are one")
	}
	if want := connector.NewActor(here, ann.Identity); !cmp.Equal(map[string]string(want), ann.Actor) || bob.Actor[connector.ByAddress] != ann.Actor[connector.ByAddress] {
		t.Errorf("actors %v and %v, want %v", ann.Actor, bob.Actor, want)
	}
	next := inGate(chat.Ask{Conversation: &c, Addr: netip.MustParseAddr("2001:db8:1:2::7")})
	if again := inGate(chat.Ask{Conversation: &c, Addr: netip.MustParseAddr("2001:db8:1:2:3::4")}); again.Actor[connector.ByAddress] != next.Actor[connector.ByAddress] {
		t.Errorf("another address of one network is another actor: %v", again.Actor)
	}
	ann, bob = inGate(chat.Ask{Conversation: &c}), inGate(chat.Ask{Conversation: &other})
	if ann.Actor[connector.ByAddress] == bob.Actor[connector.ByAddress] {
		t.Error("users without an address shut each other out")
	}
}
