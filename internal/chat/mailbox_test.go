package chat

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/limit"
)

// held makes every commit of messages wait until the returned function is called.
func held(m *memory) (release func()) {
	gate := make(chan struct{})
	m.ahead(func(ctx context.Context, what string) error {
		if what == "append" {
			<-gate
		}
		return ctx.Err()
	})
	return func() { close(gate) }
}

func TestWhatWaitsSharesACommit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		n := start(t, m, newDirect())
		s, k := n.open(t, hello)
		tab, _ := n.open(t, hello)
		release := held(m)
		var want []string
		for i := range 20 {
			from := s
			if i%2 == 1 {
				from = tab
			}
			id := fmt.Sprint("a", i)
			from.Send(id, body("x"))
			want = append(want, id)
			synctest.Wait() // the first is on its way alone
		}
		release()
		synctest.Wait()
		if diff := cmp.Diff(want, m.ids(s.Conversation().ID)); diff != "" {
			t.Errorf("order of arrival (-want +got):\n%s", diff)
		}
		if got := m.count("append"); got != 2 {
			t.Errorf("%d commits, want 2", got)
		}
		if heard := k.words(); len(heard) != 30 {
			t.Errorf("heard %d words, want 10 acks and 20 messages: %v", len(heard), heard)
		}
		if left := n.queued.Load(); left != 0 {
			t.Errorf("%d bytes are still counted as waiting", left)
		}
	})
}

func TestBatchIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		n := start(t, m, newDirect(), func(c *Config) { c.Limits.Window = 1000 })
		s, _ := n.open(t, hello)
		release := held(m)
		for i := range 1 + 2*maxBatch + 1 {
			s.Send(fmt.Sprint(i), body("x"))
			if i == 0 {
				synctest.Wait()
			}
		}
		release()
		synctest.Wait()
		if got := m.count("append"); got != 4 {
			t.Errorf("%d commits, want 4", got)
		}
	})
}

func TestWindow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		n := start(t, m, newDirect())
		s, k := n.open(t, hello)
		tab, tabEar := n.open(t, hello)
		release := held(m)
		for i := range 33 {
			s.Send(fmt.Sprint("a", i), body("x"))
		}
		k.want(t, "nack a32 limited ")
		tab.Send("b", body("x")) // has a window of its own
		tabEar.want(t)
		release()
		synctest.Wait()
		s.Send("a32", body("x"))
		synctest.Wait()
		if heard := k.words(); !slices.Contains(heard, "ack a32 34") {
			t.Errorf("after the answers there is room again, heard %v", heard)
		}
	})
}

func TestRateIsPerUser(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := start(t, newMemory(), newDirect(), func(c *Config) { c.Limits.Rate = limit.Rate{N: 2, Per: time.Minute} })
		s, k := n.open(t, hello)
		tab, tabEar := n.open(t, hello)
		other, otherEar := n.open(t, Hello{User: bob, Bot: echo})
		s.Send("a", body("x"))
		k.want(t, "ack a 1", "message 1 user a")
		tab.Send("b", body("x"))
		tabEar.want(t, "message 1 user a", "ack b 2", "message 2 user b")
		s.Send("c", body("x"))
		k.want(t, "message 2 user b", "nack c limited ")
		other.Send("d", body("x"))
		otherEar.want(t, "ack d 1", "message 1 user d")
		if err := pause(t.Context(), time.Minute); err != nil {
			t.Fatal(err)
		}
		s.Send("c", body("x"))
		k.want(t, "ack c 3", "message 3 user c")
	})
}

func TestQueueIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		n := start(t, m, newDirect(), func(c *Config) { c.Limits.Queue = 1000 })
		s, k := n.open(t, hello)
		other, otherEar := n.open(t, Hello{User: bob, Bot: echo})
		release := held(m)
		for i := range 3 {
			s.Send(fmt.Sprint("a", i), body("x"))
		}
		other.Send("b", body("x"))
		otherEar.want(t, "nack b unavailable ")
		k.want(t)
		release()
		synctest.Wait()
		other.Send("b", body("x"))
		otherEar.want(t, "ack b 1", "message 1 user b")
	})
}

func TestStoreOutOfReach(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		err  error
		want string
	}{
		"unclassified": {errors.New("disk full"), "nack a unavailable "},
		"internal":     {fault.New(fault.Internal, "corrupt"), "nack a unavailable "},
		"gone":         {fault.New(fault.NotFound, "no such conversation"), "nack a not_found "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				m := newMemory()
				n := start(t, m, newDirect())
				s, k := n.open(t, hello)
				synctest.Wait()
				m.ahead(func(context.Context, string) error { return tc.err })
				s.Send("a", body("x"))
				k.want(t, tc.want)
				m.ahead(free)
				s.Send("a", body("x"))
				k.want(t, "ack a 1", "message 1 user a")
				if left := n.queued.Load(); left != 0 {
					t.Errorf("%d bytes are still counted as waiting", left)
				}
			})
		})
	}
}

// TestCommittedAllTheSame is a commit whose outcome the store did not learn: the
// message is there, its sender is told no, and sending it again finds it.
func TestCommittedAllTheSame(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		n := start(t, m, newDirect())
		s, k := n.open(t, hello)
		synctest.Wait()
		m.behind(func(_ context.Context, what string) error {
			if what == "append" {
				return errors.New("connection reset")
			}
			return nil
		})
		s.Send("a", body("x"))
		k.want(t, "nack a unavailable ")
		m.behind(free)
		s.Send("a", body("x"))
		k.want(t, "ack a 1", "message 1 user a")
	})
}

// TestMessageOvertakesItsAnswer finds a message in the store before its commit has
// returned: the acknowledgement still comes first, and is the only answer, even if the
// commit is then said to have failed.
func TestMessageOvertakesItsAnswer(t *testing.T) {
	t.Parallel()
	for name, outcome := range map[string]error{"committed": nil, "in doubt": errors.New("connection reset")} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				m := newMemory()
				n := start(t, m, newDirect())
				s, k := n.open(t, hello)
				synctest.Wait()
				returned := make(chan struct{})
				m.behind(func(_ context.Context, what string) error {
					if what != "append" {
						return nil
					}
					<-returned
					return outcome
				})
				s.Send("a", body("x"))
				synctest.Wait()
				n.sweep(t.Context())
				k.want(t, "ack a 1", "message 1 user a")
				close(returned)
				k.want(t)
			})
		})
	}
}

func TestGate(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		err  error
		want string
	}{
		"refusal":      {fault.New(fault.Denied, "the session has ended"), "nack a denied "},
		"later":        {fault.New(fault.Unavailable, "try again"), "nack a unavailable "},
		"unclassified": {errors.New("dial: refused"), "nack a unavailable "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				m := newMemory()
				var seen []string
				n := start(t, m, newDirect(), func(c *Config) {
					c.Gate = gate(func(_ context.Context, a Ask) error {
						seen = append(seen, fmt.Sprint(a.Message, " ", a.User.Subject, " ", string(a.Context)))
						if a.Message == "a" {
							return tc.err
						}
						return nil
					})
				})
				s, k := n.open(t, hello)
				if err := s.SetContext(t.Context(), []byte(`{"page":1}`)); err != nil {
					t.Fatal(err)
				}
				s.Send("a", body("x"))
				s.Send("b", body("y"))
				k.want(t, tc.want, "ack b 1", "message 1 user b")
				if diff := cmp.Diff([]string{`a ann {"page":1}`, `b ann {"page":1}`}, seen); diff != "" {
					t.Errorf("the gate saw (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// TestSlowGate lets a gate ponder for an hour: what it has let in is committed, other
// conversations go on, and so does everything else in this one.
func TestSlowGate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		n := start(t, m, newDirect(), func(c *Config) {
			c.Gate = gate(func(ctx context.Context, a Ask) error {
				if a.Message == "slow" {
					return pause(ctx, time.Hour)
				}
				return nil
			})
		})
		s, k := n.open(t, hello)
		tab, tabEar := n.open(t, hello)
		other, otherEar := n.open(t, Hello{User: bob, Bot: echo})
		s.Send("a", body("x"))
		s.Send("slow", body("x"))
		s.Send("b", body("x"))
		k.want(t, "ack a 1", "message 1 user a")
		other.Send("c", body("x"))
		otherEar.want(t, "ack c 1", "message 1 user c")
		if err := s.SetContext(t.Context(), []byte(`{"token":"new"}`)); err != nil {
			t.Fatal(err)
		}
		s.Read(1)
		tab.Typing()
		tabEar.want(t, "message 1 user a", "read 1")
		k.want(t, "typing user")
		if err := pause(t.Context(), time.Hour); err != nil {
			t.Fatal(err)
		}
		k.want(t, "ack slow 2", "message 2 user slow", "ack b 3", "message 3 user b")
	})
}

// TestWhoComesBackFindsTheMailbox has a page reconnect while what it said before is still
// decided on: it hears of that at once, and what it says next comes after.
func TestWhoComesBackFindsTheMailbox(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m, b, g := newMemory(), newDirect(), newSentry()
		n := start(t, m, b, guarded(g))
		s, _ := n.open(t, hello)
		s.Send("a", body("x"))
		synctest.Wait()
		s.Close()
		back, k := n.open(t, hello)
		back.Send("b", body("x"))
		synctest.Wait()
		g.answer(nil, "a")
		k.want(t, "message 1 user a")
		g.answer(nil, "b")
		k.want(t, "ack b 2", "message 2 user b")
		back.Send("c", body("x"))
		synctest.Wait()
		back.Close()
		if len(n.rooms) != 1 || b.subscriptions() != 1 {
			t.Errorf("%d rooms and %d subscriptions while a message is decided on, want 1", len(n.rooms), b.subscriptions())
		}
		g.answer(nil, "c")
		synctest.Wait()
		if len(n.rooms) != 0 || b.subscriptions() != 0 {
			t.Errorf("%d rooms and %d subscriptions are left", len(n.rooms), b.subscriptions())
		}
		if diff := cmp.Diff([]string{"a", "b", "c"}, m.ids(s.Conversation().ID)); diff != "" {
			t.Errorf("order (-want +got):\n%s", diff)
		}
	})
}

// TestDoublesOweNothing sends messages again at the moment of their commit, and two in one
// batch: the bot owes one answer to each.
func TestDoublesOweNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		n := start(t, m, newDirect())
		s, k := n.open(t, hello)
		tab, _ := n.open(t, hello)
		owed := func(want int64) {
			t.Helper()
			synctest.Wait()
			if got := n.party(echo).owed.Load(); got != want {
				t.Errorf("%d turns are owed, want %d", got, want)
			}
		}
		owed(1) // the welcome
		s.Send("a", body("x"))
		owed(2)
		tab.Send("a", body("x"))
		owed(2)
		release := held(m)
		s.Send("b", body("x"))
		synctest.Wait()
		s.Send("c", body("x"))
		tab.Send("c", body("x"))
		release()
		owed(4)
		k.want(t, "ack a 1", "message 1 user a", "ack b 2", "message 2 user b", "ack c 3", "message 3 user c")
	})
}
