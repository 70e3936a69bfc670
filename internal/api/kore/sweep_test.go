package kore

import (
	"strings"
	"testing"
	"time"

	"github.com/lxzan/gws"
)

// TestSilence cuts a page off that answers nothing any more, and pings the others.
func TestSilence(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	bearer := w.login("st-quiet", nil)
	alive, dead := w.open(bearer, ""), w.open(w.login("st-quiet", nil), "")
	dead.mute = true
	for range 3 {
		w.clock.pass(w.c.PingInterval)
		time.Sleep(1200 * time.Millisecond) // a sweep
	}
	select {
	case <-dead.closed:
	case <-time.After(time.Minute):
		t.Error("the dead page is still there")
	}
	alive.wantQuiet()
}

func TestRevokedSocket(t *testing.T) {
	t.Parallel()
	list := &changing{}
	w := newWorld(t, func(c *Config) { c.Revocations = list })
	ann, bob := w.open(w.login("st-quiet", nil), ""), w.open(w.login("st-quiet", map[string]any{"sub": "bob"}), "")
	list.revoke("bob")
	select {
	case <-bob.closed:
	case <-time.After(time.Minute):
		t.Error("a revoked token's socket is still there")
	}
	ann.wantQuiet()
}

// TestFlood ends a socket that says too much, and one that says what is no text.
func TestFlood(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.open(w.login("st-quiet", nil), "")
	for range 1000 {
		if p.ws.WriteString(`{}`) != nil {
			break
		}
	}
	q := w.open(w.login("st-quiet", nil), "")
	_ = q.ws.WriteMessage(gws.OpcodeBinary, []byte{1})
	big := w.open(w.login("st-quiet", nil), "")
	_ = big.ws.WriteString(strings.Repeat("x", maxFrame+1))
	for name, p := range map[string]*pageSocket{"flood": p, "binary": q, "too big": big} {
		select {
		case <-p.closed:
		case <-time.After(time.Minute):
			t.Errorf("%s: the socket is still there", name)
		}
	}
}

// TestPing answers a client's ping with its own bytes.
func TestPing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.open(w.login("st-quiet", nil), "")
	if err := p.ws.WritePing([]byte("abc")); err != nil {
		t.Fatal(err)
	}
	if err := p.ws.WritePong([]byte("123456789012")); err != nil { // made up
		t.Fatal(err)
	}
	select {
	case got := <-p.pongs:
		if got != "abc" {
			t.Errorf("pong %q", got)
		}
	case <-time.After(time.Minute):
		t.Error("no pong")
	}
	p.wantQuiet()
}

// TestSlowReader cuts a page off that takes nothing. It gets everything when it comes back.
func TestSlowReader(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	bearer := w.login("st-echo", nil)
	p := w.open(bearer, "")
	p.next()
	hold := make(chan struct{})
	p.hold = hold
	text := strings.Repeat("x", 50<<10)
	sender := w.open(w.login("st-echo", nil), "")
	for i := range 120 {
		sender.send(int64(9000+i), text)
		sender.wantText(text)
	}
	w.eventually(func() bool { return w.Conns() == 1 }) // without the slow reader
	close(hold)
	p = w.open(bearer, "&isReconnect=true")
	seen := map[string]bool{}
	for len(seen) < 10 {
		if f := p.next(); f["type"] == "bot_response" {
			seen[f["messageId"].(string)] = true
		}
	}
}
