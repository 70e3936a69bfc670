package storetest

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/carnetproject/carnet/internal/bot"
	"github.com/carnetproject/carnet/internal/chat"
	"github.com/carnetproject/carnet/internal/fault"
)

// drop gives a turn up.
func drop(t *testing.T, s Store, turn bot.Turn, reason string, at time.Time, drafts ...chat.Draft) []chat.Message {
	t.Helper()
	messages, ended, err := s.DropTurn(t.Context(), turn, reason, drafts, at)
	must(t, err)
	if !ended {
		t.Errorf("turn %s/%d had ended before", turn.Conversation, turn.Seq)
	}
	return messages
}

// dead is all that were given up.
func dead(t *testing.T, s Store) []bot.Dead {
	t.Helper()
	all, err := s.DeadTurns(t.Context(), "", 0, 1<<20)
	must(t, err)
	return all
}

func deadNames(all []bot.Dead) []string {
	var turns []bot.Turn
	for _, d := range all {
		turns = append(turns, d.Turn)
	}
	return names(turns)
}

func testDropTurn(t *testing.T, open Opener) {
	s, ctx := open(t), t.Context()
	c := sampleConversation("cnv_1")
	must(t, s.AddConversation(ctx, c, true))
	say(t, s, "cnv_1", "u", "v")
	welcome := lease(t, s, "echo", epoch)[0]
	if got := drop(t, s, welcome, "no – answer", epoch.Add(time.Second)); len(got) != 0 {
		t.Errorf("messages %v, want none", got)
	}
	turn := lease(t, s, "echo", epoch.Add(time.Minute))[0]
	sorry := drop(t, s, turn, "503", epoch.Add(2*time.Minute), botDraft("sorry"))
	if ids := messageIDs(sorry); !slices.Equal(ids, []string{"sorry"}) {
		t.Errorf("messages %v", ids)
	}
	wantTurns(t, "that come next", lease(t, s, "echo", epoch.Add(3*time.Minute)), "cnv_1/2")

	all := dead(t, s)
	wantEqual(t, "dead turns", all, []bot.Dead{
		{ID: all[0].ID, Turn: welcome, Reason: "no – answer", Since: epoch.Add(time.Second)},
		{ID: all[1].ID, Turn: turn, Reason: "503", Since: epoch.Add(2 * time.Minute)},
	})
	one, err := s.DeadTurn(ctx, all[1].ID)
	must(t, err)
	wantEqual(t, "dead turn", one, all[1])

	for what, page := range map[string]struct {
		of    bot.ID
		after int64
		limit int
		want  []string
	}{
		"of the bot":  {"echo", 0, 10, []string{"cnv_1/0", "cnv_1/1"}},
		"of another":  {"menu", 0, 10, nil},
		"first page":  {"", 0, 1, []string{"cnv_1/0"}},
		"second page": {"", all[0].ID, 1, []string{"cnv_1/1"}},
		"no more":     {"", all[1].ID, 1, nil},
		"none":        {"", 0, 0, nil},
	} {
		got, err := s.DeadTurns(ctx, page.of, page.after, page.limit)
		must(t, err)
		if n := deadNames(got); !slices.Equal(n, page.want) {
			t.Errorf("%s: %v, want %v", what, n, page.want)
		}
	}
}

func testRetryDead(t *testing.T, open Opener) {
	s, ctx := open(t), t.Context()
	begin(t, s, "cnv_1")
	say(t, s, "cnv_1", "u")
	first := lease(t, s, "echo", epoch)[0]
	must(t, s.RetryTurn(ctx, first, epoch.Add(time.Second)))
	second := lease(t, s, "echo", epoch.Add(time.Second))[0]
	drop(t, s, second, "503", epoch.Add(time.Minute), botDraft("sorry"))
	id := dead(t, s)[0].ID
	again := epoch.Add(time.Hour)
	must(t, s.RetryDead(ctx, id, again))
	wantEqual(t, "dead turns", dead(t, s), nil)
	wantTurns(t, "before the time", lease(t, s, "echo", again.Add(-time.Second)))
	got := lease(t, s, "echo", again)
	want := first
	want.Again = again
	wantEqual(t, "the turn put back", got, []bot.Turn{want})
	if m := finish(t, s, got[0], again, botDraft("late")); m[0].Seq != 3 {
		t.Errorf("the answer is message %d, want 3", m[0].Seq)
	}
	for what, err := range map[string]error{
		"retry": s.RetryDead(ctx, id, again), "drop": s.DropDead(ctx, id), "find": errorOf(s.DeadTurn(ctx, id)),
	} {
		if fault.KindOf(err) != fault.NotFound {
			t.Errorf("%s of what is not there: error = %v, want %v", what, err, fault.NotFound)
		}
	}
}

func errorOf[T any](_ T, err error) error { return err }

// testRetryDeadInOrder puts an old turn back while a newer one is leased, and another
// waits behind that.
func testRetryDeadInOrder(t *testing.T, open Opener) {
	s, ctx := open(t), t.Context()
	begin(t, s, "cnv_1")
	say(t, s, "cnv_1", "a", "b", "c", "d")
	drop(t, s, lease(t, s, "echo", epoch)[0], "503", epoch)
	held := lease(t, s, "echo", epoch)
	wantTurns(t, "that are leased", held, "cnv_1/2")
	must(t, s.RetryDead(ctx, dead(t, s)[0].ID, epoch))
	wantTurns(t, "while another is leased", lease(t, s, "echo", epoch.Add(time.Second)))
	if ok, err := s.ExtendTurn(ctx, held[0], epoch.Add(time.Minute)); !ok || err != nil {
		t.Errorf("ExtendTurn() = %t, %v: the lease is lost", ok, err)
	}
	finish(t, s, held[0], epoch)
	wantTurns(t, "in order", finishAll(t, s, "echo"), "cnv_1/1", "cnv_1/3", "cnv_1/4")
}

func testDeadBounds(t *testing.T, open Opener) {
	s, ctx := open(t), t.Context()
	give := func(n int, at time.Time) {
		t.Helper()
		id := chat.ID(fmt.Sprint("cnv_", n))
		begin(t, s, id)
		say(t, s, id, "u")
		drop(t, s, lease(t, s, "echo", epoch)[0], "503", at)
	}
	give(1, epoch)
	give(2, epoch.Add(time.Hour))
	give(3, epoch.Add(bot.DeadFor))
	if got := deadNames(dead(t, s)); !slices.Equal(got, []string{"cnv_1/1", "cnv_2/1", "cnv_3/1"}) {
		t.Fatalf("dead turns %v, want those of the last %v", got, bot.DeadFor)
	}
	give(4, epoch.Add(bot.DeadFor+time.Minute))
	all := dead(t, s)
	if got := deadNames(all); !slices.Equal(got, []string{"cnv_2/1", "cnv_3/1", "cnv_4/1"}) {
		t.Fatalf("dead turns %v, want those of the last %v", got, bot.DeadFor)
	}
	must(t, s.DropDead(ctx, all[1].ID))
	if got := deadNames(dead(t, s)); !slices.Equal(got, []string{"cnv_2/1", "cnv_4/1"}) {
		t.Errorf("dead turns %v after one was dropped", got)
	}
}

// testDeadOnce gives a turn up that was put back, and one that had ended.
func testDeadOnce(t *testing.T, open Opener) {
	s, ctx := open(t), t.Context()
	begin(t, s, "cnv_1")
	say(t, s, "cnv_1", "u")
	turn := lease(t, s, "echo", epoch)[0]
	drop(t, s, turn, "first", epoch)
	if _, ended, err := s.DropTurn(ctx, turn, "again", []chat.Draft{botDraft("x")}, epoch); err != nil || ended {
		t.Errorf("DropTurn() of a turn that had ended: %t, %v", ended, err)
	}
	must(t, s.RetryDead(ctx, dead(t, s)[0].ID, epoch))
	drop(t, s, lease(t, s, "echo", epoch)[0], "second", epoch)
	all := dead(t, s)
	if len(all) != 1 || all[0].Reason != "second" {
		t.Errorf("dead turns %+v, want one", all)
	}
	if ids := messageIDs(history(t, s, "cnv_1")); !slices.Equal(ids, []string{"u"}) {
		t.Errorf("history %v", ids)
	}
}
