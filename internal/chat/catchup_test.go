package chat

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestResume(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		have        int
		after       int64
		first, last int
	}{
		"from the start":   {5, 0, 1, 5},
		"from the middle":  {5, 3, 4, 5},
		"nothing missed":   {5, 5, 0, 0},
		"from now on":      {5, FromNow, 0, 0},
		"more than exists": {5, 99, 0, 0},
		"one page":         {pageSize, 0, 1, pageSize},
		"many pages":       {3*pageSize + 1, 2, 3, 3*pageSize + 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				m := newMemory()
				fill(t, m, tc.have)
				n := start(t, m, newDirect())
				h := hello
				h.After = tc.after
				s, k := n.open(t, h)
				if tc.last > 0 {
					k.want(t, heardOf(tc.first, tc.last)...)
				} else {
					k.want(t)
				}
				if got := s.Conversation().LastSeq; got != int64(tc.have) {
					t.Errorf("LastSeq = %d, want %d", got, tc.have)
				}
				s.Send("next", body("x"))
				next := int64(tc.have) + 1
				k.want(t, fmt.Sprintf("ack next %d", next), fmt.Sprintf("message %d user next", next))
			})
		})
	}
}

func TestNothingBeforeReady(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		fill(t, m, 2)
		n := start(t, m, newDirect())
		k := newEar()
		s, err := n.Open(t.Context(), hello, k)
		if err != nil {
			t.Fatal(err)
		}
		currentEar := newEar()
		current, err := n.Open(t.Context(), Hello{User: ann, Bot: echo, After: FromNow}, currentEar)
		if err != nil {
			t.Fatal(err)
		}
		tab, _ := n.open(t, Hello{User: ann, Bot: echo, After: FromNow})
		tab.Send("a3", body("x"))
		tab.Typing()
		synctest.Wait()
		n.sweep(t.Context())
		k.want(t)
		currentEar.want(t)
		s.Ready()
		current.Ready()
		k.want(t, heardOf(1, 3)...)
		currentEar.want(t, heardOf(3, 3)...)
	})
}

// TestSaidWhileOpening commits messages between the reading of the conversation and
// the subscription to it, which no event tells of.
func TestSaidWhileOpening(t *testing.T) {
	t.Parallel()
	for name, said := range map[string]int{"one": 1, "a page": pageSize, "many pages": 2*pageSize + 1} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				m := newMemory()
				id := fill(t, m, 2)
				n := start(t, m, newDirect())
				c, err := m.FindConversation(t.Context(), id)
				if err != nil {
					t.Fatal(err)
				}
				grow(t, m, id, said)
				k := newEar()
				s, err := n.attach(c, 2, k)
				if err != nil {
					t.Fatal(err)
				}
				s.Ready()
				k.want(t, heardOf(3, 2+said)...)
			})
		})
	}
}

// TestPacing has a queue of few places that is emptied now and then.
func TestPacing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		fill(t, m, 250)
		n := start(t, m, newDirect())
		k := newEar()
		k.room(0)
		s, err := n.Open(t.Context(), hello, k)
		if err != nil {
			t.Fatal(err)
		}
		s.Ready()
		k.want(t)
		quick, quickEar := n.open(t, Hello{User: ann, Bot: echo, After: 240})
		quickEar.want(t, heardOf(241, 250)...)
		at := 0
		for _, places := range []int{1, 30, 0, 150, 7} {
			k.room(places)
			s.Ready()
			if places == 0 {
				k.want(t)
				continue
			}
			k.want(t, heardOf(at+1, at+places)...)
			at += places
		}
		quick.Send("a251", body("x"))
		quickEar.want(t, "ack a251 251", "message 251 user a251")
		k.want(t) // behind: what is new has to wait
		k.room(1000)
		s.Ready()
		k.want(t, heardOf(at+1, 251)...)
	})
}

// pages is a memory that notes how many messages it was asked for at once.
type pages struct {
	*memory
	most atomic.Int64
}

func (p *pages) MessagesAfter(ctx context.Context, id ID, after int64, limit int) ([]Message, error) {
	p.most.Store(max(p.most.Load(), int64(limit)))
	return p.memory.MessagesAfter(ctx, id, after, limit)
}

// TestReadsWhatFits: what a queue has no room for is not read for it.
func TestReadsWhatFits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		fill(t, m, 250)
		p := &pages{memory: m}
		n := start(t, m, newDirect(), func(c *Config) { c.Store = p })
		k := newEar()
		k.room(6)
		s, err := n.Open(t.Context(), hello, k)
		if err != nil {
			t.Fatal(err)
		}
		s.Ready()
		k.want(t, heardOf(1, 6)...)
		if most := p.most.Load(); most > 6 {
			t.Errorf("%d messages were read at once, want 6", most)
		}
	})
}

// TestResumeBehindWhatIsGone resumes after a message, of which the next ones are not kept.
func TestResumeBehindWhatIsGone(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		gone  int
		first int // that is heard
	}{
		"some of what was missed": {5, 6},
		"all that was missed":     {8, 9},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				m := newMemory()
				id := fill(t, m, 8)
				m.forget(id, int64(tc.gone))
				n := start(t, m, newDirect(), func(c *Config) { c.Sweep = time.Hour })
				h := hello
				h.After = 2
				_, k := n.open(t, h)
				synctest.Wait()
				grow(t, m, id, 1)
				reads := m.count("after")
				n.sweep(t.Context())
				k.want(t, heardOf(tc.first, 9)...)
				if got := m.count("after") - reads; got > 2 {
					t.Errorf("%d reads for one message", got)
				}
			})
		})
	}
}

// TestNothingIsKept resumes in a conversation of which no message is kept: that is seen
// once, not at every sweep, and what is said next is heard.
func TestNothingIsKept(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		id := fill(t, m, 5)
		m.forget(id, 5)
		n := start(t, m, newDirect(), func(c *Config) { c.Sweep = time.Hour })
		s, k := n.open(t, hello)
		k.want(t)
		reads := m.count("after")
		for range 3 {
			n.sweep(t.Context())
			synctest.Wait()
		}
		if got := m.count("after"); got != reads || s.Last() != 5 {
			t.Errorf("%d reads in three sweeps, and the session is at %d, want none and 5", got-reads, s.Last())
		}
		grow(t, m, id, 1)
		n.sweep(t.Context())
		k.want(t, heardOf(6, 6)...)
	})
}

// TestOnlyTheNext gives a session events in every disorder.
func TestOnlyTheNext(t *testing.T) {
	t.Parallel()
	for name, seqs := range map[string][]int64{
		"in order":  {1, 2, 3, 4},
		"backwards": {4, 3, 2, 1},
		"doubled":   {1, 1, 2, 2, 3, 4, 4, 1},
		"gap":       {1, 4},
		"the last":  {4},
		"late":      {2, 1, 4, 3},
		"beyond":    {1, 9, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				m, b := newMemory(), newDirect()
				n := start(t, m, b, func(c *Config) { c.Sweep = time.Hour })
				s, k := n.open(t, hello)
				synctest.Wait()
				id := s.Conversation().ID
				grow(t, m, id, 4)
				for _, seq := range seqs {
					ev := event{Node: "other", Seq: seq}
					if seq <= 4 {
						ev = said(m.of(id).messages[seq-1 : seq])
						ev.Node = "other"
					}
					data, err := ev.encode()
					if err != nil {
						t.Fatal(err)
					}
					if err := b.Publish(t.Context(), subject(id), data); err != nil {
						t.Fatal(err)
					}
				}
				k.want(t, heardOf(1, 4)...)
			})
		})
	}
}

// TestEventAheadOfTheStore tells of a message that the store does not show yet. The
// session waits for it without asking over and over.
func TestEventAheadOfTheStore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m, b := newMemory(), newDirect()
		n := start(t, m, b, func(c *Config) { c.Sweep = time.Hour })
		s, k := n.open(t, hello)
		synctest.Wait()
		id, reads := s.Conversation().ID, m.count("after")
		for range 3 {
			if err := b.Publish(t.Context(), subject(id), []byte(`{"node":"other","seq":7}`)); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		if got := m.count("after") - reads; got != 3 {
			t.Errorf("%d reads, want one for each event", got)
		}
		grow(t, m, id, 7)
		n.sweep(t.Context())
		k.want(t, heardOf(1, 7)...)
	})
}

func TestLargeBodiesAreRead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m, b := newMemory(), newDirect()
		here, there := start(t, m, b), start(t, m, b)
		s, _ := here.open(t, hello)
		_, k := there.open(t, hello)
		synctest.Wait()
		reads := m.count("after")
		s.Send("small", body("x"))
		k.want(t, "message 1 user small")
		if m.count("after") != reads {
			t.Error("a small body was read from the store")
		}
		s.Send("large", make([]byte, maxInline+1))
		k.want(t, "message 2 user large")
		if m.count("after") != reads+1 {
			t.Error("a large body went over the bus")
		}
	})
}

// TestReadsGoOn lets the store fail while a session catches up.
func TestReadsGoOn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		fill(t, m, 3)
		n := start(t, m, newDirect())
		m.ahead(func(_ context.Context, what string) error {
			if what == "after" || what == "last" {
				return errors.New("disk gone")
			}
			return nil
		})
		_, k := n.open(t, hello)
		if err := pause(t.Context(), 3*n.c.Sweep); err != nil {
			t.Fatal(err)
		}
		k.want(t)
		m.ahead(free)
		if err := pause(t.Context(), n.c.Sweep); err != nil {
			t.Fatal(err)
		}
		k.want(t, heardOf(1, 3)...)
	})
}
