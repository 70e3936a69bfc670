package chat

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/carnetproject/carnet/internal/bot"
)

func (m *memory) Saw(ctx context.Context, ids []ID, at time.Time) error {
	if err := m.enter(ctx, "saw"); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, id := range ids {
		if r := m.all[id]; r != nil {
			r.seen, r.told = at, false
		}
	}
	return nil
}

func (m *memory) Lapse(ctx context.Context, b bot.ID, hook bot.Kind, away time.Duration, now time.Time, limit int) (int, error) {
	if err := m.enter(ctx, "lapse"); err != nil {
		return 0, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	n := 0
	for _, id := range m.order {
		r := m.all[id]
		at := r.seen.Add(away)
		if r.Bot != b || r.seen.IsZero() || at.After(now) || r.told && hook == bot.Offline || n == limit {
			continue
		}
		n++
		r.turns = append(r.turns, bot.Turn{Seq: r.LastSeq, Kind: hook, MessageID: bot.HookID(hook, at), At: at})
		if r.told = true; hook == bot.Ended {
			r.seen = time.Time{}
		}
	}
	return n, nil
}

// wait lets so much time pass, and then all that is due.
func wait(t *testing.T, d time.Duration) {
	t.Helper()
	if err := pause(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	synctest.Wait()
}

// wantHooks compares what the bot is to be told of a conversation, and when it happened,
// since began.
func wantHooks(t *testing.T, m *memory, id ID, began time.Time, want ...string) {
	t.Helper()
	var got []string
	for _, turn := range m.of(id).turns {
		if turn.Kind.Hook() {
			got = append(got, fmt.Sprintf("%s %v", turn.Kind, turn.At.Sub(began)))
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("hooks (-want +got):\n%s", diff)
	}
}

var curious = by(Policy{Hooks: true, SessionTimeout: 10 * time.Minute})

func TestPresence(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n, began := start(t, newMemory(), newDirect(), curious), time.Now()
		tab, _ := n.open(t, hello)
		id := tab.Conversation().ID
		other, _ := n.open(t, hello)
		wait(t, time.Hour)
		tab.Close()
		wait(t, time.Hour)
		wantHooks(t, n.store, id, began)

		other.Close() // and comes back at once
		wait(t, 25*time.Second)
		tab, _ = n.open(t, hello)
		wait(t, time.Hour)
		wantHooks(t, n.store, id, began)

		at := 3*time.Hour + 25*time.Second
		tab.Close()
		wait(t, 15*time.Second)
		wantHooks(t, n.store, id, began)
		wait(t, 25*time.Second)
		offline := fmt.Sprint("offline ", at-5*time.Second+offlineAfter) // it was noted 5 s before
		wantHooks(t, n.store, id, began, offline)
		wait(t, 9*time.Minute)
		wantHooks(t, n.store, id, began, offline)
		wait(t, time.Minute)
		ended := fmt.Sprint("ended ", at-5*time.Second+10*time.Minute)
		wantHooks(t, n.store, id, began, offline, ended)
		wait(t, time.Hour)
		wantHooks(t, n.store, id, began, offline, ended)

		tab, _ = n.open(t, hello) // the next session, shorter than any look
		tab.Close()
		wait(t, time.Hour)
		if got := len(n.store.of(id).turns) - 1; got != 4 {
			t.Errorf("%d hooks after two sessions, want 4", got)
		}
	})
}

// TestPresenceOfNodes has a user on two nodes, one of which dies.
func TestPresenceOfNodes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m, bus, began := newMemory(), newDirect(), time.Now()
		one, two := start(t, m, bus, curious), start(t, m, bus, curious)
		tab, _ := one.open(t, hello)
		id := tab.Conversation().ID
		_, _ = two.open(t, hello)
		tab.Close()
		wait(t, time.Hour)
		wantHooks(t, m, id, began)
		two.stop() // its session is never closed
		wait(t, time.Hour)
		wantHooks(t, m, id, began, fmt.Sprint("offline ", time.Hour+offlineAfter), fmt.Sprint("ended ", time.Hour+10*time.Minute))
	})
}

// TestPresenceUnsure has a store that cannot be written: nobody is said to have gone who
// may be there.
func TestPresenceUnsure(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m, began := newMemory(), time.Now()
		n := start(t, m, newDirect(), curious)
		tab, _ := n.open(t, hello)
		m.ahead(func(ctx context.Context, what string) error {
			if what == "saw" {
				return errors.New("disk full")
			}
			return ctx.Err()
		})
		wait(t, time.Hour)
		again, _ := n.open(t, hello) // the page works all the same
		wantHooks(t, m, tab.Conversation().ID, began)
		m.ahead(free)
		wait(t, time.Hour)
		wantHooks(t, m, again.Conversation().ID, began)
	})
}

// TestNobodyAsks has a bot without hooks: its conversations cost no write.
func TestNobodyAsks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := start(t, newMemory(), newDirect())
		s, _ := n.open(t, hello)
		wait(t, time.Hour)
		s.Close()
		wait(t, time.Hour)
		if saw, lapse := n.store.count("saw"), n.store.count("lapse"); saw+lapse > 0 {
			t.Errorf("presence was noted %d times, absence looked for %d times", saw, lapse)
		}
	})
}

// TestPresenceOfMany has more sessions than one statement and one commit take.
func TestPresenceOfMany(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := start(t, newMemory(), newDirect(), curious)
		var sessions []*Session
		for i := range seeBatch + 1 {
			s, _ := n.open(t, Hello{User: User{Issuer: "app_1", Subject: fmt.Sprint(i)}, Bot: echo})
			sessions = append(sessions, s)
		}
		before := n.store.count("saw")
		wait(t, seeEvery)
		if got := n.store.count("saw") - before; got != 2 {
			t.Errorf("%d statements for %d sessions, want 2", got, len(sessions))
		}
		woken := len(n.woken)
		for _, s := range sessions {
			s.Close()
		}
		wait(t, time.Hour)
		for _, s := range sessions {
			if got := len(n.store.of(s.Conversation().ID).turns); got != 3 {
				t.Fatalf("%d turns, want welcome, offline and ended", got)
			}
		}
		if len(n.woken) == woken {
			t.Error("nobody was told that there are turns")
		}
	})
}

// TestHookAnswers ends hooks: who has gone for long gets no message.
func TestHookAnswers(t *testing.T) {
	t.Parallel()
	for kind, want := range map[bot.Kind][]string{bot.Offline: {"user", "bot"}, bot.Ended: {"user"}} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				n := start(t, newMemory(), newDirect(), curious)
				s, ear := n.open(t, hello)
				s.Send("a", body("a"))
				ear.want(t, "ack a 1", "message 1 user a")
				s.Close()
				wait(t, time.Hour)
				id := s.Conversation().ID
				for _, turn := range n.store.of(id).turns {
					if turn.Kind != kind {
						continue
					}
					turn.Conversation, turn.Bot = string(id), echo
					a := bot.Answer{Replies: []bot.Reply{{Body: body("bye")}}, Context: []byte(`{"gone":true}`)}
					if err := n.Reply(t.Context(), turn, a); err != nil {
						t.Fatal(err)
					}
				}
				c := n.store.of(id)
				var said []string
				for _, m := range c.messages {
					said = append(said, string(m.From))
				}
				if diff := cmp.Diff(want, said); diff != "" {
					t.Errorf("said (-want +got):\n%s", diff)
				}
				if string(c.Context) != `{"gone":true}` {
					t.Errorf("context %s", c.Context)
				}
			})
		})
	}
}

// TestClockSteps sets a node's clock back and forth while a user is there, and when the
// user has gone.
func TestClockSteps(t *testing.T) {
	t.Parallel()
	for name, steps := range map[string][]time.Duration{
		"forward": {2 * time.Hour}, "back": {-2 * time.Hour}, "both": {2 * time.Hour, -2 * time.Hour}, "and back": {-2 * time.Hour, time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var step atomic.Int64
				n := start(t, newMemory(), newDirect(), curious, func(c *Config) {
					c.Clock = func() time.Time { return time.Now().Add(time.Duration(step.Load())) }
				})
				tab, ear := n.open(t, hello)
				_, other := n.open(t, hello)
				id := tab.Conversation().ID
				for i, by := range steps {
					tab.Typing()
					other.want(t, "typing user")
					step.Store(int64(by))
					wait(t, time.Minute)
					name, seq := fmt.Sprint("m", i), i+1
					tab.Send(name, body("hi"))
					ear.want(t, fmt.Sprintf("ack %s %d", name, seq), fmt.Sprintf("message %d user %s", seq, name))
					other.want(t, fmt.Sprintf("message %d user %s", seq, name))
				}
				wantHooks(t, n.store, id, time.Now())
				for _, r := range n.live() {
					for _, s := range slices.Clone(r.sessions) {
						s.Close()
					}
				}
				wait(t, 11*time.Minute)
				gone := time.Now().Add(-11 * time.Minute).Add(time.Duration(step.Load()))
				var kinds []bot.Kind
				for _, turn := range n.store.of(id).turns {
					if turn.Kind.Hook() {
						kinds = append(kinds, turn.Kind)
						if early := gone.Sub(turn.At); early > 0 {
							t.Errorf("%s %v before the user has gone", turn.Kind, early)
						}
					}
				}
				if diff := cmp.Diff([]bot.Kind{bot.Offline, bot.Ended}, kinds); diff != "" {
					t.Errorf("hooks (-want +got):\n%s", diff)
				}
			})
		})
	}
}
