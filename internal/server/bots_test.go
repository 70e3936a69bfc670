package server

import (
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/carnetproject/carnet/internal/bot"
	"github.com/carnetproject/carnet/internal/chat"
	"github.com/carnetproject/carnet/internal/limit"
)

// TestBotsNeedTheirSecrets starts nodes whose bots cannot be made.
func TestBotsNeedTheirSecrets(t *testing.T) {
	t.Parallel()
	const hook = "chat: {bots: {mine: {type: webhook, url: 'http://127.0.0.1:1', secret: 'srn:vault::default:secret:bot'"
	for name, tc := range map[string]struct {
		file, secret, token string
		want                string
	}{
		"none":        {hook + "}}}", "", "", "chat.bots.mine: srn:vault::default:secret:bot is neither in the environment"},
		"short":       {hook + "}}}", "short", "", "at least 16 bytes"},
		"no token":    {hook + ", token: 'srn:vault::default:secret:push'}}}", "sixteen-bytes-at-least", "", "chat.bots.mine.token: srn:vault::default:secret:push is neither"},
		"short token": {hook + ", token: 'srn:vault::default:secret:push'}}}", "sixteen-bytes-at-least", "short", "mine.token: must have at least 16 bytes"},
		"header":      {hook + ", headers: {X-Key: 'srn:vault::default:secret:none'}}}}", "sixteen-bytes-at-least", "", "secret:none is neither"},
		"whole":       {hook + ", welcome: Hi, token: 'srn:vault::default:secret:push'}}}", "sixteen-bytes-at-least", "another-of-sixteen", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var environ []string
			if tc.secret != "" {
				environ = append(environ, "CARNET_SECRET_DEFAULT__BOT="+tc.secret)
			}
			if tc.token != "" {
				environ = append(environ, "CARNET_SECRET_DEFAULT__PUSH="+tc.token)
			}
			core, err := Open(t.Context(), Options{Config: load(t, t.TempDir(), tc.file), Environ: environ, Log: slog.New(slog.DiscardHandler)})
			if err != nil {
				t.Fatal(err)
			}
			err = core.Run(t.Context(), func(ctx context.Context) error {
				_, err := NewServer(ctx, core, ServeOptions{})
				return err
			})
			if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
				t.Errorf("NewServer() = %v, want %q", err, tc.want)
			}
		})
	}
}

// TestPast has messages of all kinds in a conversation, of which a model is shown those
// that were said in words.
func TestPast(t *testing.T) {
	t.Parallel()
	core, err := Open(t.Context(), Options{Config: load(t, t.TempDir(), ""), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	err = core.Run(t.Context(), func(ctx context.Context) error {
		if err := core.store.AddConversation(ctx, chat.Conversation{ID: "cnv_1", Bot: "ai"}, false); err != nil {
			return err
		}
		var drafts []chat.Draft
		for i, d := range []chat.Draft{
			{From: chat.FromUser, Body: json.RawMessage(`{"text":"one"}`)},
			{From: chat.FromBot, Body: json.RawMessage(`{"text":"two","quick_replies":["a"]}`)},
			{From: chat.FromSystem, Body: json.RawMessage(`{"text":"sorry"}`)},
			{From: chat.FromUser, Body: json.RawMessage(`{"button":1}`)},
			{From: chat.FromBot, Body: json.RawMessage(`[1]`)},
			{From: chat.FromUser, Body: json.RawMessage(`{"text":"six"}`)},
			{From: chat.FromUser, Body: json.RawMessage(`{"text":"seven"}`)},
		} {
			d.ID = string(rune('a' + i))
			drafts = append(drafts, d)
		}
		if _, _, err := core.store.AppendMessages(ctx, "cnv_1", drafts, time.Now(), time.Time{}); err != nil {
			return err
		}
		for limit, want := range map[int][]bot.Line{
			10: {{User: true, Text: "one"}, {Text: "two"}, {User: true, Text: "six"}},
			2:  {{User: true, Text: "six"}},
		} {
			got, err := past{core.store}.Said(ctx, "cnv_1", 7, limit)
			if diff := cmp.Diff(want, got); diff != "" || err != nil {
				t.Errorf("the last %d (-want +got), %v:\n%s", limit, err, diff)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestLives has what the configuration says of conversations reach those who act by it.
func TestLives(t *testing.T) {
	t.Parallel()
	c := load(t, t.TempDir(), `
chat:
  bots:
    echo: {lifetime: 24h, max_waiting: 9, rate: 5/s}
    mine: {type: webhook, url: "https://bots.example.com", secret: "srn:vault::default:secret:bot",
      hooks: [user.offline, session.ended], session_timeout: 5m}
`)
	want := map[bot.ID]chat.Policy{
		"echo": {Lifetime: 24 * time.Hour, Waiting: 9, Rate: limit.Rate{N: 5, Per: time.Second}},
		"mine": {Hooks: true, SessionTimeout: 5 * time.Minute},
	}
	if diff := cmp.Diff(want, cast{named: c.Chat.Bots}.lives()); diff != "" {
		t.Errorf("lives() (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]bot.Kind{bot.Offline, bot.Ended}, hooksOf(c.Chat.Bots["mine"])); diff != "" {
		t.Errorf("hooksOf() (-want +got):\n%s", diff)
	}
}
