package server

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/carnetproject/carnet/internal/config"
	"github.com/carnetproject/carnet/internal/fault"
)

// logBuffer is a log that is read while it is written.
type logBuffer struct {
	mu   sync.Mutex
	text strings.Builder
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// TestStop stops a node while a request is on its way: the probe learns of it, the
// request is answered, and the operator's listener closes last.
func TestStop(t *testing.T) {
	t.Parallel()
	arrived, release := make(chan struct{}), make(chan struct{})
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(arrived)
		<-release
		_, _ = io.WriteString(w, "done")
	}))
	t.Cleanup(upstream.Close)
	c := load(t, t.TempDir(), `
gateway:
  services:
  - {name: slow, url: "`+upstream.URL+`", routes: [{name: slow, paths: [/slow]}]}
`)
	log := &logBuffer{}
	runLogged(t, c, slog.New(slog.NewTextHandler(log, nil)), func(ctx context.Context, core *Core) error {
		s, err := NewServer(ctx, core, ServeOptions{})
		if err != nil {
			return err
		}
		base := addresses(s)
		admit, probe := base[1], base[2]+"/readyz"
		ctx, stop := context.WithCancel(ctx)
		defer stop()
		ended, answered := make(chan error, 1), make(chan int, 1)
		go func() { ended <- s.Run(ctx) }()
		if got := get(t, probe, ""); got != http.StatusOK {
			t.Errorf("/readyz answers %d before the stop, want 200", got)
		}
		go func() { answered <- status(t.Context(), admit+"/slow") }()
		<-arrived
		stop()
		waitFor(t, "/readyz to say draining", func() bool { return strings.Contains(body(t.Context(), probe), `"draining"`) })
		waitFor(t, "the gateway to take no more", func() bool { return status(t.Context(), admit+"/other") == 0 })
		if got := status(t.Context(), probe); got != http.StatusServiceUnavailable {
			t.Errorf("/readyz answers %d with a request on its way, want 503", got)
		}
		close(release)
		if got := <-answered; got != http.StatusOK {
			t.Errorf("the request on its way was answered with %d, want 200", got)
		}
		err = <-ended
		if got := status(t.Context(), probe); got != 0 {
			t.Errorf("/readyz answers %d after the stop", got)
		}
		return err
	})
	for _, want := range []string{
		"msg=listening door=issue+carry address=127.0.0.1:", "msg=listening door=admit", "msg=listening door=admin", "scheme=http", "msg=stopping grace=10s",
	} {
		if strings.Count(log.String(), want) == 0 {
			t.Errorf("the log lacks %s:\n%s", want, log)
		}
	}
}

// status is that of the answer, 0 if there is none.
func status(ctx context.Context, target string) int {
	resp := ask(ctx, target)
	if resp == nil {
		return 0
	}
	defer func() { _ = resp.Body.Close() }()
	return resp.StatusCode
}

// body is that of the answer, "" if there is none.
func body(ctx context.Context, target string) string {
	resp := ask(ctx, target)
	if resp == nil {
		return ""
	}
	defer func() { _ = resp.Body.Close() }()
	text, _ := io.ReadAll(resp.Body)
	return string(text)
}

func ask(ctx context.Context, target string) *http.Response {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return nil
	}
	req.Close = true // no connection of an earlier request
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil
	}
	return resp
}

func TestKeysThatComeLateAreNamed(t *testing.T) {
	t.Parallel()
	log := &logBuffer{}
	c := load(t, t.TempDir(), "keys: {access: {publish_ahead: 299s}, sts: {publish_ahead: 5m}}")
	runLogged(t, c, slog.New(slog.NewTextHandler(log, nil)), func(ctx context.Context, core *Core) error {
		s, err := NewServer(ctx, core, ServeOptions{})
		if err != nil {
			return err
		}
		return s.close()
	})
	if text := log.String(); !strings.Contains(text, "set=access publish_ahead=4m59s cached=5m0s") || strings.Contains(text, "set=sts") {
		t.Errorf("the log says:\n%s", text)
	}
}

// TestGatewayFaultsHaveAPlace opens a gateway whose secret is not there: only the
// resolver can tell, and the operator still learns where to look.
func TestGatewayFaultsHaveAPlace(t *testing.T) {
	t.Parallel()
	const good = "gateway:\n  consumers:\n  - username: app\n    jwt_secrets:\n    - {key: app, secret: "
	missing := load(t, t.TempDir(), good+"'srn:vault::default:secret:nosuch'}\n")
	want := func(err error) {
		t.Helper()
		if fault.KindOf(err) != fault.Invalid || !strings.Contains(err.Error(), "carnet.yaml:9:26: gateway.consumers[0].jwt_secrets[0].secret: ") ||
			!strings.Contains(err.Error(), "srn:vault::default:secret:nosuch") {
			t.Errorf("error = %v, want one with its place and cause", err)
		}
	}
	run(t, missing, func(ctx context.Context, core *Core) error {
		_, err := NewServer(ctx, core, ServeOptions{})
		want(err)
		return nil
	})
	run(t, load(t, t.TempDir(), good+"hunter2}\n"), func(ctx context.Context, core *Core) error {
		s, err := NewServer(ctx, core, ServeOptions{Reload: func() (*config.Config, error) { return missing, nil }})
		if err != nil {
			return err
		}
		want(s.reload.Reload(ctx))
		return s.close()
	})
}
