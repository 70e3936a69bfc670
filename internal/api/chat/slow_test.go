package chat

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/carnetproject/carnet/internal/chat"
	"github.com/carnetproject/carnet/internal/socket"
)

func note(seq int64, size int) chat.Message {
	body, _ := json.Marshal(strings.Repeat("x", size))
	return chat.Message{Seq: seq, ID: fmt.Sprint("m", seq), From: chat.FromBot, Body: body, At: time.Now()}
}

// TestSlowReader: when too much waits, what waits is dropped, and the client told to
// come back.
func TestSlowReader(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ size, fit int }{
		"many frames": {10, socket.MaxQueued},
		"many bytes":  {60 << 10, 8},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				c := w.dial()
				c.hello("ann")
				conn := w.engine.sink().(*conn)
				conn.Message(note(1, tc.size))
				time.Sleep(time.Second) // the writer has it in its hands
				for i := range tc.fit {
					if conn.out.Over() {
						t.Fatalf("closed at %d messages, want %d", i, tc.fit)
					}
					conn.Message(note(int64(i+2), tc.size))
				}
				if conn.out.Over() || conn.Free() != 0 {
					t.Fatalf("over %v, free %d; want a full queue", conn.out.Over(), conn.Free())
				}
				conn.Message(note(9999, tc.size))
				if !conn.out.Over() {
					t.Fatal("a full queue takes more")
				}
				conn.Message(note(10_000, 1))
				if m := c.want("message"); m["seq"] != 1. {
					t.Errorf("message %v, want the one that was on the way", m)
				}
				c.wantClose(closeSlowReader, "slow_reader")
			})
		})
	}
}

// TestReaderThatStops is cut when a frame takes too long, even if little waits.
func TestReaderThatStops(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		c := w.dial()
		c.hello("ann")
		conn := w.engine.sink().(*conn)
		conn.Message(note(1, 10))
		time.Sleep(socket.WriteTimeout + time.Second)
		if n := w.Conns(); n != 0 {
			t.Errorf("%d connections are left", n)
		}
	})
}

// TestSlowReaderDelaysNobody: others get their messages while one takes nothing.
func TestSlowReaderDelaysNobody(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		slow, quick := w.dial(), w.dial()
		slow.hello("ann")
		quick.hello("ann")
		at := time.Now()
		for i := range 100 {
			quick.send(fmt.Sprint("m", i))
		}
		if took := time.Since(at); took > time.Second {
			t.Errorf("100 messages took %v beside a slow reader", took)
		}
	})
}

// TestCatchUp brings more than the queue holds, as fast as the client takes it: the
// engine's sweep would do so too, but in seconds.
func TestCatchUp(t *testing.T) {
	t.Parallel()
	for name, pause := range map[string]time.Duration{"in haste": 0, "at leisure": 5 * time.Second} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				first := w.dial()
				id := chat.ID(first.hello("ann")["conversation"].(string))
				_ = first.conn.Close()
				const n = 3 * socket.MaxQueued
				for i := range n {
					d := chat.Draft{ID: fmt.Sprint("m", i), From: chat.FromBot, Body: []byte(`"x"`)}
					if _, _, err := w.store.AppendMessages(t.Context(), id, []chat.Draft{d}, time.Now(), time.Time{}); err != nil {
						t.Fatal(err)
					}
				}
				at := time.Now()
				c := w.dial()
				c.hello("ann", `"after":0`)
				next := func() map[string]any {
					m := c.next()
					if m["type"] == "session" { // a newer state, now and then
						m = c.next()
					}
					return m
				}
				for i := range n {
					if i%100 == 0 {
						time.Sleep(pause)
					}
					m := next()
					if m["type"] != "message" || m["seq"] != float64(i+1) {
						t.Fatalf("got %v, want message %d", m, i+1)
					}
				}
				c.say(`{"type":"ping"}`)
				if m := next(); m["type"] != "pong" {
					t.Errorf("got %v behind the last message", m)
				}
				if took := time.Since(at); took > (n/100+1)*pause+time.Second {
					t.Errorf("took %v, want no more than the client does", took)
				}
			})
		})
	}
}

// TestBrokenMessage is one that should not be in the store.
func TestBrokenMessage(t *testing.T) {
	inWorld(t, func(_ *testing.T, w *world) {
		c := w.dial()
		c.hello("ann")
		w.engine.sink().Message(chat.Message{Seq: 1, Body: []byte("{")})
		c.wantRefusal(closeUnavailable, "internal")
	})
}

// tap is a line from which a test takes one frame at a time.
type tap chan socket.Frame

func (t tap) Write(f socket.Frame) error { t <- f; return nil }
func (tap) Cut()                         {}

// until takes all frames before one that is pushed now.
func (t tap) until(c *conn) (texts []string) {
	c.push(socket.Text, []byte("mark"))
	for f := range t {
		if string(f.Data) == "mark" {
			break
		}
		texts = append(texts, string(f.Data))
	}
	return texts
}

// TestDeltaGivesWay fills a connection's queue: parts of a message that is being written
// are left out then, for good, and the connection stays.
func TestDeltaGivesWay(t *testing.T) {
	t.Parallel()
	line := make(tap)
	c := &conn{out: socket.Queue{Line: line}}
	for range 10 * socket.MaxQueued {
		c.Delta("bot_1", "x")
	}
	if c.out.Over() || c.Free() != 0 {
		t.Fatalf("over %t, free %d; want a full queue", c.out.Over(), c.Free())
	}
	got := line.until(c)
	if len(got) == 0 || len(got) >= socket.MaxQueued {
		t.Fatalf("%d frames waited", len(got))
	}
	if want := `{"type":"delta","id":"bot_1","text":"x"}`; got[0] != want {
		t.Errorf("frame %s, want %s", got[0], want)
	}
	c.Delta("bot_1", "y")
	c.Delta("bot_2", "z")
	if got := line.until(c); len(got) != 1 || got[0] != `{"type":"delta","id":"bot_2","text":"z"}` {
		t.Errorf("behind the hole: %q, want the next message's alone", got)
	}
	c.out.Wait()
}
