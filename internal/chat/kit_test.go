package chat

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/carnetproject/carnet/internal/bot"
	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/securesession"
)

// direct is a bus that loses nothing and is never late.
type direct struct {
	mu   sync.Mutex
	down error // what Publish returns, and nothing arrives
	subs map[*subscription]bool
}

type subscription struct {
	subject string
	f       func([]byte)
}

func newDirect() *direct { return &direct{subs: map[*subscription]bool{}} }

func (d *direct) Publish(_ context.Context, subject string, data []byte) error {
	d.mu.Lock()
	down := d.down
	var to []*subscription
	for s := range d.subs {
		if s.subject == subject {
			to = append(to, s)
		}
	}
	d.mu.Unlock()
	if down != nil {
		return down
	}
	for _, s := range to {
		s.f(data)
	}
	return nil
}

func (d *direct) Subscribe(subject string, f func([]byte)) func() {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := &subscription{subject, f}
	d.subs[s] = true
	return func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		delete(d.subs, s)
	}
}

func (d *direct) fail(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.down = err
}

func (d *direct) subscriptions() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.subs)
}

// ear is a sink that notes what it is told, in words.
type ear struct {
	free int // what Free answers less one for each message

	mu    sync.Mutex
	heard []string
}

func newEar() *ear { return &ear{free: 1 << 20} }

func (e *ear) note(format string, args ...any) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.heard = append(e.heard, fmt.Sprintf(format, args...))
}

func (e *ear) Message(m Message) {
	e.note("message %d %s %s", m.Seq, m.From, m.ID)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.free--
}
func (e *ear) Ack(id string, seq int64, _ time.Time) { e.note("ack %s %d", id, seq) }
func (e *ear) Nack(id string, f *fault.Error)        { e.note("nack %s %s %s", id, f.Kind, f.Field) }
func (e *ear) Delta(id, text string)                 { e.note("delta %s %s", id, text) }
func (e *ear) Typing(from From)                      { e.note("typing %s", from) }
func (e *ear) Read(seq int64)                        { e.note("read %d", seq) }
func (e *ear) Secure(n securesession.Notice) {
	e.note("secure %s %s %s", n.Standing, string(n.Reason), n.Message)
}
func (e *ear) Moved() { e.note("moved") }
func (e *ear) Reconnect(after time.Duration) {
	e.note("reconnect within %v", after.Truncate(maxSpread)+maxSpread)
}

func (e *ear) Free() int { e.mu.Lock(); defer e.mu.Unlock(); return e.free }

func (e *ear) room(n int) { e.mu.Lock(); defer e.mu.Unlock(); e.free = n }

// words returns what was heard since it was asked last.
func (e *ear) words() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	heard := e.heard
	e.heard = nil
	return heard
}

// want waits until all is at rest and compares what was heard.
func (e *ear) want(t *testing.T, want ...string) {
	t.Helper()
	synctest.Wait()
	if diff := cmp.Diff(want, e.words()); diff != "" {
		t.Errorf("heard (-want +got):\n%s", diff)
	}
}

const echo bot.ID = "echo"

// onlyEcho is the bot that tests talk to.
func onlyEcho() map[bot.ID]Policy { return map[bot.ID]Policy{echo: {}} }

var (
	ann   = User{Issuer: "app_1", Subject: "ann"}
	bob   = User{Issuer: "app_1", Subject: "bob"}
	hello = Hello{User: ann, Bot: echo}
)

// node is an engine that runs.
type node struct {
	*Engine
	store *memory
	bus   *direct
	woken []bot.ID
	stop  func() // and wait
}

// start runs an engine in the bubble of the test, until the test ends or stop is called.
func start(t *testing.T, store *memory, bus *direct, edits ...func(*Config)) *node {
	t.Helper()
	n := &node{store: store, bus: bus}
	var mu sync.Mutex
	c := Config{
		Store: store, Bus: bus,
		Bots: onlyEcho(),
		Wake: func(id bot.ID) { mu.Lock(); defer mu.Unlock(); n.woken = append(n.woken, id) },
		Log:  slog.New(slog.DiscardHandler),
	}
	for _, edit := range edits {
		edit(&c)
	}
	e, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	n.Engine = e
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx) }()
	n.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run() = %v", err)
		}
	})
	t.Cleanup(n.stop)
	synctest.Wait()
	return n
}

// open opens a session that is ready.
func (n *node) open(t *testing.T, h Hello) (*Session, *ear) {
	t.Helper()
	k := newEar()
	s, err := n.Open(t.Context(), h, k)
	if err != nil {
		t.Fatalf("Open() = %v", err)
	}
	s.Ready()
	return s, k
}

// fill puts n messages a1, a2, … into a conversation of ann's.
func fill(t *testing.T, m *memory, n int) ID {
	t.Helper()
	c := Conversation{ID: "cnv_1", Bot: echo, User: ann, Context: json.RawMessage(`{}`)}
	if err := m.AddConversation(t.Context(), c, false); err != nil {
		t.Fatal(err)
	}
	grow(t, m, c.ID, n)
	return c.ID
}

// grow adds n messages behind the engine's back.
func grow(t *testing.T, m *memory, id ID, n int) {
	t.Helper()
	for range n {
		d := Draft{fmt.Sprint("a", m.of(id).LastSeq+1), FromUser, body("hi")}
		if _, _, err := m.AppendMessages(t.Context(), id, []Draft{d}, time.Now(), time.Time{}); err != nil {
			t.Fatal(err)
		}
	}
}

// messages is what an ear hears of the messages from first to last of fill.
func heardOf(first, last int) []string {
	var words []string
	for i := first; i <= last; i++ {
		words = append(words, fmt.Sprintf("message %d user a%d", i, i))
	}
	return words
}

func body(text string) json.RawMessage { return json.RawMessage(`{"text":"` + text + `"}`) }

// ids are those of the messages that the store has, in order.
func (m *memory) ids(id ID) []string {
	var ids []string
	for _, message := range m.of(id).messages {
		ids = append(ids, message.ID)
	}
	return ids
}
