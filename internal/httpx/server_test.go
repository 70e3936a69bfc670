package httpx

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func listen(t *testing.T) net.Listener {
	t.Helper()
	ln, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return ln
}

// start runs s until stop is called, which returns what Run returned.
func start(t *testing.T, s *Server) (stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	t.Cleanup(cancel)
	return func() error {
		cancel()
		return <-ended
	}
}

func fetch(ctx context.Context, client *http.Client, url string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	res, err := client.Do(req)
	if err != nil {
		return "", err
	}
	body, err := io.ReadAll(res.Body)
	return string(body), errors.Join(err, res.Body.Close())
}

func TestServerFinishesRunningRequests(t *testing.T) {
	t.Parallel()
	entered, release := make(chan struct{}), make(chan struct{})
	s := NewServer(ServerConfig{Listener: listen(t), Log: slog.New(slog.DiscardHandler), Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(entered)
		<-release
		if r.Context().Err() != nil {
			t.Error("a stop cancelled a running request")
		}
		_, _ = io.WriteString(w, "done")
	})})
	stop := start(t, s)
	answer := make(chan string, 1)
	go func() {
		body, err := fetch(t.Context(), http.DefaultClient, "http://"+s.Addr().String())
		answer <- body
		if err != nil {
			t.Errorf("running request: %v", err)
		}
	}()
	<-entered
	stopped := make(chan error, 1)
	go func() { stopped <- stop() }()
	for { // until the listener is closed, the stop has not begun
		conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", s.Addr().String())
		if err != nil {
			break
		}
		_ = conn.Close()
	}
	close(release)
	if body := <-answer; body != "done" {
		t.Errorf("body = %q, want the whole answer", body)
	}
	if err := <-stopped; err != nil {
		t.Errorf("Run() = %v, want nil", err)
	}
}

func TestServerCutsOffAfterTheGrace(t *testing.T) {
	t.Parallel()
	entered := make(chan struct{})
	var logged bytes.Buffer
	s := NewServer(ServerConfig{
		Listener: listen(t), Grace: 10 * time.Millisecond, Log: slog.New(slog.NewTextHandler(&logged, nil)),
		Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			close(entered)
			<-r.Context().Done()
		}),
	})
	stop := start(t, s)
	cut := make(chan error, 1)
	go func() {
		_, err := fetch(t.Context(), &http.Client{Transport: &http.Transport{}}, "http://"+s.Addr().String())
		cut <- err
	}()
	<-entered
	if err := stop(); err != nil {
		t.Errorf("Run() = %v, want nil", err)
	}
	if err := <-cut; err == nil {
		t.Error("the request was answered, want it cut off")
	}
	if !strings.Contains(logged.String(), "cut off") {
		t.Errorf("logged %q, want that requests were cut off", &logged)
	}
}

func TestServerReportsALostListener(t *testing.T) {
	t.Parallel()
	ln := listen(t)
	s := NewServer(ServerConfig{Listener: ln, Handler: http.NotFoundHandler()})
	_ = ln.Close()
	if err := s.Run(t.Context()); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Run() = %v, want %v", err, net.ErrClosed)
	}
}

func TestServerTLS(t *testing.T) {
	t.Parallel()
	certFile, keyFile := filepath.Join(t.TempDir(), "c"), filepath.Join(t.TempDir(), "k")
	certPEM, keyPEM := pemPair(t, 7)
	write(t, certFile, certPEM)
	write(t, keyFile, keyPEM)
	cert, err := LoadCert(certFile, keyFile, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	s := NewServer(ServerConfig{
		Listener: listen(t), Cert: cert, Log: slog.New(slog.DiscardHandler),
		Handler: SafeHeaders(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			LogFrom(r.Context()).Info("seen")
			_, _ = io.WriteString(w, r.Proto)
		})),
	})
	stop := start(t, s)
	var peer int64
	client := &http.Client{Transport: &http.Transport{
		ForceAttemptHTTP2: true,
		TLSClientConfig: &tls.Config{
			InsecureSkipVerify: true, //nolint:gosec // the test looks at the self-signed certificate itself
			VerifyConnection: func(cs tls.ConnectionState) error {
				peer = cs.PeerCertificates[0].SerialNumber.Int64()
				return nil
			},
		},
	}}
	body, err := fetch(t.Context(), client, "https://"+s.Addr().String())
	if err != nil || body != "HTTP/2.0" || peer != 7 {
		t.Errorf("fetched %q from certificate %d, error %v; want HTTP/2.0 from 7", body, peer, err)
	}
	client.CloseIdleConnections()
	if err := stop(); err != nil {
		t.Errorf("Run() = %v, want nil", err)
	}
}
