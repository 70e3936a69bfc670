package gateway

import (
	"bufio"
	"crypto/tls"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// Over HTTP/2 these come as they are, since net/http checks them in HTTP/1 alone: some
// could not be written to an upstream, which then would count as failed, and some would
// read as another request there.
func TestHTTP2SaysNoMoreThanHTTP1(t *testing.T) {
	t.Parallel()
	c := oneRoute(newEcho(t).URL, Plugins{})
	c.Services[0].Routes[0].PreserveHost = true
	done := make(chan Outcome, 1)
	g, _ := newGateway(t, Options{Config: c, Observe: func(o Outcome) { done <- o }})
	server := httptest.NewUnstartedServer(g)
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	for name, tc := range map[string]struct {
		method, host, target string
		want                 Outcome
	}{
		"plain":                 {"GET", "h:8443", "/demo?a=b", Outcome{Route: "demo", Status: 200}},
		"address":               {"GET", "[::1]:8443", "/demo", Outcome{Route: "demo", Status: 200}},
		"no host":               {"GET", "", "/demo", Outcome{Route: "demo", Status: 200}},
		"method with a blank":   {"GET /x", "h", "/demo", Outcome{Refused: "path", Status: 400}},
		"method with a slash":   {"A/B", "h", "/demo", Outcome{Refused: "path", Status: 400}},
		"host beyond ASCII":     {"GET", "\xff", "/demo", Outcome{Refused: "path", Status: 400}},
		"host that has no name": {"GET", "xn--\x80", "/demo", Outcome{Refused: "path", Status: 400}},
		"host with a blank":     {"GET", "a b", "/demo", Outcome{Refused: "path", Status: 400}},
		"host with a slash":     {"GET", "h/x", "/demo", Outcome{Refused: "path", Status: 400}},
		"query with a blank":    {"GET", "h", "/demo?x HTTP/1.0", Outcome{Refused: "path", Status: 400}},
	} {
		sendHTTP2(t, server, [][2]string{{":method", tc.method}, {":scheme", "https"}, {":authority", tc.host}, {":path", tc.target}})
		got := <-done
		if got.Duration = 0; got != tc.want {
			t.Errorf("%s: %+v, want %+v", name, got, tc.want)
		}
	}
}

// sendHTTP2 asks with header fields as they are given (RFC 9113 §6.2, RFC 7541 §6.2.2).
func sendHTTP2(t *testing.T, server *httptest.Server, fields [][2]string) {
	t.Helper()
	trust := server.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
	trust.ServerName, trust.NextProtos = "example.com", []string{"h2"}
	c, err := (&tls.Dialer{Config: trust}).DialContext(t.Context(), "tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	var block []byte
	for _, f := range fields {
		for i, text := range f {
			if i == 0 {
				block = append(block, 0) // a literal that is not to be indexed
			}
			block = append(append(block, byte(len(text))), text...)
		}
	}
	frame := func(kind, flags byte, stream uint32, payload []byte) []byte {
		head := []byte{0, byte(len(payload) >> 8), byte(len(payload)), kind, flags}
		return append(binary.BigEndian.AppendUint32(head, stream), payload...)
	}
	const settings, headers, endOfAll = 4, 1, 5
	message := append([]byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), frame(settings, 0, 0, nil)...)
	if _, err := c.Write(append(message, frame(headers, endOfAll, 1, block)...)); err != nil {
		t.Fatal(err)
	}
}

// ReverseProxy clears what stands in the answer's header when it passes on a 1xx, which
// the client can ask for.
func TestConnectionClosesAfterContinue(t *testing.T) {
	t.Parallel()
	_, server := newGateway(t, Options{Config: oneRoute(newEcho(t).URL, Plugins{})})
	c, err := new(net.Dialer).DialContext(t.Context(), "tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	_, _ = io.WriteString(c, "POST /demo HTTP/1.1\r\nHost: h\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n"+
		"Expect: 100-continue\r\n\r\n1\r\nx\r\n0\r\n\r\n")
	_ = c.SetReadDeadline(time.Now().Add(time.Minute))
	r := bufio.NewReader(c)
	for _, want := range []struct {
		status int
		closes string
	}{{100, ""}, {200, "close"}} {
		res, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatal(err)
		}
		closes := res.Header.Get("Connection")
		if res.Close {
			closes = "close"
		}
		if res.StatusCode != want.status || closes != want.closes {
			t.Errorf("%d, Connection %q; want %d, %q", res.StatusCode, closes, want.status, want.closes)
		}
		if _, err := io.Copy(io.Discard, res.Body); err != nil {
			t.Fatal(err)
		}
	}
}
