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
)

const leaseTime = 15 * time.Second

// lease takes all turns that are ready.
func lease(t *testing.T, s Store, of bot.ID, now time.Time) []bot.Turn {
	t.Helper()
	turns, err := s.LeaseTurns(t.Context(), of, now, now.Add(leaseTime), 1000)
	must(t, err)
	return turns
}

// finishAll ends all turns of a bot, a year after the epoch, and returns what they were.
func finishAll(t *testing.T, s Store, of bot.ID) (all []bot.Turn) {
	t.Helper()
	now := epoch.AddDate(1, 0, 0)
	for {
		turns := lease(t, s, of, now)
		if len(turns) == 0 {
			return all
		}
		for _, turn := range turns {
			finish(t, s, turn, now)
		}
		all = append(all, turns...)
	}
}

func finish(t *testing.T, s Store, turn bot.Turn, at time.Time, drafts ...chat.Draft) []chat.Message {
	t.Helper()
	messages, ended, err := s.FinishTurn(t.Context(), turn, drafts, nil, at)
	must(t, err)
	if !ended {
		t.Errorf("turn %s/%d had ended before", turn.Conversation, turn.Seq)
	}
	return messages
}

// names tells turns apart, e.g. cnv_1/2.
func names(turns []bot.Turn) (names []string) {
	for _, turn := range turns {
		names = append(names, fmt.Sprintf("%s/%d", turn.Conversation, turn.Seq))
	}
	return names
}

func wantTurns(t *testing.T, what string, got []bot.Turn, want ...string) {
	t.Helper()
	if n := names(got); !slices.Equal(n, want) {
		t.Errorf("turns %s: %v, want %v", what, n, want)
	}
}

func testTurns(t *testing.T, open Opener) {
	s, ctx := open(t), t.Context()
	c := sampleConversation("cnv_1")
	must(t, s.AddConversation(ctx, c, true))
	_, err := add(ctx, s, "cnv_1", []chat.Draft{
		botDraft("b"), userDraft("u"), {ID: "s", From: chat.FromSystem, Body: json.RawMessage(`1`)}, userDraft("v"),
	}, epoch.Add(time.Minute))
	must(t, err)
	welcome := bot.Turn{
		Conversation: "cnv_1", Bot: "echo", Kind: bot.Welcome, MessageID: "welcome",
		At: epoch, User: c.User, Context: c.Context, Attempt: 1,
	}
	of := func(seq int64, id string) bot.Turn {
		turn := welcome
		turn.Seq, turn.Kind, turn.MessageID, turn.Body = seq, bot.Message, id, userDraft(id).Body
		turn.At = epoch.Add(time.Minute)
		return turn
	}
	wantEqual(t, "turns", finishAll(t, s, "echo"), []bot.Turn{welcome, of(2, "u"), of(4, "v")})

	bare := chat.Conversation{ID: "cnv_2", Bot: "echo", Created: epoch}
	must(t, s.AddConversation(ctx, bare, true))
	welcome = bot.Turn{Conversation: "cnv_2", Bot: "echo", Kind: bot.Welcome, MessageID: "welcome", At: epoch, Attempt: 1}
	wantEqual(t, "turns of a bare conversation", finishAll(t, s, "echo"), []bot.Turn{welcome})
}

func testLease(t *testing.T, open Opener) {
	s, ctx := open(t), t.Context()
	begin(t, s, "cnv_1", "cnv_2", "cnv_3")
	for i, id := range []chat.ID{"cnv_3", "cnv_1", "cnv_2"} {
		_, err := add(ctx, s, id, []chat.Draft{userDraft("a")}, epoch.Add(time.Duration(i)*time.Second))
		must(t, err)
	}
	wantTurns(t, "before their time", lease(t, s, "echo", epoch.Add(-1)))
	for _, limit := range []int{0, -1} {
		none, err := s.LeaseTurns(ctx, "echo", epoch.Add(time.Hour), epoch.Add(2*time.Hour), limit)
		must(t, err)
		wantTurns(t, fmt.Sprint("at most ", limit), none)
	}
	now := epoch.Add(10 * time.Second)
	first, err := s.LeaseTurns(ctx, "echo", now, now.Add(leaseTime), 2)
	must(t, err)
	wantTurns(t, "that wait longest", first, "cnv_3/1", "cnv_1/1")
	wantTurns(t, "that are left", lease(t, s, "echo", now.Add(time.Second)), "cnv_2/1")
	wantTurns(t, "while all are leased", lease(t, s, "echo", now.Add(leaseTime-1)))

	over := lease(t, s, "echo", now.Add(leaseTime))
	wantTurns(t, "whose lease is over", over, "cnv_1/1", "cnv_3/1")
	if over[0].Attempt != 2 || first[0].Attempt != 1 {
		t.Errorf("attempts are %d and %d, want 1 and 2", first[0].Attempt, over[0].Attempt)
	}
}

func testTurnOrder(t *testing.T, open Opener) {
	s := open(t)
	begin(t, s, "cnv_1", "cnv_2")
	say(t, s, "cnv_1", "a", "b")
	say(t, s, "cnv_1", "c")
	now := epoch
	for seq, want := range []string{"cnv_1/1", "cnv_1/2", "cnv_1/3", "cnv_1/5", "cnv_1/7"} {
		got := lease(t, s, "echo", now)
		wantTurns(t, "in order", got, want)
		say(t, s, "cnv_2", fmt.Sprint(seq))
		other := lease(t, s, "echo", now)
		wantTurns(t, "while the oldest is leased", other, fmt.Sprintf("cnv_2/%d", seq+1))
		now = now.Add(time.Second)
		finish(t, s, other[0], now)
		if seq > 0 {
			finish(t, s, got[0], now, botDraft(fmt.Sprint("to", seq)))
			say(t, s, "cnv_1", fmt.Sprint("and", seq))
		} else {
			finish(t, s, got[0], now)
		}
	}
}

func testTurnsOfBots(t *testing.T, open Opener) {
	s, ctx := open(t), t.Context()
	other := sampleConversation("cnv_2")
	other.Bot = "menu"
	begin(t, s, "cnv_1")
	must(t, s.AddConversation(ctx, other, true))
	say(t, s, "cnv_1", "a")
	say(t, s, "cnv_2", "a")
	wantTurns(t, "of no bot", lease(t, s, "", epoch))
	wantTurns(t, "of an unknown bot", lease(t, s, "ech", epoch))
	wantTurns(t, "of echo", lease(t, s, "echo", epoch), "cnv_1/1")
	welcome := lease(t, s, "menu", epoch)
	wantTurns(t, "of menu", welcome, "cnv_2/0")
	finish(t, s, welcome[0], epoch)
	wantTurns(t, "of echo", lease(t, s, "echo", epoch))
	wantTurns(t, "of menu", lease(t, s, "menu", epoch), "cnv_2/1")
}

func testRetry(t *testing.T, open Opener) {
	s, ctx := open(t), t.Context()
	begin(t, s, "cnv_1", "cnv_2")
	say(t, s, "cnv_1", "a", "b")
	turn := lease(t, s, "echo", epoch)[0]
	must(t, s.RetryTurn(ctx, turn, epoch.Add(time.Second)))
	wantTurns(t, "before the retry is due", lease(t, s, "echo", epoch.Add(time.Second-time.Millisecond)))
	turn = lease(t, s, "echo", epoch.Add(time.Second))[0]
	if turn.Seq != 1 || turn.Attempt != 2 {
		t.Errorf("turn %d in attempt %d, want 1 in 2", turn.Seq, turn.Attempt)
	}
	ok, err := s.ExtendTurn(ctx, turn, epoch.Add(time.Hour))
	must(t, err)
	if !ok {
		t.Error("the lease was not extended")
	}
	wantTurns(t, "while the lease lasts", lease(t, s, "echo", epoch.Add(time.Hour-1)))
	must(t, s.RetryTurn(ctx, turn, epoch.Add(2*time.Second)))
	wantTurns(t, "given back early", lease(t, s, "echo", epoch.Add(2*time.Second)), "cnv_1/1")
}

// testLostLease lets a lease end, and its holder go on.
func testLostLease(t *testing.T, open Opener) {
	s, ctx := open(t), t.Context()
	begin(t, s, "cnv_1")
	say(t, s, "cnv_1", "a", "b")
	old := lease(t, s, "echo", epoch)[0]
	now := epoch.Add(leaseTime)
	current := lease(t, s, "echo", now)[0]
	check := func(when string, turn bot.Turn) {
		t.Helper()
		ok, err := s.ExtendTurn(ctx, turn, epoch)
		must(t, err)
		if ok {
			t.Errorf("%s: the lease was extended", when)
		}
		must(t, s.RetryTurn(ctx, turn, epoch))
	}
	check("leased by another", old)
	behind := bot.Turn{Conversation: "cnv_1", Seq: 2}
	check("behind another", behind)
	behind.Attempt = 1
	check("never leased", behind)
	check("of no message", bot.Turn{Conversation: "cnv_1", Seq: 9, Attempt: 1})
	check("of no conversation", bot.Turn{Conversation: "cnv_2", Seq: 1, Attempt: 1})
	wantTurns(t, "while the lease lasts", lease(t, s, "echo", now))
	finish(t, s, current, now)
	check("ended", current)
	wantTurns(t, "then", lease(t, s, "echo", now), "cnv_1/2")
}

func testFinish(t *testing.T, open Opener) {
	s, ctx := open(t), t.Context()
	begin(t, s, "cnv_1", "cnv_2")
	say(t, s, "cnv_1", "a", "b")
	say(t, s, "cnv_2", "a")
	turns := lease(t, s, "echo", epoch)
	set, merged := json.RawMessage(`{"step":2}`), json.RawMessage(`{"n":1.0,"page":"<home>","step":2}`)
	got, ended, err := s.FinishTurn(ctx, turns[0], []chat.Draft{botDraft("x"), botDraft("y")}, set, epoch.Add(time.Second))
	must(t, err)
	want := []chat.Message{
		{Seq: 3, ID: "x", From: chat.FromBot, Body: botDraft("x").Body, At: epoch.Add(time.Second)},
		{Seq: 4, ID: "y", From: chat.FromBot, Body: botDraft("y").Body, At: epoch.Add(time.Second)},
	}
	if !ended {
		t.Error("the turn had ended before")
	}
	wantEqual(t, "replies", got, want)
	wantEqual(t, "history", messageIDs(history(t, s, "cnv_1")), []string{"a", "b", "x", "y"})
	next := lease(t, s, "echo", epoch.Add(time.Second))
	wantTurns(t, "then", next, "cnv_1/2")
	wantEqual(t, "context of the next turn", next[0].Context, merged)
	if got := finish(t, s, next[0], epoch.Add(time.Second)); len(got) != 0 {
		t.Errorf("no reply became %v", got)
	}
	c, err := s.FindConversation(ctx, "cnv_1")
	must(t, err)
	wantEqual(t, "context that the last answer left", c.Context, merged)
	other, err := s.FindConversation(ctx, "cnv_2")
	must(t, err)
	wantEqual(t, "the other's context", other.Context, sampleConversation("").Context)
	wantEqual(t, "the other's history", messageIDs(history(t, s, "cnv_2")), []string{"a"})
}

// testFinishOnce answers one turn from many sides, as holders of lost leases do.
func testFinishOnce(t *testing.T, open Opener) {
	s, ctx := open(t), t.Context()
	begin(t, s, "cnv_1")
	say(t, s, "cnv_1", "a", "b")
	turn := lease(t, s, "echo", epoch)[0]
	var won atomic.Int32
	var wg sync.WaitGroup
	for i := range 32 {
		wg.Go(func() {
			got, ended, err := s.FinishTurn(ctx, turn, []chat.Draft{botDraft(fmt.Sprint("r", i))}, fmt.Appendf(nil, `{"by":"r%d"}`, i), epoch)
			if err != nil {
				t.Error(err)
			}
			if ended != (len(got) == 1) {
				t.Errorf("ended %t with %d messages", ended, len(got))
			}
			if ended {
				won.Add(1)
			}
		})
	}
	wg.Wait()
	all := history(t, s, "cnv_1")
	if won.Load() != 1 || len(all) != 3 {
		t.Fatalf("%d answers counted, %d messages are there", won.Load(), len(all))
	}
	c, err := s.FindConversation(ctx, "cnv_1")
	must(t, err)
	wantEqual(t, "context", string(c.Context), fmt.Sprintf(`{"by":%q,"n":1.0,"page":"<home>"}`, all[2].ID))
	wantTurns(t, "then", lease(t, s, "echo", epoch), "cnv_1/2")
}

func testLeaseRace(t *testing.T, open Opener) {
	const conversations = 50
	one, two, ctx := open(t), open(t), t.Context()
	for i := range conversations {
		id := chat.ID(fmt.Sprint("cnv_", i))
		begin(t, one, id)
		say(t, one, id, "a", "b")
	}
	var mu sync.Mutex
	leased := map[string]int{}
	var wg sync.WaitGroup
	for i := range 40 {
		wg.Go(func() {
			turns, err := []Store{one, two}[i%2].LeaseTurns(ctx, "echo", epoch, epoch.Add(leaseTime), 3)
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			for _, name := range names(turns) {
				leased[name]++
			}
		})
	}
	wg.Wait()
	if len(leased) != conversations {
		t.Errorf("%d turns were leased, want the first of each of %d conversations", len(leased), conversations)
	}
	for name, n := range leased {
		if n != 1 {
			t.Errorf("%s was leased %d times", name, n)
		}
	}
}

// testWorkers answers while users write, in two processes: in the end each message has one
// answer, and answers stand in the order of their questions.
func testWorkers(t *testing.T, open Opener) {
	const conversations, each = 8, 20
	both, ctx := []Store{open(t), open(t)}, t.Context()
	var writing, working sync.WaitGroup
	for i := range conversations {
		id := chat.ID(fmt.Sprint("cnv_", i))
		begin(t, both[0], id)
		writing.Go(func() {
			for n := range each {
				if _, err := add(ctx, both[n/5%2], id, []chat.Draft{userDraft(fmt.Sprint("q", n))}, epoch); err != nil {
					t.Error(err)
				}
			}
		})
	}
	var answered atomic.Int64
	for i := range 4 {
		s := both[i%2]
		working.Go(func() {
			for answered.Load() < conversations*each && !t.Failed() {
				turns, err := s.LeaseTurns(ctx, "echo", epoch, epoch.Add(leaseTime), 2)
				if err != nil {
					t.Error(err)
				}
				for _, turn := range turns {
					_, ended, err := s.FinishTurn(ctx, turn, []chat.Draft{botDraft("to-" + turn.MessageID)}, nil, epoch)
					if err != nil || !ended {
						t.Errorf("finish %s/%d: %t, %v", turn.Conversation, turn.Seq, ended, err)
					}
					answered.Add(1)
				}
			}
		})
	}
	writing.Wait()
	working.Wait()
	for i := range conversations {
		if err := inOrder(history(t, both[0], chat.ID(fmt.Sprint("cnv_", i))), each); err != nil {
			t.Errorf("conversation %d: %v", i, err)
		}
	}
}
