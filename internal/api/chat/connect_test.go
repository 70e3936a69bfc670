package chat

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/httpx"
	"github.com/carnetproject/carnet/internal/limit"
)

func TestHandshakeRefusals(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		headers []string
		status  int
		says    string // in the answer's detail
		header  string // that the answer must have
	}{
		"POST":                      {[]string{"method", "POST", "Content-Length", "0"}, 405, "GET", "Allow: GET"},
		"a plain GET":               {[]string{"Upgrade", "-", "Connection", "-"}, 400, "WebSocket", "Upgrade: websocket"},
		"no Upgrade":                {[]string{"Upgrade", "-"}, 400, "WebSocket", "Upgrade: websocket"},
		"another Upgrade":           {[]string{"Upgrade", "h2c"}, 400, "WebSocket", "Upgrade: websocket"},
		"Connection does not say":   {[]string{"Connection", "keep-alive"}, 400, "WebSocket", "Upgrade: websocket"},
		"no version":                {[]string{"Sec-WebSocket-Version", "-"}, 400, "13", "Sec-WebSocket-Version: 13"},
		"version of a draft":        {[]string{"Sec-WebSocket-Version", "8"}, 400, "13", "Sec-WebSocket-Version: 13"},
		"no key":                    {[]string{"Sec-WebSocket-Key", "-"}, 400, "16 bytes", ""},
		"short key":                 {[]string{"Sec-WebSocket-Key", "AAAA"}, 400, "16 bytes", ""},
		"key is no base64":          {[]string{"Sec-WebSocket-Key", "************************"}, 400, "16 bytes", ""},
		"no subprotocol":            {[]string{"Sec-WebSocket-Protocol", "-"}, 400, "carnet.v1", ""},
		"subprotocol to come":       {[]string{"Sec-WebSocket-Protocol", "carnet.v2"}, 400, "carnet.v1", ""},
		"page of nobody known":      {[]string{"Origin", "https://evil.example"}, 403, "origin", ""},
		"page of a file or sandbox": {[]string{"Origin", "null"}, 403, "origin", ""},
		"page of a name alike":      {[]string{"Origin", "https://shop.example.evil.example"}, 403, "origin", ""},
		"page of another port":      {[]string{"Origin", "https://shop.example:8443"}, 403, "origin", ""},
		"page of another scheme":    {[]string{"Origin", "http://shop.example"}, 403, "origin", ""},
		"page in capitals":          {[]string{"Origin", "https://SHOP.example"}, 403, "origin", ""},
		"own host, another port":    {[]string{"Origin", "http://chat.example:8080"}, 403, "origin", ""},
		"own host with a path":      {[]string{"Origin", "http://chat.example/x"}, 403, "origin", ""},
		"own host, a user before":   {[]string{"Origin", "http://x@chat.example"}, 403, "origin", ""},
		"own host, odd scheme":      {[]string{"Origin", "ftp://chat.example"}, 403, "origin", ""},
		"own host without a scheme": {[]string{"Origin", "chat.example"}, 403, "origin", ""},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				_, res := w.try(tc.headers...)
				var p httpx.Problem
				if err := json.NewDecoder(res.Body).Decode(&p); err != nil {
					t.Fatal(err)
				}
				if res.StatusCode != tc.status || !strings.Contains(p.Detail+p.Field, tc.says) {
					t.Errorf("%d %+v, want %d and %q", res.StatusCode, p, tc.status, tc.says)
				}
				if name, value, _ := strings.Cut(tc.header, ": "); res.Header.Get(name) != value {
					t.Errorf("header %s = %q, want %q", name, res.Header.Get(name), value)
				}
			})
		})
	}
}

// TestOrigins goes through the pages that may connect, and the tokens that they may use:
// all tokens are of the app that lists shop.
func TestOrigins(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		headers []string
		ok      bool
	}{
		"no browser":              {nil, true},
		"page of the token's app": {[]string{"Origin", shop}, true},
		"page of another app":     {[]string{"Origin", other}, false},
		"page of our own":         {[]string{"Origin", "http://chat.example"}, true},
		"our own over TLS":        {[]string{"Origin", "https://chat.example"}, true},
		"our own, port given":     {[]string{"Origin", "https://chat.example", "Host", "chat.example:443"}, true},
		"our own on a port":       {[]string{"Origin", "http://localhost:8080", "Host", "localhost:8080"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				c := w.dial(tc.headers...)
				if tc.ok {
					c.hello("ann")
					c.say(`{"type":"refresh","token":"ann"}`)
					c.want("session")
					return
				}
				c.say(`{"type":"hello","token":"ann","bot":"echo"}`)
				c.wantRefusal(closeNotAllowed, "origin_refused")
			})
		})
	}
}

func TestTwoOrigins(t *testing.T) {
	t.Parallel()
	h := New(Config{})
	r := &http.Request{Host: "chat.example", Header: http.Header{"Origin": {shop, shop}}}
	if _, err := h.checkOrigin(r); fault.KindOf(err) != fault.Invalid {
		t.Errorf("two origins: error = %v", err)
	}
}

func TestConnectionsOfAnAddress(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		first := w.dial("From-Addr", "2001:db8::1")
		w.dial("From-Addr", "2001:db8::ffff:2")
		w.dial("From-Addr", "2001:db8:0:1::1")
		w.dial("From-Addr", "192.0.2.1")
		w.dial("From-Addr", "::ffff:192.0.2.1")
		for _, addr := range []string{"2001:db8::3", "192.0.2.1"} {
			_, res := w.try("From-Addr", addr)
			if res.StatusCode != http.StatusTooManyRequests || res.Header.Get("Retry-After") == "" {
				t.Errorf("third connection of %s: %d", addr, res.StatusCode)
			}
		}
		_ = first.conn.Close()
		time.Sleep(time.Second) // of the bubble: the server sees it
		w.dial("From-Addr", "2001:db8::3")
		if n := w.Conns(); n != 5 {
			t.Errorf("%d connections, want 5", n)
		}
	}, func(c *Config) { c.PerAddr = 2 })
}

func TestConnectionsInAll(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.dial("From-Addr", "192.0.2.1")
		w.dial("From-Addr", "192.0.2.2")
		_, res := w.try("From-Addr", "192.0.2.3")
		if res.StatusCode != http.StatusServiceUnavailable || res.Header.Get("Retry-After") == "" {
			t.Errorf("third connection: %d", res.StatusCode)
		}
	}, func(c *Config) { c.Total = 2 })
}

func TestAttemptsOfAnAddress(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		for range 3 {
			c := w.dial("From-Addr", "192.0.2.1")
			c.say(`{"type":"hello","token":"forged","bot":"echo"}`)
			c.wantRefusal(closeTokenRefused, "token_refused")
		}
		_, res := w.try("From-Addr", "192.0.2.1")
		if res.StatusCode != http.StatusTooManyRequests || res.Header.Get("Retry-After") != "60" {
			t.Errorf("fourth attempt: %d, after %q", res.StatusCode, res.Header.Get("Retry-After"))
		}
		w.dial("From-Addr", "192.0.2.2")
	}, func(c *Config) { c.Connects = limit.New(limit.Rate{N: 3, Per: time.Minute}, 16) })
}

func TestClientSpeaksBeforeTheHandshake(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		near, far := pipe(w)
		go func() {
			_, _ = fmt.Fprintf(near, "GET /chat/v1/connect HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n"+
				"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Protocol: carnet.v1\r\n\r\n\x81\x80AAAA")
		}()
		w.dials <- far
		if n, err := near.Read(make([]byte, 1)); err == nil {
			t.Errorf("read %d bytes, want the end", n)
		}
	})
}

// TestBadTokensOfAnAddress: those that come with requests count as attempts to connect do.
// Good ones do not, but have to wait with the others.
func TestBadTokensOfAnAddress(t *testing.T) {
	t.Parallel()
	for name, path := range map[string]string{"frames": "/frames", "history": "/messages"} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				asked := 0
				w.c.Verify = func(ctx context.Context, token string) (Identity, error) {
					asked++
					return verify(ctx, token)
				}
				say := func(token, addr string, status int) {
					t.Helper()
					method := map[string]string{"/frames": http.MethodPost, "/messages": http.MethodGet}[path]
					r, err := http.NewRequestWithContext(t.Context(), method, "http://chat.example/chat/v1/conversations/cnv_x"+path, http.NoBody)
					if err != nil {
						t.Fatal(err)
					}
					res := w.do(r, "Authorization", "Bearer "+token, "From-Addr", addr)
					if res.StatusCode != status {
						t.Fatalf("%s: status %d, want %d", token, res.StatusCode, status)
					}
					if after := res.Header.Get("Retry-After"); status == http.StatusTooManyRequests && after != "60" {
						t.Errorf("%s: again after %q, want the end of the minute", token, after)
					}
				}
				for range 5 {
					say("ann", "192.0.2.1", http.StatusNotFound)
				}
				for range 3 {
					say("forged", "192.0.2.1", http.StatusUnauthorized)
				}
				for _, token := range []string{"forged", "ann"} {
					say(token, "192.0.2.1", http.StatusTooManyRequests)
				}
				if asked != 8 {
					t.Errorf("%d tokens were checked, want 8", asked)
				}
				say("forged", "192.0.2.2", http.StatusUnauthorized)
				time.Sleep(time.Minute)
				say("forged", "192.0.2.1", http.StatusUnauthorized)
			}, func(c *Config) { c.Connects = limit.New(limit.Rate{N: 3, Per: time.Minute}, 16) })
		})
	}
}
