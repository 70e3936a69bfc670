package server

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// A node looks after the WebSockets that it passes on: the operator takes a token
// back, and the client is told so.
func TestProxiedWebSocketEndsWhenRevoked(t *testing.T) {
	t.Parallel()
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		c, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer func() { _ = c.Close() }()
		_, _ = rw.WriteString("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
		_ = rw.Flush()
		_, _ = io.Copy(io.Discard, rw)
	}))
	t.Cleanup(upstream.Close)
	c := load(t, t.TempDir(), strings.Replace(deviceGateway, "internal://echo", upstream.URL, 1))
	serve(t, c, func(core *Core, base []string) {
		i := issue(t, core)
		conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", strings.TrimPrefix(base[1], "http://"))
		if err != nil {
			t.Error(err)
			return
		}
		defer func() { _ = conn.Close() }()
		_ = conn.SetDeadline(time.Now().Add(time.Minute))
		fmt.Fprintf(conn, "GET /x HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", i.device)
		r := bufio.NewReader(conn)
		resp, err := http.ReadResponse(r, nil)
		if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
			t.Errorf("%v, %v", resp, err)
			return
		}
		if status, _ := operator(t, core, base[2], "POST", "", `{"kind":"device","issuer":"mobilev2","name":"dev-1"}`); status != http.StatusCreated {
			t.Errorf("the revocation is answered with %d", status)
		}
		rest, err := io.ReadAll(r)
		if want := "\x88\x17\x03\xf0token no longer valid"; err != nil || string(rest) != want { // 1008
			t.Errorf("the client got %q, %v; want the close frame %q", rest, err, want)
		}
	})
}
