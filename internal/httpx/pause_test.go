package httpx

import (
	"bufio"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// exchange sends the pieces of a request, one every 30 ms, to a server whose clients
// may pause for pause. It returns the status and how the handler's reading ended.
func exchange(t *testing.T, pause time.Duration, read bool, pieces ...string) (status int, readErr error) {
	t.Helper()
	ended := make(chan error, 1)
	s := NewServer(ServerConfig{
		Listener: listen(t), Log: slog.New(slog.DiscardHandler), BodyPause: pause,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			var err error
			if read {
				_, err = io.Copy(io.Discard, r.Body)
			}
			w.WriteHeader(http.StatusTeapot)
			ended <- err
		}),
	})
	stop := start(t, s)
	c, err := new(net.Dialer).DialContext(t.Context(), "tcp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = c.Close()
		if err := stop(); err != nil {
			t.Errorf("Run() = %v, want nil", err)
		}
	}()
	tick := time.NewTicker(30 * time.Millisecond)
	defer tick.Stop()
	for _, p := range pieces {
		if _, err := io.WriteString(c, p); err != nil {
			t.Fatal(err)
		}
		<-tick.C
	}
	_ = c.SetReadDeadline(time.Now().Add(20 * time.Second))
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatalf("no answer: %v", err)
	}
	_ = res.Body.Close()
	return res.StatusCode, <-ended
}

func TestBodyThatStandsStill(t *testing.T) {
	t.Parallel()
	const head = "POST / HTTP/1.1\r\nHost: h\r\n"
	for name, announced := range map[string]string{"length": "Content-Length: 9\r\n\r\n", "chunks": "Transfer-Encoding: chunked\r\n\r\n5\r\n"} {
		for read, want := range map[bool]error{true: os.ErrDeadlineExceeded, false: nil} {
			status, err := exchange(t, 50*time.Millisecond, read, head+announced+"ab")
			if status != http.StatusTeapot || !errors.Is(err, want) {
				t.Errorf("%s, read %v: status %d, read error %v; want %v", name, read, status, err, want)
			}
		}
	}
}

// A body may take longer than the pause, and the answer to it, too.
func TestBodyThatMoves(t *testing.T) {
	t.Parallel()
	pieces := append([]string{"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 20\r\n\r\n"}, strings.Split(strings.Repeat("x", 20), "")...)
	if status, err := exchange(t, 400*time.Millisecond, true, pieces...); status != http.StatusTeapot || err != nil {
		t.Errorf("status %d, read error %v", status, err)
	}
}

// The deadline of a body ends with it: neither the rest of its own request nor the
// next one on the connection hears of it.
func TestPauseEndsWithTheBody(t *testing.T) {
	t.Parallel()
	const pause = 50 * time.Millisecond
	s := NewServer(ServerConfig{
		Listener: listen(t), Log: slog.New(slog.DiscardHandler), BodyPause: pause,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body := r.Body
			if r.URL.Path == "/read" {
				_, _ = io.Copy(io.Discard, body)
			} else {
				_ = body.Close()
			}
			select {
			case <-r.Context().Done():
				t.Error("the request was cancelled while it was answered")
			case <-time.After(3 * pause):
			}
			_ = body.Close()
			_, _ = body.Read(make([]byte, 1)) // as a proxy's transport may
			_, _ = io.WriteString(w, r.RemoteAddr)
		}),
	})
	stop := start(t, s)
	client := &http.Client{Transport: &http.Transport{}}
	first := ""
	for i, path := range []string{"/read", "/close", "/read"} {
		res, err := client.Post("http://"+s.Addr().String()+path, "text/plain", strings.NewReader("hello"))
		if err != nil {
			t.Fatal(err)
		}
		addr, err := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if i == 0 {
			first = string(addr)
		}
		if err != nil || string(addr) != first {
			t.Errorf("request %d came from %q, error %v; want the connection of the first, %q", i, addr, err, first)
		}
	}
	client.CloseIdleConnections()
	if err := stop(); err != nil {
		t.Errorf("Run() = %v, want nil", err)
	}
}

func TestStreamThatStandsStill(t *testing.T) {
	t.Parallel()
	certFile, keyFile := filepath.Join(t.TempDir(), "c"), filepath.Join(t.TempDir(), "k")
	certPEM, keyPEM := pemPair(t, 1)
	write(t, certFile, certPEM)
	write(t, keyFile, keyPEM)
	cert, err := LoadCert(certFile, keyFile, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	s := NewServer(ServerConfig{
		Listener: listen(t), Cert: cert, Log: slog.New(slog.DiscardHandler), BodyPause: 50 * time.Millisecond,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, err := io.Copy(io.Discard, r.Body)
			w.Header().Set("Proto", r.Proto)
			ended <- err
		}),
	})
	stop := start(t, s)
	client := &http.Client{Transport: &http.Transport{
		ForceAttemptHTTP2: true,
		TLSClientConfig:   &tls.Config{InsecureSkipVerify: true}, //nolint:gosec // the certificate is the test's own
	}}
	body, more := io.Pipe()
	res, err := client.Post("https://"+s.Addr().String(), "text/plain", body)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if err := <-ended; !errors.Is(err, os.ErrDeadlineExceeded) || res.Header.Get("Proto") != "HTTP/2.0" {
		t.Errorf("%s: read error %v, want %v", res.Header.Get("Proto"), err, os.ErrDeadlineExceeded)
	}
	_ = more.Close()
	client.CloseIdleConnections()
	if err := stop(); err != nil {
		t.Errorf("Run() = %v, want nil", err)
	}
}
