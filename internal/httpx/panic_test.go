package httpx

import (
	"bytes"
	"log/slog"
	"net/http"
	"strings"
	"testing"
)

func TestPanicsAreReported(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		value any
		want  string
	}{
		"a bug":    {"index out of range", "level=ERROR"},
		"an abort": {http.ErrAbortHandler, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var logged bytes.Buffer
			s := NewServer(ServerConfig{
				Listener: listen(t), Log: slog.New(slog.NewTextHandler(&logged, nil)),
				Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(tc.value) }),
			})
			stop := start(t, s)
			if body, err := fetch(t.Context(), &http.Client{Transport: &http.Transport{}}, "http://"+s.Addr().String()); err == nil {
				t.Errorf("the request was answered with %q, want it cut off", body)
			}
			if err := stop(); err != nil {
				t.Errorf("Run() = %v, want nil", err)
			}
			if got := logged.String(); tc.want == "" && got != "" || !strings.Contains(got, tc.want) {
				t.Errorf("logged %q, want %q", got, tc.want)
			}
		})
	}
}
