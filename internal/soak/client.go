package soak

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// window is how many sends may be on the way (as the web SDK has it).
const window = 32

// The clocks of a client. The web SDK's are longer, for people's batteries.
const (
	beat       = 250 * time.Millisecond
	pingAfter  = 1500 * time.Millisecond // of silence
	giveUp     = 5 * time.Second         // of silence: the connection is dead
	ackWithin  = 15 * time.Second
	maxBackoff = 2 * time.Second
)

// habit is what a client does about the end of its token.
type habit int

const (
	prompt    habit = iota // refreshes it in time
	late                   // refreshes it when a send was refused for it
	reconnect              // connects anew when a send was refused for it
	habits
)

// client is one tab or device of a user. It talks for as long as it is not quiet, and
// stays connected until its context ends.
type client struct {
	run   *Run
	user  string
	rand  *rand.Rand
	habit habit
	quiet atomic.Bool // it begins nothing new

	// Of the goroutine of live alone.
	token    string
	expires  time.Time
	session  string // sealed state; some clients give it back, some the conversation's id
	sealed   bool
	outbox   []*pending
	held     time.Time // until when nothing is sent
	failures int       // since the last welcome

	mu     sync.Mutex
	record Client
	waits  int            // of outbox
	sends  map[string]int // places in record.Sends
	last   int64          // the newest message that it has
	debts  debts          // as far as it has seen
	lost   bool           // what it was given is not in order; Check says what
}

// pending is a message that has no outcome yet.
type pending struct {
	id, body string
	out      time.Time // when it went out on this connection; zero: not yet
	again    bool      // it has gone out before
}

func newClient(r *Run, user, device string, stream uint64) *client {
	c := &client{run: r, user: user, rand: random(r.c.Seed, stream), sends: map[string]int{}}
	c.habit, c.sealed = habit(c.rand.IntN(int(habits))), c.rand.IntN(2) == 0
	c.record = Client{Name: user + device, User: user}
	return c
}

// state is the newest message that the client has, and whether anything is missing.
func (c *client) state() (last int64, waits bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.last, c.waits > 0 || c.debts.left() != "" || c.lost
}

// seen is the client's record so far.
func (c *client) seen() Client {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.record
	r.Streams = slices.Clone(r.Streams)
	return r
}

// live connects again and again until ctx ends.
func (c *client) live(ctx context.Context) {
	for ctx.Err() == nil {
		if c.token == "" {
			c.renew(ctx)
		}
		if c.token != "" {
			c.connect(ctx)
			for _, p := range c.outbox {
				p.out = time.Time{}
			}
			c.held = time.Time{}
		}
		c.failures++
		most := min(maxBackoff, 50*time.Millisecond<<min(c.failures, 10))
		if pause(ctx, time.Duration(c.rand.Int64N(int64(most)))) != nil {
			return
		}
	}
}

// renew gets another token; "" if it cannot.
func (c *client) renew(ctx context.Context) {
	token, err := c.run.token(ctx, c.user)
	if err != nil {
		c.token = ""
		return
	}
	c.token = token
}

// connect is one connection, from the hello to its end.
func (c *client) connect(ctx context.Context) {
	s, err := dial(c.run.front.address())
	if err != nil {
		return
	}
	defer s.close()
	c.run.counts.connects.Add(1)
	if s.say(c.hello()) != nil {
		return
	}
	tick := time.NewTicker(beat)
	defer tick.Stop()
	open, heard, asked := false, time.Now(), false
	for {
		select {
		case <-ctx.Done():
			return
		case f, ok := <-s.frames:
			if !ok {
				return
			}
			heard, asked = time.Now(), false
			if f.Type == "welcome" {
				open = true
				c.welcome(f)
			}
			if !c.hear(ctx, s, f) {
				return
			}
		case <-tick.C:
			silent := time.Since(heard)
			if silent > giveUp || !c.patient() {
				return
			}
			if open && silent > pingAfter && !asked {
				asked = true
				_ = s.say(frame{Type: "ping"})
			}
			if open {
				c.talk()
			}
			if open && c.habit == prompt && time.Until(c.expires) < 1500*time.Millisecond {
				c.refresh(ctx, s)
			}
		}
		if open && c.flush(s.say) != nil {
			return
		}
	}
}

// patient reports whether all answers are still to be hoped for.
func (c *client) patient() bool {
	return !slices.ContainsFunc(c.outbox, func(p *pending) bool {
		return !p.out.IsZero() && time.Since(p.out) > ackWithin
	})
}

func (c *client) hello() frame {
	c.mu.Lock()
	defer c.mu.Unlock()
	after := c.last
	h := frame{Type: "hello", Token: c.token, Bot: BotName, After: &after}
	if c.sealed {
		h.Session = c.session
	} else {
		h.Conversation = c.record.Conversation
	}
	c.record.Streams = append(c.record.Streams, Stream{After: after})
	return h
}

func (c *client) welcome(f frame) {
	c.failures = 0
	c.session = f.Session
	c.expires = time.Now().Add(time.Duration(f.ExpiresIn) * time.Second)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.record.Conversation == "" {
		c.record.Conversation = f.Conversation
		c.run.counts.talks.Add(1)
	}
	if c.record.Conversation != f.Conversation {
		c.lost = true
	}
}

// talk begins a new message now and then.
func (c *client) talk() {
	if c.quiet.Load() || len(c.outbox) >= window || c.rand.Float64() > beat.Seconds()/c.run.c.Pause.Seconds() {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for range 1 + max(0, c.rand.IntN(12)-9) { // at times several at once
		id := fmt.Sprintf("%s-%d", c.record.Name, len(c.record.Sends))
		w := wish{Text: id, Want: wants[c.rand.IntN(len(wants))], Replies: 1 + c.rand.IntN(3)/2}
		switch c.rand.IntN(40) {
		case 0:
			w.Padding = strings.Repeat("<&é>", 1+c.rand.IntN(4<<10))
		case 1:
			w.Padding = strings.Repeat("x", 61<<10) // more than a message may have
		}
		body := canonical([]byte(encode(w)))
		c.sends[id] = len(c.record.Sends)
		c.record.Sends = append(c.record.Sends, Send{ID: id, Body: body})
		c.outbox = append(c.outbox, &pending{id: id, body: body})
		c.waits = len(c.outbox)
	}
}

// flush sends what has not been sent on this connection.
func (c *client) flush(say func(frame) error) error {
	if time.Now().Before(c.held) {
		return nil
	}
	for i, p := range c.outbox {
		if i >= window || !p.out.IsZero() {
			continue
		}
		if p.again {
			c.note(p.id, func(s *Send) { s.Delayed = true })
		}
		p.out, p.again = time.Now(), true
		c.run.counts.sends.Add(1)
		if err := say(frame{Type: "send", ID: p.id, Body: json.RawMessage(p.body)}); err != nil {
			return err
		}
	}
	return nil
}

// note edits what the record has of a message that was sent.
func (c *client) note(id string, edit func(*Send)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	edit(&c.record.Sends[c.sends[id]])
}

// refresh renews the token on the open connection.
func (c *client) refresh(ctx context.Context, s *socket) {
	c.expires = time.Now().Add(giveUp) // not again before the answer
	if c.renew(ctx); c.token != "" {
		_ = s.say(frame{Type: "refresh", Token: c.token})
	}
}
