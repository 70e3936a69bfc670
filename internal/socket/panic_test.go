package socket

import (
	"bytes"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/lxzan/gws"
)

// TestPanicOnAFrame has each kind of frame be one that its receiver panics on: the
// connection ends, and the error names the line.
func TestPanicOnAFrame(t *testing.T) {
	t.Parallel()
	for name, send := range map[string]func(*gws.Conn) error{
		"text": func(c *gws.Conn) error { return c.WriteString("x") },
		"ping": func(c *gws.Conn) error { return c.WritePing(nil) },
		"pong": func(c *gws.Conn) error { return c.WritePong(nil) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ended := make(chan error, 1)
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				key, err := Challenge(w.Header(), r, "")
				if err != nil {
					ended <- err
					return
				}
				conn, err := NewUpgrader(UpgraderConfig{MaxFrame: 1 << 10}).Upgrade(w, r, key)
				if err != nil {
					ended <- err
					return
				}
				ended <- conn.Read(func(Opcode, []byte) { panic("told to panic") })
			}))
			defer s.Close()
			ws, _, err := gws.NewClient(gws.BuiltinEventHandler{}, &gws.ClientOption{Addr: "ws" + strings.TrimPrefix(s.URL, "http")})
			if err != nil {
				t.Fatal(err)
			}
			gone := make(chan struct{})
			go func() { defer close(gone); ws.ReadLoop() }()
			if err := send(ws); err != nil {
				t.Fatal(err)
			}
			<-gone
			err = <-ended
			p, ok := errors.AsType[*PanicError](err)
			if !ok || !strings.Contains(p.Error(), "told to panic") || !strings.Contains(p.Error(), "panic_test.go") {
				t.Errorf("Read() = %v, want the panic and its line", err)
			}
			if Panicked(p) != p {
				t.Error("a panic that was recovered before loses where it was")
			}
		})
	}
}

func TestReport(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		err  error
		want string // of the level; "": nothing is logged
	}{
		"a good end": {nil, ""},
		"the peer":   {errors.New("a frame of -1 bytes"), "level=WARN"},
		"ours":       {Panicked("x"), "level=ERROR"},
	} {
		var logged bytes.Buffer
		Report(t.Context(), slog.New(slog.NewTextHandler(&logged, nil)), tc.err)
		if s := logged.String(); (s == "") != (tc.want == "") || !strings.Contains(s, tc.want) {
			t.Errorf("%s: logged %q, want %q", name, s, tc.want)
		}
	}
}
