package chat

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carnetproject/carnet/internal/chat"
	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/wire"
)

// TestCloseCodes: every kind of error has its code, and only what may pass by itself
// has clients come again.
func TestCloseCodes(t *testing.T) {
	t.Parallel()
	again := map[fault.Kind]bool{fault.Internal: true, fault.Unavailable: true}
	for k := fault.Internal; k <= fault.Unavailable; k++ {
		code, ok := closeCodes[k]
		if !ok || code < 4400 || code > 4599 || (code >= 4500) != again[k] {
			t.Errorf("%v closes with %d", k, code)
		}
	}
}

func TestErrorOnTheWire(t *testing.T) {
	t.Parallel()
	for want, err := range map[wireError]error{
		{Code: "internal", Title: "internal error"}:                          context.Canceled,
		{Code: "invalid", Title: "after: must be less"}:                      fault.BadField("after", "must be less"),
		{Code: "limited", Title: "slow down", RetryAfter: 1.235}:             &fault.Error{Kind: fault.Limited, Msg: "slow down", RetryAfter: 1234*time.Millisecond + 1},
		{Code: "unavailable", Title: "the store is away"}:                    fault.Wrap(fault.Unavailable, "the store is away", context.Canceled),
		{Code: "unavailable", Title: "the store is away", RetryAfter: 0.001}: &fault.Error{Kind: fault.Unavailable, Msg: "the store is away", RetryAfter: 1},
	} {
		if got := toWire(err); got != want {
			t.Errorf("toWire(%v) = %+v, want %+v", err, got, want)
		}
	}
}

// TestEncode: a body takes no more room than it was sent in.
func TestEncode(t *testing.T) {
	t.Parallel()
	got, err := wire.JSON(toMessage(chat.Message{Seq: 1, ID: "m", From: chat.FromBot, Body: []byte(`"<&>\u2028 é"`), At: noon}))
	want := `{"type":"message","seq":1,"id":"m","from":"bot","body":"<&>\u2028 é","at":"2026-06-01T11:00:00.007Z"}`
	if err != nil || string(got) != want {
		t.Errorf("wire.JSON() = %s, %v; want %s", got, err, want)
	}
}

// TestOpenRefusals are the engine's.
func TestOpenRefusals(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.engine.fail = &fault.Error{Kind: fault.Limited, Msg: "too many sessions", RetryAfter: 2500 * time.Millisecond}
		c := w.dial()
		c.say(`{"type":"hello","token":"ann","bot":"echo"}`)
		if e := c.wantRefusal(closeTooMany, "limited"); e["retry_after"] != 2.5 || e["title"] != "too many sessions" {
			t.Errorf("error %v", e)
		}
	})
}

// TestPanicEndsOneConnection only, and is logged with where it was.
func TestPanicEndsOneConnection(t *testing.T) {
	var logged lines
	inWorld(t, func(t *testing.T, w *world) {
		steady := w.dial()
		steady.hello("ann")
		c := w.dial()
		c.say(`{"type":"hello","token":"panic","bot":"echo"}`)
		c.wantGone()
		steady.send("m1")
		synctest.Wait() // the line is cut before that is logged
		s := logged.String()
		for _, want := range []string{"level=ERROR", "told to panic", "close_test.go"} {
			if !strings.Contains(s, want) {
				t.Errorf("logged %q, want %q in it", s, want)
			}
		}
	}, func(c *Config) {
		c.Log = slog.New(slog.NewTextHandler(&logged, nil))
		c.Verify = func(ctx context.Context, token string) (Identity, error) {
			if token == "panic" {
				panic("told to panic")
			}
			return verify(ctx, token)
		}
	})
}

// TestCausesAreLogged: what clients are not told is for the operator, without tokens.
func TestCausesAreLogged(t *testing.T) {
	var logged lines
	inWorld(t, func(t *testing.T, w *world) {
		for _, token := range []string{"forged", "broken"} {
			c := w.dial()
			c.say(`{"type":"hello","token":%q,"bot":"echo"}`, token)
			c.want("error")
			_ = c.conn.Close()
		}
		time.Sleep(time.Second)
		s := logged.String()
		for _, want := range []string{"level=INFO", "code=token_refused", "signature of ann is wrong", "level=ERROR", "dial 10.0.0.7"} {
			if !strings.Contains(s, want) {
				t.Errorf("logged %q, want %q in it", s, want)
			}
		}
		if strings.Contains(s, "forged") {
			t.Errorf("%q shows the token", s)
		}
	}, func(c *Config) { c.Log = slog.New(slog.NewTextHandler(&logged, nil)) })
}

// lines is a log that is written and read at the same time.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
