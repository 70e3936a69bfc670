package kore

import (
	"fmt"
	"strings"
	"testing"
)

// TestConversation talks to the echo: a new user is welcomed once, on the socket and in
// the history under the same id, and hears no message of its own back.
func TestConversation(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	bearer := w.login("st-echo", nil)
	p := w.open(bearer, "")
	hello := w.past(bearer, "&limit=10")
	if len(hello.Messages) != 1 || hello.Messages[0].Type != "outgoing" || hello.More || hello.Total != 1 {
		t.Fatalf("the first history is %+v, want the welcome", hello)
	}
	welcome := hello.Messages[0]
	if id := p.wantText(welcome.Components[0].Data.Text); id != welcome.ID {
		t.Errorf("the welcome is %s live and %s in the history", id, welcome.ID)
	}
	p.send(1795302301218, "Hello?")
	var acked bool
	for !acked {
		f := <-p.frames
		switch f["type"] {
		case "ack":
			acked = f["ok"] == true && f["replyto"] == float64(1795302301218)
		case "bot_response":
			t.Fatalf("%v before the ack", f)
		}
	}
	p.wantText("Hello?")
	p.wantQuiet()
	after := w.past(bearer, "&limit=10")
	if got := strings.Join(texts(after)[1:], "|"); got != "Hello?|Hello?" {
		t.Errorf("the history has %q", got)
	}
	if m := after.Messages[1]; m.Type != "incoming" || m.ID != "1795302301218" || m.ClientID != m.ID {
		t.Errorf("the user's message is %+v", m)
	}

	// a reload: another token of the same user, no second welcome
	p.cut()
	again := w.login("st-echo", nil)
	q := w.open(again, "")
	q.wantQuiet()
	if d := len(w.past(again, "").Messages); d != 3 {
		t.Errorf("%d messages after a reload, want 3", d)
	}
}

// TestSendAgain sends the same message twice, as the SDK does after a loss: as a number,
// and then as its text.
func TestSendAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	bearer := w.login("st-quiet", nil)
	p := w.open(bearer, "")
	frame := `{"clientMessageId":%s,"resourceid":"/bot.message","message":{"body":"once"},"id":%[1]s}`
	p.wantAnswer(fmt.Sprintf(frame, "1795302301218"), "ack")
	p.wantAnswer(fmt.Sprintf(frame, `"1795302301218"`), "ack")
	if got := texts(w.past(bearer, "")); len(got) != 1 || got[0] != "once" {
		t.Errorf("the history has %q, want it once", got)
	}
}

// TestIgnored says what means nothing. The connection lives on.
func TestIgnored(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	bearer := w.login("st-quiet", nil)
	p := w.open(bearer, "")
	for _, frame := range []string{
		`{"type":"ack","clientMessageId":1,"replyto":1,"status":"delivered","key":"k","id":1}`,
		`{"event":"message_read","message":{"body":"","type":""},"messageId":"ms-1","clientMessageId":1,"resourceid":"/bot.message"}`,
		`{"event":"typing","message":{"body":"","type":""},"resourceid":"/bot.message"}`,
		`{"clientMessageId":2,"resourceid":"/bot.other","message":{"body":"x"}}`,
		`{"resourceid":"/bot.message"}`, `{}`, `[]`, `not JSON`, `"text"`, `{"message":null}`, `{"type":"later","message":{"body":"x"}}`,
		`{"message":{"body":"x"},"message":{"body":"y"},"clientMessageId":3}`,
	} {
		p.say(frame)
	}
	p.wantQuiet()
	if n := w.past(bearer, "").Total; n != 0 {
		t.Errorf("%d messages were kept", n)
	}
	if f := p.wantAnswer(`{"type":"ping","id":12}`, "pong"); f["replyto"] != float64(12) || f["ok"] != true {
		t.Errorf("pong %v", f)
	}
}

// TestRefusedMessage tells the user, in red, what the SDK has no word for.
func TestRefusedMessage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.open(w.login("st-quiet", nil), "")
	p.say(`{"clientMessageId":1,"resourceid":"/bot.message","message":{"body":""}}`)
	f := p.next()
	component := f["message"].([]any)[0].(map[string]any)["component"].(map[string]any)
	if component["type"] != "error" || !strings.Contains(bubbleText(f), "not sent") || !safeID(f["messageId"].(string)) {
		t.Errorf("got %v", f)
	}
	p.say(`{"clientMessageId":1,"resourceid":"/bot.message","message":{"body":"` + strings.Repeat("é", 31<<10) + `"}}`)
	if f := p.next(); !strings.Contains(bubbleText(f), "at most") {
		t.Errorf("got %v", f)
	}
	p.wantAnswer(`{"clientMessageId":1,"resourceid":"/bot.message","message":{"body":"short"}}`, "ack")
}

// TestTwoTabs sees that each shows what the user says in the other, once.
func TestTwoTabs(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	one := w.open(w.login("st-quiet", nil), "")
	two := w.open(w.login("st-quiet", nil), "")
	one.send(1001, "from one")
	two.wantUser("from one")
	two.send(1002, "from two")
	one.wantUser("from two")
	one.send(1003, "?")
	two.wantUser("?")
	id := one.wantText("!")
	if got := two.wantText("!"); got != id {
		t.Errorf("the answer is %s and %s", id, got)
	}
	one.wantQuiet()
	two.wantQuiet()
}

// confirmed waits until the page has answered for all that it was sent.
func (w *world) confirmed(bearer string, seq int64) {
	w.t.Helper()
	var g grant
	w.must(w.Handler.open(grantPurpose, bearer, &g))
	w.eventually(func() bool {
		t := w.tabs.find(g.ID)
		if t == nil {
			return false
		}
		_, shown := t.place()
		return shown >= seq
	})
}

// TestMissed loses a socket. What was said meanwhile is pushed on the next one, and
// nothing that the tab has.
func TestMissed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	bearer, other := w.login("st-quiet", nil), w.login("st-quiet", nil)
	p, q := w.open(bearer, ""), w.open(other, "")
	p.send(2001, "?")
	p.wantText("!")
	w.confirmed(bearer, 2)
	p.cut()
	q.wantUser("?")
	q.wantText("!")
	for i := range 30 {
		q.send(int64(3000+i), "?")
		q.wantText("!")
	}
	p = w.open(bearer, "&isReconnect=true")
	for range 30 {
		p.wantUser("?")
		p.wantText("!")
	}
	p.wantQuiet()
	q.wantQuiet()
}

// TestUnconfirmed loses a socket whose page was sent something that it never confirmed.
// The bot's is sent again, under its id; the tab's own is not.
func TestUnconfirmed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	bearer := w.login("st-quiet", nil)
	p := w.open(bearer, "")
	p.mute = true
	p.send(2001, "?")
	id := p.wantText("!")
	p.cut()
	p = w.open(bearer, "&isReconnect=true")
	if got := p.wantText("!"); got != id {
		t.Errorf("the answer is %s and %s", id, got)
	}
	p.wantQuiet()
}

// TestNewToken comes back with another token, as the SDK does when its own has expired or
// a message could not be sent. The tab is the same.
func TestNewToken(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	bearer, other := w.login("st-quiet", nil), w.login("st-quiet", nil)
	p, q := w.open(bearer, ""), w.open(other, "")
	p.send(2001, "?")
	p.wantText("!")
	w.confirmed(bearer, 2)
	p.cut()
	q.wantUser("?")
	q.wantText("!")
	q.send(2002, "?")
	q.wantText("!")
	w.eventually(func() bool { return w.Conns() == 1 }) // the loss is noticed
	p = w.open(w.login("st-quiet", nil), "&isReconnect=true")
	p.wantUser("?")
	p.wantText("!")

	// the old client of the tab comes back as well, and stays
	w.confirmed(bearer, 4)
	ghost := w.open(bearer, "&isReconnect=true")
	q.send(2003, "?")
	q.wantText("!")
	ghost.wantUser("?") // the newest connection draws what was said elsewhere
	ghost.wantText("!")
	p.wantText("!")              // and the SDK draws this one once
	p.send(2004, "from the tab") // whichever of them sends, none draws it again
	q.wantUser("from the tab")
	p.wantQuiet()
	ghost.wantQuiet()
}

// TestOldWord notes that the page was told a message when it was told the next one already,
// as a sweep may that looked before. The answer to the ping of the next one still counts.
func TestOldWord(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.open(w.login("st-quiet", nil), "")
	p.mute = true
	p.send(7000, "?")
	p.wantText("!")
	var c *conn
	w.conns.Each(func(known *conn) { c = known })
	w.eventually(func() bool { // it is asked about after it was told
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.told == 2
	})
	c.ask(1)
	c.ping()
	c.mu.Lock()
	told, mark := c.told, c.mark()
	c.mu.Unlock()
	if told != 2 {
		t.Errorf("the page was told up to %d, want 2", told)
	}
	c.reached(mark)
	if _, shown := c.tab.place(); shown != 2 {
		t.Errorf("the tab has messages up to %d, want 2", shown)
	}
}
