package soak

import (
	"strings"
	"testing"
	"time"
)

// waiting is a client that has sent m-0 and m-1 on a connection, and has no answer.
func waiting(t *testing.T, h habit) *client {
	t.Helper()
	c := newClient(newTestRun(t, nil), "user", "a", 1)
	c.habit, c.token = h, "token"
	c.hello()
	c.welcome(frame{Conversation: "cnv_1", Session: "s", ExpiresIn: 60})
	for i, id := range []string{"m-0", "m-1"} {
		body := encode(wish{Text: id, Want: none})
		c.sends[id] = i
		c.record.Sends = append(c.record.Sends, Send{ID: id, Body: body})
		c.outbox = append(c.outbox, &pending{id: id, body: body, out: time.Now()})
	}
	c.waits = 2
	return c
}

func refused(id, code string, after float64) (f frame) {
	f = frame{Type: "nack", ID: id}
	f.Error.Code, f.Error.RetryAfter = code, after
	return f
}

func TestHear(t *testing.T) {
	t.Parallel()
	user := frame{Type: "message", Seq: 1, ID: "m-0", From: "user", Body: []byte(encode(wish{Text: "m-0", Want: none}))}
	bot := frame{Type: "message", Seq: 1, ID: "b", From: "bot", Body: []byte(`{"text":"welcome"}`)}
	later := bot
	later.Seq = 2
	stranger := bot
	stranger.Body = []byte(`{"text":"re x 1"}`)
	for name, tc := range map[string]struct {
		habit  habit
		frames []frame
		goes   bool   // the connection goes on
		left   string // ids in the outbox; those that are to be sent again with a star
		held   bool
		lost   bool
		note   Send // of m-0, but for id and body
	}{
		"ack":             {prompt, []frame{{Type: "ack", ID: "m-0", Seq: 1}}, true, "m-1", false, false, Send{}},
		"ack of another":  {prompt, []frame{{Type: "ack", ID: "x", Seq: 1}}, true, "m-0 m-1", false, false, Send{}},
		"its own message": {prompt, []frame{user}, true, "m-1", false, false, Send{}},
		"the bot's":       {prompt, []frame{bot}, true, "m-0 m-1", false, false, Send{}},
		"a gap":           {prompt, []frame{later}, false, "m-0 m-1", false, true, Send{}},
		"a double":        {prompt, []frame{bot, bot}, false, "m-0 m-1", false, true, Send{}},
		"nobody asked":    {prompt, []frame{stranger}, false, "m-0 m-1", false, true, Send{}},
		"busy":            {prompt, []frame{refused("m-0", "busy", 30)}, true, "m-0* m-1", true, false, Send{Delayed: true}},
		"refused":         {prompt, []frame{refused("m-0", "too_large", 0)}, true, "m-1", false, false, Send{Delayed: true, Refused: true}},
		"refused late":    {prompt, []frame{user, refused("m-0", "too_large", 0)}, true, "m-1", false, false, Send{}},
		"expired":         {reconnect, []frame{refused("m-0", "token_expired", 0)}, false, "m-0* m-1", true, false, Send{Delayed: true}},
		"both expired": {
			late,
			[]frame{refused("m-0", "token_expired", 0), refused("m-1", "token_expired", 0)},
			true, "m-0* m-1*", true, false,
			Send{Delayed: true},
		},
		"refreshed": {
			late,
			[]frame{refused("m-0", "token_expired", 0), {Type: "session", Session: "t", ExpiresIn: 60}},
			true, "m-0* m-1", false, false,
			Send{Delayed: true},
		},
		"unknown": {prompt, []frame{{Type: "secure"}}, true, "m-0 m-1", false, false, Send{}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := waiting(t, tc.habit)
			goes := true
			for _, f := range tc.frames {
				goes = c.hear(t.Context(), nil, f)
			}
			var left []string
			for _, p := range c.outbox {
				if p.out.IsZero() {
					p.id += "*"
				}
				left = append(left, p.id)
			}
			if got := strings.Join(left, " "); got != tc.left || goes != tc.goes {
				t.Errorf("outbox %q, goes on %v, want %q, %v", got, goes, tc.left, tc.goes)
			}
			if held := c.held.After(time.Now()); held != tc.held || c.lost != tc.lost {
				t.Errorf("held %v, lost %v, want %v, %v", held, c.lost, tc.held, tc.lost)
			}
			if n := c.record.Sends[0]; n.Delayed != tc.note.Delayed || n.Refused != tc.note.Refused {
				t.Errorf("noted %+v, want %+v", n, tc.note)
			}
			if n := len(c.outbox); c.waits != n {
				t.Errorf("%d wait, want %d", c.waits, n)
			}
		})
	}
}

// TestHello shows what a client says of what it has.
func TestHello(t *testing.T) {
	t.Parallel()
	for name, sealed := range map[string]bool{"session": true, "conversation": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := waiting(t, prompt)
			c.sealed = sealed
			c.hear(t.Context(), nil, frame{Type: "message", Seq: 1, ID: "b", From: "bot", Body: []byte(`{"text":"welcome"}`)})
			h := c.hello()
			if *h.After != 1 || h.Token != "token" || (h.Session == "s") != sealed || (h.Conversation == "cnv_1") == sealed {
				t.Errorf("hello %+v", h)
			}
			if s := c.seen().Streams; len(s) != 2 || s[1].After != 1 {
				t.Errorf("streams %+v", s)
			}
		})
	}
}

// TestSentAgain shows that a message whose outcome was lost may come later than others.
func TestSentAgain(t *testing.T) {
	t.Parallel()
	c := waiting(t, prompt)
	var said []string
	for _, want := range []bool{false, true} {
		for _, p := range c.outbox {
			p.out = time.Time{} // the connection is lost
		}
		if err := c.flush(func(f frame) error { said = append(said, f.Type+" "+f.ID); return nil }); err != nil {
			t.Fatal(err)
		}
		if got := c.record.Sends[1].Delayed; got != want {
			t.Errorf("after %q delayed is %v", said, got)
		}
	}
	if want := "send m-0, send m-1, send m-0, send m-1"; strings.Join(said, ", ") != want {
		t.Errorf("said %q, want %q", said, want)
	}
}
