package chat

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/carnetproject/carnet/internal/bot"
)

// staffed starts a node whose runner has one worker and looks for turns by itself
// every hour. stop ends both, as a server does, and waits.
func staffed(t *testing.T, m *memory, answers bot.Bot) (n *node, stop func()) {
	t.Helper()
	var runner *bot.Runner
	n = start(t, m, newDirect(), func(c *Config) {
		c.Hire = func(id bot.ID) *bot.Worker { return runner.Hire(id) }
		note := c.Wake
		c.Wake = func(id bot.ID) { note(id); runner.Wake(id) }
	})
	runner, err := bot.NewRunner(bot.RunnerConfig{
		Bots: bot.Registry{echo: {Bot: answers}}, Turns: m, Replies: n.Engine,
		Workers: 1, Poll: time.Hour, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- runner.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		n.stop()
		if err := <-done; err != nil {
			t.Errorf("Run() = %v", err)
		}
	})
	t.Cleanup(stop)
	synctest.Wait()
	return n, stop
}

// late is an echo that takes a second for each answer.
type late struct{}

func (late) Answer(ctx context.Context, t bot.Turn) (bot.Answer, error) {
	if err := pause(ctx, time.Second); err != nil {
		return bot.Answer{}, err
	}
	return bot.Echo{}.Answer(ctx, t)
}

// wantSaid waits until all is at rest and compares who has said what to ann since the greeting.
func wantSaid(t *testing.T, m *memory, id ID, want ...string) {
	t.Helper()
	synctest.Wait()
	var got []string
	for _, message := range m.of(id).messages[1:] {
		got = append(got, fmt.Sprintf("%s %s", message.From, message.Body))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("said (-want +got):\n%s", diff)
	}
}

// greeted opens a session whose welcome turn has been answered.
func greeted(t *testing.T, n *node) (*Session, ID) {
	t.Helper()
	s, _ := n.open(t, hello)
	if err := pause(t.Context(), 2*time.Second); err != nil {
		t.Fatal(err)
	}
	synctest.Wait()
	return s, s.Conversation().ID
}

// TestTurnIsCommittedLeased has a message answered without anyone looking for its turn.
func TestTurnIsCommittedLeased(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		n, _ := staffed(t, m, late{})
		s, id := greeted(t, n)
		looks, woken := m.count("lease"), len(n.woken)
		s.Send("a", body("a"))
		synctest.Wait()
		if wait := time.Until(m.of(id).ready); wait != 15*time.Second {
			t.Errorf("the turn is kept from others for %v, want 15s", wait)
		}
		if err := pause(t.Context(), 2*time.Second); err != nil {
			t.Fatal(err)
		}
		wantSaid(t, m, id, `user {"text":"a"}`, `bot {"text":"a"}`)
		if n := m.count("lease") - looks; n != 1 { // when the worker was free again
			t.Errorf("turns were looked for %d times, want once", n)
		}
		if len(n.woken) != woken {
			t.Error("the runner was woken for a turn that it had")
		}
	})
}

// TestTurnsBehindALeasedOne has messages that come while the bot is at work, and again.
func TestTurnsBehindALeasedOne(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		n, _ := staffed(t, m, late{})
		s, id := greeted(t, n)
		for _, text := range []string{"a", "b", "a", "c"} {
			s.Send(text, body(text))
			synctest.Wait()
		}
		if err := pause(t.Context(), 10*time.Second); err != nil {
			t.Fatal(err)
		}
		wantSaid(t, m, id, `user {"text":"a"}`, `user {"text":"b"}`, `user {"text":"c"}`,
			`bot {"text":"a"}`, `bot {"text":"b"}`, `bot {"text":"c"}`)
		s.Send("c", body("c")) // was answered
		s.Send("d", body("d"))
		if err := pause(t.Context(), 2*time.Second); err != nil {
			t.Fatal(err)
		}
		if left := m.of(id); len(left.turns) != 0 || left.LastSeq != 9 {
			t.Errorf("%d messages with %d turns open, want 9 with none", left.LastSeq, len(left.turns))
		}
	})
}

// TestFailedCommitLetsItsWorkerGo has the only worker hired for a commit that fails, or
// is said to have.
func TestFailedCommitLetsItsWorkerGo(t *testing.T) {
	t.Parallel()
	broken := func(_ context.Context, what string) error {
		if what == "append" {
			return errors.New("disk trouble")
		}
		return nil
	}
	for name, tc := range map[string]struct {
		before, after hook
		want          []string
		wait          time.Duration // until all is answered
	}{
		"failed": {broken, free, []string{`user {"text":"b"}`, `bot {"text":"b"}`}, 2 * time.Second},
		// The lease that nobody has been told of must run out, and somebody look.
		"in doubt": {free, broken, []string{`user {"text":"a"}`, `user {"text":"b"}`, `bot {"text":"a"}`, `bot {"text":"b"}`}, 2 * time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				m := newMemory()
				n, _ := staffed(t, m, late{})
				s, id := greeted(t, n)
				m.ahead(tc.before)
				m.behind(tc.after)
				s.Send("a", body("a"))
				synctest.Wait()
				m.ahead(free)
				m.behind(free)
				s.Send("b", body("b"))
				if err := pause(t.Context(), tc.wait); err != nil {
					t.Fatal(err)
				}
				wantSaid(t, m, id, tc.want...)
			})
		})
	}
}

// TestStopDuringACommit stops the node while a message is on its way to the disk: its
// turn is given back, so that the next node can take it at once.
func TestStopDuringACommit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		n, stop := staffed(t, m, late{})
		s, id := greeted(t, n)
		returned := make(chan struct{})
		m.behind(func(_ context.Context, what string) error {
			if what == "append" {
				<-returned
			}
			return nil
		})
		s.Send("a", body("a"))
		synctest.Wait()
		go stop()
		synctest.Wait()
		close(returned)
		stop()
		if left := m.of(id); len(left.turns) != 1 || time.Until(left.ready) > 0 {
			t.Fatalf("%d turns are left, due in %v", len(left.turns), time.Until(left.ready))
		}
		staffed(t, m, late{})
		if err := pause(t.Context(), 2*time.Second); err != nil {
			t.Fatal(err)
		}
		wantSaid(t, m, id, `user {"text":"a"}`, `bot {"text":"a"}`)
	})
}

// TestGateRefusesBeforeHiring lets a gate ponder: no worker waits for what may not come.
func TestGateRefusesBeforeHiring(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hired := 0
		n := start(t, newMemory(), newDirect(), func(c *Config) {
			c.Hire = func(bot.ID) *bot.Worker { hired++; return nil }
			c.Gate = gate(func(_ context.Context, a Ask) error {
				if a.Message == "a" {
					return errors.New("no")
				}
				return nil
			})
		})
		s, k := n.open(t, hello)
		s.Send("a", body("a"))
		k.want(t, "nack a unavailable ")
		if hired != 0 {
			t.Errorf("%d workers were hired for a message that was refused", hired)
		}
		s.Send("b", body("b"))
		k.want(t, "ack b 1", "message 1 user b")
		if hired != 1 {
			t.Errorf("%d workers were asked for, want one", hired)
		}
	})
}
