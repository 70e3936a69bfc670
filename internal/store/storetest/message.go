package storetest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/carnetproject/carnet/internal/chat"
	"github.com/carnetproject/carnet/internal/fault"
)

func testMessageRoundTrip(t *testing.T, open Opener) {
	s, ctx := open(t), t.Context()
	begin(t, s, "cnv_1")
	long := json.RawMessage(`{"text":"` + strings.Repeat("店", chat.MaxBody/3-10) + `"}`)
	drafts := []chat.Draft{
		{ID: "a-_Z9", From: chat.FromUser, Body: json.RawMessage(`{"text":"\u0000 é 店 𝄞", "n": 1.0}`)},
		{ID: strings.Repeat("i", chat.MaxID), From: chat.FromBot, Body: long},
		{ID: "s", From: chat.FromSystem, Body: json.RawMessage(`null`)},
	}
	var want []chat.Message
	for i, d := range drafts {
		want = append(want, chat.Message{Seq: int64(i + 1), ID: d.ID, From: d.From, Body: d.Body, At: epoch})
	}
	// Half a millisecond is not kept, and not told.
	got, err := add(ctx, s, "cnv_1", drafts[:2], epoch.Add(500*time.Microsecond).In(time.FixedZone("", 3600)))
	must(t, err)
	wantEqual(t, "appended messages", got, want[:2])
	got, err = add(ctx, s, "cnv_1", nil, epoch)
	must(t, err)
	if len(got) != 0 {
		t.Errorf("no draft became %v", got)
	}
	got, err = add(ctx, s, "cnv_1", drafts[2:], epoch)
	must(t, err)
	wantEqual(t, "appended message", got, want[2:])
	wantEqual(t, "history", history(t, s, "cnv_1"), want)
	c, err := s.FindConversation(ctx, "cnv_1")
	must(t, err)
	if c.LastSeq != 3 {
		t.Errorf("LastSeq = %d, want 3", c.LastSeq)
	}
}

func testDedupe(t *testing.T, open Opener) {
	s, ctx := open(t), t.Context()
	begin(t, s, "cnv_1", "cnv_2")
	first := say(t, s, "cnv_1", "a", "b")

	other := userDraft("a")
	other.Body = json.RawMessage(`{"text":"another"}`)
	got, err := add(ctx, s, "cnv_1",
		[]chat.Draft{other, userDraft("c"), botDraft("b"), userDraft("c"), userDraft("A")}, epoch.Add(time.Hour))
	must(t, err)
	at := func(seq int64, id string) chat.Message {
		return chat.Message{Seq: seq, ID: id, From: chat.FromUser, Body: userDraft(id).Body, At: epoch.Add(time.Hour)}
	}
	wantEqual(t, "messages", got, []chat.Message{first[0], at(3, "c"), first[1], at(3, "c"), at(4, "A")})
	wantEqual(t, "history", messageIDs(history(t, s, "cnv_1")), []string{"a", "b", "c", "A"})
	if turns := finishAll(t, s, "echo"); len(turns) != 4 {
		t.Errorf("%d turns of 4 messages: %v", len(turns), turns)
	}
	again := say(t, s, "cnv_1", "a")
	wantEqual(t, "message whose turn has ended", again, first[:1])
	wantEqual(t, "turns", lease(t, s, "echo", epoch.Add(24*time.Hour)), nil)
	wantEqual(t, "the other conversation's", messageIDs(say(t, s, "cnv_2", "a")), []string{"a"})
}

func testPages(t *testing.T, open Opener) {
	s, ctx := open(t), t.Context()
	begin(t, s, "cnv_0", "cnv_1", "cnv_2")
	for i := range 10 {
		for _, id := range []chat.ID{"cnv_0", "cnv_1", "cnv_2"} {
			say(t, s, id, fmt.Sprint(i+1))
		}
	}
	for _, tc := range []struct {
		call  func(context.Context, chat.ID, int64, int) ([]chat.Message, error)
		name  string
		from  int64
		limit int
		want  []string
	}{
		{s.MessagesBefore, "before", 0, 3, []string{"8", "9", "10"}},
		{s.MessagesBefore, "before", 11, 3, []string{"8", "9", "10"}},
		{s.MessagesBefore, "before", 10, 3, []string{"7", "8", "9"}},
		{s.MessagesBefore, "before", 3, 3, []string{"1", "2"}},
		{s.MessagesBefore, "before", 2, 1, []string{"1"}},
		{s.MessagesBefore, "before", 1, 3, nil},
		{s.MessagesBefore, "before", -5, 3, nil},
		{s.MessagesBefore, "before", math.MaxInt64, 1, []string{"10"}},
		{s.MessagesBefore, "before", 0, 0, nil},
		{s.MessagesBefore, "before", 0, -1, nil},
		{s.MessagesAfter, "after", 0, 3, []string{"1", "2", "3"}},
		{s.MessagesAfter, "after", -5, 1, []string{"1"}},
		{s.MessagesAfter, "after", 7, 3, []string{"8", "9", "10"}},
		{s.MessagesAfter, "after", 8, 3, []string{"9", "10"}},
		{s.MessagesAfter, "after", 10, 3, nil},
		{s.MessagesAfter, "after", math.MaxInt64, 3, nil},
		{s.MessagesAfter, "after", 0, 0, nil},
		{s.MessagesAfter, "after", 0, -1, nil},
	} {
		got, err := tc.call(ctx, "cnv_1", tc.from, tc.limit)
		must(t, err)
		if ids := messageIDs(got); !slices.Equal(ids, tc.want) {
			t.Errorf("%d messages %s %d: %v, want %v", tc.limit, tc.name, tc.from, ids, tc.want)
		}
	}
}

func testStands(t *testing.T, open Opener) {
	s, ctx := open(t), t.Context()
	begin(t, s, "cnv_0", "cnv_1", "cnv_2", "cnv_\"%")
	say(t, s, "cnv_1", "a")
	say(t, s, "cnv_2", "a", "b", "c")
	say(t, s, "cnv_\"%", "a", "b")
	for _, tc := range []struct {
		ids  []chat.ID
		want map[chat.ID]chat.Stand
	}{
		{nil, map[chat.ID]chat.Stand{}},
		{[]chat.ID{"cnv_2"}, map[chat.ID]chat.Stand{"cnv_2": {Last: 3}}},
		{
			[]chat.ID{"cnv_2", "cnv_0", "unknown", "cnv_\"%", "", "cnv_2"},
			map[chat.ID]chat.Stand{"cnv_2": {Last: 3}, "cnv_0": {}, "cnv_\"%": {Last: 2}},
		},
	} {
		got, err := s.Stands(ctx, tc.ids)
		must(t, err)
		wantEqual(t, fmt.Sprintf("stands of %q", tc.ids), got, tc.want)
	}
	many := make([]chat.ID, 5000)
	for i := range many {
		many[i] = chat.ID(fmt.Sprint("cnv_", i))
	}
	got, err := s.Stands(ctx, many)
	must(t, err)
	wantEqual(t, "stands of many", got, map[chat.ID]chat.Stand{"cnv_0": {}, "cnv_1": {Last: 1}, "cnv_2": {Last: 3}})
}

// testAppendRace writes one conversation from many sides while others read it. Each
// reader follows the numbers and must see what all see in the end.
func testAppendRace(t *testing.T, open Opener) {
	const writers, each, readers = 64, 4, 4
	s, ctx := open(t), t.Context()
	begin(t, s, "cnv_1")
	var seen [readers][]chat.Message
	var reading, writing sync.WaitGroup
	for i := range seen {
		reading.Go(func() {
			for last := int64(0); last < writers*each; {
				page, err := s.MessagesAfter(ctx, "cnv_1", last, 1+i*7)
				if err != nil {
					t.Error(err)
					return
				}
				for _, m := range page {
					if m.Seq != last+1 {
						t.Errorf("reader %d sees %d after %d", i, m.Seq, last)
						return
					}
					last++
				}
				seen[i] = append(seen[i], page...)
			}
		})
	}
	var mu sync.Mutex
	acked := map[string]int64{}
	for w := range writers {
		writing.Go(func() {
			for n := 0; n < each; n += 2 {
				one, two := fmt.Sprintf("%d-%d", w, n), fmt.Sprintf("%d-%d", w, n+1)
				got, err := add(ctx, s, "cnv_1", []chat.Draft{userDraft(one), botDraft(two)}, epoch)
				if err != nil {
					t.Error(err)
					return
				}
				if got[1].Seq != got[0].Seq+1 {
					t.Errorf("drafts of one call became %d and %d", got[0].Seq, got[1].Seq)
				}
				mu.Lock()
				acked[one], acked[two] = got[0].Seq, got[1].Seq
				mu.Unlock()
			}
		})
	}
	writing.Wait()
	if t.Failed() {
		t.FailNow() // the readers end with the test's context
	}
	reading.Wait()
	want := history(t, s, "cnv_1")
	if len(want) != writers*each || len(acked) != writers*each {
		t.Fatalf("%d messages, %d acknowledged, want %d", len(want), len(acked), writers*each)
	}
	for i, m := range want {
		if m.Seq != int64(i+1) || acked[m.ID] != m.Seq {
			t.Errorf("message %d in the order is %d, acknowledged as %d", i+1, m.Seq, acked[m.ID])
		}
	}
	for i := range seen {
		wantEqual(t, fmt.Sprintf("what reader %d saw", i), seen[i], want)
	}
	if turns := finishAll(t, s, "echo"); len(turns) != writers*each/2 {
		t.Errorf("%d turns, want one for each message of the user", len(turns))
	}
}

func testDedupeRace(t *testing.T, open Opener) {
	s, ctx := open(t), t.Context()
	begin(t, s, "cnv_1")
	for round := range 5 {
		var results [32][]chat.Message
		var wg sync.WaitGroup
		for i := range results {
			wg.Go(func() {
				d := userDraft(fmt.Sprint("m", round))
				d.Body = fmt.Appendf(nil, `{"text":"of %d"}`, i)
				var err error
				if results[i], err = add(ctx, s, "cnv_1", []chat.Draft{d}, epoch); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		all := history(t, s, "cnv_1")
		if len(all) != round+1 {
			t.Fatalf("round %d: %d messages are there", round, len(all))
		}
		for _, got := range results {
			wantEqual(t, "message", got, all[round:])
		}
	}
	if turns := finishAll(t, s, "echo"); len(turns) != 5 {
		t.Errorf("%d turns, want 5", len(turns))
	}
}

// testAppendTwoStores is two processes on one conversation.
func testAppendTwoStores(t *testing.T, open Opener) {
	one, two, ctx := open(t), open(t), t.Context()
	begin(t, one, "cnv_1")
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			for _, s := range []Store{one, two} {
				_, err := add(ctx, s, "cnv_1", []chat.Draft{userDraft(fmt.Sprint("m", i))}, epoch)
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	all := history(t, two, "cnv_1")
	ids := messageIDs(all)
	slices.Sort(ids)
	if len(slices.Compact(ids)) != 50 || len(all) != 50 {
		t.Errorf("%d messages, want 50: %v", len(all), ids)
	}
	wantEqual(t, "history by the other", history(t, one, "cnv_1"), all)
}

func testReopenChat(t *testing.T, open Opener) {
	s, ctx := open(t), t.Context()
	must(t, s.AddConversation(ctx, sampleConversation("cnv_1"), true))
	say(t, s, "cnv_1", "a", "b")
	must(t, s.SetRead(ctx, "cnv_1", 1))
	first := lease(t, s, "echo", epoch)
	want, err := s.FindConversation(ctx, "cnv_1")
	must(t, err)
	messages := history(t, s, "cnv_1")
	must(t, s.Close())

	s = open(t)
	got, err := s.FindConversation(ctx, "cnv_1")
	must(t, err)
	wantEqual(t, "conversation", got, want)
	wantEqual(t, "history", history(t, s, "cnv_1"), messages)
	wantEqual(t, "turns while the lease lasts", lease(t, s, "echo", epoch.Add(leaseTime-1)), nil)
	again := lease(t, s, "echo", epoch.Add(leaseTime))
	first[0].Attempt++
	wantEqual(t, "turns when it is over", again, first)
	wantEqual(t, "the next", messageIDs(say(t, s, "cnv_1", "a", "c")), []string{"a", "gap before 3", "c"})
}

// testAppendFailsAlone mixes appends to conversations that are not there with others.
func testAppendFailsAlone(t *testing.T, open Opener) {
	s, ctx := open(t), t.Context()
	begin(t, s, "cnv_0", "cnv_1")
	var wg sync.WaitGroup
	for i := range 99 {
		wg.Go(func() {
			id := chat.ID(fmt.Sprint("cnv_", i%3))
			_, err := add(ctx, s, id, []chat.Draft{userDraft(fmt.Sprint("m", i))}, epoch)
			if missing := fault.KindOf(err) == fault.NotFound; err != nil && !missing || missing != (i%3 == 2) {
				t.Errorf("append to %s: %v", id, err)
			}
		})
	}
	wg.Wait()
	for _, id := range []chat.ID{"cnv_0", "cnv_1"} {
		if got := history(t, s, id); len(got) != 33 || got[32].Seq != 33 {
			t.Errorf("%s has %d messages, want 33", id, len(got))
		}
	}
}

func testCancelAppend(t *testing.T, open Opener) {
	const writes = 100
	s := open(t)
	begin(t, s, "cnv_1")
	var written [writes]bool
	var wg sync.WaitGroup
	for i := range writes {
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i)*20*time.Microsecond)
			defer cancel()
			_, err := add(ctx, s, "cnv_1", []chat.Draft{userDraft(fmt.Sprint(i))}, epoch)
			if err != nil && !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("append %d: %v", i, err)
			}
			written[i] = err == nil
		})
	}
	wg.Wait()
	there := map[string]bool{}
	for _, m := range history(t, s, "cnv_1") {
		there[m.ID] = true
	}
	for i, want := range written {
		if there[fmt.Sprint(i)] != want {
			t.Errorf("append %d returned nil: %t, is there: %t", i, want, !want)
		}
	}
}

func testChatVersion(t *testing.T, open Opener) {
	s, ctx := open(t), t.Context()
	before, err := s.Version(ctx)
	must(t, err)
	must(t, s.AddConversation(ctx, sampleConversation("cnv_1"), true))
	say(t, s, "cnv_1", "a")
	must(t, s.SetRead(ctx, "cnv_1", 1))
	must(t, s.MergeContext(ctx, "cnv_1", json.RawMessage(`{"a":1}`), chat.Server))
	finishAll(t, s, "echo")
	after, err := s.Version(ctx)
	must(t, err)
	wantEqual(t, "version", after, before)
}
