package storetest

import (
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/carnetproject/carnet/internal/bot"
	"github.com/carnetproject/carnet/internal/chat"
	"github.com/carnetproject/carnet/internal/fault"
)

// ask appends drafts and leases their turn, if it may be.
func ask(t *testing.T, s Store, to chat.ID, drafts ...chat.Draft) *bot.Turn {
	t.Helper()
	_, turn, err := s.AppendMessages(t.Context(), to, drafts, epoch, epoch.Add(leaseTime))
	must(t, err)
	return turn
}

// testLeasedAppend compares a turn that its append has leased with one that was leased
// afterwards, and then treats it like one.
func testLeasedAppend(t *testing.T, open Opener) {
	s, ctx := open(t), t.Context()
	begin(t, s, "cnv_1", "cnv_2")
	for _, id := range []chat.ID{"cnv_1", "cnv_2"} {
		must(t, s.MergeContext(ctx, id, json.RawMessage(`{"step":"<1>"}`), chat.Page))
	}
	// Half a millisecond is not kept, and not told.
	drafts, at := []chat.Draft{botDraft("b"), userDraft("a"), userDraft("c")}, epoch.Add(500*time.Microsecond)
	_, err := add(ctx, s, "cnv_2", drafts, at)
	must(t, err)
	messages, turn, err := s.AppendMessages(ctx, "cnv_1", drafts, at, epoch.Add(leaseTime))
	must(t, err)
	wantEqual(t, "messages", messageIDs(messages), []string{"b", "a", "c"})
	leased := lease(t, s, "echo", epoch)
	wantTurns(t, "while the append's lease lasts", leased, "cnv_2/2")
	if turn == nil {
		t.Fatal("no turn was leased")
	}
	leased[0].Conversation = "cnv_1"
	wantEqual(t, "turn", *turn, leased[0])

	wantTurns(t, "just before it is over", lease(t, s, "echo", epoch.Add(leaseTime-1)))
	ok, err := s.ExtendTurn(ctx, *turn, epoch.Add(2*leaseTime))
	must(t, err)
	if !ok {
		t.Error("the lease was not extended")
	}
	late := epoch.Add(2 * leaseTime)
	taken := lease(t, s, "echo", late)
	wantTurns(t, "whose leases are over", taken, "cnv_2/2", "cnv_1/2")
	if taken[1].Attempt != 2 {
		t.Errorf("attempt %d, want 2", taken[1].Attempt)
	}
	if ok, err = s.ExtendTurn(ctx, *turn, late.Add(time.Hour)); ok || err != nil {
		t.Errorf("a lease that another has was extended: %t, %v", ok, err)
	}
	finish(t, s, taken[1], late)
	wantTurns(t, "then", lease(t, s, "echo", late), "cnv_1/3")
}

// testLeasedInOrder appends where older turns wait, in each way that they can, and by
// another store than the one that has added or ended them.
func testLeasedInOrder(t *testing.T, open Opener) {
	one, two, ctx := open(t), open(t), t.Context()
	for i, older := range []func(id chat.ID) bot.Turn{
		func(id chat.ID) bot.Turn { say(t, one, id, "old"); return bot.Turn{Conversation: string(id), Seq: 1} },
		func(id chat.ID) bot.Turn { return *ask(t, one, id, userDraft("old")) },
		func(id chat.ID) bot.Turn {
			turn := *ask(t, one, id, userDraft("old"))
			must(t, one.RetryTurn(ctx, turn, epoch.Add(time.Hour)))
			return turn
		},
	} {
		id := chat.ID(fmt.Sprint("cnv_", i))
		begin(t, one, id)
		say(t, two, id) // both know where it stands
		turn := older(id)
		for n, s := range []Store{two, one} {
			if got := ask(t, s, id, userDraft(fmt.Sprint("new", n))); got != nil {
				t.Errorf("%s: turn %d was leased before the older one ended", id, got.Seq)
			}
		}
		finish(t, two, turn, epoch)
		if got := ask(t, one, id, userDraft("newer")); got != nil {
			t.Errorf("%s: turn %d was leased before the next one", id, got.Seq)
		}
		for range 3 {
			finish(t, two, lease(t, two, "echo", epoch.Add(leaseTime-1))[0], epoch)
		}
		if got := ask(t, one, id, userDraft("newest")); got == nil || got.Seq != 5 || got.Attempt != 1 {
			t.Errorf("%s: leased %+v when nothing waited any more, want turn 5", id, got)
		}
	}
	must(t, one.AddConversation(ctx, sampleConversation("cnv_w"), true))
	if got := ask(t, one, "cnv_w", userDraft("a")); got != nil {
		t.Errorf("turn %d was leased before the welcome", got.Seq)
	}
}

func testLeasedNothing(t *testing.T, open Opener) {
	s := open(t)
	begin(t, s, "cnv_1")
	finish(t, s, *ask(t, s, "cnv_1", userDraft("a")), epoch)
	for name, drafts := range map[string][]chat.Draft{
		"nothing":         nil,
		"a known message": {userDraft("a")},
		"others' words":   {botDraft("b"), {ID: "s", From: chat.FromSystem, Body: json.RawMessage(`1`)}},
	} {
		if got := ask(t, s, "cnv_1", drafts...); got != nil {
			t.Errorf("%s: turn %d was leased", name, got.Seq)
		}
	}
	_, turn, err := s.AppendMessages(t.Context(), "cnv_2", []chat.Draft{userDraft("a")}, epoch, epoch.Add(leaseTime))
	if fault.KindOf(err) != fault.NotFound || turn != nil {
		t.Errorf("unknown conversation: %v, %v", turn, err)
	}
}

// testLeaseRaces has users who ask and answer at once where they may, and workers of
// another store who take what is left: each question has one answer, in its place.
func testLeaseRaces(t *testing.T, open Opener) {
	const conversations, users, each = 4, 4, 15
	one, two, ctx := open(t), open(t), t.Context()
	var answered, atOnce atomic.Int64
	answer := func(s Store, turn bot.Turn) {
		_, ended, err := s.FinishTurn(ctx, turn, []chat.Draft{botDraft("to-" + turn.MessageID)}, nil, epoch)
		if err != nil || !ended {
			t.Errorf("finish %s/%d: %t, %v", turn.Conversation, turn.Seq, ended, err)
		}
		answered.Add(1)
	}
	var all sync.WaitGroup
	for i := range conversations * users {
		id := chat.ID(fmt.Sprint("cnv_", i/users))
		if i%users == 0 {
			begin(t, one, id)
		}
		all.Go(func() {
			for n := range each {
				s := []Store{one, two}[(n+i)%2]
				_, turn, err := s.AppendMessages(ctx, id, []chat.Draft{userDraft(fmt.Sprintf("q%d-%d", i, n))}, epoch, epoch.Add(leaseTime))
				if err != nil {
					t.Error(err)
				}
				if turn != nil {
					answer(s, *turn)
					atOnce.Add(1)
				}
			}
		})
	}
	all.Go(func() {
		for answered.Load() < conversations*users*each && !t.Failed() {
			turns, err := two.LeaseTurns(ctx, "echo", epoch, epoch.Add(leaseTime), 2)
			if err != nil {
				t.Error(err)
			}
			for _, turn := range turns {
				answer(two, turn)
			}
		}
	})
	all.Wait()
	if atOnce.Load() == 0 {
		t.Error("nothing was answered at once")
	}
	for i := range conversations {
		if err := inOrder(history(t, one, chat.ID(fmt.Sprint("cnv_", i))), users*each); err != nil {
			t.Errorf("conversation %d: %v", i, err)
		}
	}
}

// inOrder tells whether there are n questions, each with one answer in its order.
func inOrder(history []chat.Message, n int) error {
	var questions, answers []string
	for _, m := range history {
		if m.From == chat.FromUser {
			questions = append(questions, "to-"+m.ID)
		} else {
			answers = append(answers, m.ID)
		}
	}
	if len(questions) != n || !slices.Equal(questions, answers) {
		return fmt.Errorf("%d questions, answers %v", len(questions), answers)
	}
	return nil
}
