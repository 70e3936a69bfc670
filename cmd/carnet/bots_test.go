package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/lxzan/gws"
)

const botSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

// chatter is one user's socket with one bot.
type chatter struct {
	gws.BuiltinEventHandler
	t      *testing.T
	conn   *gws.Conn
	frames chan chatFrame
}

// chatFrame is a frame of the server.
type chatFrame struct {
	Type         string
	Conversation string
	ID           string
	From         string
	Text         string
	Body         struct{ Text string }
}

// OnMessage implements [gws.Event].
func (c *chatter) OnMessage(_ *gws.Conn, m *gws.Message) {
	defer func() { _ = m.Close() }()
	var f chatFrame
	if err := json.Unmarshal(m.Bytes(), &f); err != nil {
		c.t.Error(err)
		return
	}
	c.frames <- f
}

// chatWith begins a conversation, whose id is returned.
func (n *node) chatWith(bot string) (c *chatter, conversation string) {
	n.t.Helper()
	c = &chatter{t: n.t, frames: make(chan chatFrame, 1000)}
	conn, _, err := gws.NewClient(c, &gws.ClientOption{
		Addr:          strings.Replace(n.public, "http", "ws", 1) + "/chat/v1/connect",
		RequestHeader: http.Header{"Sec-Websocket-Protocol": {"carnet.v1"}},
	})
	if err != nil {
		n.t.Fatal(err)
	}
	c.conn = conn
	n.t.Cleanup(func() { _ = conn.NetConn().Close() })
	go conn.ReadLoop()
	c.say(fmt.Sprintf(`{"type":"hello","token":%q,"bot":%q,"after":0}`, n.newVisitor().token, bot))
	return c, c.next("welcome").Conversation
}

func (c *chatter) say(frame string) {
	c.t.Helper()
	if err := c.conn.WriteString(frame); err != nil {
		c.t.Fatal(err)
	}
}

func (c *chatter) send(id, text string) {
	c.t.Helper()
	c.say(fmt.Sprintf(`{"type":"send","id":%q,"body":{"text":%q}}`, id, text))
}

// next waits for a frame of the type. Others before it are dropped.
func (c *chatter) next(kind string) chatFrame {
	c.t.Helper()
	enough := time.After(patience)
	for {
		select {
		case f := <-c.frames:
			if f.Type == kind && !(kind == "message" && f.From == "user") {
				return f
			}
		case <-enough:
			c.t.Fatalf("no %s comes", kind)
		}
	}
}

// hears waits for the next words of anybody else.
func (c *chatter) hears(words ...string) {
	c.t.Helper()
	for _, want := range words {
		if got := c.next("message").Body.Text; got != want {
			c.t.Fatalf("heard %q, want %q", got, want)
		}
	}
}

// botExample runs a bot of the examples at an address until the test ends.
func botExample(t *testing.T, addr string, command ...string) {
	t.Helper()
	if _, err := exec.LookPath(command[0]); err != nil {
		t.Fatalf("%s is not installed: make setup installs it", command[0])
	}
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Dir = "../.."
	cmd.Env = append(os.Environ(), "WEBHOOK_SECRET="+botSecret)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	for enough := time.Now().Add(patience); time.Now().Before(enough); {
		if resp, err := http.Post("http://"+addr, "application/json", strings.NewReader("{}")); err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode != http.StatusUnauthorized {
				t.Errorf("a call that is not signed is answered with %d", resp.StatusCode)
			}
			return
		}
		select {
		case <-t.Context().Done():
		case <-time.After(20 * time.Millisecond):
		}
	}
	t.Fatalf("%s does not listen", command)
}

// botNode is a node with a webhook bot at the address.
func botNode(t *testing.T, addr, more string) *node {
	t.Helper()
	n := newNode(t)
	n.secret("bot", botSecret+"\n")
	n.secret("push", "a-token-for-pushes-0123456789\n")
	n.file(`
chat:
  bots:
    mine:
      type: webhook
      url: http://` + addr + `
      secret: srn:vault::default:secret:bot
      token: srn:vault::default:secret:push
` + more)
	n.start()
	return n
}

func TestGoBot(t *testing.T) {
	t.Parallel()
	addr := freeAddrs(t, 1)[0]
	program := filepath.Join(t.TempDir(), "bot")
	if out, err := exec.Command("go", "build", "-o", program, "../../examples/bot-go").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	botExample(t, addr, program, addr)
	n := botNode(t, addr, "")
	c, _ := n.chatWith("mine")
	c.hears("Hello! What is your order's number?")
	c.send("m-1", "17")
	c.hears("Order 17 is on its way.", "It comes tomorrow.")
}

func TestNodeBotStreams(t *testing.T) {
	t.Parallel()
	addr := freeAddrs(t, 1)[0]
	_, port, _ := strings.Cut(addr, ":")
	botExample(t, addr, "node", "examples/bot-node/bot.mjs", port)
	n := botNode(t, addr, "      welcome: Hello!\n")
	c, _ := n.chatWith("mine")
	c.hears("Hello!")
	c.send("m-1", "naïve")
	first := c.next("delta")
	if whole := c.next("message"); first.Text != "You " || whole.Body.Text != "You said: naïve" || first.ID != whole.ID {
		t.Errorf("streamed %+v of %+v", first, whole)
	}
}

// TestTurnsOfABrokenBot gives turns up, looks at them, and puts them back when the bot
// works again. The bot pushes meanwhile.
func TestTurnsOfABrokenBot(t *testing.T) {
	t.Parallel()
	var works atomic.Bool
	bot := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var call struct {
			Type string
			Data struct{ Message struct{ ID string } }
		}
		if err := json.NewDecoder(r.Body).Decode(&call); err != nil || !works.Load() && call.Type == "message.created" {
			w.WriteHeader(http.StatusTeapot)
			return
		}
		if call.Type == "message.created" {
			fmt.Fprintf(w, `{"messages":[{"text":"answer to %s"}]}`, call.Data.Message.ID)
		}
	}))
	t.Cleanup(bot.Close)
	n := botNode(t, strings.TrimPrefix(bot.URL, "http://"), "")
	c, conversation := n.chatWith("mine")
	const sorry = "The bot could not answer this message."
	for _, id := range []string{"m-1", "m-2", "m-3"} {
		c.send(id, "hi")
		c.hears(sorry)
	}

	path := n.public + "/chat/v1/conversations/" + conversation + "/messages"
	const push = `{"id":"p-1","body":{"text":"I am back soon."}}`
	n.must(401, "POST", path, push)
	for range 2 {
		if got := n.must(201, "POST", path, push, "Authorization", bearer("a-token-for-pushes-0123456789")); got.str("id") != "p-1" {
			t.Errorf("pushed %v", got.body)
		}
	}
	c.hears("I am back soon.")

	type row struct {
		ID           int64
		Bot          string
		Conversation string
		MessageID    string `json:"message_id"`
		Attempts     int
		Reason       string
	}
	list := func() (rows []row) {
		t.Helper()
		if err := json.Unmarshal([]byte(n.carnet("turns", "list", "--json", "--bot", "mine")), &rows); err != nil {
			t.Fatal(err)
		}
		return rows
	}
	rows := list()
	if len(rows) != 3 {
		t.Fatalf("turns %+v, want 3", rows)
	}
	want := row{rows[0].ID, "mine", conversation, "m-1", 1, "the bot answers 418"}
	if diff := cmp.Diff(want, rows[0]); diff != "" {
		t.Errorf("turn (-want +got):\n%s", diff)
	}
	if shown := n.carnet("turns", "show", fmt.Sprint(rows[1].ID)); !strings.Contains(shown, `"text": "hi"`) {
		t.Errorf("shown\n%s", shown)
	}
	n.carnet("turns", "drop", fmt.Sprint(rows[1].ID))
	works.Store(true)
	n.carnet("turns", "retry", "--all")
	c.hears("answer to m-1", "answer to m-3")
	if rows := list(); len(rows) != 0 {
		t.Errorf("turns %+v are left", rows)
	}
}
