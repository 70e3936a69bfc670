package securesession

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/secret"
)

// inBubble runs a test of one gate with a clock of its own.
func inBubble(t *testing.T, edit func(*bench), f func(t *testing.T, b *bench)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, newShelf(), "n1", nil)
		if edit != nil {
			edit(b)
		}
		stop := b.run(t)
		defer stop()
		synctest.Wait()
		f(t, b)
	})
}

func wantVerdict(t *testing.T, b *bench, a Ask, want Reason) {
	t.Helper()
	if got := reason(b.Admit(t.Context(), a)); got != string(want) {
		t.Errorf("verdict %q, want %q", got, want)
	}
}

func TestGate(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, b *bench) {
		wantVerdict(t, b, ask("good"), "")
		requests := b.shelf.requests
		time.Sleep(9 * time.Second)
		wantVerdict(t, b, ask("good"), "")
		if b.shelf.requests != requests {
			t.Errorf("a message that may pass asked the store %d times", b.shelf.requests-requests)
		}
		wantVerdict(t, b, ask("bad"), Unauthorized)
		wantVerdict(t, b, ask("good"), "")
		time.Sleep(10 * time.Second)
		wantVerdict(t, b, ask("good"), "")
		other := ask("good")
		other.Context = json.RawMessage(`{ "note": "other", "token": "good" }`)
		wantVerdict(t, b, other, "")
		if diff := cmp.Diff([]string{"good", "bad", "good", "good"}, b.official.calls()); diff != "" {
			t.Errorf("calls: %s", diff)
		}
		free := ask("bad")
		free.Key.Bot = "free"
		wantVerdict(t, b, free, "")
	})
}

// TestSingleFlight has many messages at once: one question is asked, and all come in order.
func TestSingleFlight(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, b *bench) {
		var tickets []*Ticket
		for i := range 32 {
			a := ask("good")
			a.Message = fmt.Sprint(i)
			tickets = append(tickets, b.Enter(t.Context(), a))
		}
		if got := reason(b.Admit(t.Context(), ask("good"))); got != string(Busy) {
			t.Errorf("the message that is too many: %q", got)
		}
		for _, k := range tickets {
			if err := k.Wait(t.Context()); err != nil {
				t.Error(err)
			}
		}
		if n := len(b.official.calls()); n != 1 {
			t.Errorf("%d calls", n)
		}
		for i, d := range b.decisions[1:] {
			if d.Message != fmt.Sprint(i) || d.Source != ByCall {
				t.Errorf("decision %d is %+v", i, d)
			}
		}
	})
}

// TestLeave has the sender whose message was asked with go: the others get their answer.
func TestLeave(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, b *bench) {
		ctx, cancel := context.WithCancel(t.Context())
		first, second := b.Enter(t.Context(), ask("good")), b.Enter(t.Context(), ask("good"))
		synctest.Wait()
		cancel()
		if err := first.Wait(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("the one that left: %v", err)
		}
		if err := second.Wait(t.Context()); err != nil {
			t.Errorf("the one that stayed: %v", err)
		}
		if n := len(b.official.calls()); n != 1 || len(b.decisions) != 1 {
			t.Errorf("%d calls, decisions %v", n, b.decisions)
		}
	})
}

func TestOrder(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, b *bench) {
		var tickets []*Ticket
		for i, token := range []string{"good", "good", "bad", "good"} {
			a := ask(token)
			a.Message = fmt.Sprint(i)
			tickets = append(tickets, b.Enter(t.Context(), a))
		}
		for i, want := range []string{"", "", "unauthorized", ""} {
			if got := reason(tickets[i].Wait(t.Context())); got != want {
				t.Errorf("message %d: %q, want %q", i, got, want)
			}
		}
		var order []string
		for _, d := range b.decisions {
			order = append(order, d.Message)
		}
		if !slices.IsSorted(order) || len(order) != 4 {
			t.Errorf("answered in the order %v", order)
		}
	})
}

func TestWhatTheUserSees(t *testing.T) {
	inBubble(t, func(b *bench) { b.policy.Message = "Please log in" }, func(t *testing.T, b *bench) {
		for _, token := range []string{"bad", "odd", "good", "good", "bad"} {
			_ = b.Admit(t.Context(), ask(token))
		}
		lost := ask("good")
		lost.Context = json.RawMessage(`{}`)
		wantVerdict(t, b, lost, CredentialMissing)
		want := []Notice{
			{Standing: Locked, Reason: Unauthorized, Message: "Please log in"},
			{Standing: Unverified, Reason: Unavailable, Message: tryLater, RetryAfter: 3 * time.Second},
			{Standing: Secured},
			{Standing: Locked, Reason: Unauthorized, Message: "Please log in"},
			{Standing: Locked, Reason: CredentialMissing, Message: "Please log in"},
		}
		if diff := cmp.Diff(want, b.notices); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff([]string{"ask-bank 4xx", "ask-bank 5xx", "ask-bank 2xx", "ask-bank 4xx"}, b.called); diff != "" {
			t.Error(diff)
		}
	})
}

func TestNoticeTexts(t *testing.T) {
	t.Parallel()
	plain, own := &Policy{}, &Policy{Message: "Own"}
	for _, tc := range []struct {
		p    *Policy
		tell Tell
		want string
	}{
		{plain, Tell{Standing: Locked, Reason: Unauthorized}, signIn},
		{own, Tell{Standing: Locked, Reason: CredentialMissing}, "Own"},
		{own, Tell{Standing: Locked, Reason: Restricted}, waitABit},
		{own, Tell{Standing: Unverified, Reason: Unavailable}, tryLater},
		{own, Tell{Standing: Secured}, ""},
	} {
		if got := tc.p.notice(tc.tell).Message; got != tc.want {
			t.Errorf("%+v: %q, want %q", tc.tell, got, tc.want)
		}
	}
}

// TestRefusals: each reason has a kind, and says nothing of the authorizer.
func TestRefusals(t *testing.T) {
	t.Parallel()
	for why, kind := range map[Reason]fault.Kind{
		Unauthorized: fault.Denied, CredentialMissing: fault.Denied, Restricted: fault.Denied,
		Unavailable: fault.Unavailable, Busy: fault.Unavailable, NotRunning: fault.Unavailable,
	} {
		e := refusalOf(why, time.Second)
		if shown := fault.Public(e); shown.Kind != kind || shown.Msg == "" || shown.RetryAfter != time.Second {
			t.Errorf("%s is shown as %+v", string(why), shown)
		}
		if got, ok := errors.AsType[Reason](error(e)); !ok || got != why || !strings.Contains(e.Error(), string(why)) {
			t.Errorf("%s is not in the chain of %v", string(why), e)
		}
	}
	for why, want := range map[Reason]time.Duration{Unauthorized: 0, Unavailable: tryAgain} {
		if got := refusalOf(why, 0).RetryAfter; got != want {
			t.Errorf("%s: again after %v, want %v", string(why), got, want)
		}
	}
}

func TestOutput(t *testing.T) {
	answer := func(string) Answer {
		return Answer{Class: Yes, Detail: "2xx", Output: json.RawMessage(`{"name":"Ann"}`)}
	}
	inBubble(t, func(b *bench) { b.official.answers = answer }, func(t *testing.T, b *bench) {
		wantVerdict(t, b, ask("good"), "")
		wantVerdict(t, b, ask("good"), "")
		b.mergeErr = fault.New(fault.TooLarge, "the context is full")
		time.Sleep(10 * time.Second)
		wantVerdict(t, b, ask("good"), Unavailable)
		if diff := cmp.Diff([]string{`{"name":"Ann"}`, `{"name":"Ann"}`}, b.merged); diff != "" {
			t.Error(diff)
		}
	})
}

func TestTimeout(t *testing.T) {
	inBubble(t, func(b *bench) { b.official.takes = time.Hour }, func(t *testing.T, b *bench) {
		start := time.Now()
		wantVerdict(t, b, ask("good"), Unavailable)
		if took := time.Since(start); took != 3*time.Second {
			t.Errorf("gave up after %v", took)
		}
	})
}

func TestProtect(t *testing.T) {
	inBubble(t, func(b *bench) { b.policy.History = true }, func(t *testing.T, b *bench) {
		for _, what := range []Surface{History, Resume} {
			err := b.Protect(t.Context(), ask("bad"), what)
			if got := reason(err); (got == string(Unauthorized)) != (what == History) {
				t.Errorf("surface %d: %q", what, got)
			}
		}
		if err := b.Protect(t.Context(), ask("good"), History); err != nil {
			t.Error(err)
		}
		free := ask("bad")
		free.Key.Bot = "free"
		if err := b.Protect(t.Context(), free, History); err != nil {
			t.Error(err)
		}
	})
}

func TestForget(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, b *bench) {
		wantVerdict(t, b, ask("good"), "")
		b.Forget(ask("").Key)
		b.Forget(Key{Bot: "free"})
		synctest.Wait()
		if len(b.shelf.records) != 0 {
			t.Errorf("the store still has %v", b.shelf.records)
		}
		wantVerdict(t, b, ask("good"), "")
		if n := len(b.official.calls()); n != 2 {
			t.Errorf("%d calls", n)
		}
	})
}

func TestStoppedBot(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, b *bench) {
		b.c.Guard("teller").Stopped = true
		wantVerdict(t, b, ask("good"), NotRunning)
		if len(b.official.calls()) != 0 || len(b.notices) != 0 {
			t.Error("the authorizer was called, or the user told")
		}
	})
}

func TestRevisionAsksAgain(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, b *bench) {
		wantVerdict(t, b, ask("good"), "")
		b.official.mu.Lock()
		b.official.revision = "2"
		b.official.mu.Unlock()
		wantVerdict(t, b, ask("good"), "")
		if n := len(b.official.calls()); n != 2 {
			t.Errorf("%d calls", n)
		}
	})
}

// TestPolicyAsksAgain changes what a bot's document says, and nothing else.
func TestPolicyAsksAgain(t *testing.T) {
	var now atomic.Pointer[Guard]
	edit := func(b *bench) {
		now.Store(b.c.Guard("teller"))
		b.c.Guard = func(string) *Guard { return now.Load() }
	}
	inBubble(t, edit, func(t *testing.T, b *bench) {
		wantVerdict(t, b, ask("good"), "")
		wantVerdict(t, b, ask("good"), "")
		longer := *b.policy
		longer.Interval = time.Hour
		now.Store(&Guard{Policy: &longer, Authorizer: b.official})
		wantVerdict(t, b, ask("good"), "")
		if n := len(b.official.calls()); n != 2 {
			t.Errorf("%d calls", n)
		}
	})
}

// TestLateAnswer has another node find something newer while a call is under way.
func TestLateAnswer(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, b *bench) {
		asked := b.Enter(t.Context(), ask("good"))
		time.Sleep(100 * time.Millisecond)
		newer := Record{State: Denied, Began: time.Now(), At: time.Now(), Reason: Unauthorized}
		if _, err := b.shelf.SaveSecureSession(t.Context(), ask("").Key, "elsewhere", newer, time.Now().Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
		if err := asked.Wait(t.Context()); err != nil {
			t.Error(err)
		}
		if n := len(b.official.calls()); n != 2 {
			t.Errorf("%d calls: the answer was older than what the other node has found", n)
		}
	})
}

// TestReloadInFlight changes what stands before the bot while a call is under way: what
// came before stays with what it has met.
func TestReloadInFlight(t *testing.T) {
	var now atomic.Pointer[Guard]
	edit := func(b *bench) {
		now.Store(b.c.Guard("teller"))
		b.c.Guard = func(string) *Guard { return now.Load() }
	}
	inBubble(t, edit, func(t *testing.T, b *bench) {
		strict := &official{answers: func(string) Answer { return Answer{Class: No, Detail: "4xx"} }, revision: "2"}
		first, second := b.Enter(t.Context(), ask("good")), b.Enter(t.Context(), ask("bad"))
		synctest.Wait()
		now.Store(&Guard{Policy: &Policy{Interval: time.Hour, Timeout: time.Second, MaxPending: 3}, Authorizer: strict})
		third, tooMuch := b.Enter(t.Context(), ask("good")), b.Enter(t.Context(), ask("good"))
		for i, w := range []struct {
			ticket *Ticket
			want   Reason
		}{{first, ""}, {second, Unauthorized}, {third, Unauthorized}, {tooMuch, Busy}} {
			if got := reason(w.ticket.Wait(t.Context())); got != string(w.want) {
				t.Errorf("message %d: %q, want %q", i+1, got, w.want)
			}
		}
		if diff := cmp.Diff([][]string{{"good", "bad"}, {"good"}}, [][]string{b.official.calls(), strict.calls()}); diff != "" {
			t.Errorf("the old one and the new one were asked (-want +got):\n%s", diff)
		}
	})
}

// TestNodes has two nodes of one store.
func TestNodes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		one := newBench(t, newShelf(), "n1", nil)
		two := newBench(t, one.shelf, "n2", nil)
		defer one.run(t)()
		defer two.run(t)()
		synctest.Wait()

		first := one.Enter(t.Context(), ask("good"))
		synctest.Wait()
		wantVerdict(t, two, ask("good"), "") // it waits for the other node's answer
		if err := first.Wait(t.Context()); err != nil {
			t.Error(err)
		}
		if n := len(two.official.calls()); n != 0 {
			t.Errorf("the second node asked %d times", n)
		}
		time.Sleep(10 * time.Second)
		wantVerdict(t, two, ask("bad"), Unauthorized)
		wantVerdict(t, one, ask("good"), "")

		// A node that dies in the middle keeps the lease until that lapses.
		k := Key{"teller", "c2"}
		now := time.Now()
		if ok, _ := one.shelf.LeaseSecureSession(t.Context(), k, "dead", now, now.Add(one.policy.Lease())); !ok {
			t.Fatal("no lease")
		}
		a := ask("good")
		a.Key = k
		wantVerdict(t, two, a, "")
		if took := time.Since(now); took < 4*time.Second || took > 5*time.Second {
			t.Errorf("it took %v", took)
		}
	})
}

func TestStoreDown(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, b *bench) {
		b.shelf.unread, b.shelf.unsaved = true, true
		wantVerdict(t, b, ask("good"), "")
		wantVerdict(t, b, ask("good"), "")
		wantVerdict(t, b, ask("bad"), Unauthorized)
		if n := len(b.official.calls()); n != 2 {
			t.Errorf("%d calls", n)
		}
	})
}

func TestStop(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, newShelf(), "n1", nil)
		wantVerdict(t, b, ask("good"), Unavailable) // before Run
		stop := b.run(t)
		synctest.Wait()
		waits := b.Enter(t.Context(), ask("good"))
		synctest.Wait()
		stop()
		if got := reason(waits.Wait(t.Context())); got != string(Unavailable) {
			t.Errorf("who waited when the node stopped: %q", got)
		}
		if len(b.shelf.records) != 0 {
			t.Errorf("a question that was cut off left %v", b.shelf.records)
		}
		wantVerdict(t, b, ask("good"), Unavailable)
	})
}

func TestMemory(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, newShelf(), "n1", func(c *Config) { c.Sessions = 8 })
		defer b.run(t)()
		synctest.Wait()
		for i := range 50 {
			a := ask("good")
			a.Key.Conversation = fmt.Sprint(i)
			wantVerdict(t, b, a, "")
		}
		if n, _ := b.held(); n > 8 {
			t.Errorf("%d conversations in memory", n)
		}
		time.Sleep(time.Hour)
		if n, records := b.held(); n+records != 0 {
			t.Errorf("%d conversations and %d records after an hour", n, records)
		}
	})
}

// TestRace has users of a few conversations change their minds on two nodes at once.
func TestRace(t *testing.T) {
	t.Parallel()
	one := newBench(t, newShelf(), "n1", nil)
	two := newBench(t, one.shelf, "n2", nil)
	for _, b := range []*bench{one, two} {
		b.policy.Interval, b.official.takes = time.Millisecond, time.Microsecond
		b.run(t)
	}
	for !one.crew.Start(func(context.Context) {}) || !two.crew.Start(func(context.Context) {}) {
		continue // until both run
	}
	var all sync.WaitGroup
	for i := range 16 {
		all.Go(func() {
			for n := range 50 {
				b := []*bench{one, two}[(i+n)%2]
				a := ask([]string{"good", "bad", "odd"}[n%3])
				a.Key.Conversation = fmt.Sprint(i % 4)
				ctx, cancel := context.WithCancel(t.Context())
				if n%7 == 0 {
					cancel()
				}
				err := b.Admit(ctx, a)
				cancel()
				if got := reason(err); n%3 == 1 && got == "" {
					t.Error("a bad token passed")
				} else if strings.HasPrefix(got, "error") && !errors.Is(err, context.Canceled) {
					t.Error(got)
				}
				if n%11 == 0 {
					b.Forget(a.Key)
				}
			}
		})
	}
	all.Wait()
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	b := newBench(t, newShelf(), "n1", nil)
	for name, edit := range map[string]func(*Config){
		"store": func(c *Config) { c.Store = nil },
		"key":   func(c *Config) { c.Key = secret.Bytes{} },
		"node":  func(c *Config) { c.Node = "" },
		"guard": func(c *Config) { c.Guard = nil },
	} {
		c := b.c
		edit(&c)
		if _, err := New(c); err == nil {
			t.Errorf("no error without %s", name)
		}
	}
}

func BenchmarkCached(b *testing.B) {
	gate := newBench(b, newShelf(), "n1", nil)
	gate.policy.Interval, gate.official.takes = time.Hour, 0
	gate.run(b)
	for !gate.crew.Start(func(context.Context) {}) {
		continue
	}
	a := ask("good")
	if err := gate.Admit(b.Context(), a); err != nil {
		b.Fatal(err)
	}
	gate.decisions = nil
	gate.c.Observer = nobody{}
	b.ReportAllocs()
	for b.Loop() {
		if err := gate.Admit(b.Context(), a); err != nil {
			b.Fatal(err)
		}
	}
}
