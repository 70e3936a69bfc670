package httpx

import (
	"bufio"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
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

// unread asks a server whose answer is endless, and reads none of it.
func unread(t *testing.T, s *Server, ended <-chan error, ask func(c net.Conn)) {
	t.Helper()
	stop := start(t, s)
	c, err := new(net.Dialer).DialContext(t.Context(), "tcp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	ask(c)
	select {
	case err := <-ended:
		if err == nil {
			t.Error("all of an endless answer was written")
		}
	case <-time.After(20 * time.Second):
		t.Error("the answer still waits for its client")
	}
	_ = c.Close()
	if err := stop(); err != nil {
		t.Errorf("Run() = %v, want nil", err)
	}
}

func TestAnswerThatStandsStill(t *testing.T) {
	t.Parallel()
	for name, readTimeout := range map[string]time.Duration{"of a server for streams": 0, "of one whose requests have an end": time.Minute} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ended := make(chan error, 1)
			s := NewServer(ServerConfig{
				Listener: listen(t), Log: slog.New(slog.DiscardHandler), BodyPause: 100 * time.Millisecond, ReadTimeout: readTimeout,
				Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
					_, err := io.Copy(w, endless{})
					ended <- err
				}),
			})
			unread(t, s, ended, func(c net.Conn) { _, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: h\r\n\r\n") })
		})
	}
}

// A client of HTTP/2 can stop the answer of one stream and leave its connection at work.
func TestAnswerOfAStreamThatStandsStill(t *testing.T) {
	t.Parallel()
	ended := make(chan error, 1)
	s := httptest.NewUnstartedServer(limitAnswers(100*time.Millisecond, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, err := io.Copy(w, endless{})
		ended <- err
	})))
	s.EnableHTTP2 = true
	s.StartTLS()
	defer s.Close()
	res, err := s.Client().Get(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	select {
	case err := <-ended:
		if err == nil || res.ProtoMajor != 2 {
			t.Errorf("%s ended with %v", res.Proto, err)
		}
	case <-time.After(20 * time.Second):
		t.Error("the answer still waits for its client")
	}
}

// endless is a body without an end.
type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

// An answer may take longer than the pause, and so may its handler between two parts of
// it; and what the deadline of one answer was, the next one on the connection does not hear of.
func TestAnswerThatMoves(t *testing.T) {
	t.Parallel()
	const pause = 50 * time.Millisecond
	handler := limitAnswers(pause, limitBodies(pause, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			t.Errorf("body: %v", err)
		}
		for range 3 {
			_, _ = io.WriteString(w, "part ")
			if err := http.NewResponseController(w).Flush(); err != nil {
				t.Errorf("flush: %v", err)
			}
			<-time.After(2 * pause)
		}
	})))
	for _, two := range []bool{false, true} {
		s := httptest.NewUnstartedServer(handler)
		s.EnableHTTP2 = two
		s.StartTLS()
		for _, body := range []string{"", "hello", ""} {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL, strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Expect", "100-continue")
			res, err := s.Client().Do(req)
			if err != nil {
				t.Fatal(err)
			}
			text, err := io.ReadAll(res.Body)
			_ = res.Body.Close()
			if err != nil || string(text) != "part part part " || (res.ProtoMajor == 2) != two {
				t.Errorf("%s: %q, %v", res.Proto, text, err)
			}
		}
		s.Close()
	}
}
