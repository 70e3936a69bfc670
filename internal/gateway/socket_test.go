package gateway

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/carnetproject/carnet/internal/limit"
	"github.com/carnetproject/carnet/internal/revocation"
)

// ticker is a clock that a test moves.
type ticker struct{ ahead atomic.Int64 }

func (c *ticker) now() time.Time        { return now.Add(time.Duration(c.ahead.Load())) }
func (c *ticker) move(by time.Duration) { c.ahead.Add(int64(by)) }

// lane is both ends of a proxied WebSocket.
type lane struct {
	t        *testing.T
	client   net.Conn
	from     *bufio.Reader
	upstream net.Conn
	to       *bufio.Reader
}

// switching is an upstream that accepts WebSockets and hands them to the test.
func switching(t *testing.T) (url string, taken chan net.Conn) {
	t.Helper()
	taken = make(chan net.Conn, 16)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		c, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		_, _ = rw.WriteString("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
		_ = rw.Flush()
		taken <- c
	}))
	t.Cleanup(s.Close)
	return s.URL, taken
}

func connect(t *testing.T, server *httptest.Server, taken chan net.Conn, token string) *lane {
	t.Helper()
	c, err := new(net.Dialer).DialContext(t.Context(), "tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	_, _ = io.WriteString(c, "GET /demo?jwt="+token+" HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
	w := &lane{t: t, client: c, from: bufio.NewReader(c)}
	res, err := http.ReadResponse(w.from, nil)
	if err != nil || res.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("%v, %v", res, err)
	}
	w.upstream = <-taken
	t.Cleanup(func() { _ = w.upstream.Close() })
	_ = w.upstream.SetDeadline(time.Now().Add(time.Minute))
	w.to = bufio.NewReader(w.upstream)
	w.alive()
	return w
}

// say makes the upstream send bytes, and checks that the client gets them.
func (w *lane) say(text []byte) {
	w.t.Helper()
	if _, err := w.upstream.Write(text); err != nil {
		w.t.Fatal(err)
	}
	w.hear(text)
}

func (w *lane) hear(want []byte) {
	w.t.Helper()
	got := make([]byte, len(want))
	if _, err := io.ReadFull(w.from, got); err != nil || !bytes.Equal(got, want) {
		w.t.Fatalf("the client got %x, %v; want %x", got, err, want)
	}
}

// alive checks that both ends hear each other.
func (w *lane) alive() {
	w.t.Helper()
	w.say(frame(1, 3, false))
	if _, err := w.client.Write([]byte("ping")); err != nil {
		w.t.Fatal(err)
	}
	got := make([]byte, 4)
	if _, err := io.ReadFull(w.to, got); err != nil || string(got) != "ping" {
		w.t.Fatalf("the upstream got %q, %v", got, err)
	}
}

// closed checks that the client gets a close frame and the end of the connection, and
// the upstream nothing but the end, whatever the client goes on to say.
func (w *lane) closed(why ending) {
	w.t.Helper()
	w.hear(closeFrame(why.status, why.reason))
	if rest, err := io.ReadAll(w.from); err != nil || len(rest) > 0 {
		w.t.Errorf("after the close frame the client got %x, %v", rest, err)
	}
	_, _ = w.client.Write([]byte("late"))
	_ = w.client.Close()
	if rest, err := io.ReadAll(w.to); err != nil && !strings.Contains(err.Error(), "reset") || len(rest) > 0 {
		w.t.Errorf("the upstream got %q, %v", rest, err)
	}
}

// started runs g until the test ends or the function returned is called.
func started(t *testing.T, g *Gateway) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- g.Run(ctx) }()
	stop = func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run() = %v", err)
		}
		done <- nil // for the next call
	}
	t.Cleanup(stop)
	return stop
}

func TestWebSocketEndsWithItsToken(t *testing.T) {
	t.Parallel()
	app := func(claims ...object) string { return hs(appSecret, "app-key", claims...) }
	in := func(d time.Duration) object { return object{"exp": now.Add(d).Unix()} }
	type world struct {
		g     *Gateway
		cfg   Config
		clock *ticker
		list  *denials
		sets  *sets
		store *directory
	}
	for name, tc := range map[string]struct {
		jwt   JWT
		token string
		cause func(t *testing.T, w *world)
		why   ending
	}{
		"expired": {JWT{}, app(in(time.Hour)), func(_ *testing.T, w *world) { w.clock.move(time.Hour) }, tokenExpired},
		"expired, and the route says so": {JWT{ClaimsToVerify: []string{"exp"}}, app(in(time.Hour)), func(_ *testing.T, w *world) {
			w.clock.move(time.Hour)
		}, tokenExpired},
		"expired, with leeway": {JWT{ClaimsToVerify: []string{"exp"}, Leeway: 30}, app(in(-time.Second)), func(_ *testing.T, w *world) {
			w.clock.move(29 * time.Second)
		}, tokenExpired},
		"revoked": {JWT{}, app(), func(_ *testing.T, w *world) {
			w.list.change(func(t revocation.Token) bool { return t.Credential == "app-key" })
		}, tokenInvalid},
		"credential removed": {JWT{}, app(), func(t *testing.T, w *world) {
			w.cfg.Consumers = w.cfg.Consumers[1:]
			reload(t, w.g, w.cfg)
		}, tokenInvalid},
		"credential with another secret": {JWT{}, app(), func(t *testing.T, w *world) {
			w.cfg.Consumers[0].JWTSecrets[0].Secret = stated(strings.Repeat("another", 5))
			reload(t, w.g, w.cfg)
		}, tokenInvalid},
		"credential of somebody else now": {JWT{}, app(), func(t *testing.T, w *world) {
			w.cfg.Consumers[0].Username = "other"
			reload(t, w.g, w.cfg)
		}, tokenInvalid},
		"key retired": {JWT{IssuerPrefixes: []string{"mobilev2"}}, deviceToken(deviceIssuer, object{"kid": "k1"}), func(t *testing.T, w *world) {
			w.sets.put("mobile_device", joseKey("RS256", "k2", rsaB()))
			if err := w.g.SetsChanged(); err != nil {
				t.Error(err)
			}
		}, tokenInvalid},
		"removed from the store": {JWT{}, hs(appSecret, "stored"), func(_ *testing.T, w *world) { w.store.remove("stored") }, tokenInvalid},
		"anonymous would do": {JWT{Anonymous: "app"}, app(), func(_ *testing.T, w *world) {
			w.list.change(func(t revocation.Token) bool { return t.Credential == "app-key" })
		}, tokenInvalid},
		"another profile's 403": {JWT{StatusProfile: "sunbird"}, app(), func(t *testing.T, w *world) {
			w.cfg.Consumers = w.cfg.Consumers[1:]
			reload(t, w.g, w.cfg)
		}, tokenInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url, taken := switching(t)
			w := &world{clock: &ticker{}, list: &denials{}, sets: &sets{}, store: newDirectory(), cfg: withSet(url)}
			w.cfg.Services[0].Routes[0].Plugins.JWT = &tc.jwt
			w.sets.put("mobile_device", joseKey("RS256", "k1", rsaA()))
			w.store.put(storedSecret("stored", appSecret, "legacy"))
			var server *httptest.Server
			done := make(chan Outcome, 1)
			w.g, server = newGateway(t, cached(Options{
				Config: w.cfg, KeySet: w.sets.read, Registry: w.store, Revocations: w.list, Clock: w.clock.now,
				Observe: func(o Outcome) { done <- o },
			}))
			started(t, w.g)
			line := connect(t, server, taken, tc.token)
			tc.cause(t, w)
			line.closed(tc.why)
			if o := <-done; o.Status != 101 || len(w.g.sockets.list()) > 0 {
				t.Errorf("outcome %+v, still open %v", o, w.g.sockets.list())
			}
		})
	}
}

// Whoever leaves the group that an access list asks for, leaves its WebSockets.
func TestWebSocketEndsWithItsGroup(t *testing.T) {
	t.Parallel()
	url, taken := switching(t)
	store := newDirectory()
	join := func(group string) {
		c := storedSecret("stored", appSecret, "legacy")
		c.Consumer.Groups = []string{group}
		store.put(c)
		store.generation.Add(1)
	}
	join("staff")
	g, server := newGateway(t, cached(Options{
		Config: oneRoute(url, Plugins{JWT: &JWT{}, ACL: &ACL{Allow: []string{"staff", "lead"}}}), Registry: store,
	}))
	line := connect(t, server, taken, hs(appSecret, "stored"))
	join("lead")
	g.recheck(t.Context(), func(_ *socket, why *ending) { t.Errorf("in another group that may: %s", why.reason) })
	line.alive()
	join("guests")
	started(t, g)
	line.closed(tokenInvalid)
}

// A network cannot keep its WebSockets by showing more bad tokens than are looked at.
func TestWebSocketEndsAmidAFlood(t *testing.T) {
	t.Parallel()
	url, taken := switching(t)
	list := &denials{}
	cfg := oneRoute(url, Plugins{JWT: &JWT{}})
	cfg.RefusedPerIP = limit.Rate{N: 2, Per: time.Minute}
	g, server := newGateway(t, Options{Config: cfg, Revocations: list})
	line := connect(t, server, taken, hs(appSecret, "app-key", object{"jti": "1"}))
	for _, want := range []int{401, 401, 429} {
		if a := call(t, server, "GET", "/demo?jwt="+hs("wrong", "app-key")); a.status != want {
			t.Errorf("%d %s, want %d", a.status, a.body, want)
		}
	}
	list.change(func(t revocation.Token) bool { return t.ID == "1" })
	started(t, g)
	line.closed(tokenInvalid)
}

func reload(t *testing.T, g *Gateway, c Config) {
	t.Helper()
	if err := g.Reload(t.Context(), c); err != nil {
		t.Error(err)
	}
}

// A WebSocket goes on whose token is as good as when it was let in.
func TestWebSocketGoesOn(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		plugins Plugins
		token   string
		change  func(clock *ticker, list *denials, store *directory)
	}{
		"nobody was asked":                     {Plugins{}, "x", func(c *ticker, l *denials, _ *directory) { c.move(time.Hour); l.change(everything) }},
		"was expired before, to no one's harm": {Plugins{JWT: &JWT{}}, hs(appSecret, "app-key", object{"exp": now.Unix() - 1}), func(c *ticker, _ *denials, _ *directory) { c.move(time.Hour) }},
		"another was revoked":                  {Plugins{JWT: &JWT{}}, hs(appSecret, "app-key"), func(_ *ticker, l *denials, _ *directory) { l.change(nil) }},
		"anonymous": {Plugins{JWT: &JWT{Anonymous: "app"}}, "x", func(c *ticker, l *denials, _ *directory) {
			c.move(time.Hour)
			l.change(everything)
		}},
		"nobody can say": {Plugins{JWT: &JWT{}}, hs(appSecret, "stored"), func(_ *ticker, _ *denials, s *directory) {
			s.fail(true)
			s.generation.Add(1)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url, taken := switching(t)
			clock, list, store := &ticker{}, &denials{}, newDirectory()
			store.put(storedSecret("stored", appSecret, "legacy"))
			g, server := newGateway(t, cached(Options{Config: oneRoute(url, tc.plugins), Registry: store, Revocations: list, Clock: clock.now}))
			line := connect(t, server, taken, tc.token)
			tc.change(clock, list, store)
			end := func(s *socket, why *ending) { t.Errorf("is ended: %s", why.reason); s.end(why) }
			for range 2 {
				g.expire(end)
				g.recheck(t.Context(), end)
			}
			line.alive()
		})
	}
}

func everything(revocation.Token) bool { return true }

// What could not be said is asked again, until it can.
func TestRecheckAsksAgain(t *testing.T) {
	t.Parallel()
	url, taken := switching(t)
	store := newDirectory()
	store.put(storedSecret("stored", appSecret, "legacy"))
	g, server := newGateway(t, cached(Options{Config: oneRoute(url, Plugins{JWT: &JWT{}}), Registry: store}))
	connect(t, server, taken, hs(appSecret, "stored"))
	ended := 0
	recheck := func() { g.recheck(t.Context(), func(*socket, *ending) { ended++ }) }
	recheck()
	before := store.lookups.Load()
	recheck()
	if n := store.lookups.Load() - before; n != 0 {
		t.Errorf("%d lookups though nothing changed", n)
	}
	store.fail(true)
	store.remove("stored")
	recheck()
	if ended != 0 {
		t.Error("ended though nobody can say")
	}
	store.fail(false)
	recheck()
	if ended != 1 {
		t.Errorf("ended %d times once it was known", ended)
	}
}

// The next look is no later than the next token expires.
func TestExpireLooksInTime(t *testing.T) {
	t.Parallel()
	url, taken := switching(t)
	clock := &ticker{}
	g, server := newGateway(t, cached(Options{Config: oneRoute(url, Plugins{JWT: &JWT{}}), Clock: clock.now}))
	expire := func() time.Duration { return g.expire(func(*socket, *ending) {}) }
	if got := expire(); got != sweepEvery {
		t.Errorf("without sockets: %v", got)
	}
	connect(t, server, taken, hs(appSecret, "app-key", object{"exp": now.Unix() + 1}))
	select {
	case <-g.sockets.wake:
	default:
		t.Error("Run is not told of a socket that expires")
	}
	clock.move(999 * time.Millisecond)
	if got := expire(); got != time.Millisecond {
		t.Errorf("a millisecond before: %v", got)
	}
}

// The frame that is on its way is completed, and none after it.
func TestWebSocketEndsBetweenFrames(t *testing.T) {
	t.Parallel()
	url, taken := switching(t)
	g, server := newGateway(t, Options{Config: oneRoute(url, Plugins{})})
	line := connect(t, server, taken, "x")
	whole := frame(2, 300, false)
	line.say(whole[:3]) // not even the head is complete
	ended := g.sockets.list()[0]
	ended.end(&shutdown)
	_ = ended.SetDeadline(time.Time{}) // what is left of the frame may come slowly
	line.say(whole[3:200])
	_, _ = line.upstream.Write(append(whole[200:], frame(1, 5, false)...))
	line.hear(whole[200:])
	line.hear(closeFrame(goingAway, shutdown.reason))
	_, _ = line.upstream.Write(frame(1, 5, false))
	if rest, err := io.ReadAll(line.from); err != nil || len(rest) > 0 {
		t.Errorf("after the close frame the client got %x, %v", rest, err)
	}
}

// An upstream that never completes its frame does not keep the connection.
func TestWebSocketEndsInsideAFrame(t *testing.T) {
	t.Parallel()
	url, taken := switching(t)
	g, server := newGateway(t, Options{Config: oneRoute(url, Plugins{})})
	line := connect(t, server, taken, "x")
	line.say(frame(2, 300, false)[:100])
	begun := time.Now()
	g.sockets.list()[0].end(&tokenInvalid)
	if rest, err := io.ReadAll(line.from); err != nil || len(rest) > 0 {
		t.Errorf("the client got %x, %v; want the end alone", rest, err)
	}
	if took := time.Since(begun); took < closeGrace/2 || took > 20*closeGrace {
		t.Errorf("ended after %v, want %v", took, closeGrace)
	}
}

// A close frame that the upstream sent is the only one.
func TestWebSocketThatIsClosing(t *testing.T) {
	t.Parallel()
	url, taken := switching(t)
	g, server := newGateway(t, Options{Config: oneRoute(url, Plugins{})})
	line := connect(t, server, taken, "x")
	line.say(closeFrame(1000, "done"))
	g.sockets.list()[0].end(&tokenInvalid)
	if rest, err := io.ReadAll(line.from); err != nil || len(rest) > 0 {
		t.Errorf("the client got %x, %v; want the end alone", rest, err)
	}
}

func TestRunEndsAllWebSockets(t *testing.T) {
	t.Parallel()
	url, taken := switching(t)
	g, server := newGateway(t, cached(Options{Config: oneRoute(url, Plugins{JWT: &JWT{}})}))
	stop := started(t, g)
	var lines []*lane
	for range 3 {
		lines = append(lines, connect(t, server, taken, hs(appSecret, "app-key")))
	}
	stop()
	for _, l := range lines {
		l.closed(shutdown)
	}
}

// A client that stops listening holds up nobody.
func TestEndDoesNotWaitForWriters(t *testing.T) {
	t.Parallel()
	client, server := net.Pipe() // nothing is buffered
	t.Cleanup(func() { _ = client.Close() })
	s := &socket{Conn: server, left: func() {}}
	wrote := make(chan error, 1)
	go func() {
		_, err := s.Write(frame(1, 10, false))
		wrote <- err
	}()
	head := make([]byte, 1)
	if _, err := io.ReadFull(client, head); err != nil { // so Write has begun
		t.Fatal(err)
	}
	s.end(&tokenExpired)
	if err := <-wrote; err == nil {
		t.Error("the write that nobody reads did not end")
	}
	if _, err := s.Read(head); err == nil {
		t.Error("an ended socket is read")
	}
	if _, err := s.Write(head); err == nil {
		t.Error("an ended socket that nobody reads is written")
	}
}
