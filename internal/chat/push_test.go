package chat

import (
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/carnetproject/carnet/internal/bot"
	"github.com/carnetproject/carnet/internal/fault"
)

func TestPush(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m, b := newMemory(), newDirect()
		here, there := start(t, m, b), start(t, m, b)
		s, k := here.open(t, hello)
		_, phone := there.open(t, hello)
		id := s.Conversation().ID
		for range 2 { // the second finds the first
			got, err := there.Push(t.Context(), echo, id, "p-1", body("news"))
			if err != nil || got.Seq != 1 || got.ID != "p-1" || got.From != FromBot {
				t.Fatalf("Push() = %+v, %v", got, err)
			}
		}
		k.want(t, "message 1 bot p-1")
		phone.want(t, "message 1 bot p-1")
		named, err := here.Push(t.Context(), echo, id, "", body("more"))
		if err != nil || named.Seq != 2 || !strings.HasPrefix(named.ID, "bot_") {
			t.Fatalf("Push() = %+v, %v", named, err)
		}
		k.want(t, "message 2 bot "+named.ID)
		if kept := m.of(id); len(kept.messages) != 2 || len(kept.turns) != 1 {
			t.Errorf("stored %+v: a push owes no turn", kept)
		}
	})
}

func TestPushRefused(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := start(t, newMemory(), newDirect())
		s, k := n.open(t, hello)
		s.Send("u-1", body("mine"))
		k.want(t, "ack u-1 1", "message 1 user u-1")
		own := s.Conversation().ID
		for name, tc := range map[string]struct {
			bot  string
			to   ID
			id   string
			body string
			kind fault.Kind
		}{
			"another bot":     {"menu", own, "p", `1`, fault.NotFound},
			"no conversation": {"echo", "cnv_none", "p", `1`, fault.NotFound},
			"odd id":          {"echo", own, "a b", `1`, fault.Invalid},
			"long id":         {"echo", own, strings.Repeat("x", MaxID+1), `1`, fault.Invalid},
			"the user's id":   {"echo", own, "u-1", `1`, fault.Conflict},
			"no body":         {"echo", own, "p", ``, fault.Invalid},
			"null":            {"echo", own, "p", `null`, fault.Invalid},
			"not JSON":        {"echo", own, "p", `{`, fault.Invalid},
			"too long":        {"echo", own, "p", string(body(strings.Repeat("x", MaxBody))), fault.TooLarge},
		} {
			_, err := n.Push(t.Context(), bot.ID(tc.bot), tc.to, tc.id, json.RawMessage(tc.body))
			if fault.KindOf(err) != tc.kind || err == nil {
				t.Errorf("%s: Push() = %v, want %v", name, err, tc.kind)
			}
		}
		k.want(t)
	})
}
