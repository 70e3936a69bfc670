package storetest

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/carnetproject/carnet/internal/bot"
	"github.com/carnetproject/carnet/internal/chat"
	"github.com/carnetproject/carnet/internal/fault"
)

func wantContext(t *testing.T, s Store, id chat.ID, context string, owned ...string) {
	t.Helper()
	c, err := s.FindConversation(t.Context(), id)
	must(t, err)
	wantEqual(t, "context", string(c.Context), context)
	wantEqual(t, "what is the server's", c.Owned, owned)
}

func testMergeContext(t *testing.T, open Opener) {
	s, ctx := open(t), t.Context()
	begin(t, s, "cnv_2")
	must(t, s.AddConversation(ctx, chat.Conversation{ID: "cnv_1", Bot: "echo", Created: epoch}, false))
	wantContext(t, s, "cnv_1", "")
	long := `{"long":"` + strings.Repeat("x", chat.MaxContext) + `"}`
	for _, step := range []struct {
		set  string
		by   chat.Author
		kind fault.Kind // of the refusal
		want string
	}{
		{set: `{"page":"/","tier":"free","a":"\u0000\u003c<\u2028 é 店","b":[1e400]}`, by: chat.Page},
		{set: `{"a":null,"b":null}`, by: chat.Greeting, want: `{"page":"/","tier":"free"}`},
		{set: `{"tier":"gold","cart":{"n":1}}`, by: chat.Server, want: `{"cart":{"n":1},"page":"/","tier":"gold"}`},
		{set: `{"page":"/loans","tier":"gold"}`, by: chat.Page, kind: fault.Denied},
		{set: `{"page":"/loans","cart":null}`, by: chat.Page, kind: fault.Denied},
		{set: `{"page":"/loans","cart":null,"tier":"free"}`, by: chat.Greeting, want: `{"cart":{"n":1},"page":"/loans","tier":"gold"}`},
		{set: `[]`, by: chat.Server, kind: fault.Invalid},
		{set: `null`, by: chat.Page, kind: fault.Invalid},
		{set: long, by: chat.Server, kind: fault.TooLarge},
		{set: `{"page":null,"tier":null,"none":null}`, by: chat.Server, want: `{"cart":{"n":1}}`},
		{set: `{"page":"/","tier":"free"}`, by: chat.Page, want: `{"cart":{"n":1},"page":"/","tier":"free"}`},
	} {
		before, err := s.FindConversation(ctx, "cnv_1")
		must(t, err)
		err = s.MergeContext(ctx, "cnv_1", json.RawMessage(step.set), step.by)
		if step.kind != fault.Internal {
			wantKind(t, err, step.kind)
			after, err := s.FindConversation(ctx, "cnv_1")
			must(t, err)
			wantEqual(t, "conversation after what was refused", after, before)
			continue
		}
		must(t, err)
		after, err := s.FindConversation(ctx, "cnv_1")
		must(t, err)
		if step.want == "" { // as it was given, in the order of names
			step.want = `{"a":"\u0000\u003c<\u2028 é 店","b":[1e400],"page":"/","tier":"free"}`
		}
		wantEqual(t, "context", string(after.Context), step.want)
	}
	wantContext(t, s, "cnv_1", `{"cart":{"n":1},"page":"/","tier":"free"}`, "cart")
	wantContext(t, s, "cnv_2", string(sampleConversation("").Context), "n")
}

// testMergeRace sets members from many sides, through two stores.
func testMergeRace(t *testing.T, open Opener) {
	const authors, each = 8, 16
	one, two, ctx := open(t), open(t), t.Context()
	must(t, one.AddConversation(ctx, chat.Conversation{ID: "cnv_1", Bot: "echo", Created: epoch}, false))
	say(t, one, "cnv_1", "a")
	turn := lease(t, one, "echo", epoch)[0]
	var writing sync.WaitGroup
	for i := range authors {
		writing.Go(func() {
			for k := range each {
				set := fmt.Appendf(nil, `{"%c%02d":%d}`, 'a'+i, k, k)
				if err := []Store{one, two}[i%2].MergeContext(ctx, "cnv_1", set, chat.Author(i%3)); err != nil {
					t.Errorf("author %d: %v", i, err)
				}
			}
		})
	}
	writing.Go(func() {
		if _, _, err := two.FinishTurn(ctx, turn, nil, json.RawMessage(`{"answer":1}`), epoch); err != nil {
			t.Errorf("answer: %v", err)
		}
	})
	writing.Wait()
	c, err := one.FindConversation(ctx, "cnv_1")
	must(t, err)
	var members map[string]any
	must(t, json.Unmarshal(c.Context, &members))
	if len(members) != authors*each+1 {
		t.Errorf("%d members, want %d", len(members), authors*each+1)
	}
	owned := 1 // the answer's
	for i := range authors {
		if chat.Author(i%3) == chat.Server {
			owned += each
		}
	}
	if len(c.Owned) != owned {
		t.Errorf("%d members are the server's, want %d", len(c.Owned), owned)
	}
}

func testFinishContext(t *testing.T, open Opener) {
	s, ctx := open(t), t.Context()
	begin(t, s, "cnv_1")
	say(t, s, "cnv_1", "a")
	turn := lease(t, s, "echo", epoch)[0]
	answer := func(ctx context.Context, set string) (bool, error) {
		_, ended, err := s.FinishTurn(ctx, turn, []chat.Draft{botDraft("x")}, json.RawMessage(set), epoch)
		return ended, err
	}
	for set, kind := range map[string]fault.Kind{
		`[]`: fault.Invalid, `{"a":"` + strings.Repeat("x", chat.MaxContext) + `"}`: fault.TooLarge,
	} {
		_, err := answer(ctx, set)
		wantKind(t, err, kind)
	}
	wantEqual(t, "history after what was refused", messageIDs(history(t, s, "cnv_1")), []string{"a"})
	ended, err := answer(ctx, `{"page":"/cart","n":null}`)
	must(t, err)
	if !ended {
		t.Error("the turn had ended before")
	}
	wantContext(t, s, "cnv_1", `{"page":"/cart"}`, "page")
	ended, err = answer(ctx, `{"page":null}`)
	must(t, err)
	if ended {
		t.Error("the turn ended twice")
	}
	wantContext(t, s, "cnv_1", `{"page":"/cart"}`, "page")
	wantEqual(t, "turns", lease(t, s, bot.ID("echo"), epoch), nil)
}
