package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/lxzan/gws"

	"github.com/carnetproject/carnet/internal/observe/observetest"
)

// What must never leave the place that it belongs to.
const (
	apiKey      = "authorizer-key-canary-5f1c"
	goodToken   = "user-token-canary-ann"
	otherToken  = "user-token-canary-bob"
	badToken    = "user-token-canary-eve"
	blockedText = "blocked-text-canary-8d2e"
	detail      = "authorizer-detail-canary-77aa"
)

// securedFor is the interval of the tests' secure sessions. Who comes back within it is
// told that all is well, which takes some time on a busy machine.
const securedFor = 4 * time.Second

// authorizer is the example's, behind a proxy that counts the calls and may answer itself.
type authorizer struct {
	url    string
	calls  atomic.Int64
	status atomic.Int64 // 0: the example answers
}

func newAuthorizer(t *testing.T) *authorizer {
	t.Helper()
	addr := freeAddrs(t, 1)[0]
	program := filepath.Join(t.TempDir(), "authorizer")
	if out, err := exec.Command("go", "build", "-o", program, "../../examples/authorizer").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	cmd := exec.Command(program, addr, goodToken, otherToken)
	cmd.Env = []string{"API_KEY=" + apiKey}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	a := &authorizer{}
	example := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: addr})
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.calls.Add(1)
		if status := a.status.Load(); status != 0 {
			w.Header().Set("X-Detail", detail)
			http.Error(w, detail, int(status))
			return
		}
		example.ServeHTTP(w, r)
	}))
	t.Cleanup(front.Close)
	a.url = front.URL
	return a
}

// secureNode is a node whose bot echo takes messages of those alone whom a lets in.
func (a *authorizer) secureNode(t *testing.T, more string) *node {
	t.Helper()
	n := newNode(t, "CARNET_LOG_LEVEL=debug")
	n.file(a.secured(n) + more)
	n.start()
	return n
}

// secured is the configuration of a node whose bot echo takes messages of those alone whom
// a lets in. The options of the bot's secure session may follow.
func (a *authorizer) secured(n *node) string {
	n.t.Helper()
	n.secret("authorizer-key", apiKey+"\n")
	connector := filepath.Join(n.data, "baas.json")
	document := fmt.Sprintf(`{
		"Alias": "SecureSessionBaaS", "Type": "api-connector", "Method": "POST", "Endpoint": %q,
		"Headers": {"Authorization": "srn:vault::default:secret:authorizer-key"}, "Body": {},
		"RequestMapping": {"tokenToVerify": {"type": "requestBody", "inputPath": "$.secureTokenForUser", "requestBodyPath": "$.token"}},
		"ResponseMapping": {}
	}`, a.url+"/authorize")
	if err := os.WriteFile(connector, []byte(document), 0o600); err != nil {
		n.t.Fatal(err)
	}
	_, port, _ := strings.Cut(strings.TrimPrefix(a.url, "http://"), ":")
	return `
connectors: [` + connector + `]
egress:
  allow: [127.0.0.1]
  ports: [` + port + `]
  allow_insecure: true
chat:
  bots:
    echo:
      secure_session:
        connector: SecureSessionBaaS
        interval: ` + securedFor.String() + `
        error_message: Please sign in again.
`
}

// customer is a socket, and all that came over it.
type customer struct {
	gws.BuiltinEventHandler
	t      *testing.T
	conn   *gws.Conn
	frames chan customerFrame

	mu  sync.Mutex
	raw strings.Builder
}

type customerFrame struct {
	Type, Conversation, ID, State, Reason, Message, From string
	Seq                                                  int64
	RetryAfter                                           float64 `json:"retry_after"`
	Code                                                 uint16  `json:"-"` // of the end
	Body                                                 struct{ Text string }
	Error                                                struct {
		Code       string
		RetryAfter float64 `json:"retry_after"`
	}
}

func (c *customer) OnMessage(_ *gws.Conn, m *gws.Message) {
	defer func() { _ = m.Close() }()
	var f customerFrame
	if err := json.Unmarshal(m.Bytes(), &f); err != nil {
		c.t.Error(err)
	}
	c.mu.Lock()
	_, _ = c.raw.Write(m.Bytes())
	c.mu.Unlock()
	c.frames <- f
}

func (c *customer) OnClose(_ *gws.Conn, err error) {
	var end *gws.CloseError
	if e, ok := err.(*gws.CloseError); ok { //nolint:errorlint // gws hands it over as it is
		end = e
	}
	f := customerFrame{Type: "closed"}
	if end != nil {
		f.Code = end.Code
	}
	c.frames <- f
}

func (c *customer) said() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.raw.String()
}

func (n *node) customer(hello string) *customer {
	n.t.Helper()
	c := &customer{t: n.t, frames: make(chan customerFrame, 1000)}
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
	c.say(hello)
	return c
}

func (c *customer) say(frame string) {
	c.t.Helper()
	if err := c.conn.WriteString(frame); err != nil {
		c.t.Fatal(err)
	}
}

func (c *customer) send(id, text string) {
	c.t.Helper()
	c.say(fmt.Sprintf(`{"type":"send","id":%q,"body":{"text":%q}}`, id, text))
}

// shows puts a token into the context.
func (c *customer) shows(token string) {
	c.t.Helper()
	c.say(fmt.Sprintf(`{"type":"context","id":"c","set":{"secureTokenForUser":%q}}`, token))
	c.wants("context c")
}

// wants waits for frames of which words are told here, in that order; others are dropped.
func (c *customer) wants(words ...string) {
	c.t.Helper()
	enough := time.After(patience)
	var heard []string
	for len(words) > 0 {
		select {
		case f := <-c.frames:
			w := ""
			switch f.Type {
			case "nack":
				w = "nack " + f.ID + " " + f.Error.Code
			case "ack", "context":
				w = f.Type + " " + f.ID
			case "secure":
				w = strings.TrimSpace("secure " + f.State + " " + f.Reason + " " + f.Message)
			case "message":
				w = f.From + " " + f.Body.Text
			case "error":
				w = "error " + f.Error.Code
			case "closed":
				w = fmt.Sprint("closed ", f.Code)
			default:
				w = f.Type
			}
			heard = append(heard, w)
			if w == words[0] {
				words = words[1:]
			}
		case <-enough:
			c.t.Fatalf("no %q comes, but %q", words[0], heard)
		}
	}
}

func TestSecureSession(t *testing.T) {
	t.Parallel()
	a := newAuthorizer(t)
	traces := observetest.New(t)
	n := a.secureNode(t, "        protect: [ingress, history]\ntraces: {endpoint: \""+traces.URL+"\"}\n")
	v := n.newVisitor()
	hello := func(more string) string {
		return fmt.Sprintf(`{"type":"hello","token":%q,"bot":"echo"%s}`, v.token, more)
	}
	c := n.customer(hello(""))
	welcome := <-c.frames
	history := n.public + "/chat/v1/conversations/" + welcome.Conversation + "/messages"
	wantCalls := func(want int64) {
		t.Helper()
		if got := a.calls.Load(); got != want {
			t.Fatalf("the authorizer was called %d times, want %d", got, want)
		}
	}

	c.send("m0", blockedText)
	c.wants("secure locked credential_missing Please sign in again.", "nack m0 credential_missing")
	wantCalls(0)
	c.shows(badToken)
	c.send("m1", blockedText)
	c.wants("secure locked unauthorized Please sign in again.", "nack m1 unauthorized")
	wantCalls(1)
	refused := n.must(403, "GET", history, nil, "Authorization", bearer(v.token))
	if refused.str("code") != "unauthorized" {
		t.Errorf("history: %s", refused.text)
	}
	frames := n.must(200, "POST", strings.TrimSuffix(history, "messages")+"frames",
		`{"type":"send","id":"m2","body":{"text":"`+blockedText+`"}}`, "Authorization", bearer(v.token))
	if !strings.Contains(frames.text, `"code":"unauthorized"`) {
		t.Errorf("frames: %s", frames.text)
	}

	before, asked := a.calls.Load(), time.Now()
	c.shows(goodToken)
	c.send("m1", "the same again") // its id was not taken
	c.wants("secure secured allowed", "ack m1", "bot the same again")
	c.send("m3", "no call")
	c.wants("ack m3", "bot no call")
	if time.Since(asked) < securedFor {
		wantCalls(before + 1)
	}
	page := n.must(200, "GET", history+"?limit=100", nil, "Authorization", bearer(v.token))
	if !strings.Contains(page.text, "the same again") || strings.Contains(page.text, blockedText) {
		t.Errorf("history: %s", page.text)
	}
	again := n.customer(hello(`,"conversation":"` + welcome.Conversation + `"`))
	again.wants("welcome", "secure secured allowed")
	sent := 0
	n.wait("asked again after the interval", func() bool {
		sent++
		c.send(fmt.Sprint("n", sent), "on")
		c.wants(fmt.Sprint("ack n", sent))
		return a.calls.Load() > before+1
	})

	a.status.Store(500)
	before = a.calls.Load()
	c.shows(otherToken) // whoever it is, it is somebody else
	c.send("f0", blockedText)
	c.wants("secure unavailable temporarily_unavailable We can't verify your session right now. Please try again.", "nack f0 temporarily_unavailable")
	again.wants("secure unavailable temporarily_unavailable We can't verify your session right now. Please try again.")
	wantCalls(before + 1)
	a.status.Store(401)
	c.send("f1", blockedText)
	c.wants("nack f1 unauthorized")
	late := n.customer(hello(`,"conversation":"` + welcome.Conversation + `"`))
	late.wants("welcome", "secure locked unauthorized Please sign in again.")
	a.status.Store(302)
	c.send("f2", blockedText)
	c.wants("nack f2 temporarily_unavailable")
	a.status.Store(0)
	c.send("f2", "at last")
	c.wants("secure secured allowed", "ack f2", "bot at last")

	metrics := n.must(200, "GET", n.admin+"/metrics", nil)
	for _, want := range []string{
		`carnet_securesession_decisions_total{bot="echo",reason="credential_missing",result="deny",source="local"} 1`,
		`carnet_securesession_blocked_messages_total{bot="echo",reason="temporarily_unavailable"} 2`,
		`carnet_securesession_authorizer_requests_total{class="5xx",connector="SecureSessionBaaS"} 1`,
		`carnet_securesession_sessions{state="allowed"} 1`,
	} {
		if !strings.Contains(metrics.text, want) {
			t.Errorf("the metrics lack %s", want)
		}
	}
	if log := n.log.String(); !strings.Contains(log, "blocked by secure session") || !strings.Contains(log, "trace_id=") {
		t.Error("what was blocked is not in the log, or not in which trace")
	}

	n.stop(syscall.SIGTERM)
	results := map[string]int{}
	for _, s := range traces.Spans()["chat send > secure session"] {
		results[s.Attributes["carnet.result"]+" "+s.Attributes["carnet.reason"]]++
	}
	for _, want := range []string{"allow ", "deny credential_missing", "deny unauthorized", "fail temporarily_unavailable"} {
		if results[want] == 0 {
			t.Errorf("no trace tells of %q, but of %v", want, results)
		}
	}
	places := map[string]string{
		"the traces": traces.Raw(),
		"the log":    n.log.String(), "the metrics": metrics.text, "frames": c.said() + again.said() + late.said(),
		"answers": refused.text + frames.text, "the store": n.stored(),
	}
	for place, text := range places {
		for _, secret := range []string{apiKey, goodToken, otherToken, badToken, blockedText, detail} {
			if strings.Contains(text, secret) {
				t.Errorf("%s: there is %q in it", place, secret)
			}
		}
	}
}

// stored is all that the store has written.
func (n *node) stored() string {
	n.t.Helper()
	files, err := filepath.Glob(filepath.Join(n.data, "*.db*"))
	if err != nil || len(files) == 0 {
		n.t.Fatalf("no store: %v", err)
	}
	var all strings.Builder
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			n.t.Fatal(err)
		}
		all.Write(data)
	}
	return all.String()
}

// TestProtectedResume locks a conversation for who comes back without credentials, and
// opens it for who has new ones.
func TestProtectedResume(t *testing.T) {
	t.Parallel()
	a := newAuthorizer(t)
	n := a.secureNode(t, "        protect: [ingress, history, resume]\n")
	v := n.newVisitor()
	hello := func(token string) string {
		return fmt.Sprintf(`{"type":"hello","token":%q,"bot":"echo","after":0,"context":{"secureTokenForUser":%q}}`, v.token, token)
	}
	c := n.customer(hello(goodToken))
	c.send("m1", "hello")
	c.wants("welcome", "ack m1", "bot hello")
	c = n.customer(hello(badToken))
	c.wants("secure locked unauthorized Please sign in again.", "error unauthorized", "closed 4423")
	a.status.Store(503)
	c = n.customer(hello(otherToken))
	c.wants("error temporarily_unavailable", "closed 4503")
	a.status.Store(0)
	c = n.customer(hello(goodToken))
	c.wants("welcome", "secure secured allowed", "user hello", "bot hello")
}

// TestStoppedBot takes no messages, and is there to be looked at.
func TestStoppedBot(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.file("\nchat:\n  bots:\n    echo:\n      state: paused\n    menu: {}\n")
	n.start()
	v := n.newVisitor()
	c := n.customer(fmt.Sprintf(`{"type":"hello","token":%q,"bot":"echo"}`, v.token))
	c.send("m1", "hello")
	c.wants("welcome", "nack m1 bot_not_running")
	other := n.customer(fmt.Sprintf(`{"type":"hello","token":%q,"bot":"menu"}`, v.token))
	other.send("m1", "hello")
	other.wants("welcome", "ack m1")
	if diff := cmp.Diff(0, strings.Count(c.said(), `"type":"ack"`)); diff != "" {
		t.Error(diff)
	}
}
