package securesession

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestStanding asks what users are shown who come back, to the node that has decided
// about them and to another one.
func TestStanding(t *testing.T) {
	t.Parallel()
	secured, locked := Notice{Standing: Secured}, Notice{Standing: Locked, Reason: Unauthorized, Message: signIn}
	for name, tc := range map[string]struct {
		said  string // the token of the message that was sent; "": none was
		after time.Duration
		edit  func(*Ask)
		want  Notice
		known bool
	}{
		"let in":          {said: "good", want: secured, known: true},
		"refused":         {said: "bad", want: locked, known: true},
		"no answer":       {said: "odd"},
		"nothing said":    {},
		"interval over":   {said: "good", after: 10 * time.Second},
		"other token":     {said: "good", edit: func(a *Ask) { a.Context = ask("bad").Context }},
		"other user":      {said: "good", edit: func(a *Ask) { a.Identity = "bob" }},
		"other user, bad": {said: "bad", edit: func(a *Ask) { a.Identity = "bob" }},
		"no such guard":   {said: "good", edit: func(a *Ask) { a.Key.Bot = "free" }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				shelf := newShelf()
				here, there := newBench(t, shelf, "n1", nil), newBench(t, shelf, "n2", nil)
				stop := here.run(t)
				defer stop()
				synctest.Wait()
				a := ask(tc.said)
				if tc.said != "" {
					_ = here.Admit(t.Context(), a)
				}
				time.Sleep(tc.after)
				if tc.edit != nil {
					tc.edit(&a)
				}
				for node, b := range map[string]*bench{"the same node": here, "another node": there} {
					got, known := b.Standing(t.Context(), a)
					if diff := cmp.Diff(tc.want, got); diff != "" || known != tc.known {
						t.Errorf("%s: known %v, want %v: %s", node, known, tc.known, diff)
					}
				}
				if n := len(here.official.calls()); n > 1 {
					t.Errorf("%d calls", n)
				}
			})
		})
	}
}

func TestStandingWithoutStore(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, b *bench) {
		b.shelf.unread = true
		if n, known := b.Standing(t.Context(), ask("good")); known {
			t.Errorf("%+v is known", n)
		}
	})
}

// TestIdentity has a conversation become another user's: what was found for the first
// does not let in the second.
func TestIdentity(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, b *bench) {
		a := ask("good")
		a.Identity = "visitor"
		wantVerdict(t, b, a, "")
		a.Identity = "ann"
		wantVerdict(t, b, a, "")
		if n := len(b.official.calls()); n != 2 {
			t.Errorf("%d calls, want one for each user", n)
		}
	})
}

func TestStats(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, b *bench) {
		wantVerdict(t, b, ask("good"), "")
		bad := ask("bad")
		bad.Key.Conversation = "c2"
		wantVerdict(t, b, bad, Unauthorized)
		waits := ask("good")
		waits.Key.Conversation = "c3"
		tickets := []*Ticket{b.Enter(t.Context(), waits), b.Enter(t.Context(), waits)}
		if tickets[0].Decided() {
			t.Error("decided before anybody was asked")
		}
		synctest.Wait()
		want := Stats{Sessions: [4]int{None: 1, Allowed: 1, Denied: 1}, Calls: 1, Waiting: 2}
		if diff := cmp.Diff(want, b.Stats()); diff != "" {
			t.Error(diff)
		}
		time.Sleep(time.Second)
		if !tickets[0].Decided() || !tickets[1].Decided() {
			t.Error("not decided after the answer")
		}
	})
}
