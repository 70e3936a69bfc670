package httpx

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
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
// may pause for pause. It returns the status and how the handler's reading ended, or no
// status and why there is none.
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
			return 0, err
		}
		<-tick.C
	}
	_ = c.SetReadDeadline(time.Now().Add(time.Minute))
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return 0, fmt.Errorf("no answer: %w", err)
	}
	_ = res.Body.Close()
	return res.StatusCode, <-ended
}

func TestBodyThatStandsStill(t *testing.T) {
	t.Parallel()
	const head = "POST / HTTP/1.1\r\nHost: h\r\n"
	for name, announced := range map[string]string{"length": "Content-Length: 9\r\n\r\n", "chunks": "Transfer-Encoding: chunked\r\n\r\n5\r\n"} {
		for read, want := range map[bool]error{true: os.ErrDeadlineExceeded, false: nil} {
			inTime(t, func() error {
				status, err := exchange(t, 50*time.Millisecond, read, head+announced+"ab")
				if status != http.StatusTeapot || !errors.Is(err, want) {
					return fmt.Errorf("%s, read %v: status %d, read error %v; want %v", name, read, status, err, want)
				}
				return nil
			})
		}
	}
}

// A body may take longer than the pause, and the answer to it, too.
func TestBodyThatMoves(t *testing.T) {
	t.Parallel()
	pieces := append([]string{"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 20\r\n\r\n"}, strings.Split(strings.Repeat("x", 20), "")...)
	inTime(t, func() error {
		status, err := exchange(t, 400*time.Millisecond, true, pieces...)
		if status != http.StatusTeapot || err != nil {
			return fmt.Errorf("status %d, read error %w", status, err)
		}
		return nil
	})
}

// The deadline of a body ends with it: neither the rest of its own request nor the
// next one on the connection hears of it.
func TestPauseEndsWithTheBody(t *testing.T) {
	t.Parallel()
	inTime(t, func() error { return onOneConnection(t, 50*time.Millisecond, "/read", "/close", "/read") })
}

// onOneConnection asks a server whose clients may pause for pause, and who takes longer to
// answer. It fails unless each path is answered, and over the connection of the first.
func onOneConnection(t *testing.T, pause time.Duration, paths ...string) (failed error) {
	t.Helper()
	cancelled := make(chan error, len(paths))
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
				cancelled <- errors.New("the request was cancelled while it was answered")
			case <-time.After(3 * pause):
			}
			_ = body.Close()
			_, _ = body.Read(make([]byte, 1)) // as a proxy's transport may
			_, _ = io.WriteString(w, r.RemoteAddr)
		}),
	})
	stop := start(t, s)
	client := &http.Client{Transport: &http.Transport{}}
	defer func() {
		client.CloseIdleConnections()
		failed = errors.Join(failed, stop())
		select {
		case err := <-cancelled:
			failed = errors.Join(failed, err)
		default:
		}
	}()
	first := ""
	for i, path := range paths {
		res, err := client.Post("http://"+s.Addr().String()+path, "text/plain", strings.NewReader("hello"))
		if err != nil {
			return err
		}
		addr, err := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if i == 0 {
			first = string(addr)
		}
		if err != nil || string(addr) != first {
			return fmt.Errorf("request %d came from %q, error %v; want the connection of the first, %q", i, addr, err, first)
		}
	}
	return nil
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
	case <-time.After(time.Minute):
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
	case <-time.After(time.Minute):
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
	for name, two := range map[string]bool{"HTTP/1.1": false, "HTTP/2.0": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inTime(t, func() error { return answers(t, two) })
		})
	}
}

// answers has a server answer three requests part by part, and fails unless all of them
// are answered, over HTTP/2 if it is to be two.
func answers(t *testing.T, two bool) error {
	t.Helper()
	const pause = 50 * time.Millisecond
	ended := make(chan error, 3)
	s := httptest.NewUnstartedServer(limitAnswers(pause, limitBodies(pause, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, err := io.Copy(io.Discard, r.Body)
		for range 3 {
			_, _ = io.WriteString(w, "part ")
			err = errors.Join(err, http.NewResponseController(w).Flush())
			<-time.After(2 * pause)
		}
		ended <- err
	}))))
	s.EnableHTTP2 = two
	s.StartTLS()
	defer s.Close()
	for _, body := range []string{"", "hello", ""} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Expect", "100-continue")
		res, err := s.Client().Do(req)
		if err != nil {
			return err
		}
		text, err := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if err = errors.Join(err, <-ended); err != nil || string(text) != "part part part " || (res.ProtoMajor == 2) != two {
			return fmt.Errorf("%s: %q, %w", res.Proto, text, err)
		}
	}
	return nil
}

// inTime lets f fail nine times: its peers are goroutines of a machine that may be busy
// for longer than a pause.
func inTime(t *testing.T, f func() error) {
	t.Helper()
	for try := 1; ; try++ {
		err := f()
		if err == nil {
			return
		}
		if try == 10 {
			t.Fatal(err)
		}
	}
}
