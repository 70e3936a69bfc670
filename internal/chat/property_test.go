package chat

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestGuarantees lets clients talk to bots while connections drop, events get lost,
// doubled and reordered, the store fails before and after its commits, and servers
// die. When all is over, every client has seen every message once and in order, what
// was acknowledged is in the history once, and every message has its answer.
func TestGuarantees(t *testing.T) {
	t.Parallel()
	seeds := 16
	if testing.Short() {
		seeds = 4
	}
	for seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { live(t, uint64(seed)) })
		})
	}
}

const steps = 60 // of each client's life

func live(t *testing.T, seed uint64) {
	w := newWorld(t, seed, 3)
	defer w.stop()
	var clients []*client
	for i := range 9 {
		u := User{Issuer: "app_1", Subject: fmt.Sprint("user", i%3)} // of three tabs each
		clients = append(clients, &client{w: w, name: fmt.Sprint("tab", i), user: u, acked: map[string]int64{}})
	}
	var lives sync.WaitGroup
	for _, c := range clients {
		lives.Go(func() { c.live() })
	}
	for range 6 {
		if pause(t.Context(), 3*time.Second) != nil {
			break
		}
		w.crash()
	}
	lives.Wait()
	w.heal()
	settle(t, w, clients)
	for _, c := range clients {
		c.disconnect()
		c.check()
	}
	w.checkAnswers()
}

// live is a client's ups and downs.
func (c *client) live() {
	d := c.w.dice
	for step := range steps {
		if pause(ctxOf(c.w.t.Context()), d.upTo(600*time.Millisecond)) != nil {
			return
		}
		c.take()
		switch {
		case d.chance(15):
			c.disconnect()
		case c.idle():
			c.disconnect()
			c.connect()
		}
		for i := range d.n(4) {
			c.say(fmt.Sprintf("%s-%d-%d", c.name, step, i))
		}
	}
}

// idle tells whether there is no connection, or one that needs to be made anew.
func (c *client) idle() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.line == nil || c.line.broken
}

// settle gives everyone a fresh connection and the time to catch up.
func settle(t *testing.T, w *world, clients []*client) {
	for _, c := range clients {
		c.disconnect()
		c.connect()
	}
	for range 400 {
		if err := pause(t.Context(), time.Second); err != nil {
			t.Fatal(err)
		}
		rest := true
		for _, c := range clients {
			c.take()
			if c.idle() {
				c.disconnect()
				c.connect()
			}
			rest = rest && c.complete()
		}
		if rest && w.answered() {
			return
		}
	}
	t.Error("no rest in 400 seconds without any trouble")
}

// complete tells whether the client has all it waits for.
func (c *client) complete() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.pending) == 0 && c.conv != "" && len(c.seen) == len(c.w.store.ids(c.conv))
}

func (w *world) answered() bool {
	w.store.mu.Lock()
	defer w.store.mu.Unlock()
	for _, r := range w.store.all {
		if len(r.turns) > 0 {
			return false
		}
	}
	return true
}

// check compares what the client has seen with what the store has.
func (c *client) check() {
	t := c.w.t
	t.Helper()
	history := c.w.store.of(c.conv).messages
	if want, got := lines(history), lines(c.seen); !slices.Equal(want, got) {
		t.Errorf("%s has not seen the history (-want +got):\n%s", c.name, cmp.Diff(want, got))
	}
	for id, seq := range c.acked {
		if history[seq-1].ID != id {
			t.Errorf("%s: %s was acknowledged as %d, which is %s", c.name, id, seq, history[seq-1].ID)
		}
	}
	count := map[string]int{}
	for _, m := range history {
		count[m.ID]++
	}
	for id := range c.acked {
		if count[id] != 1 {
			t.Errorf("%s: %s was acknowledged and is there %d times", c.name, id, count[id])
		}
	}
	if len(c.acked) < steps/2 {
		t.Errorf("%s: only %d messages were acknowledged", c.name, len(c.acked))
	}
}

func lines(ms []Message) []string {
	words := make([]string, len(ms))
	for i, m := range ms {
		words[i] = fmt.Sprintf("%d %s %s %s %d", m.Seq, m.From, m.ID, m.Body, m.At.UnixMilli())
	}
	return words
}

// checkAnswers counts the two replies to each message and to the welcome, which come
// in the order of the messages.
func (w *world) checkAnswers() {
	w.t.Helper()
	if n := len(w.store.all); n < 3 {
		w.t.Errorf("%d conversations, want one for each of three users", n)
	}
	for id, r := range w.store.all {
		want := []string{`{"re":"welcome"}`, `{"re":"welcome"}`}
		var got []string
		for _, m := range r.messages {
			if m.From == FromUser {
				re := fmt.Sprintf(`{"re":%q}`, m.ID)
				want = append(want, re, re)
			} else {
				got = append(got, string(m.Body))
			}
		}
		if !slices.Equal(want, got) {
			w.t.Errorf("%s: answers (-want +got):\n%s", id, cmp.Diff(want, got))
		}
	}
}
