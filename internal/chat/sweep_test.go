package chat

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carnetproject/carnet/internal/fault"
)

// TestBusDown has two nodes that hear nothing of each other but through the store.
func TestBusDown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m, b := newMemory(), newDirect()
		b.fail(errors.New("no route to host"))
		var log bytes.Buffer
		here := start(t, m, b, func(c *Config) { c.Log = slog.New(slog.NewTextHandler(&log, nil)) })
		there := start(t, m, b)
		s, k := here.open(t, hello)
		_, phone := there.open(t, hello)
		synctest.Wait()
		for i := range 3 {
			s.Send(fmt.Sprint("a", i+1), body("x"))
			synctest.Wait()
		}
		k.words()
		phone.want(t)
		if err := pause(t.Context(), there.c.Sweep); err != nil {
			t.Fatal(err)
		}
		phone.want(t, heardOf(1, 3)...)
		b.fail(nil)
		s.Send("a4", body("x"))
		phone.want(t, heardOf(4, 4)...)
		if got := strings.Count(log.String(), "chat bus out of reach") + strings.Count(log.String(), "chat bus back"); got != 2 {
			t.Errorf("logged\n%s", log.String())
		}
	})
}

func TestSweepAsksInBatches(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		n := start(t, m, newDirect())
		for i := range sweepBatch + 1 {
			n.open(t, Hello{User: User{Subject: fmt.Sprint(i)}, Bot: echo})
		}
		before := m.count("last")
		n.sweep(t.Context())
		if got := m.count("last") - before; got != 2 {
			t.Errorf("%d queries, want 2", got)
		}
	})
}

func TestDrain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := start(t, newMemory(), newDirect())
		s, k := n.open(t, hello)
		tab, tabEar := n.open(t, hello)
		lateEar := newEar()
		late, err := n.Open(t.Context(), hello, lateEar)
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan struct{})
		go func() { n.Drain(t.Context()); close(done) }()
		k.want(t, "reconnect within 30s")
		tabEar.want(t, "reconnect within 30s")
		lateEar.want(t)
		late.Ready()
		lateEar.want(t, "reconnect within 30s")
		_, err = n.Open(t.Context(), hello, newEar())
		if e, ok := errors.AsType[*fault.Error](err); !ok || e.Kind != fault.Unavailable || e.RetryAfter == 0 {
			t.Errorf("Open() = %v, want unavailable for a while", err)
		}
		s.Send("a", body("what is under way goes on"))
		k.want(t, "ack a 1", "message 1 user a")
		s.Close()
		tab.Close()
		synctest.Wait()
		select {
		case <-done:
			t.Fatal("drained with a session open")
		default:
		}
		late.Close()
		<-done
	})
}

func TestDrainOfNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := start(t, newMemory(), newDirect())
		n.Drain(t.Context())
		n.Drain(t.Context())
	})
}

func TestDrainEndsInTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := start(t, newMemory(), newDirect())
		n.open(t, hello)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		n.Drain(ctx)
	})
}

// slots is a sink that notes when it is to come back.
type slots struct {
	*ear
	after []time.Duration
}

func (s *slots) Reconnect(after time.Duration) { s.after = append(s.after, after) }

func TestDrainSpreads(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const sessions = 5000
		n := start(t, newMemory(), newDirect())
		k := &slots{ear: newEar()}
		for i := range sessions {
			s, err := n.Open(t.Context(), Hello{User: User{Subject: fmt.Sprint(i % 10)}, Bot: echo}, k)
			if err != nil {
				t.Fatal(err)
			}
			s.Ready()
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		n.Drain(ctx)
		perSecond := map[time.Duration]int{}
		for _, after := range k.after {
			perSecond[after/time.Second]++
		}
		if len(k.after) != sessions || len(perSecond) != sessions/reconnectRate {
			t.Fatalf("%d are to come back in %d different seconds, want %d", len(k.after), len(perSecond), sessions/reconnectRate)
		}
		for second, count := range perSecond {
			if count > 2*reconnectRate {
				t.Errorf("%d come back in second %d, want about %d", count, second, reconnectRate)
			}
		}
	})
}

func TestTroubleIsToldOnce(t *testing.T) {
	t.Parallel()
	down := errors.New("refused")
	var log bytes.Buffer
	tr := trouble{log: slog.New(slog.NewTextHandler(&log, nil)), what: "chat store"}
	for _, err := range []error{
		nil, fault.New(fault.NotFound, "none"), down, down, context.Canceled,
		fault.New(fault.Unavailable, "shutting down"), nil, nil, down,
	} {
		tr.note(t.Context(), err)
	}
	var told []string
	for line := range strings.Lines(log.String()) {
		_, msg, _ := strings.Cut(line, "msg=")
		msg, _, _ = strings.Cut(msg, " err=")
		told = append(told, strings.TrimSpace(msg))
	}
	want := `"chat store out of reach","chat store back","chat store out of reach"`
	if got := strings.Join(told, ","); got != want {
		t.Errorf("told %s, want %s", got, want)
	}
}
