package chat

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/carnetproject/carnet/internal/chat"
	"github.com/carnetproject/carnet/internal/socket"
	"github.com/carnetproject/carnet/internal/wire"
)

// overTCP runs f beside a server on the loopback network.
func overTCP(t *testing.T, f func(w *world, dial func() *client), edit ...func(*Config)) {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, edit...)
	stop := w.serve(l)
	f(w, func() *client {
		conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", l.Addr().String())
		if err != nil {
			t.Error(err)
			t.FailNow()
		}
		t.Cleanup(func() { _ = conn.Close() })
		c, res := handshake(t, conn)
		if res.StatusCode != http.StatusSwitchingProtocols {
			t.Errorf("status %d", res.StatusCode)
		}
		return c
	})
	stop()
}

// TestCloseFrameArrives: a client that has sent more than was read still learns why it
// is closed. A server that closes at once resets the connection instead.
func TestCloseFrameArrives(t *testing.T) {
	t.Parallel()
	overTCP(t, func(_ *world, dial func() *client) {
		for range 20 {
			c := dial()
			c.hello("ann")
			go func() {
				for c.tryRaw(0x81, []byte(`{"type":"pong"}`)) == nil {
				}
			}()
			c.wantRefusal(closeTooMany, "too_many")
			if _, _, err := c.read(); !errors.Is(err, io.EOF) {
				t.Errorf("behind the close frame: %v, want the end", err)
			}
			_ = c.conn.Close()
		}
	})
}

// TestNothingCountsBehindTheEnd: what was on the way when a client was refused.
func TestNothingCountsBehindTheEnd(t *testing.T) {
	t.Parallel()
	var server *world
	overTCP(t, func(w *world, dial func() *client) {
		server = w
		c := dial()
		c.hello("ann")
		c.say("junk")
		c.say(`{"type":"send","id":"m1","body":1}`)
		c.wantRefusal(closeBadFrame, "bad_frame")
	})
	if n := len(server.store.said); n != 0 {
		t.Errorf("%d conversations have messages, want none", n)
	}
}

// TestClientThatStaysAfterTheClose is cut.
func TestClientThatStaysAfterTheClose(t *testing.T) {
	t.Parallel()
	overTCP(t, func(_ *world, dial func() *client) {
		c := dial()
		c.say("junk")
		c.wantRefusal(closeBadFrame, "bad_frame")
		at := time.Now()
		for c.tryRaw(0x89, nil) == nil {
		}
		if took := time.Since(at); took > socket.LingerTime+20*time.Second {
			t.Errorf("the server listened for %v more", took)
		}
	})
}

// TestSlowReaderOverTCP: others go on while one takes nothing, and that one is told to
// come back when it reads again.
func TestSlowReaderOverTCP(t *testing.T) {
	t.Parallel()
	overTCP(t, func(w *world, dial func() *client) {
		for try := range 10 {
			slow := dial()
			slow.hello("ann")
			sink := w.engine.sink().(*conn)
			quick := dial()
			quick.hello(fmt.Sprint("bob", try))
			stuck := time.Now()
			for i := int64(1); !sink.out.Over(); i++ {
				sink.Message(note(i, 50<<10))
			}
			for i := range 10 {
				quick.send(fmt.Sprint("m", i))
			}
			if time.Since(stuck) > socket.WriteTimeout/2 {
				_, _ = slow.conn.Close(), quick.conn.Close()
				continue // on a busy machine it would be cut off instead
			}
			for {
				if first, _ := slow.in.Peek(1); len(first) == 0 || first[0] != 0x81 {
					break
				}
				slow.want("message")
			}
			slow.wantClose(closeSlowReader, "slow_reader")
			return
		}
		t.Error("others wait for one that takes nothing")
	})
}

// TestManyAtOnce lets users talk on two sockets each, and then stops the server.
func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	const users, messages = 20, 30
	overTCP(t, func(_ *world, dial func() *client) {
		var wg sync.WaitGroup
		for u := range users {
			ready := make(chan struct{})
			wg.Go(func() {
				c := dial()
				c.hello(fmt.Sprint("user", u))
				close(ready)
				for i := range messages {
					if m := c.want("message"); m["seq"] != float64(i+1) {
						t.Errorf("message %v, want %d", m, i+1)
					}
				}
			})
			wg.Go(func() {
				<-ready
				c := dial()
				c.hello(fmt.Sprint("user", u))
				for i := range messages {
					c.send(fmt.Sprint("m", i))
				}
			})
		}
		wg.Wait()
	})
}

func TestOverTLS(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	mux := http.NewServeMux()
	w.Mount(mux)
	s := httptest.NewUnstartedServer(mux)
	s.EnableHTTP2 = true
	s.StartTLS()
	defer s.Close()
	config := s.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
	config.NextProtos = []string{"http/1.1"} // as browsers ask for a WebSocket
	conn, err := (&tls.Dialer{Config: config}).DialContext(t.Context(), "tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	c, _ := handshake(t, conn, "Origin", "https://chat.example")
	c.hello("ann")
	c.say("junk")
	c.wantRefusal(closeBadFrame, "bad_frame")

	conn, err = (&tls.Dialer{Config: config}).DialContext(t.Context(), "tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, res := handshake(t, conn, "Origin", "http://chat.example"); res.StatusCode != http.StatusForbidden {
		t.Errorf("a page that came in the clear: %d, want 403", res.StatusCode)
	}
	w.Shutdown(t.Context())
}

// TestNoHijack is what HTTP/2 is like.
func TestNoHijack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	mux := http.NewServeMux()
	w.Mount(mux)
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/chat/v1/connect", nil)
	for name, value := range map[string]string{
		"Connection": "upgrade", "Upgrade": "WebSocket", "Sec-WebSocket-Version": "13",
		"Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==", "Sec-WebSocket-Protocol": "carnet.v1",
	} {
		r.Header.Set(name, value)
	}
	rec := httptest.NewRecorder()
	mux.ServeHTTP(rec, r)
	if body := rec.Body.String(); rec.Code != http.StatusBadRequest || !strings.Contains(body, "HTTP/1.1") || w.Conns() != 0 {
		t.Errorf("%d %s, %d connections left", rec.Code, body, w.Conns())
	}
}

// BenchmarkFrames reads a send and writes its message.
func BenchmarkFrames(b *testing.B) {
	text := []byte(`{"type":"send","id":"m-1","body":{"text":"hello, how are you today?"}}`)
	b.ReportAllocs()
	for b.Loop() {
		f, err := decode(text)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := wire.JSON(toMessage(chat.Message{Seq: 1, ID: "m-1", Body: f.(sendFrame).body})); err != nil {
			b.Fatal(err)
		}
	}
}
