package chat

import (
	"context"
	"encoding/json"
	"errors"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carnetproject/carnet/internal/fault"
)

func TestNewNeedsAStore(t *testing.T) {
	t.Parallel()
	if _, err := New(Config{Bots: onlyEcho()}); err == nil {
		t.Error("New() = nil error")
	}
}

func TestFirstHelloMakesAConversation(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		n := start(t, m, newDirect())
		s, _ := n.open(t, Hello{User: ann, Bot: echo, Context: json.RawMessage(`{"page":"/loans"}`)})
		c := s.Conversation()
		if !regexp.MustCompile(`^cnv_[a-z2-7]{26}$`).MatchString(string(c.ID)) {
			t.Errorf("id = %q", c.ID)
		}
		kept := m.of(c.ID)
		if kept.User != ann || kept.Bot != echo || string(kept.Context) != `{"page":"/loans"}` || kept.welcomes != 1 {
			t.Errorf("stored %+v", kept)
		}
		if len(n.woken) != 1 || n.woken[0] != echo {
			t.Errorf("woken %v, want echo once", n.woken)
		}
		again, _ := n.open(t, hello)
		if again.Conversation().ID != c.ID || m.count("add") != 1 {
			t.Errorf("the second hello began %s", again.Conversation().ID)
		}
		other, _ := n.open(t, Hello{User: bob, Bot: echo})
		if other.Conversation().ID == c.ID {
			t.Error("two users share a conversation")
		}
	})
}

// TestFirstHellosTogether opens two tabs at once on a store that takes its time.
// TestWithoutABus has one node, whose sessions need none to hear of each other.
func TestWithoutABus(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := start(t, newMemory(), nil, func(c *Config) { c.Bus = nil })
		page, phone := Hello{User: ann, Bot: echo}, Hello{User: ann, Bot: echo}
		a, _ := n.open(t, page)
		b, heard := n.open(t, phone)
		a.Send("m1", body("hi"))
		synctest.Wait()
		heard.want(t, "message 1 user m1")
		a.Close()
		b.Close()
		if len(n.rooms) != 0 {
			t.Errorf("%d rooms are left", len(n.rooms))
		}
	})
}

func TestFirstHellosTogether(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		m.ahead(func(ctx context.Context, _ string) error { return pause(ctx, time.Millisecond) })
		n := start(t, m, newDirect())
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() { n.open(t, hello) })
		}
		wg.Wait()
		if len(m.all) != 1 {
			t.Errorf("%d conversations, want 1", len(m.all))
		}
	})
}

func TestHelloRefused(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		hello Hello
		kind  fault.Kind
		field string
	}{
		"unknown bot":          {Hello{User: ann, Bot: "hal"}, fault.NotFound, "bot"},
		"no bot":               {Hello{User: ann}, fault.NotFound, "bot"},
		"unknown conversation": {Hello{User: ann, Bot: echo, Conversation: "cnv_2"}, fault.NotFound, "conversation"},
		"another's":            {Hello{User: bob, Bot: echo, Conversation: "cnv_1"}, fault.NotFound, "conversation"},
		"another issuer's":     {Hello{User: User{Issuer: "app_2", Subject: "ann"}, Bot: echo, Conversation: "cnv_1"}, fault.NotFound, "conversation"},
		"another bot's":        {Hello{User: ann, Bot: "menu", Conversation: "cnv_1"}, fault.Invalid, "bot"},
		"context is a list":    {Hello{User: ann, Bot: echo, Context: json.RawMessage(`[]`)}, fault.Invalid, "context"},
		"context is null":      {Hello{User: ann, Bot: echo, Context: json.RawMessage(`null`)}, fault.Invalid, "context"},
		"context too large": {
			Hello{User: ann, Bot: echo, Context: json.RawMessage(`{"a":"` + strings.Repeat("x", MaxContext) + `"}`)},
			fault.TooLarge, "context",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				m := newMemory()
				fill(t, m, 1)
				n := start(t, m, newDirect(), func(c *Config) { c.Bots["menu"] = Policy{} })
				_, err := n.Open(t.Context(), tc.hello, newEar())
				e, ok := errors.AsType[*fault.Error](err)
				if !ok || e.Kind != tc.kind || e.Field != tc.field {
					t.Fatalf("Open() = %v, want %v of %q", err, tc.kind, tc.field)
				}
				if len(n.rooms) != 0 {
					t.Error("a refused session left a room")
				}
			})
		})
	}
}

// TestAnothersLooksLikeNone shows that an id cannot be probed.
func TestAnothersLooksLikeNone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		fill(t, m, 1)
		n := start(t, m, newDirect())
		_, theirs := n.Open(t.Context(), Hello{User: bob, Bot: echo, Conversation: "cnv_1"}, newEar())
		_, none := n.Open(t.Context(), Hello{User: bob, Bot: echo, Conversation: "cnv_9"}, newEar())
		if theirs.Error() != none.Error() {
			t.Errorf("%q differs from %q", theirs, none)
		}
	})
}

func TestHistory(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		before      int64
		limit       int
		first, last int64
		more        bool
	}{
		"the end":           {0, 0, 231, 250, true},
		"a page":            {231, 20, 211, 230, true},
		"no more than most": {0, 1000, 151, 250, true},
		"the beginning":     {21, 20, 1, 20, false},
		"a short page":      {5, 20, 1, 4, false},
		"before the first":  {1, 20, 0, 0, false},
		"beyond the end":    {9999, 2, 249, 250, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				m := newMemory()
				id := fill(t, m, 250)
				n := start(t, m, newDirect())
				ms, more, err := n.History(t.Context(), ann, id, tc.before, tc.limit)
				if err != nil || more != tc.more {
					t.Fatalf("History() = more %v, %v", more, err)
				}
				if tc.last == 0 && len(ms) == 0 {
					return
				}
				if len(ms) == 0 || ms[0].Seq != tc.first || ms[len(ms)-1].Seq != tc.last || int64(len(ms)) != tc.last-tc.first+1 {
					t.Errorf("History() = %d messages, want %d to %d", len(ms), tc.first, tc.last)
				}
			})
		})
	}
}

// TestHistoryIsCut has a store that keeps the newest ten messages.
func TestHistoryIsCut(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		id := fill(t, m, 250)
		m.forget(id, 240)
		n := start(t, m, newDirect())
		for limit, more := range map[int]bool{9: true, 10: false, 11: false} {
			ms, got, err := n.History(t.Context(), ann, id, 0, limit)
			if err != nil || got != more || len(ms) != min(limit, 10) || ms[len(ms)-1].Seq != 250 {
				t.Errorf("History() of %d = %d messages, more %v, %v, want more %v", limit, len(ms), got, err, more)
			}
		}
	})
}

func TestHistoryIsOnesOwn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		id := fill(t, m, 3)
		n := start(t, m, newDirect())
		if ms, _, err := n.History(t.Context(), bob, id, 0, 0); fault.KindOf(err) != fault.NotFound || ms != nil {
			t.Errorf("History() = %v, %v, want not found", ms, err)
		}
	})
}

func TestStopDropsWhatWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		m.ahead(func(ctx context.Context, what string) error {
			if what == "append" {
				<-ctx.Done() // a commit that hangs
			}
			return ctx.Err()
		})
		n := start(t, m, newDirect())
		s, k := n.open(t, hello)
		s.Send("a", body("x"))
		synctest.Wait()
		s.Send("b", body("y"))
		n.stop()
		s.Send("c", body("z"))
		k.want(t)
		s.Close()
	})
}

// pause waits for d, or less if ctx ends.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err()
	case <-ctx.Done():
		return ctx.Err()
	}
}
