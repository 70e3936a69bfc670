package storetest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/carnetproject/carnet/internal/bot"
	"github.com/carnetproject/carnet/internal/chat"
	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/store/table"
)

// Chat is the part of a store that carries conversations.
type Chat interface {
	FindConversation(ctx context.Context, id chat.ID) (chat.Conversation, error)
	CurrentConversation(ctx context.Context, user chat.User, with bot.ID) (chat.Conversation, error)
	AddConversation(ctx context.Context, c chat.Conversation, welcome bool) error
	NextConversation(ctx context.Context, c chat.Conversation, after chat.ID) (chat.Conversation, error)
	Stands(ctx context.Context, ids []chat.ID) (map[chat.ID]chat.Stand, error)
	MoveConversations(ctx context.Context, from, to chat.User) (map[chat.ID]int64, error)
	MergeContext(ctx context.Context, id chat.ID, set json.RawMessage, by chat.Author) error
	SetRead(ctx context.Context, id chat.ID, seq int64) error
	SealContexts(b table.Box)

	AppendMessages(ctx context.Context, id chat.ID, drafts []chat.Draft, at, until time.Time) ([]chat.Message, *bot.Turn, error)
	FindMessage(ctx context.Context, in chat.ID, id string) (chat.Message, error)
	MessagesBefore(ctx context.Context, id chat.ID, before int64, limit int) ([]chat.Message, error)
	MessagesAfter(ctx context.Context, id chat.ID, after int64, limit int) ([]chat.Message, error)
	DeleteMessages(ctx context.Context, before time.Time) error

	Saw(ctx context.Context, ids []chat.ID, at time.Time) error
	Lapse(ctx context.Context, of bot.ID, hook bot.Kind, away time.Duration, now time.Time, limit int) (int, error)
	WaitingTurns(ctx context.Context) (map[bot.ID]int64, error)

	LeaseTurns(ctx context.Context, of bot.ID, now, until time.Time, limit int) ([]bot.Turn, error)
	ExtendTurn(ctx context.Context, t bot.Turn, until time.Time) (bool, error)
	RetryTurn(ctx context.Context, t bot.Turn, at time.Time) error
	FinishTurn(ctx context.Context, t bot.Turn, drafts []chat.Draft, set json.RawMessage, at time.Time) ([]chat.Message, bool, error)
	DropTurn(ctx context.Context, t bot.Turn, reason string, drafts []chat.Draft, at time.Time) ([]chat.Message, bool, error)
	DeadTurns(ctx context.Context, of bot.ID, after int64, limit int) ([]bot.Dead, error)
	DeadTurn(ctx context.Context, id int64) (bot.Dead, error)
	RetryDead(ctx context.Context, id int64, at time.Time) error
	DropDead(ctx context.Context, id int64) error
}

// chatTests are the part of the suite for [Chat].
func chatTests() map[string]func(*testing.T, Opener) {
	return map[string]func(*testing.T, Opener){
		"conversations keep all that they are":   testConversationRoundTrip,
		"a conversation is added once":           testConversationConflict,
		"the last conversation is the current":   testCurrentConversation,
		"of conversations begun at once one is":  testNextConversation,
		"contexts are merged by their authors":   testMergeContext,
		"of many authors none is lost":           testMergeRace,
		"contexts are sealed":                    testContextsSealed,
		"an answer sets what is the server's":    testFinishContext,
		"read marks go forward":                  testSetRead,
		"unknown conversations are not found":    testNoConversation,
		"messages keep all that they are":        testMessageRoundTrip,
		"an id is one message":                   testDedupe,
		"a message is found by its id":           testFindMessage,
		"history comes in pages":                 testPages,
		"where many stand comes at once":         testStands,
		"old messages go":                        testDeleteMessages,
		"old messages go while new ones come":    testDeleteWhileAppending,
		"turns of old messages end":              testDeleteTurns,
		"conversations move to another user":     testMove,
		"of many moves at once none is lost":     testMoveRace,
		"one conversation has one order":         testAppendRace,
		"of many sends of an id one is written":  testDedupeRace,
		"two stores continue one order":          testAppendTwoStores,
		"each message of a user has a turn":      testTurns,
		"a turn is leased once":                  testLease,
		"turns of a conversation are in order":   testTurnOrder,
		"a bot sees its own turns":               testTurnsOfBots,
		"a turn is retried when it is due":       testRetry,
		"a lost lease stays lost":                testLostLease,
		"a turn ends with its answer":            testFinish,
		"a turn ends once":                       testFinishOnce,
		"a turn that is given up is kept":        testDropTurn,
		"a dead turn can be put back":            testRetryDead,
		"a turn put back keeps the order":        testRetryDeadInOrder,
		"dead turns are bounded":                 testDeadBounds,
		"a dead turn is there once":              testDeadOnce,
		"of many leases of a turn one is given":  testLeaseRace,
		"every turn is answered once":            testWorkers,
		"turns that wait are counted":            testWaitingTurns,
		"turns add up":                           testTurnsAddUp,
		"absence is told":                        testAbsence,
		"absence is told in order":               testAbsenceInOrder,
		"absence of many is told in parts":       testAbsenceOfMany,
		"each absence is told once":              testAbsenceRace,
		"a hook that is given up is kept":        testDropHook,
		"an append leases its turn":              testLeasedAppend,
		"an append leases in order":              testLeasedInOrder,
		"an append leases only what it adds":     testLeasedNothing,
		"appends and leases mix":                 testLeaseRaces,
		"conversations are there on reopen":      testReopenChat,
		"a failed append undoes nothing else":    testAppendFailsAlone,
		"a cancelled append did not happen":      testCancelAppend,
		"a conversation does not move a version": testChatVersion,
	}
}

// sampleConversation has every member set that one begins with.
func sampleConversation(id chat.ID) chat.Conversation {
	return chat.Conversation{
		ID: id, Bot: "echo", User: chat.User{Issuer: "https://issuer.example", Subject: "u1 – 店"},
		Context: json.RawMessage(`{"n":1.0,"page":"<home>"}`), Owned: []string{"n"}, Created: epoch,
	}
}

// begin adds conversations without a welcome.
func begin(t *testing.T, s Store, ids ...chat.ID) {
	t.Helper()
	for _, id := range ids {
		must(t, s.AddConversation(t.Context(), sampleConversation(id), false))
	}
}

func userDraft(id string) chat.Draft {
	return chat.Draft{ID: id, From: chat.FromUser, Body: json.RawMessage(`{"text":"` + id + `"}`)}
}

func botDraft(id string) chat.Draft {
	d := userDraft(id)
	d.From = chat.FromBot
	return d
}

// add appends drafts and leases no turn.
func add(ctx context.Context, s Store, to chat.ID, drafts []chat.Draft, at time.Time) ([]chat.Message, error) {
	messages, turn, err := s.AppendMessages(ctx, to, drafts, at, time.Time{})
	if turn != nil {
		err = errors.Join(err, fmt.Errorf("turn %s/%d is leased, which was not asked for", turn.Conversation, turn.Seq))
	}
	return messages, err
}

// say appends a message of the user for each id.
func say(t *testing.T, s Store, to chat.ID, ids ...string) []chat.Message {
	t.Helper()
	var drafts []chat.Draft
	for _, id := range ids {
		drafts = append(drafts, userDraft(id))
	}
	messages, err := add(t.Context(), s, to, drafts, epoch)
	must(t, err)
	return messages
}

// history is all messages of a conversation.
func history(t *testing.T, s Store, id chat.ID) []chat.Message {
	t.Helper()
	all, err := s.MessagesAfter(t.Context(), id, 0, 1<<20)
	must(t, err)
	return all
}

func messageIDs(messages []chat.Message) (ids []string) {
	for i, m := range messages {
		if i > 0 && m.Seq != messages[i-1].Seq+1 {
			ids = append(ids, fmt.Sprintf("gap before %d", m.Seq))
		}
		ids = append(ids, m.ID)
	}
	return ids
}

func testConversationRoundTrip(t *testing.T, open Opener) {
	s, ctx := open(t), t.Context()
	full := sampleConversation("cnv_full")
	bare := chat.Conversation{ID: "cnv_bare", Bot: "menu", Created: epoch.Add(time.Second)}
	must(t, s.AddConversation(ctx, full, false))
	must(t, s.AddConversation(ctx, bare, true))
	for _, want := range []chat.Conversation{full, bare} {
		got, err := s.FindConversation(ctx, want.ID)
		must(t, err)
		wantEqual(t, "conversation", got, want)
	}
	pretender := sampleConversation("cnv_new")
	pretender.LastSeq, pretender.ReadSeq = 7, 5
	must(t, s.AddConversation(ctx, pretender, false))
	got, err := s.FindConversation(ctx, "cnv_new")
	must(t, err)
	wantEqual(t, "conversation that claims to have messages", got, sampleConversation("cnv_new"))
}

func testConversationConflict(t *testing.T, open Opener) {
	s, ctx := open(t), t.Context()
	begin(t, s, "cnv_1")
	usurper := sampleConversation("cnv_1")
	usurper.User.Subject = "eve"
	wantKind(t, s.AddConversation(ctx, usurper, true), fault.Conflict)
	got, err := s.FindConversation(ctx, "cnv_1")
	must(t, err)
	wantEqual(t, "conversation", got, sampleConversation("cnv_1"))
	wantEqual(t, "turns", lease(t, s, "echo", epoch), nil)
}

func testCurrentConversation(t *testing.T, open Opener) {
	s, ctx := open(t), t.Context()
	me := sampleConversation("").User
	_, err := s.CurrentConversation(ctx, me, "echo")
	wantKind(t, err, fault.NotFound)
	begin(t, s, "cnv_z", "cnv_a")
	last := sampleConversation("cnv_m")
	last.Created = epoch.Add(-time.Hour) // by a clock that is behind
	must(t, s.AddConversation(ctx, last, false))
	for i, edit := range []func(*chat.Conversation){
		func(c *chat.Conversation) { c.Bot = "menu" },
		func(c *chat.Conversation) { c.User.Issuer += "/" },
		func(c *chat.Conversation) { c.User.Subject = "u1" },
	} {
		c := sampleConversation(chat.ID(fmt.Sprint("cnv_other", i)))
		edit(&c)
		must(t, s.AddConversation(ctx, c, false))
	}
	say(t, s, "cnv_z", "m1")
	got, err := s.CurrentConversation(ctx, me, "echo")
	must(t, err)
	wantEqual(t, "current conversation", got, last)
	for _, other := range []chat.User{{}, {Issuer: me.Issuer}, {Subject: me.Subject}, {Issuer: me.Subject, Subject: me.Issuer}} {
		_, err := s.CurrentConversation(ctx, other, "echo")
		wantKind(t, err, fault.NotFound)
	}
}

// testNextConversation begins a user's next conversation from many sides at once.
func testNextConversation(t *testing.T, open Opener) {
	s, ctx := open(t), t.Context()
	last := chat.ID("")
	for round := range 3 {
		got := make([]chat.Conversation, 8)
		var all sync.WaitGroup
		for i := range got {
			c := sampleConversation(chat.ID(fmt.Sprintf("cnv_%d_%d", round, i)))
			all.Go(func() {
				var err error
				if got[i], err = s.NextConversation(ctx, c, last); err != nil {
					t.Errorf("begin %s: %v", c.ID, err)
				}
			})
		}
		all.Wait()
		for _, c := range got {
			if c.ID != got[0].ID {
				t.Fatalf("round %d: %s and %s were begun", round, got[0].ID, c.ID)
			}
		}
		now, err := s.CurrentConversation(ctx, got[0].User, got[0].Bot)
		must(t, err)
		wantEqual(t, "the conversation that was begun", now, sampleConversation(got[0].ID))
		last = now.ID
	}
	turns, err := s.WaitingTurns(ctx)
	must(t, err)
	wantEqual(t, "welcomes", turns, map[bot.ID]int64{"echo": 3})
	late, err := s.NextConversation(ctx, sampleConversation("cnv_late"), "")
	must(t, err)
	wantEqual(t, "who thinks that there is none gets", late.ID, last)
	usurper := sampleConversation(last)
	usurper.User.Subject = "eve"
	_, err = s.NextConversation(ctx, usurper, "")
	wantKind(t, err, fault.Conflict)
}

func testSetRead(t *testing.T, open Opener) {
	s, ctx := open(t), t.Context()
	begin(t, s, "cnv_1", "cnv_2")
	say(t, s, "cnv_1", "a", "b", "c")
	say(t, s, "cnv_2", "a", "b", "c", "d")
	for _, step := range []struct{ seq, want int64 }{
		{0, 0}, {2, 2}, {1, 2}, {-1, 2}, {2, 2}, {1 << 60, 3}, {4, 3}, {0, 3},
	} {
		must(t, s.SetRead(ctx, "cnv_1", step.seq))
		c, err := s.FindConversation(ctx, "cnv_1")
		must(t, err)
		if c.ReadSeq != step.want {
			t.Errorf("SetRead(%d) leaves the mark at %d, want %d", step.seq, c.ReadSeq, step.want)
		}
	}
	other, err := s.FindConversation(ctx, "cnv_2")
	must(t, err)
	if other.ReadSeq != 0 {
		t.Errorf("the other conversation's mark is at %d", other.ReadSeq)
	}
}

func testNoConversation(t *testing.T, open Opener) {
	s, ctx := open(t), t.Context()
	begin(t, s, "cnv_1")
	for _, id := range []chat.ID{"", "CNV_1", "cnv_1 ", "cnv_%", "cnv_2"} {
		for name, call := range map[string]func() error{
			"find":        func() error { _, err := s.FindConversation(ctx, id); return err },
			"append":      func() error { _, err := add(ctx, s, id, []chat.Draft{userDraft("m")}, epoch); return err },
			"append none": func() error { _, err := add(ctx, s, id, nil, epoch); return err },
			"set context": func() error { return s.MergeContext(ctx, id, json.RawMessage(`{}`), chat.Page) },
			"set read":    func() error { return s.SetRead(ctx, id, 1) },
		} {
			if err := call(); fault.KindOf(err) != fault.NotFound {
				t.Errorf("%s %q: error = %v, want kind %v", name, id, err, fault.NotFound)
			}
		}
		wantEqual(t, "history", history(t, s, id), nil)
		before, err := s.MessagesBefore(ctx, id, 0, 10)
		must(t, err)
		wantEqual(t, "messages before the end", before, nil)
		_, ended, err := s.FinishTurn(ctx, bot.Turn{Conversation: string(id), Seq: 1}, []chat.Draft{botDraft("x")}, nil, epoch)
		must(t, err)
		if ended {
			t.Errorf("a turn of %q ended", id)
		}
	}
}
