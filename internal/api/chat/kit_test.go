package chat

import (
	"bufio"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carnetproject/carnet/internal/bot"
	"github.com/carnetproject/carnet/internal/chat"
	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/httpx"
	"github.com/carnetproject/carnet/internal/seal"
	"github.com/carnetproject/carnet/internal/secret"
)

const (
	issuer = "https://id.example"
	shop   = "https://shop.example" // a page of the app that all tokens are of
	other  = "https://other.example"
)

// verify knows tokens by their names: "ann", or "ann/60s" for one that lasts a minute.
// Those of visitors begin with "visitor"; "@" is before the name of an app that is not the shop.
func verify(_ context.Context, token string) (Identity, error) {
	switch token {
	case "forged":
		return Identity{}, fault.Wrap(fault.Unauthenticated, "access token is not valid", errors.New("signature of ann is wrong"))
	case "no-scope":
		return Identity{}, fault.New(fault.Denied, "the token must have the scope chat")
	case "no-keys":
		return Identity{}, fault.Wrap(fault.Unavailable, "keys are out of reach", errors.New("dial 10.0.0.7"))
	case "broken":
		return Identity{}, errors.New("dial 10.0.0.7")
	}
	name, ttl, found := strings.Cut(token, "/")
	lasts := 15 * time.Minute
	if found {
		lasts, _ = time.ParseDuration(ttl)
	}
	if lasts <= 0 {
		return Identity{}, fault.New(fault.Unauthenticated, "the token has expired")
	}
	_, of, _ := strings.Cut(name, "@")
	return Identity{
		User: chat.User{Issuer: issuer, Subject: name}, Anonymous: strings.HasPrefix(name, "visitor"),
		App: cmp.Or(of, "shop"), Origins: []string{shop}, Expires: time.Now().Add(lasts),
	}, nil
}

// world is a chat server on a network of pipes, with time that a test may let pass.
type world struct {
	*Handler
	t      *testing.T
	store  *memory
	engine *spy
	dials  chan net.Conn
}

// inWorld runs f in a bubble, and sees that nothing is left behind.
func inWorld(t *testing.T, f func(t *testing.T, w *world), edit ...func(*Config)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, edit...)
		l := pipes{w.dials, make(chan struct{})}
		stop := w.serve(l)
		synctest.Wait() // or what a test begins with has nobody to do it
		f(t, w)
		stop()
	})
}

func newWorld(t *testing.T, edit ...func(*Config)) *world {
	t.Helper()
	box, err := seal.NewBox(secret.New(make([]byte, seal.KeySize)))
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, store: newMemory(), dials: make(chan net.Conn)}
	log := slog.New(slog.DiscardHandler)
	e, err := chat.New(chat.Config{
		Store: w.store, Bus: silence{}, Log: log,
		Bots: map[bot.ID]chat.Policy{"echo": {}, "menu": {}},
	})
	if err != nil {
		t.Fatal(err)
	}
	w.engine = &spy{Engine: e}
	c := Config{
		Engine: w.engine, Verify: verify, Box: box, Log: log,
		AllowsOrigin: func(o string) bool { return o == shop || o == other },
		ClientAddr: func(r *http.Request) netip.Addr {
			a, _ := netip.ParseAddr(r.Header.Get("From-Addr"))
			return a
		},
	}
	for _, f := range edit {
		f(&c)
	}
	w.Handler = New(c)
	return w
}

// serve serves l until the function that it returns is called.
func (w *world) serve(l net.Listener) (stop func()) {
	mux := http.NewServeMux()
	mux.Handle("/", httpx.Handler(httpx.NotFound))
	w.Mount(mux)
	ctx, cancel := context.WithCancel(w.t.Context())
	s := httpx.NewServer(httpx.ServerConfig{Listener: l, Handler: mux, Log: w.c.Log})
	ended := make(chan error, 3)
	go func() { ended <- s.Run(ctx) }()
	go func() { ended <- w.engine.Run(ctx) }()
	go func() { ended <- w.Run(ctx) }()
	return func() {
		w.t.Helper()
		at, patience := time.Now(), 5*time.Second
		if _, real := l.(*net.TCPListener); real {
			patience = time.Minute // on a busy machine
		}
		grace, cut := context.WithTimeout(w.t.Context(), 100*time.Millisecond)
		defer cut()
		w.Shutdown(grace)
		left, giveUp := context.WithTimeout(w.t.Context(), patience/5)
		defer giveUp()
		if w.engine.Drain(left); left.Err() != nil {
			w.t.Error("a session is left")
		}
		cancel()
		for range cap(ended) {
			if err := <-ended; err != nil {
				w.t.Errorf("Run() = %v, want nil", err)
			}
		}
		if took := time.Since(at); took > patience {
			w.t.Errorf("the stop took %v", took)
		}
		w.conns.Each(func(*conn) { w.t.Error("a connection is known that is gone") })
		if n := w.Conns(); n != 0 {
			w.t.Errorf("%d connections are left", n)
		}
	}
}

// pipes is a listener whose connections are pipes.
type pipes struct {
	dials  chan net.Conn
	closed chan struct{}
}

func (p pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.dials:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}
func (p pipes) Close() error   { close(p.closed); return nil }
func (p pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipes"} }

// client is a hand-written WebSocket client.
type client struct {
	t    *testing.T
	conn net.Conn
	in   *bufio.Reader
	mute bool // pings are not answered
}

// dial connects. Headers are given as pairs; a value "-" leaves that header out.
func (w *world) dial(headers ...string) *client {
	w.t.Helper()
	c, res := w.try(headers...)
	if res.StatusCode != http.StatusSwitchingProtocols {
		w.t.Fatalf("status %d", res.StatusCode)
	}
	if got := res.Header.Get("Sec-WebSocket-Protocol"); got != "carnet.v1" {
		w.t.Errorf("subprotocol %q", got)
	}
	return c
}

// try asks for a connection and returns the answer.
func (w *world) try(headers ...string) (*client, *http.Response) {
	w.t.Helper()
	near, far := net.Pipe()
	w.dials <- far
	w.t.Cleanup(func() { _ = near.Close() })
	return handshake(w.t, near, headers...)
}

func handshake(t *testing.T, conn net.Conn, headers ...string) (*client, *http.Response) {
	t.Helper()
	request(t, conn, headers...)
	return answer(t, conn)
}

func request(t *testing.T, conn net.Conn, headers ...string) {
	t.Helper()
	nonce := make([]byte, 16)
	_, _ = rand.Read(nonce)
	all := map[string]string{
		"method": "GET", "Host": "chat.example", "Connection": "keep-alive, Upgrade", "Upgrade": "websocket",
		"Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": base64.StdEncoding.EncodeToString(nonce),
		"Sec-WebSocket-Protocol": "carnet.v0, carnet.v1",
	}
	for i := 0; i < len(headers); i += 2 {
		all[headers[i]] = headers[i+1]
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s /chat/v1/connect HTTP/1.1\r\n", all["method"])
	for name, value := range all {
		if name != "method" && value != "-" {
			fmt.Fprintf(&b, "%s: %s\r\n", name, value)
		}
	}
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	if _, err := io.WriteString(conn, b.String()+"\r\n"); err != nil {
		t.Fatal(err)
	}
}

func answer(t *testing.T, conn net.Conn) (*client, *http.Response) {
	t.Helper()
	c := &client{t: t, conn: conn, in: bufio.NewReader(conn)}
	res, err := http.ReadResponse(c.in, nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.SetDeadline(time.Time{})
	return c, res
}

// raw writes one WebSocket frame; first is its first byte.
func (c *client) raw(first byte, payload []byte) {
	c.t.Helper()
	if err := c.tryRaw(first, payload); err != nil {
		c.t.Fatalf("write: %v", err)
	}
}

func (c *client) tryRaw(first byte, payload []byte) error {
	b := []byte{first}
	switch n := len(payload); {
	case n < 126:
		b = append(b, 0x80|byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, 0x80|126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 0x80|127), uint64(n))
	}
	mask := [4]byte{1, 2, 3, 4}
	b = append(b, mask[:]...)
	for i, p := range payload {
		b = append(b, p^mask[i%4])
	}
	_ = c.conn.SetWriteDeadline(time.Now().Add(5 * time.Second))
	_, err := c.conn.Write(b)
	return err
}

func (c *client) say(format string, args ...any) {
	c.t.Helper()
	c.raw(0x81, fmt.Appendf(nil, format, args...))
}

// hello says hello and returns the welcome.
func (c *client) hello(token string, more ...string) map[string]any {
	c.t.Helper()
	c.say(`{"type":"hello","token":%q,"bot":"echo"%s}`, token, strings.Join(append([]string{""}, more...), ","))
	return c.want("welcome")
}

// read returns the next frame of the server.
func (c *client) read() (op byte, payload []byte, err error) {
	_ = c.conn.SetReadDeadline(time.Now().Add(3 * time.Minute))
	var head [2]byte
	if _, err := io.ReadFull(c.in, head[:]); err != nil {
		return 0, nil, err
	}
	if head[0]&0xf0 != 0x80 || head[1]&0x80 != 0 {
		return 0, nil, fmt.Errorf("frame begins with %x", head)
	}
	n := int(head[1])
	if n >= 126 {
		long := make([]byte, map[int]int{126: 2, 127: 8}[n])
		if _, err := io.ReadFull(c.in, long); err != nil {
			return 0, nil, err
		}
		n = int(binary.BigEndian.Uint64(append(make([]byte, 8-len(long)), long...)))
	}
	payload = make([]byte, n)
	_, err = io.ReadFull(c.in, payload)
	return head[0] & 0x0f, payload, err
}

// next returns the next frame of the protocol, and answers pings on the way.
func (c *client) next() map[string]any {
	c.t.Helper()
	for {
		op, payload, err := c.read()
		switch {
		case err != nil:
			c.t.Fatalf("read: %v", err)
		case op == 0x9 && !c.mute:
			c.raw(0x8a, payload)
		case op == 0x9 || op == 0xa:
		case op == 0x8:
			c.t.Fatalf("closed: %d %s", binary.BigEndian.Uint16(payload), payload[2:])
		default:
			if why := checkServerFrame(payload); why != "" {
				c.t.Errorf("%s: %s", payload, why)
			}
			var m map[string]any
			_ = json.Unmarshal(payload, &m)
			return m
		}
	}
}

// want returns the next frame, which must be of that type.
func (c *client) want(kind string) map[string]any {
	c.t.Helper()
	m := c.next()
	if m["type"] != kind {
		c.t.Fatalf("got %v, want a frame of type %s", m, kind)
	}
	return m
}

// wantClose reads the close frame. Nothing but pings and pongs comes before it.
func (c *client) wantClose(code closeCode, reason string) {
	c.t.Helper()
	for {
		op, payload, err := c.read()
		if err != nil {
			c.t.Fatalf("ended with %v, want a close frame with %d", err, code)
		}
		if op == 0x1 {
			c.t.Fatalf("got %s, want a close frame", payload)
		}
		if op != 0x8 {
			continue
		}
		if got := closeCode(binary.BigEndian.Uint16(payload)); got != code || string(payload[2:]) != reason {
			c.t.Errorf("closed with %d %q, want %d %q", got, payload[2:], code, reason)
		}
		return
	}
}

// wantRefusal reads an error frame of that code, and then the close frame.
func (c *client) wantRefusal(close closeCode, code string) map[string]any {
	c.t.Helper()
	m := c.want("error")
	e := m["error"].(map[string]any)
	if e["code"] != code {
		c.t.Errorf("error %v, want the code %s", e, code)
	}
	c.wantClose(close, code)
	return e
}

// wantGone reads up to the end, which comes without a close frame.
func (c *client) wantGone() {
	c.t.Helper()
	for {
		op, payload, err := c.read()
		if err != nil {
			if errors.Is(err, os.ErrDeadlineExceeded) {
				c.t.Error("the connection is still there")
			}
			return
		}
		if op == 0x8 {
			c.t.Errorf("closed with %x, want no word", payload)
		}
	}
}

// wantQuiet sees that nothing is on the way.
func (c *client) wantQuiet() {
	c.t.Helper()
	c.say(`{"type":"ping"}`)
	if m := c.next(); m["type"] != "pong" {
		c.t.Errorf("got %v, want nothing", m)
	}
}
