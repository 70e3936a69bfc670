package storetest

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/carnetproject/carnet/internal/chat"
)

// sayAt appends a bot's messages at a time.
func sayAt(t *testing.T, s Store, to chat.ID, at time.Time, ids ...string) {
	t.Helper()
	var drafts []chat.Draft
	for _, id := range ids {
		drafts = append(drafts, botDraft(id))
	}
	_, err := add(t.Context(), s, to, drafts, at)
	must(t, err)
}

func testDeleteMessages(t *testing.T, open Opener) {
	const many = 450
	s, ctx := open(t), t.Context()
	begin(t, s, "cnv_some", "cnv_all", "cnv_young", "cnv_none", "cnv_many")
	old, cut := epoch.Add(-time.Hour), epoch.Add(-time.Minute)
	sayAt(t, s, "cnv_some", old, "a", "b", "c")
	sayAt(t, s, "cnv_some", cut, "d")
	sayAt(t, s, "cnv_some", epoch, "e")
	sayAt(t, s, "cnv_all", cut.Add(-time.Millisecond), "a", "b")
	sayAt(t, s, "cnv_young", epoch, "a")
	var ids []string
	for i := range many {
		ids = append(ids, fmt.Sprint("m", i))
	}
	sayAt(t, s, "cnv_many", old, ids...)
	sayAt(t, s, "cnv_many", epoch, "last")
	must(t, s.SetRead(ctx, "cnv_all", 1))
	for range 2 {
		must(t, s.DeleteMessages(ctx, cut))
		for id, want := range map[chat.ID][]string{
			"cnv_some": {"d", "e"}, "cnv_all": nil, "cnv_young": {"a"}, "cnv_none": nil, "cnv_many": {"last"},
		} {
			wantEqual(t, "history of "+string(id), messageIDs(history(t, s, id)), want)
		}
	}
	page, err := s.MessagesBefore(ctx, "cnv_some", 0, 10)
	must(t, err)
	if len(page) != 2 || page[0].Seq != 4 {
		t.Errorf("the last page is %v, want messages 4 and 5", page)
	}
	stands, err := s.Stands(ctx, []chat.ID{"cnv_all", "cnv_some", "cnv_many"})
	must(t, err)
	wantEqual(t, "stands", stands, map[chat.ID]chat.Stand{"cnv_all": {Last: 2}, "cnv_some": {Last: 5}, "cnv_many": {Last: many + 1}})
	must(t, s.SetRead(ctx, "cnv_all", 9))
	c, err := s.FindConversation(ctx, "cnv_all")
	must(t, err)
	if c.LastSeq != 2 || c.ReadSeq != 2 {
		t.Errorf("the newest message is %d and the mark at %d, want 2 and 2", c.LastSeq, c.ReadSeq)
	}
	must(t, s.Close())

	s = open(t)
	for id, want := range map[chat.ID]int64{"cnv_all": 3, "cnv_some": 6, "cnv_none": 1} {
		if got := say(t, s, id, "next"); got[0].Seq != want {
			t.Errorf("the next message of %s is %d, want %d", id, got[0].Seq, want)
		}
	}
}

// testDeleteWhileAppending deletes over and over while messages are added, some of which
// are old at once. The young ones are all there in the end, under their numbers.
func testDeleteWhileAppending(t *testing.T, open Opener) {
	const writers, each = 8, 20
	s, ctx := open(t), t.Context()
	begin(t, s, "cnv_0", "cnv_1")
	var writing, deleting sync.WaitGroup
	ended := make(chan struct{})
	deleting.Go(func() {
		for {
			if err := s.DeleteMessages(ctx, epoch); err != nil {
				t.Errorf("delete: %v", err)
			}
			select {
			case <-ended:
				return
			default:
			}
		}
	})
	var mu sync.Mutex
	young := map[chat.ID]map[string]int64{"cnv_0": {}, "cnv_1": {}}
	for w := range writers {
		id := chat.ID(fmt.Sprint("cnv_", w%2))
		writing.Go(func() {
			for n := range each {
				at, name := epoch.Add(-time.Hour), fmt.Sprint(w, "-", n)
				if n >= each/2 {
					at = epoch
				}
				got, err := add(ctx, s, id, []chat.Draft{botDraft(name)}, at)
				if err != nil {
					t.Error(err)
					return
				}
				if at.Equal(epoch) {
					mu.Lock()
					young[id][name] = got[0].Seq
					mu.Unlock()
				}
			}
		})
	}
	writing.Wait()
	close(ended)
	deleting.Wait()
	for id, want := range young {
		got := map[string]int64{}
		for _, m := range history(t, s, id) {
			if m.At.Equal(epoch) {
				got[m.ID] = m.Seq
			}
		}
		wantEqual(t, "young messages of "+string(id), got, want)
		if next := say(t, s, id, "next"); next[0].Seq != writers/2*each+1 {
			t.Errorf("the next message of %s is %d, want %d", id, next[0].Seq, writers/2*each+1)
		}
	}
}

// testDeleteTurns deletes messages whose bot has not answered, and has given up.
func testDeleteTurns(t *testing.T, open Opener) {
	s, ctx := open(t), t.Context()
	old := epoch.Add(-time.Hour)
	asked := func(to chat.ID, at time.Time, ids ...string) {
		t.Helper()
		var drafts []chat.Draft
		for _, id := range ids {
			drafts = append(drafts, userDraft(id))
		}
		_, err := add(ctx, s, to, drafts, at)
		must(t, err)
	}
	must(t, s.AddConversation(ctx, sampleConversation("cnv_1"), true))
	begin(t, s, "cnv_2", "cnv_3")
	asked("cnv_1", old, "a", "b")
	asked("cnv_1", epoch, "c")
	asked("cnv_2", old, "a", "b")
	asked("cnv_3", old, "a")
	asked("cnv_3", epoch, "b")
	leased := lease(t, s, "echo", epoch)
	drop(t, s, leased[slices.Index(names(leased), "cnv_3/1")], "503", old)
	late := leased[slices.Index(names(leased), "cnv_2/1")]
	must(t, s.DeleteMessages(ctx, epoch))

	waiting, err := s.WaitingTurns(ctx)
	must(t, err)
	if waiting["echo"] != 3 {
		t.Errorf("%d turns wait, want the welcome and those of the young messages", waiting["echo"])
	}
	wantEqual(t, "dead turns", deadNames(dead(t, s)), nil)
	if _, ended, err := s.FinishTurn(ctx, late, []chat.Draft{botDraft("x")}, nil, epoch); err != nil || ended {
		t.Errorf("the end of a turn whose message is gone: %t, %v", ended, err)
	}
	all := names(finishAll(t, s, "echo"))
	slices.Sort(all)
	wantEqual(t, "turns", all, []string{"cnv_1/0", "cnv_1/3", "cnv_3/2"})
	if turn := ask(t, s, "cnv_2", userDraft("new")); turn == nil || turn.Seq != 3 {
		t.Errorf("leased %+v, want turn 3 at once", turn)
	}
}
