package chat

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/carnetproject/carnet/internal/bot"
	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/securesession"
)

// dice are random choices that a seed repeats, as far as the scheduler does.
type dice struct {
	mu  sync.Mutex
	rnd *rand.Rand
}

func newDice(seed uint64) *dice { return &dice{rnd: rand.New(rand.NewPCG(seed, 1))} }

func (d *dice) n(n int) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.rnd.IntN(n)
}

// chance is true in so many of a hundred.
func (d *dice) chance(percent int) bool { return d.n(100) < percent }

func (d *dice) upTo(most time.Duration) time.Duration { return time.Duration(d.n(int(most))) }

// rough is a bus that loses, doubles, delays and so reorders.
type rough struct {
	*direct
	dice *dice
	late sync.WaitGroup
	calm bool // under direct.mu
}

func (r *rough) Publish(ctx context.Context, subject string, data []byte) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for s := range r.subs {
		copies := 1
		switch {
		case r.calm || s.subject != subject:
		case r.dice.chance(25):
			copies = 0
		case r.dice.chance(15):
			copies = 2
		}
		for range copies {
			delay := r.dice.upTo(400 * time.Millisecond)
			r.late.Go(func() {
				if pause(ctxOf(ctx), delay) == nil && s.subject == subject {
					s.f(data)
				}
			})
		}
	}
	if !r.calm && r.dice.chance(5) {
		return errors.New("no route to host")
	}
	return nil
}

// ctxOf outlives the call that ctx came with: an event is on its way by itself.
func ctxOf(ctx context.Context) context.Context { return context.WithoutCancel(ctx) }

// server is a node of the world: an engine and the runner of its bots.
type server struct {
	engine *Engine
	kill   context.CancelFunc
	done   sync.WaitGroup
}

// world is a few servers on one store and one bus, with clients that come and go.
type world struct {
	t     *testing.T
	dice  *dice
	store *memory
	bus   *rough

	mu      sync.Mutex
	servers []*server
	calm    bool // nothing fails any more
}

func newWorld(t *testing.T, seed uint64, servers int) *world {
	d := newDice(seed)
	w := &world{t: t, dice: d, store: newMemory(), bus: &rough{direct: newDirect(), dice: d}}
	w.store.ahead(func(ctx context.Context, what string) error {
		if err := pause(ctx, d.upTo(5*time.Millisecond)); err != nil {
			return err
		}
		return w.fail(3)
	})
	w.store.behind(func(context.Context, string) error { return w.fail(2) })
	for range servers {
		w.servers = append(w.servers, w.serve())
	}
	return w
}

// fail is an error in so many of a hundred cases.
func (w *world) fail(percent int) error {
	w.mu.Lock()
	calm := w.calm
	w.mu.Unlock()
	if !calm && w.dice.chance(percent) {
		return errors.New("disk trouble")
	}
	return nil
}

func (w *world) serve() *server {
	s := &server{}
	quietly := slog.New(slog.DiscardHandler)
	var runner *bot.Runner
	e, err := New(Config{
		Store: w.store, Bus: w.bus, Bots: onlyEcho(), Log: quietly,
		Hire: func(id bot.ID) *bot.Worker {
			if w.dice.chance(80) {
				return runner.Hire(id)
			}
			return nil
		},
		Wake: func(id bot.ID) {
			if w.dice.chance(80) { // a node may die before it is told
				runner.Wake(id)
			}
		},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	runner, err = bot.NewRunner(bot.RunnerConfig{
		Bots:  bot.Registry{echo: {Bot: flaky{w}}},
		Turns: w.store, Replies: e, Attempts: 1000, Log: quietly,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	s.engine = e
	ctx, cancel := context.WithCancel(context.WithoutCancel(w.t.Context()))
	s.kill = cancel
	for _, run := range []func(context.Context) error{e.Run, runner.Run} {
		s.done.Go(func() {
			if err := run(ctx); err != nil {
				w.t.Errorf("Run() = %v", err)
			}
		})
	}
	return s
}

// flaky is an echo that takes its time and fails now and then.
type flaky struct{ w *world }

func (f flaky) Answer(ctx context.Context, t bot.Turn) (bot.Answer, error) {
	if err := pause(ctx, f.w.dice.upTo(300*time.Millisecond)); err != nil {
		return bot.Answer{}, err
	}
	if err := f.w.fail(10); err != nil {
		return bot.Answer{}, err
	}
	body := []byte(fmt.Sprintf(`{"re":%q}`, t.MessageID))
	return bot.Answer{Replies: []bot.Reply{{Body: body}, {Body: body}}}, nil
}

// any is a server, maybe one that has just died.
func (w *world) any() *server {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.servers[w.dice.n(len(w.servers))]
}

// crash kills a server and puts another in its place. Its sessions are not closed.
func (w *world) crash() {
	i := w.dice.n(len(w.servers))
	old := w.servers[i]
	old.kill()
	old.done.Wait()
	fresh := w.serve()
	w.mu.Lock()
	w.servers[i] = fresh
	w.mu.Unlock()
}

// heal ends all trouble.
func (w *world) heal() {
	w.mu.Lock()
	w.calm = true
	w.mu.Unlock()
	w.bus.mu.Lock()
	w.bus.calm = true
	w.bus.mu.Unlock()
}

func (w *world) stop() {
	for _, s := range w.servers {
		s.kill()
		s.done.Wait()
	}
	w.bus.late.Wait()
}

// client is a browser tab: it keeps what it has seen and what has no answer yet
// across connections, as the SDK does.
type client struct {
	w    *world
	name string
	user User

	mu      sync.Mutex
	conv    ID
	seen    []Message        // over all connections
	acked   map[string]int64 // seq by id
	pending []string         // ids without an answer, oldest first
	line    *line            // the connection, nil if there is none
	session *Session
}

// line is one connection of a client: a sink with a bounded queue.
type line struct {
	c      *client
	sent   map[string]bool // by this connection
	queue  []Message       // not yet taken by the client
	broken bool
}

const places = 40 // of a line's queue

func (c *client) connect() {
	c.mu.Lock()
	l := &line{c: c, sent: map[string]bool{}}
	h := Hello{User: c.user, Bot: echo, Conversation: c.conv, After: int64(len(c.seen))}
	c.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(c.w.t.Context()), time.Second)
	defer cancel()
	s, err := c.w.any().engine.Open(ctx, h, l)
	if err != nil {
		return // next time
	}
	c.mu.Lock()
	c.line, c.session, c.conv = l, s, s.Conversation().ID
	again := slices.Clone(c.pending)
	for _, id := range again {
		l.sent[id] = true
	}
	c.mu.Unlock()
	s.Ready()
	for _, id := range again {
		s.Send(id, body(id))
	}
}

func (c *client) disconnect() {
	c.mu.Lock()
	s := c.session
	if c.line != nil {
		c.line.broken = true
	}
	c.line, c.session = nil, nil
	c.mu.Unlock()
	if s != nil {
		s.Close()
	}
}

// say sends a message, now or when there is a connection.
func (c *client) say(id string) {
	c.mu.Lock()
	c.pending = append(c.pending, id)
	s := c.session
	if c.line != nil {
		c.line.sent[id] = true
	}
	c.mu.Unlock()
	if s != nil {
		s.Send(id, body(id))
	}
}

// take empties the queue of the connection.
func (c *client) take() {
	c.mu.Lock()
	s := c.session
	if l := c.line; l != nil {
		if l.broken {
			s = nil
		}
		for _, m := range l.queue {
			if m.Seq != int64(len(c.seen))+1 {
				c.w.t.Errorf("%s: message %d after %d", c.name, m.Seq, len(c.seen))
			}
			c.seen = append(c.seen, m)
		}
		l.queue = nil
	}
	c.mu.Unlock()
	if s != nil {
		s.Ready()
	}
}

func (l *line) Message(m Message) {
	c := l.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if l.broken {
		return
	}
	if _, acked := c.acked[m.ID]; l.sent[m.ID] && !acked {
		c.w.t.Errorf("%s: message %s before its ack", c.name, m.ID)
	}
	if len(l.queue) == places {
		l.broken = true // too slow: the client has to come back
		return
	}
	l.queue = append(l.queue, m)
}

func (l *line) Ack(id string, seq int64, _ time.Time) {
	c := l.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if before, ok := c.acked[id]; ok && before != seq {
		c.w.t.Errorf("%s: %s acknowledged as %d and %d", c.name, id, before, seq)
	}
	c.acked[id] = seq
	c.pending = slices.DeleteFunc(c.pending, func(p string) bool { return p == id })
}

func (l *line) Nack(string, *fault.Error) {
	l.c.mu.Lock()
	defer l.c.mu.Unlock()
	l.broken = true // come back and send it again
}

func (l *line) Delta(string, string)        {}
func (l *line) Secure(securesession.Notice) {}
func (l *line) Typing(From)                 {}
func (l *line) Read(int64)                  {}
func (l *line) Moved()                      {}
func (l *line) Reconnect(time.Duration)     {}

func (l *line) Free() int {
	l.c.mu.Lock()
	defer l.c.mu.Unlock()
	return places - len(l.queue)
}
