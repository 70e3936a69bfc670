package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/carnetproject/carnet/internal/bot"
	"github.com/carnetproject/carnet/internal/chat"
	"github.com/carnetproject/carnet/internal/config"
	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/webhook"
)

// talker is a sink that passes on what bots say, too, and when it is to go.
type talker struct{ watcher }

func (k talker) Reconnect(time.Duration) { k.watcher <- "reconnect" }

func (k talker) Message(m chat.Message) {
	var body struct{ Text string }
	if _ = json.Unmarshal(m.Body, &body); m.From != chat.FromUser {
		k.watcher <- string(m.From) + " " + body.Text
	}
}

// speaker is a user with a session.
type speaker struct {
	*chat.Session
	talker
}

// say sends a message, whose text is its id.
func (s speaker) say(id string) { s.Send(id, json.RawMessage(`{"text":"`+id+`"}`)) }

// talk says so much as there is time for, each when the one before has its answer. It
// returns how much, or what was wrong.
func (s speaker) talk(ctx context.Context) (n int, err error) {
	for ; ctx.Err() == nil; n++ {
		id := fmt.Sprint("m", n)
		s.say(id)
		for _, want := range []string{"ack " + id, "bot " + id} {
			select {
			case got := <-s.watcher:
				if got != want {
					return n, fmt.Errorf("told %q, want %q", got, want)
				}
			case <-time.After(time.Minute):
				return n, errors.New("not told " + want)
			}
		}
	}
	return n, nil
}

// parrot is a webhook that says what it hears. What begins with "hold" waits for release.
type parrot struct {
	url           string
	held, release chan struct{}

	mu    sync.Mutex
	calls map[string]int // by bot, user and text
}

// parrotKey is the secret that its calls are signed with.
const parrotKey = "a secret of at least sixteen bytes"

func newParrot(t *testing.T) *parrot {
	t.Helper()
	p := &parrot{calls: map[string]int{}, held: make(chan struct{}), release: make(chan struct{})}
	h, err := webhook.Handler(func(_ context.Context, e webhook.Event) (webhook.Answer, error) {
		if e.Type == webhook.SessionStarted {
			return webhook.Say("welcome"), nil
		}
		p.mu.Lock()
		p.calls[e.Bot+" "+e.User.Subject+" "+e.Text()]++
		p.mu.Unlock()
		if strings.HasPrefix(e.Text(), "hold") {
			p.held <- struct{}{}
			<-p.release
		}
		return webhook.Say(e.Text()), nil
	}, parrotKey)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	p.url = s.URL
	return p
}

// called is how often a bot was called for a text of a user's.
func (p *parrot) called(what string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.calls[what]
}

// TestBotsComeAndGo has a bot come, go with an answer on its way and another that waits,
// and come back, three times, while another bot answers without a pause.
func TestBotsComeAndGo(t *testing.T) {
	t.Parallel()
	p, secrets := newParrot(t), t.TempDir()
	if err := os.Mkdir(filepath.Join(secrets, "default"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{"hook": parrotKey, "push": "the-token-of-the-bot"} {
		if err := os.WriteFile(filepath.Join(secrets, "default", name), []byte(value), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	hook := fmt.Sprintf("{type: webhook, url: %q, secret: 'srn:vault::default:secret:hook'", p.url)
	file := func(called, bots string) string {
		return "secrets: {dir: " + secrets + "}\nchat:\n  kore: {enabled: true, bots: {" + called + "}}\n  bots: {" + bots + "}\n"
	}
	stays := "stays: " + hook + ", welcome: none}"
	out := file("", stays)
	in := file("st-1: comes", stays+", comes: "+hook+", token: 'srn:vault::default:secret:push'}")
	withAPI(t, out, func(n apiNode) {
		var sessions []*chat.Session
		defer func() {
			for _, s := range sessions {
				s.Close() // or the node waits for them
			}
		}()
		open := func(who string, with bot.ID, more string) (speaker, error) {
			k := talker{make(watcher, 1000)}
			s, err := n.server.carrier.engine.Open(t.Context(), chat.Hello{User: chat.User{Issuer: "i", Subject: who}, Bot: with, Context: json.RawMessage(`{` + more + `}`)}, k)
			if err == nil {
				s.Ready()
				sessions = append(sessions, s)
			}
			return speaker{s, k}, err
		}
		enter := func(who string, with bot.ID, more string) speaker {
			t.Helper()
			s, err := open(who, with, more)
			if err != nil {
				t.Fatal(err)
			}
			return s
		}
		first := n.server.carrier.cast.ready["stays"]
		if _, err := open("ann", "comes", ""); fault.KindOf(err) != fault.NotFound {
			t.Fatalf("Open() = %v before it has come", err)
		}
		n.reload(in, "")
		come := n.server.carrier.cast.ready["comes"]
		if n.reload(in, ""); come == nil || n.server.carrier.cast.ready["comes"] != come {
			t.Error("the bot that has come was made anew")
		}
		ann := enter("ann", "comes", "")
		ann.wants(t, "bot welcome")

		talking, hush := context.WithCancel(t.Context())
		defer hush()
		var crowd sync.WaitGroup
		said := make([]int, 3)
		for i := range said {
			s := enter(fmt.Sprint("user", i), "stays", "")
			crowd.Go(func() {
				var err error
				if said[i], err = s.talk(talking); err != nil {
					t.Errorf("the bot that stays: %v", err)
				}
			})
		}
		there := func(s speaker, want bool) {
			t.Helper()
			_, known := n.server.carrier.called.find(n.server.carrier.engine.Knows)("st-1", "")
			_, err := open("bob", "comes", "")
			status := http.StatusUnauthorized
			if want {
				status = http.StatusCreated
			}
			pushed, _, _ := exchange(t, http.MethodPost, n.base[0]+"/chat/v1/conversations/"+string(s.Conversation().ID)+"/messages", "the-token-of-the-bot", map[string]any{"body": map[string]any{"text": "news"}})
			if known != want || want == (fault.KindOf(err) == fault.NotFound) || pushed != status {
				t.Errorf("there: %t, want %t; open: %v; push: %d", known, want, err, pushed)
			}
		}

		for round := range 3 {
			word := func(w string) string { return fmt.Sprint(w, round) }
			ann.say(word("hi"))
			ann.wants(t, "ack "+word("hi"), "bot "+word("hi"))
			there(ann, true)
			ann.wants(t, "bot news")
			ann.say(word("hold"))
			<-p.held
			ann.say(word("waits"))
			ann.wants(t, "ack "+word("hold"), "ack "+word("waits"))

			n.reload(out, "")
			there(ann, false)
			ann.say(word("refused"))
			ann.wants(t, "nack "+word("refused")+" bot_not_running")
			p.release <- struct{}{}
			ann.wants(t, "bot "+word("hold"))
			n.reload(strings.Replace(in, "stays: ", "other: ", 1)+"nonsense: 1\n", "nonsense")
			n.reload(strings.Replace(in, "secret:push", "secret:none", 1), "secret:none")
			there(ann, false)
			waiting, err := n.core.Turns().Waiting(t.Context())
			if got := p.called("comes ann " + word("waits")); err != nil || waiting["comes"] != 1 || got != 0 {
				t.Errorf("%v wait, %v; called %d times for what does", waiting, err, got)
			}

			n.reload(in, "")
			ann.wants(t, "bot "+word("waits"))
		}

		// it comes with what stands before it
		n.reload(strings.Replace(in, "comes: "+hook, "comes: "+hook+", secure_session: {connector: still, interval: 1h}", 1), "")
		eve := enter("eve", "comes", `"subject":"c-9"`)
		eve.wants(t, "bot welcome")
		eve.say("m1")
		eve.wants(t, "secure locked", "nack m1 unauthorized")

		hush()
		crowd.Wait()
		for i, said := range said {
			for j := range said {
				if got := p.called(fmt.Sprintf("stays user%d m%d", i, j)); got != 1 {
					t.Errorf("user%d: called %d times for message %d", i, got, j)
				}
			}
			if said == 0 {
				t.Errorf("user%d has said nothing", i)
			}
		}
		if n.server.carrier.cast.ready["stays"] != first {
			t.Error("the bot that stays was made anew")
		}
		if log := n.log.String(); strings.Contains(log, "restart") {
			t.Errorf("the log says that bots need a restart:\n%s", log)
		}
	})
}

// TestRecast makes bots of a file that is read again: those are the same ones that have
// not changed in any way.
func TestRecast(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"secrets/default/bot": "sixteen-bytes-at-least",
		"still.json":          connectorFile("still", "https://api.example.com/still", "", "$.subject", "$.subject"),
		"bot.json":            `{"State":"Running","SecureSession":true,"SecureSessionConfig":{"Type":"baas","ApiAlias":"still","ValidationInterval":60}}`,
	} {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	bots := map[string]string{
		"echo": "welcome: Hi",
		"menu": "file: " + dir + "/bot.json",
		"hook": "type: webhook, url: 'https://bots.example.com', secret: 'srn:vault::default:secret:bot', headers: {X-A: b}, networks: [10.0.0.0/8], hooks: [user.offline]",
	}
	read := func(change, to string) *config.Config {
		t.Helper()
		yaml := "connectors: [" + dir + "/still.json]\nchat:\n  bots:\n"
		for name, text := range bots {
			if name == change {
				text = to
			}
			yaml += "    " + name + ": {" + text + "}\n"
		}
		return load(t, dir, yaml)
	}
	first := read("", "")
	core, err := Open(t.Context(), Options{Config: first, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	err = core.Run(t.Context(), func(ctx context.Context) error {
		s := &Server{core: core}
		was, err := s.recast(ctx, first, cast{})
		if err != nil {
			return err
		}
		for change, to := range map[string]string{
			"": "", "echo": "welcome: Hello", "menu": "type: menu", "hook": strings.Replace(bots["hook"], "X-A: b", "X-A: c", 1),
		} {
			now, err := s.recast(ctx, read(change, to), was)
			if err != nil {
				return err
			}
			for id := range bots {
				if same := now.ready[bot.ID(id)] == was.ready[bot.ID(id)]; same == (id == change) {
					t.Errorf("%q changes: %s is the same: %t", change, id, same)
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
