package chat

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/carnetproject/carnet/internal/bot"
	"github.com/carnetproject/carnet/internal/chat"
	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/socket"
)

func pipe(w *world) (near, far net.Conn) {
	near, far = net.Pipe()
	w.t.Cleanup(func() { _ = near.Close() })
	return near, far
}

// send sends a message and reads it back: the ack, then the message itself.
func (c *client) send(id string) {
	c.t.Helper()
	c.say(`{"type":"send","id":%q,"body":{"text":"I am <%s>"}}`, id, id)
	ack, m := c.want("ack"), c.want("message")
	if ack["id"] != id || m["id"] != id || m["seq"] != ack["seq"] || m["from"] != "user" || m["at"] != ack["at"] {
		c.t.Errorf("ack %v, message %v; want both of %s", ack, m, id)
	}
	if text := m["body"].(map[string]any)["text"]; text != "I am <"+id+">" {
		c.t.Errorf("body %v", m["body"])
	}
}

// idle reads for a while, in which nothing but pings comes.
func (c *client) idle(d time.Duration) {
	c.t.Helper()
	until := time.Now().Add(d)
	for time.Now().Before(until) {
		_ = c.conn.SetReadDeadline(until)
		b, err := c.in.Peek(2)
		if err != nil {
			continue
		}
		if b[0] != 0x89 {
			c.t.Fatalf("a frame begins with %x, want a ping", b)
		}
		op, payload, err := c.read()
		if err != nil || op != 0x9 {
			c.t.Fatalf("ping: %v", err)
		}
		if !c.mute {
			c.raw(0x8a, payload)
		}
	}
}

func TestMessagesReachEverySocket(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, b := w.dial(), w.dial()
		welcome := a.hello("ann")
		b.hello("ann")
		a.send("m1")
		if m := b.want("message"); m["id"] != "m1" || m["seq"] != 1. {
			t.Errorf("the other socket got %v", m)
		}
		err := w.engine.Reply(t.Context(), bot.Turn{Conversation: welcome["conversation"].(string), Seq: 1, Bot: "echo", MessageID: "m1"},
			bot.Answer{Replies: []bot.Reply{{Body: []byte(`{"text":"I am <m1>"}`)}}})
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range []*client{a, b} {
			if m := c.want("message"); m["seq"] != 2. || m["from"] != "bot" || m["body"].(map[string]any)["text"] != "I am <m1>" {
				t.Errorf("answer %v", m)
			}
		}
	})
}

func TestSendTwice(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		c := w.dial()
		c.hello("ann")
		c.send("m1")
		c.say(`{"type":"send","id":"m1","body":"again"}`)
		if ack := c.want("ack"); ack["seq"] != 1. {
			t.Errorf("ack %v, want the first one's", ack)
		}
		c.wantQuiet()
	})
}

func TestNack(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		body   string
		broken error
		code   string
		after  bool
	}{
		"body too large": {`"` + strings.Repeat("x", chat.MaxBody-1) + `"`, nil, "too_large", false},
		"store down":     {`1`, &fault.Error{Kind: fault.Unavailable, Msg: "busy", RetryAfter: time.Second, Err: errors.New("10.0.0.7")}, "unavailable", true},
		"overload":       {`1`, &fault.Error{Kind: fault.Unavailable, Code: "busy", Msg: "too many", RetryAfter: time.Second}, "busy", true},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				c := w.dial()
				c.hello("ann")
				w.store.breaks(tc.broken)
				c.say(`{"type":"send","id":"m1","body":%s}`, tc.body)
				e := c.want("nack")["error"].(map[string]any)
				if _, after := e["retry_after"]; e["code"] != tc.code || after != tc.after {
					t.Errorf("nack %v, want %s", e, tc.code)
				}
				if strings.Contains(fmt.Sprint(e), "10.0.0.7") {
					t.Errorf("%v shows a cause", e)
				}
				w.store.breaks(nil)
				c.send("m2")
			})
		})
	}
}

func TestLargestBody(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		c := w.dial()
		c.hello("ann")
		c.say(`{"type":"send","id":"m1","body":"%s"}`, strings.Repeat("<", chat.MaxBody-2))
		c.want("ack")
		if m := c.want("message"); len(m["body"].(string)) != chat.MaxBody-2 {
			t.Errorf("%d bytes came back", len(m["body"].(string)))
		}
	})
}

func TestMarks(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, b := w.dial(), w.dial()
		a.hello("ann")
		b.hello("ann")
		a.send("m1")
		b.want("message")
		a.say(`{"type":"typing"}`)
		if m := b.want("typing"); m["from"] != "user" {
			t.Errorf("typing %v", m)
		}
		b.say(`{"type":"read","seq":1}`)
		if m := a.want("read"); m["seq"] != 1. {
			t.Errorf("read %v", m)
		}
		w.engine.sink().Read(0)
		if m := b.want("read"); m["seq"] != 0. {
			t.Errorf("read %v, want the zero to be there", m)
		}
		a.say(`{"type":"pong"}`)
		a.wantQuiet()
		b.wantQuiet()
		if m := w.dial().hello("ann"); m["read_seq"] != 1. {
			t.Errorf("welcome %v, want it to say what was read", m)
		}
	})
}

func TestFrameRefusals(t *testing.T) {
	t.Parallel()
	const hello = `{"type":"hello","token":"ann","bot":"echo"}`
	for name, tc := range map[string]struct {
		first   byte
		payload string
		before  bool // of hello
		close   closeCode
		reason  string // of the close frame; an error frame with this code comes before it if the code is one of ours
	}{
		"send before hello":            {0x81, `{"type":"send","id":"m","body":1}`, true, closeBadFrame, "bad_frame"},
		"ping before hello":            {0x81, `{"type":"ping"}`, true, closeBadFrame, "bad_frame"},
		"refresh before hello":         {0x81, `{"type":"refresh","token":"ann"}`, true, closeBadFrame, "bad_frame"},
		"hello twice":                  {0x81, hello, false, closeBadFrame, "bad_frame"},
		"junk":                         {0x81, `{`, false, closeBadFrame, "bad_frame"},
		"junk before hello":            {0x81, `{`, true, closeBadFrame, "bad_frame"},
		"no UTF-8":                     {0x81, "{\"type\":\"typing\",\"x\":\"\xff\"}", false, closeBadFrame, "bad_frame"},
		"binary":                       {0x82, `{"type":"typing"}`, false, closeBadFrame, "bad_frame"},
		"more than 64 KiB":             {0x81, strings.Repeat(" ", maxFrame+1), false, 1009, "gws: message too large"},
		"more than 64 KiB, no hello":   {0x81, strings.Repeat(" ", maxFrame+1), true, 1009, "gws: message too large"},
		"compressed, as nobody agreed": {0xc1, "x", false, 1002, "gws: protocol error"},
		"continued, but not begun":     {0x80, "x", false, 1002, "gws: protocol error"},
		"unknown opcode":               {0x83, "x", false, 1002, "gws: unexpected opcode 3"},
		"ping in parts":                {0x09, "x", false, 1002, "gws: protocol error"},
		"ping that is too long":        {0x89, strings.Repeat("x", 126), false, 1002, "gws: protocol error"},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				c := w.dial()
				if !tc.before {
					c.hello("ann")
				}
				go func() { _ = c.tryRaw(tc.first, []byte(tc.payload)) }()
				if tc.close >= 4000 {
					c.wantRefusal(tc.close, tc.reason)
				} else {
					c.wantClose(tc.close, tc.reason)
				}
			})
		})
	}
}

// TestFrameInParts: a text may come in fragments, with pings in between.
func TestFrameInParts(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		c := w.dial()
		c.hello("ann")
		c.raw(0x01, []byte(`{"type":`))
		c.raw(0x89, []byte("are you there?"))
		if op, payload, err := c.read(); op != 0xa || string(payload) != "are you there?" {
			t.Errorf("answer to ping: %x %q, %v", op, payload, err)
		}
		c.raw(0x00, nil)
		c.raw(0x80, []byte(`"ping"}`))
		c.want("pong")
	})
}

// TestPartsThatNeverEnd come to more than a frame may have.
func TestPartsThatNeverEnd(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		c := w.dial()
		c.hello("ann")
		c.raw(0x01, []byte(strings.Repeat(" ", 40<<10)))
		go func() { _ = c.tryRaw(0x00, []byte(strings.Repeat(" ", 40<<10))) }()
		c.wantClose(1009, "gws: message too large")
	})
}

// TestLengthThatIsNegative sends a length that is negative for who does not look.
func TestLengthThatIsNegative(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		c := w.dial()
		c.hello("ann")
		_, err := c.conn.Write([]byte{0x81, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4})
		if err != nil {
			t.Fatal(err)
		}
		c.wantGone()
		w.dial().hello("ann")
	})
}

func TestClientCloses(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		c := w.dial()
		c.hello("ann")
		c.raw(0x88, []byte{0x03, 0xe8})
		c.wantClose(1000, "")
		time.Sleep(socket.LingerTime)
		if n := w.Conns(); n != 0 {
			t.Errorf("%d connections are left", n)
		}
	})
}

// TestTooManyFrames: 400 at once and 200 a second pass, of whatever kind.
func TestTooManyFrames(t *testing.T) {
	t.Parallel()
	for name, first := range map[string]byte{"texts": 0x81, "pongs": 0x8a} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				c := w.dial()
				c.hello("ann")
				payload := []byte(`{"type":"pong"}`)
				go func() {
					for range 20 * 200 { // for 20 seconds at the pace that is allowed
						_ = c.tryRaw(first, payload)
						time.Sleep(frameEvery)
					}
					for c.tryRaw(first, payload) == nil {
					}
				}()
				at := time.Now()
				for {
					op, _, err := c.read()
					if err != nil {
						t.Fatal(err)
					}
					if op == 0x1 {
						break
					}
				}
				if took := time.Since(at); took < 20*time.Second || took > 21*time.Second {
					t.Errorf("refused after %v, want 20 s", took)
				}
				c.wantClose(closeTooMany, "too_many")
			})
		})
	}
}
