package kore

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lxzan/gws"

	"github.com/carnetproject/carnet/internal/app"
	"github.com/carnetproject/carnet/internal/bot"
	"github.com/carnetproject/carnet/internal/bus/local"
	"github.com/carnetproject/carnet/internal/chat"
	"github.com/carnetproject/carnet/internal/httpx"
	"github.com/carnetproject/carnet/internal/jose"
	"github.com/carnetproject/carnet/internal/seal"
	"github.com/carnetproject/carnet/internal/secret"
	"github.com/carnetproject/carnet/internal/store/sqlite"
)

const (
	shopPage  = "https://shop.example"
	otherPage = "https://other.example" // of another app
)

// clock is the time of the day for a test, which it may move. It goes on by itself.
type clock struct {
	mu   sync.Mutex
	lead time.Duration
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.lead)
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lead += d
}

// quiet is a bot that welcomes nobody and answers nothing but "?".
type quiet struct{}

func (quiet) Answer(_ context.Context, t bot.Turn) (bot.Answer, error) {
	if t.Kind == bot.Welcome || read(t.Body).Text != "?" {
		return bot.Answer{}, nil
	}
	return bot.Answer{Replies: []bot.Reply{{Body: json.RawMessage(`{"text":"!"}`)}}}, nil
}

// mirror answers with the context of the conversation.
type mirror struct{}

func (mirror) Answer(_ context.Context, t bot.Turn) (bot.Answer, error) {
	body, err := json.Marshal(map[string]string{"text": "context " + string(t.Context)})
	return bot.Answer{Replies: []bot.Reply{{Body: body}}}, err
}

// slow is a bot that welcomes nobody, and answers what was said when the gate opens.
type slow struct{ gate <-chan struct{} }

func (s slow) Answer(ctx context.Context, t bot.Turn) (bot.Answer, error) {
	if t.Kind == bot.Welcome {
		return bot.Answer{}, nil
	}
	select {
	case <-s.gate:
	case <-ctx.Done():
		return bot.Answer{}, ctx.Err()
	}
	return bot.Answer{Replies: []bot.Reply{{Body: t.Body}, {Body: json.RawMessage(`{"text":"done"}`)}}}, nil
}

// world is the surface on a store of its own, with an app that may use it.
type world struct {
	*Handler
	t       *testing.T
	clock   *clock
	store   *sqlite.Store
	apps    *app.Directory
	shop    app.App
	secret  secret.Bytes
	engine  *chat.Engine
	url     string // of the server
	restart func() // the node, with the same store
	gate    chan struct{}
	guard   guard // lets everything pass, but what a test says
	limits  chat.Limits
}

func newWorld(t *testing.T, edit ...func(*Config)) *world {
	t.Helper()
	w := &world{t: t, clock: &clock{}, gate: make(chan struct{})}
	box, err := seal.NewBox(secret.New(make([]byte, seal.KeySize)))
	w.must(err)
	w.store, err = sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "kore.db"))
	w.must(err)
	writing, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	var writer sync.WaitGroup
	writer.Go(func() { _ = w.store.Run(writing) })
	t.Cleanup(func() { stop(); writer.Wait(); _ = w.store.Close() })

	w.apps = app.New(app.Config{Store: w.store, Box: box, Signed: app.Signed{
		Session: []jose.Algorithm{jose.ES256}, Access: []jose.Algorithm{jose.ES256},
	}})
	w.shop, w.secret = w.app(app.Registration{Name: "shop", Origins: []string{shopPage}, SessionAlgorithm: jose.HS256})
	w.app(app.Registration{Name: "other", Origins: []string{otherPage}})

	bots := bot.Registry{}
	for id, b := range map[bot.ID]bot.Bot{"echo": bot.Echo{}, "quiet": quiet{}, "mirror": mirror{}, "slow": slow{w.gate}} {
		bots[id] = &bot.Entry{Bot: b}
	}
	c := Config{
		Apps: w.apps, Box: box, Clock: w.clock.now, Log: slog.New(slog.DiscardHandler),
		Keys: w.apps.VerificationKeys,
		Bot: func(id, _ string) (bot.ID, bool) {
			b := bot.ID(strings.TrimPrefix(id, "st-"))
			return b, w.engine.Knows(b)
		},
		ClientAddr: httpx.ClientAddr(nil), Alone: true,
	}
	for _, f := range edit {
		f(&c)
	}
	server := &swap{}
	s := httptest.NewServer(server)
	t.Cleanup(s.Close)
	w.url = s.URL
	end := w.serve(server, c, bots)
	w.restart = func() { end(); end = w.serve(server, c, bots) }
	t.Cleanup(func() { end() })
	return w
}

// serve runs a node until the function that it returns is called.
func (w *world) serve(server *swap, c Config, bots bot.Registry) (end func()) {
	var runner *bot.Runner
	known := map[bot.ID]chat.Policy{}
	for id := range bots {
		known[id] = chat.Policy{}
	}
	engine, err := chat.New(chat.Config{
		Store: w.store, Bus: local.New(), Log: c.Log, Clock: c.Clock, Gate: &w.guard, Limits: w.limits,
		Bots: known,
		Hire: func(id bot.ID) *bot.Worker { return runner.Hire(id) },
		Wake: func(id bot.ID) { runner.Wake(id) },
	})
	w.must(err)
	runner, err = bot.NewRunner(bot.RunnerConfig{Bots: bots, Turns: w.store, Replies: engine, Clock: c.Clock, Log: c.Log})
	w.must(err)
	c.Engine, w.engine = engine, engine
	w.Handler = New(c)
	server.to(w.Wrap(httpx.Handler(httpx.NotFound)))
	ctx, cancel := context.WithCancel(context.WithoutCancel(w.t.Context()))
	var running sync.WaitGroup
	for _, run := range []func(context.Context) error{engine.Run, runner.Run, w.Run} {
		running.Go(func() {
			if err := run(ctx); err != nil {
				w.t.Errorf("Run() = %v, want nil", err)
			}
		})
	}
	h := w.Handler
	return func() {
		leaving, giveUp := context.WithTimeout(ctx, time.Minute)
		defer giveUp()
		h.Shutdown(leaving)
		if engine.Drain(leaving); leaving.Err() != nil {
			w.t.Error("a session is left")
		}
		cancel()
		running.Wait()
		h.conns.Each(func(*conn) { w.t.Error("a connection is known that is gone") })
		if n := h.Conns() + h.waiting.Len(); n != 0 {
			w.t.Errorf("%d connections are left", n)
		}
	}
}

// swap is a server whose handler changes.
type swap struct {
	mu sync.Mutex
	h  http.Handler
}

func (s *swap) to(h http.Handler) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.h = h
}

func (s *swap) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	h := s.h
	s.mu.Unlock()
	h.ServeHTTP(w, r.WithContext(httpx.WithLog(r.Context(), slog.New(slog.DiscardHandler))))
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) app(r app.Registration) (app.App, secret.Bytes) {
	w.t.Helper()
	a, s, err := w.apps.Add(w.t.Context(), r)
	w.must(err)
	return a, s
}

// claims are those of a good assertion of ann's, changed.
func (w *world) claims(change map[string]any) map[string]any {
	now := w.clock.now().Unix()
	c := map[string]any{
		"iss": w.shop.ID, "sub": "ann", "aud": "https://idproxy.kore.com/authorize", "iat": now, "exp": now + 300,
		"isAnonymous": false,
	}
	maps.Copy(c, change)
	for name, value := range c {
		if value == nil {
			delete(c, name)
		}
	}
	return c
}

// sign signs claims with the app's secret.
func (w *world) sign(alg jose.Algorithm, typ string, claims map[string]any) string {
	w.t.Helper()
	key, err := jose.NewImportedSecretKey(alg, "", w.secret.Reveal())
	w.must(err)
	text, err := json.Marshal(claims)
	w.must(err)
	token, err := key.Sign(typ, text)
	w.must(err)
	return token
}

func (w *world) assertion(change map[string]any) string {
	w.t.Helper()
	return w.sign(jose.HS256, "JWT", w.claims(change))
}

// answer is what the surface says over HTTP.
type answer struct {
	status int
	header http.Header
	text   string
}

// to reads the answer, which must be 200.
func (a answer) to(t *testing.T, into any) {
	t.Helper()
	if a.status != http.StatusOK {
		t.Fatalf("status %d: %s", a.status, a.text)
	}
	if err := json.Unmarshal([]byte(a.text), into); err != nil {
		t.Fatalf("%v: %s", err, a.text)
	}
}

// do sends a request. Headers are given as pairs.
func (w *world) do(method, path, body string, headers ...string) answer {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.t.Context(), method, w.url+path, strings.NewReader(body))
	w.must(err)
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	res, err := http.DefaultTransport.RoundTrip(r)
	w.must(err)
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	w.must(err)
	return answer{res.StatusCode, res.Header, string(text)}
}

// login exchanges an assertion for a bearer token.
func (w *world) login(bot string, change map[string]any) (bearer string) {
	w.t.Helper()
	body, err := json.Marshal(map[string]any{
		"assertion": w.assertion(change), "botInfo": map[string]any{"chatBot": "Bot", "taskBotId": bot}, "token": map[string]any{},
	})
	w.must(err)
	var a grantAnswer
	w.do("POST", "/api/oAuth/token/jwtgrant", string(body)).to(w.t, &a)
	return a.Authorization.AccessToken
}

// address starts a socket and returns where it is.
func (w *world) address(bearer string, botInfo string) string {
	w.t.Helper()
	var a struct{ URL string }
	w.do("POST", "/api/rtm/start", `{"botInfo":`+botInfo+`,"token":{}}`, "Authorization", "bearer "+bearer).to(w.t, &a)
	return a.URL
}

// page is a page's socket.
type pageSocket struct {
	t      *testing.T
	ws     *gws.Conn
	frames chan map[string]any
	closed chan struct{}
	pongs  chan string
	mute   bool            // it answers no ping
	hold   <-chan struct{} // it reads nothing before this is closed; nil: it reads
}

// open opens a socket as the SDK does, with something added to the address.
func (w *world) open(bearer, more string) *pageSocket {
	w.t.Helper()
	return w.dial(w.address(bearer, "{}") + more)
}

func (w *world) dial(address string) *pageSocket {
	w.t.Helper()
	p, res, err := w.try(address)
	if err != nil {
		w.t.Fatalf("%v (%v)", err, res)
	}
	return p
}

func (w *world) try(address string, headers ...string) (*pageSocket, *http.Response, error) {
	p := &pageSocket{t: w.t, frames: make(chan map[string]any, 1000), closed: make(chan struct{}), pongs: make(chan string, 100)}
	h := http.Header{}
	for i := 0; i < len(headers); i += 2 {
		h.Set(headers[i], headers[i+1])
	}
	ws, res, err := gws.NewClient(p, &gws.ClientOption{Addr: address, RequestHeader: h})
	if err != nil {
		return nil, res, err
	}
	p.ws = ws
	go ws.ReadLoop()
	w.t.Cleanup(func() { _ = ws.NetConn().Close() })
	return p, res, nil
}

func (p *pageSocket) OnOpen(*gws.Conn)             {}
func (p *pageSocket) OnClose(*gws.Conn, error)     { close(p.closed) }
func (p *pageSocket) OnPong(_ *gws.Conn, b []byte) { p.pongs <- string(b) }
func (p *pageSocket) OnPing(c *gws.Conn, payload []byte) {
	if !p.mute {
		_ = c.WritePong(bytes.Clone(payload))
	}
}

func (p *pageSocket) OnMessage(_ *gws.Conn, m *gws.Message) {
	defer func() { _ = m.Close() }()
	if p.hold != nil {
		<-p.hold
	}
	var frame map[string]any
	if err := json.Unmarshal(m.Bytes(), &frame); err != nil {
		p.t.Errorf("%q is not JSON", m.Bytes())
	}
	p.frames <- frame
}

// cut loses the connection, as a network does.
func (p *pageSocket) cut() { _ = p.ws.NetConn().Close(); <-p.closed }

func (p *pageSocket) say(frame string) {
	p.t.Helper()
	if err := p.ws.WriteString(frame); err != nil {
		p.t.Fatal(err)
	}
}

// send sends a message as the SDK does.
func (p *pageSocket) send(id int64, text string) {
	p.t.Helper()
	frame, err := json.Marshal(map[string]any{
		"clientMessageId": id, "id": id, "resourceid": "/bot.message", "client": "sdk",
		"message": map[string]string{"body": text}, "botInfo": map[string]string{"chatBot": "Bot", "taskBotId": "st-echo"},
	})
	if err != nil {
		p.t.Fatal(err)
	}
	p.say(string(frame))
}

// next is the next frame, but for those that the SDK does not look at.
func (p *pageSocket) next() map[string]any {
	p.t.Helper()
	for {
		select {
		case f := <-p.frames:
			if k := f["type"]; k == "bot_response" || k == "user_message" {
				return f
			}
		case <-p.closed:
			p.t.Fatal("closed")
		case <-time.After(time.Minute):
			p.t.Fatal("nothing comes")
		}
	}
}

// wantText reads a bubble of the bot's, and returns its id.
func (p *pageSocket) wantText(text string) string {
	p.t.Helper()
	f := p.next()
	if got := bubbleText(f); f["type"] != "bot_response" || got != text {
		p.t.Fatalf("got %v, want the bot to say %q", f, text)
	}
	return f["messageId"].(string)
}

// wantUser reads a bubble of the user's.
func (p *pageSocket) wantUser(text string) {
	p.t.Helper()
	f := p.next()
	if m, _ := f["message"].(map[string]any); f["type"] != "user_message" || f["from"] != "self" || m["body"] != text {
		p.t.Fatalf("got %v, want the user to say %q", f, text)
	}
}

// wantQuiet sees that no bubble is on the way.
func (p *pageSocket) wantQuiet() {
	p.t.Helper()
	p.wantAnswer(`{"type":"ping","resourceid":"/bot.message","id":7}`, "pong")
}

// wantAnswer says something and reads up to the answer. Bubbles must not come before it.
func (p *pageSocket) wantAnswer(frame, kind string) map[string]any {
	p.t.Helper()
	p.say(frame)
	for {
		select {
		case f := <-p.frames:
			switch f["type"] {
			case kind:
				return f
			case "bot_response", "user_message":
				p.t.Fatalf("got %v, want no bubble", f)
			}
		case <-time.After(time.Minute):
			p.t.Fatalf("no answer to %s", frame)
		}
	}
}

func bubbleText(f map[string]any) string {
	list, _ := f["message"].([]any)
	if len(list) == 0 {
		return ""
	}
	text, _ := list[0].(map[string]any)["cInfo"].(map[string]any)["body"].(string)
	return text
}

// past reads a page of the history.
func (w *world) past(bearer string, query string) page {
	w.t.Helper()
	var p page
	w.do("GET", "/api/botmessages/rtm?botId=st-echo"+query, "", "Authorization", "bearer "+bearer).to(w.t, &p)
	return p
}

func texts(p page) (list []string) {
	for _, m := range p.Messages {
		list = append(list, m.Components[0].Data.Text)
	}
	return list
}

func sidOf(t *testing.T, address string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return u.Query().Get("sid")
}
