package server

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/carnetproject/carnet/internal/bot"
	"github.com/carnetproject/carnet/internal/chat"
	"github.com/carnetproject/carnet/internal/securesession"
)

// hearer hears the texts, too, that a watcher leaves out.
type hearer struct{ watcher }

func (h hearer) Secure(n securesession.Notice) {
	h.watcher <- "secure " + string(n.Standing) + " " + n.Message
}

// reload puts what follows the head of the configuration in force; "" names what is
// wrong with it.
func (n apiNode) reload(yaml, wrong string) {
	n.t.Helper()
	n.write("carnet.yaml", n.head+yaml)
	err := n.server.reload.Reload(n.t.Context())
	if wrong == "" && err != nil || wrong != "" && (err == nil || !strings.Contains(err.Error(), wrong)) {
		n.t.Fatalf("Reload() = %v, want %q", err, wrong)
	}
}

// TestBotsReload changes what stands before bots, and who may push, under conversations
// that go on.
func TestBotsReload(t *testing.T) {
	t.Parallel()
	secrets := t.TempDir()
	keep := func(name, value string) {
		t.Helper()
		path := filepath.Join(secrets, "default", name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(value), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	keep("hook", "sixteen-bytes-at-least")
	keep("push", "the-first-token-of-it")
	head := "secrets: {dir: " + secrets + "}\nchat: {bots: {"
	const hook = "hook: {type: webhook, welcome: none, url: 'http://127.0.0.1:1/', networks: [127.0.0.0/8], secret: 'srn:vault::default:secret:hook'"
	const token = ", token: 'srn:vault::default:secret:push'"
	withAPI(t, head+"echo: {}, "+hook+"}}}\n", func(n apiNode) {
		engine := n.server.carrier.engine
		var sessions []*chat.Session
		defer func() {
			for _, s := range sessions {
				s.Close() // or the node waits for them
			}
		}()
		open := func(who, subject string, with bot.ID) (*chat.Session, hearer) {
			t.Helper()
			h := hearer{make(watcher, 100)}
			s, err := engine.Open(t.Context(), chat.Hello{
				User: chat.User{Issuer: "i", Subject: who}, Bot: with, Context: json.RawMessage(`{"subject":"` + subject + `"}`),
			}, h)
			if err != nil {
				t.Fatal(err)
			}
			s.Ready()
			sessions = append(sessions, s)
			return s, h
		}
		say := func(s *chat.Session, id string) { s.Send(id, json.RawMessage(`"hi"`)) }
		ann, annHears := open("ann", "c-1", "echo")
		eve, eveHears := open("eve", "c-9", "echo")
		say(eve, "m1")
		eveHears.wants(t, "ack m1")

		secured := func(text string) string {
			return "echo: {secure_session: {connector: still, interval: 1h, error_message: " + text + "}}, " + hook
		}
		n.reload(head+secured("One")+"}}}\n", "")
		say(ann, "m1")
		annHears.wants(t, "secure secured ", "ack m1")
		say(eve, "m2")
		eveHears.wants(t, "secure locked One", "nack m2 unauthorized")

		n.reload(head+secured("Two")+"}}}\n", "")
		say(eve, "m2")
		eveHears.wants(t, "secure locked Two", "nack m2 unauthorized")

		n.reload(head+strings.Replace(secured("Three"), "still", "nosuch", 1)+"}}}\n", "nosuch")
		n.reload(head+secured("Three")+strings.Replace(token, "push", "nosuch", 1)+"}}}\n", "nosuch")
		say(eve, "m2")
		eveHears.wants(t, "secure locked Two", "nack m2 unauthorized")

		n.reload(head+"echo: {state: paused}, "+hook+"}}}\n", "")
		say(ann, "m2")
		annHears.wants(t, "nack m2 bot_not_running")
		n.reload(head+hook+"}}}\n", "") // echo is gone from the file
		say(ann, "m2")
		annHears.wants(t, "nack m2 bot_not_running")
		n.reload(head+"echo: {lifetime: 2h}, "+hook+"}, new: {type: menu}}}\n", "")
		say(eve, "m2")
		eveHears.wants(t, "ack m2")
		if log := n.log.String(); strings.Contains(log, "restart") {
			t.Errorf("the log says that bots need a restart:\n%s", log)
		}

		silent, _ := open("bob", "c-1", "hook")
		push := func(token string) int {
			t.Helper()
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, n.base[0]+"/chat/v1/conversations/"+string(silent.Conversation().ID)+"/messages", strings.NewReader(`{"body":{"text":"hi"}}`))
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Content-Type", "application/json")
			r.Header.Set("Authorization", "Bearer "+token)
			resp, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			return resp.StatusCode
		}
		for _, step := range []struct {
			kept, token, shown string
			want               int
		}{
			{"the-first-token-of-it", "", "the-first-token-of-it", http.StatusUnauthorized},
			{"the-first-token-of-it", token, "the-first-token-of-it", http.StatusCreated},
			{"another-token-of-it", token, "the-first-token-of-it", http.StatusUnauthorized},
			{"another-token-of-it", token, "another-token-of-it", http.StatusCreated},
			{"another-token-of-it", "", "another-token-of-it", http.StatusUnauthorized},
		} {
			keep("push", step.kept)
			n.reload(head+"echo: {}, "+hook+step.token+"}}}\n", "")
			if got := push(step.shown); got != step.want {
				t.Errorf("%+v: %d", step, got)
			}
		}
	})
}
