package storetest

import (
	"maps"
	"sync"
	"testing"

	"github.com/carnetproject/carnet/internal/bot"
	"github.com/carnetproject/carnet/internal/chat"
	"github.com/carnetproject/carnet/internal/fault"
)

func testMove(t *testing.T, open Opener) {
	s, ctx := open(t), t.Context()
	visitor := sampleConversation("").User
	ann := chat.User{Issuer: visitor.Issuer, Subject: "ann"}
	theirs := sampleConversation("cnv_theirs")
	theirs.User = ann
	must(t, s.AddConversation(ctx, theirs, false))
	begin(t, s, "cnv_1", "cnv_2")
	other := sampleConversation("cnv_other")
	other.User = chat.User{Issuer: visitor.Issuer + "/", Subject: visitor.Subject}
	must(t, s.AddConversation(ctx, other, false))
	say(t, s, "cnv_1", "a")
	said := history(t, s, "cnv_1")

	moved, err := s.MoveConversations(ctx, visitor, ann)
	must(t, err)
	wantEqual(t, "moves", moved, map[chat.ID]int64{"cnv_1": 1, "cnv_2": 1})
	wantEqual(t, "messages", history(t, s, "cnv_1"), said)
	for id, want := range map[chat.ID]chat.User{"cnv_1": ann, "cnv_2": ann, "cnv_theirs": ann, "cnv_other": other.User} {
		c, err := s.FindConversation(ctx, id)
		must(t, err)
		if c.User != want || c.Moves != moved[id] {
			t.Errorf("%s is of %v and moved %d times, want %v and %d", id, c.User, c.Moves, want, moved[id])
		}
	}
	if _, err := s.CurrentConversation(ctx, visitor, "echo"); fault.KindOf(err) != fault.NotFound {
		t.Errorf("the visitor's conversation: error = %v, want not found", err)
	}
	current, err := s.CurrentConversation(ctx, ann, "echo")
	must(t, err)
	if current.ID != "cnv_2" {
		t.Errorf("the current conversation is %s, want the one that began last", current.ID)
	}
	if turns := lease(t, s, "echo", epoch); len(turns) != 1 || turns[0].User != ann {
		t.Errorf("turns %+v, want one of the new user's", turns)
	}
	say(t, s, "cnv_1", "b")

	again, err := s.MoveConversations(ctx, visitor, ann)
	must(t, err)
	wantEqual(t, "moves of nothing", again, map[chat.ID]int64{})
	back, err := s.MoveConversations(ctx, ann, visitor)
	must(t, err)
	wantEqual(t, "moves back", back, map[chat.ID]int64{"cnv_1": 2, "cnv_2": 2, "cnv_theirs": 1})
	stands, err := s.Stands(ctx, []chat.ID{"cnv_1", "cnv_other"})
	must(t, err)
	wantEqual(t, "stands", stands, map[chat.ID]chat.Stand{"cnv_1": {Last: 2, Moves: 2}, "cnv_other": {}})
}

// testMoveRace moves the same conversations from many sides: one of them does it.
func testMoveRace(t *testing.T, open Opener) {
	const sides = 8
	s, ctx := open(t), t.Context()
	begin(t, s, "cnv_1", "cnv_2", "cnv_3")
	var all [sides]map[chat.ID]int64
	var moving sync.WaitGroup
	for i := range sides {
		moving.Go(func() {
			var err error
			all[i], err = s.MoveConversations(ctx, sampleConversation("").User, bot.User{Subject: "ann"})
			if err != nil {
				t.Errorf("move %d: %v", i, err)
			}
		})
	}
	moving.Wait()
	got := map[chat.ID]int64{}
	for _, moved := range all {
		if len(moved) != 0 && len(moved) != 3 {
			t.Errorf("one side moved %v, want all or nothing", moved)
		}
		maps.Copy(got, moved)
	}
	wantEqual(t, "moves", got, map[chat.ID]int64{"cnv_1": 1, "cnv_2": 1, "cnv_3": 1})
}
