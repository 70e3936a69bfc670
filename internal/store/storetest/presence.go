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

// After so long without a connection the tests tell that a user is offline, and that the
// session has ended.
const (
	grace   = 30 * time.Second
	timeout = 30 * time.Minute
)

func lapse(t *testing.T, s Store, hook bot.Kind, now time.Time) int {
	t.Helper()
	away := grace
	if hook == bot.Ended {
		away = timeout
	}
	n, err := s.Lapse(t.Context(), "echo", hook, away, now, 1000)
	must(t, err)
	return n
}

func wantLapses(t *testing.T, s Store, when string, hook bot.Kind, now time.Time, want int) {
	t.Helper()
	if got := lapse(t, s, hook, now); got != want {
		t.Errorf("%s: %d turns of %s, want %d", when, got, hook, want)
	}
}

func testAbsence(t *testing.T, open Opener) {
	s, ctx := open(t), t.Context()
	begin(t, s, "cnv_1", "cnv_2")
	must(t, s.Saw(ctx, nil, epoch))
	must(t, s.Saw(ctx, []chat.ID{"cnv_1", "cnv_9"}, epoch))
	wantLapses(t, s, "just before", bot.Offline, epoch.Add(grace-1), 0)
	must(t, s.Saw(ctx, []chat.ID{"cnv_1"}, epoch.Add(time.Second)))
	wantLapses(t, s, "after a reconnect", bot.Offline, epoch.Add(grace), 0)
	wantLapses(t, s, "in time", bot.Offline, epoch.Add(time.Second+grace), 1)
	wantLapses(t, s, "once more", bot.Offline, epoch.Add(time.Hour), 0)

	at := epoch.Add(time.Second + grace)
	c := sampleConversation("cnv_1")
	want := bot.Turn{
		Conversation: "cnv_1", Bot: "echo", Kind: bot.Offline, MessageID: bot.HookID(bot.Offline, at),
		At: at, User: c.User, Context: c.Context, Attempt: 1,
	}
	got := lease(t, s, "echo", at)
	wantEqual(t, "turns", got, []bot.Turn{want})
	finish(t, s, got[0], at, botDraft("come-back"))

	wantLapses(t, s, "before the session is over", bot.Ended, epoch.Add(time.Second+timeout-1), 0)
	late := epoch.Add(2 * timeout)
	wantLapses(t, s, "when it is over", bot.Ended, late, 1)
	wantLapses(t, s, "when it was over", bot.Ended, late, 0)
	wantLapses(t, s, "when it was over", bot.Offline, late, 0)
	want.Kind, want.Seq, want.At = bot.Ended, 1, epoch.Add(time.Second+timeout)
	want.MessageID = bot.HookID(bot.Ended, want.At)
	got = lease(t, s, "echo", late)
	wantEqual(t, "turns", got, []bot.Turn{want})
	finish(t, s, got[0], late)

	must(t, s.Saw(ctx, []chat.ID{"cnv_1"}, late))
	wantLapses(t, s, "of the next session, which nobody left before", bot.Ended, late.Add(timeout), 1)
}

// testAbsenceInOrder has hooks among messages, and all of them behind an older turn.
func testAbsenceInOrder(t *testing.T, open Opener) {
	one, two, ctx := open(t), open(t), t.Context()
	must(t, one.AddConversation(ctx, sampleConversation("cnv_1"), true))
	say(t, two, "cnv_1", "a")
	must(t, one.Saw(ctx, []chat.ID{"cnv_1"}, epoch))
	wantLapses(t, one, "in time", bot.Offline, epoch.Add(grace), 1)
	must(t, two.Saw(ctx, []chat.ID{"cnv_1"}, epoch.Add(time.Minute)))
	wantLapses(t, two, "away again", bot.Offline, epoch.Add(time.Minute+grace), 1)
	say(t, one, "cnv_1", "b")
	wantLapses(t, two, "for long", bot.Ended, epoch.Add(time.Hour), 1)
	say(t, two, "cnv_1", "c")

	now := epoch.Add(2 * time.Hour)
	var kinds []string
	for i := range 10 {
		s := []Store{one, two}[i%2]
		turns := lease(t, s, "echo", now)
		if len(turns) == 0 {
			break
		}
		kinds = append(kinds, fmt.Sprintf("%s %d", turns[0].Kind, turns[0].Seq))
		held, err := two.ExtendTurn(ctx, turns[0], now.Add(time.Minute))
		must(t, err)
		wantTurns(t, "while the oldest is leased", lease(t, s, "echo", now.Add(leaseTime)))
		must(t, one.RetryTurn(ctx, turns[0], now))
		again := lease(t, two, "echo", now)
		wantTurns(t, "given back", again, names(turns)...)
		if !held || again[0].Kind != turns[0].Kind || again[0].MessageID != turns[0].MessageID || again[0].Attempt != 2 {
			t.Errorf("extended: %t; %+v came again as %+v", held, turns[0], again[0])
		}
		finish(t, s, again[0], now)
		if _, ended, err := one.FinishTurn(ctx, turns[0], nil, nil, now); err != nil || ended {
			t.Errorf("%s ended twice: %v", turns[0].MessageID, err)
		}
	}
	wantEqual(t, "order", kinds, []string{"welcome 0", "message 1", "offline 1", "offline 1", "message 2", "ended 2", "message 3"})
}

func testAbsenceOfMany(t *testing.T, open Opener) {
	s, ctx := open(t), t.Context()
	var ids []chat.ID
	for i := range 25 {
		ids = append(ids, chat.ID(fmt.Sprintf("cnv_%02d", i)))
	}
	begin(t, s, ids...)
	other := sampleConversation("cnv_menu")
	other.Bot = "menu"
	must(t, s.AddConversation(ctx, other, false))
	must(t, s.Saw(ctx, append(slices.Clone(ids), other.ID), epoch))
	for _, want := range []int{10, 10, 5, 0} {
		n, err := s.Lapse(ctx, "echo", bot.Ended, timeout, epoch.Add(time.Hour), 10)
		must(t, err)
		if n != want {
			t.Errorf("%d turns, want %d", n, want)
		}
	}
	if got := finishAll(t, s, "echo"); len(got) != len(ids) {
		t.Errorf("%d turns of echo's, want %d", len(got), len(ids))
	}
	if got := finishAll(t, s, "menu"); len(got) != 0 {
		t.Errorf("menu has the turns %v, and was not asked for", names(got))
	}
}

func testAbsenceRace(t *testing.T, open Opener) {
	const conversations = 40
	one, two, ctx := open(t), open(t), t.Context()
	var ids []chat.ID
	for i := range conversations {
		ids = append(ids, chat.ID(fmt.Sprint("cnv_", i)))
	}
	begin(t, one, ids...)
	must(t, one.Saw(ctx, ids, epoch))
	var told atomic.Int64
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			s := []Store{one, two}[i%2]
			if i%4 == 3 { // what it knows makes nothing new
				if err := s.Saw(ctx, ids, epoch); err != nil {
					t.Error(err)
				}
			}
			n, err := s.Lapse(ctx, "echo", bot.Offline, grace, epoch.Add(time.Minute), 3)
			if err != nil {
				t.Error(err)
			}
			told.Add(int64(n))
		})
	}
	wg.Wait()
	told.Add(int64(lapse(t, one, bot.Offline, epoch.Add(time.Minute)))) // the rest
	if got := finishAll(t, two, "echo"); len(got) != conversations || told.Load() != conversations {
		t.Errorf("%d turns, %d told of, want %d", len(got), told.Load(), conversations)
	}
}

// testDropHook gives a hook and a message up that stand at the same number.
func testDropHook(t *testing.T, open Opener) {
	s, ctx := open(t), t.Context()
	begin(t, s, "cnv_1")
	say(t, s, "cnv_1", "a")
	must(t, s.Saw(ctx, []chat.ID{"cnv_1"}, epoch))
	wantLapses(t, s, "in time", bot.Offline, epoch.Add(grace), 1)
	now := epoch.Add(time.Hour)
	var turns []bot.Turn
	for range 2 {
		turn := lease(t, s, "echo", now)[0]
		drop(t, s, turn, "out", now)
		turns = append(turns, turn)
	}
	var kept []bot.Turn
	for _, d := range dead(t, s) {
		kept = append(kept, d.Turn)
	}
	wantEqual(t, "dead turns", kept, turns)
	must(t, s.RetryDead(ctx, dead(t, s)[1].ID, now))
	back := lease(t, s, "echo", now)
	turns[1].Again = now
	wantEqual(t, "put back", back, turns[1:])
	finish(t, s, back[0], now)
}

func testWaitingTurns(t *testing.T, open Opener) {
	s, ctx := open(t), t.Context()
	want := func(want map[bot.ID]int64) {
		t.Helper()
		got, err := s.WaitingTurns(ctx)
		must(t, err)
		wantEqual(t, "turns that wait", got, want)
	}
	want(map[bot.ID]int64{})
	menu := sampleConversation("cnv_2")
	menu.Bot = "menu"
	must(t, s.AddConversation(ctx, menu, true))
	begin(t, s, "cnv_1")
	say(t, s, "cnv_1", "a", "b")
	turn := lease(t, s, "echo", epoch)[0]
	want(map[bot.ID]int64{"echo": 2, "menu": 1})
	finish(t, s, turn, epoch)
	finishAll(t, s, "menu")
	want(map[bot.ID]int64{"echo": 1})
}

func testFindMessage(t *testing.T, open Opener) {
	s, ctx := open(t), t.Context()
	begin(t, s, "cnv_1", "cnv_2")
	said := say(t, s, "cnv_1", "a", "b")
	say(t, s, "cnv_2", "c")
	got, err := s.FindMessage(ctx, "cnv_1", "b")
	must(t, err)
	wantEqual(t, "message", got, said[1])
	wantEqual(t, "body", got.Body, json.RawMessage(`{"text":"b"}`))
	for _, unknown := range []struct {
		in chat.ID
		id string
	}{{"cnv_1", "c"}, {"cnv_2", "b"}, {"cnv_3", "a"}} {
		_, err := s.FindMessage(ctx, unknown.in, unknown.id)
		wantKind(t, err, fault.NotFound)
	}
}
