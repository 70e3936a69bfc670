package storetest

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/carnetproject/carnet/internal/bot"
	"github.com/carnetproject/carnet/internal/chat"
	"github.com/carnetproject/carnet/internal/seal"
	"github.com/carnetproject/carnet/internal/secret"
)

// testContextsSealed reads contexts with the key, wherever they come out of the store,
// and without it, as a thief of the database would.
func testContextsSealed(t *testing.T, open Opener) {
	s, thief, ctx := open(t), open(t), t.Context()
	box, err := seal.NewBox(secret.New(bytes.Repeat([]byte{1}, seal.KeySize)))
	must(t, err)
	s.SealContexts(box)

	c := sampleConversation("cnv_1")
	c.Context, c.Owned = json.RawMessage(`{"token":"secret"}`), nil
	must(t, s.AddConversation(ctx, c, true))
	wantContext(t, s, "cnv_1", `{"token":"secret"}`)
	for _, turn := range lease(t, s, "echo", epoch) {
		wantEqual(t, "context of a welcome", string(turn.Context), `{"token":"secret"}`)
		_, _, err := s.FinishTurn(ctx, turn, nil, json.RawMessage(`{"more":"of it"}`), epoch)
		must(t, err)
	}
	const all = `{"more":"of it","token":"secret"}`
	wantContext(t, s, "cnv_1", all, "more")
	_, turn, err := s.AppendMessages(ctx, "cnv_1", []chat.Draft{userDraft("a")}, epoch, epoch.Add(leaseTime))
	must(t, err)
	wantEqual(t, "context of a turn", string(turn.Context), all)
	_, _, err = s.DropTurn(ctx, *turn, "gone", nil, epoch)
	must(t, err)
	dead, err := s.DeadTurns(ctx, "", 0, 10)
	must(t, err)
	wantEqual(t, "context of a dead turn", string(dead[0].Turn.Context), all)
	must(t, s.MergeContext(ctx, "cnv_1", json.RawMessage(`{"token":"another"}`), chat.Page))
	wantContext(t, s, "cnv_1", `{"more":"of it","token":"another"}`, "more")
	current, err := s.CurrentConversation(ctx, c.User, bot.ID("echo"))
	must(t, err)
	wantEqual(t, "current context", string(current.Context), `{"more":"of it","token":"another"}`)

	if c, err := thief.FindConversation(ctx, "cnv_1"); err == nil {
		t.Errorf("without the key the context is %s", c.Context)
	}
	if err := thief.MergeContext(ctx, "cnv_1", json.RawMessage(`{"a":1}`), chat.Page); err == nil {
		t.Error("without the key a context was written over")
	}
}
