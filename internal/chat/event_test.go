package chat

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestEventRoundTrip(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 6, 1, 12, 0, 0, 123e6, time.UTC)
	ms := []Message{
		{7, "a", FromUser, json.RawMessage(`{"text":"<b> & ü"}`), at},
		{8, "b", FromBot, json.RawMessage(`[1.0,null]`), at},
	}
	ev := said(ms)
	ev.Node = "n1"
	data, err := ev.encode()
	if err != nil {
		t.Fatal(err)
	}
	back, err := decodeEvent(data)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(ms, back.messages()); diff != "" || back.Seq != 8 || back.Node != "n1" {
		t.Errorf("event %+v (-want +got):\n%s", back, diff)
	}
}

func TestSaidLeavesLargeBodiesOut(t *testing.T) {
	t.Parallel()
	half := json.RawMessage(strings.Repeat("1", maxInline/2))
	ms := []Message{{Seq: 3, Body: half}, {Seq: 4, Body: half}}
	if ev := said(ms); len(ev.Messages) != 2 || ev.Seq != 4 {
		t.Errorf("said() = %d messages up to %d", len(ev.Messages), ev.Seq)
	}
	ms[0].Body = append(half, '1')
	if ev := said(ms); len(ev.Messages) != 0 || ev.Seq != 4 {
		t.Errorf("said() = %d messages up to %d, want the number alone", len(ev.Messages), ev.Seq)
	}
}

// TestJunkOnTheBus shows that what is no event is logged and harms nobody.
func TestJunkOnTheBus(t *testing.T) {
	t.Parallel()
	for name, junk := range map[string]string{
		"nothing":         ``,
		"not JSON":        `{"seq":`,
		"another shape":   `{"seq":"seven"}`,
		"messages astray": `{"messages":{}}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var log bytes.Buffer
				b := newDirect()
				n := start(t, newMemory(), b, func(c *Config) { c.Log = slog.New(slog.NewTextHandler(&log, nil)) })
				s, k := n.open(t, hello)
				synctest.Wait()
				if err := b.Publish(t.Context(), subject(s.Conversation().ID), []byte(junk)); err != nil {
					t.Fatal(err)
				}
				if !strings.Contains(log.String(), "event dropped") {
					t.Error("nothing was logged")
				}
				s.Send("a", body("x"))
				k.want(t, "ack a 1", "message 1 user a")
			})
		})
	}
}

// TestOwnEvents are told by how they begin, whatever the node is called.
func TestOwnEvents(t *testing.T) {
	t.Parallel()
	nodes := []string{"a", "ab", `a"`, `a\`, "<é>", "\xff", ""}
	for _, of := range nodes {
		data, err := event{Node: of, Seq: 7, Typing: FromBot}.encode()
		if err != nil {
			t.Fatal(err)
		}
		for _, at := range nodes {
			if got := bytes.HasPrefix(data, beginning(at)); got != (of == at) {
				t.Errorf("%s at node %q: own %t", data, at, got)
			}
		}
	}
}

// FuzzHear gives a room whatever comes over the bus: a session never takes a message
// but the next, however the events lie.
func FuzzHear(f *testing.F) {
	f.Add([]byte(`{"node":"x","seq":2,"messages":[{"seq":1,"id":"a","from":"user","body":{},"at":"2026-06-01T12:00:00Z"},{"seq":2}]}`))
	f.Add([]byte(`{"seq":9,"messages":[{"seq":2},{"seq":1},{"seq":2}],"typing":"user","read":-4}`))
	f.Add([]byte(`{"seq":-1}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		e, err := New(Config{Store: newMemory(), Bus: quiet{}, Bots: onlyEcho(), Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		k := &order{ear: newEar(), t: t}
		s, err := e.attach(Conversation{ID: "cnv_1", Bot: echo, User: ann}, 0, k)
		if err != nil {
			t.Fatal(err)
		}
		s.Ready()
		for range 2 {
			s.room.hear(data)
		}
	})
}

// order is a sink that insists on every message in its turn.
type order struct {
	*ear
	t    *testing.T
	last int64
}

func (o *order) Message(m Message) {
	if m.Seq != o.last+1 {
		o.t.Errorf("message %d after %d", m.Seq, o.last)
	}
	o.last = m.Seq
}
