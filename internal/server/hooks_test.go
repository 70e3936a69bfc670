package server

import (
	"context"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/carnetproject/carnet/internal/bot"
	"github.com/carnetproject/carnet/internal/chat"
	"github.com/carnetproject/carnet/webhook"
)

// TestHooks has a node find what one left behind that died an hour ago: its users have
// gone since, and each bot hears of it what it has asked for.
func TestHooks(t *testing.T) {
	t.Parallel()
	const key = "a secret of at least sixteen bytes"
	var mu sync.Mutex
	heard := map[string][]string{} // by the bot's name
	h, err := webhook.Handler(func(_ context.Context, e webhook.Event) (webhook.Answer, error) {
		mu.Lock()
		defer mu.Unlock()
		heard[e.Bot] = append(heard[e.Bot], fmt.Sprintf("%s %d %s", e.Type, e.Time.UnixMilli(), e.ID))
		return webhook.Answer{}, nil
	}, key)
	if err != nil {
		t.Fatal(err)
	}
	endpoint := httptest.NewServer(h)
	t.Cleanup(endpoint.Close)
	dir := t.TempDir()
	file := filepath.Join(dir, "secrets", "default", "bot")
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(key), 0o600); err != nil {
		t.Fatal(err)
	}
	base := fmt.Sprintf("{type: webhook, url: %q, secret: 'srn:vault::default:secret:bot'", endpoint.URL)
	c := load(t, dir, "chat:\n  bots:\n    all: "+base+", hooks: [user.offline, session.ended]}\n"+
		"    end: "+base+", hooks: [session.ended], session_timeout: 10m}\n    none: "+base+"}\n")
	seen := time.Now().Add(-time.Hour).Truncate(time.Millisecond)
	offline, ended, soon := seen.Add(30*time.Second).UnixMilli(), seen.Add(30*time.Minute).UnixMilli(), seen.Add(10*time.Minute).UnixMilli()
	want := map[string][]string{
		"all": {
			fmt.Sprintf("user.offline %d cnv_all-offline-%d", offline, offline),
			fmt.Sprintf("session.ended %d cnv_all-ended-%d", ended, ended),
		},
		"end": {fmt.Sprintf("session.ended %d cnv_end-ended-%d", soon, soon)},
	}
	serve(t, c, func(core *Core, _ []string) {
		ctx := t.Context()
		for _, of := range []bot.ID{"all", "end", "none"} {
			id := chat.ID("cnv_" + of)
			if err := core.store.AddConversation(ctx, chat.Conversation{ID: id, Bot: of, Created: seen}, false); err != nil {
				t.Error(err)
			}
			if err := core.store.Saw(ctx, []chat.ID{id}, seen); err != nil {
				t.Error(err)
			}
		}
		waitFor(t, "all that there is to hear", func() bool {
			mu.Lock()
			defer mu.Unlock()
			waiting, err := core.store.WaitingTurns(ctx)
			return err == nil && len(waiting) == 0 && len(heard["all"]) >= 2 && len(heard["end"]) >= 1
		})
		mu.Lock()
		defer mu.Unlock()
		if diff := cmp.Diff(want, heard); diff != "" {
			t.Errorf("heard (-want +got):\n%s", diff)
		}
	})
}
