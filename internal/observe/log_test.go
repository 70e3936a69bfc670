package observe

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/carnetproject/carnet/internal/secret"
	"github.com/carnetproject/carnet/internal/trace"
)

const (
	jwt = "eyJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJhIn0.c2lnbmF0dXJl"
	jwe = "eyJhbGciOiJkaXIifQ..aXYxMjM0.Y2lwaGVy.dGFn"
)

type claims struct{ Raw string }

func TestNewLogHidesSecrets(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		msg   string
		attrs []slog.Attr
		gone  string // what must not be there
		kept  string // what must
	}{
		"token in message":    {"refused " + jwt + " here", nil, "eyJ", "refused [redacted] here"},
		"token in value":      {"m", []slog.Attr{slog.String("url", "/x?jwt="+jwt+"&a=1")}, "eyJ", "&a=1"},
		"two tokens":          {"m", []slog.Attr{slog.String("v", jwt+" "+jwt)}, "eyJ", "[redacted] [redacted]"},
		"JWE":                 {"m", []slog.Attr{slog.String("v", jwe)}, "dGFn", "[redacted]"},
		"refresh token":       {"m", []slog.Attr{slog.String("v", "rt_AAAAAAAAAAAAAAAAAAAAAAAA")}, "rt_", "[redacted]"},
		"client secret":       {"m", []slog.Attr{slog.String("v", "cs_AAAAAAAAAAAAAAAAAAAAAAAA")}, "cs_", "[redacted]"},
		"token in error":      {"m", []slog.Attr{slog.Any("err", fmt.Errorf("verify %s: %w", jwt, errors.New("bad")))}, "eyJ", "verify [redacted]: bad"},
		"token in struct":     {"m", []slog.Attr{slog.Any("v", claims{jwt})}, "eyJ", "[redacted]"},
		"token in group":      {"m", []slog.Attr{slog.Group("req", slog.String("v", jwt))}, "eyJ", "[redacted]"},
		"key says password":   {"m", []slog.Attr{slog.String("password", "hunter2")}, "hunter2", "[redacted]"},
		"key with a dash":     {"m", []slog.Attr{slog.String("X-Api-Key", "hunter2")}, "hunter2", "[redacted]"},
		"key in capitals":     {"m", []slog.Attr{slog.String("Authorization", "Basic aHVudGVyMg")}, "aHVudGVyMg", "[redacted]"},
		"key with a prefix":   {"m", []slog.Attr{slog.String("client_secret", "hunter2")}, "hunter2", "[redacted]"},
		"key of a list":       {"m", []slog.Attr{slog.Any("cookie", []string{"sid=hunter2"})}, "hunter2", "[redacted]"},
		"secret.Bytes":        {"m", []slog.Attr{slog.Any("v", secret.FromString("hunter2"))}, "hunter2", "[redacted]"},
		"ordinary text stays": {"m", []slog.Attr{slog.String("v", "keys.example.com")}, "redacted", "keys.example.com"},
		"number stays":        {"m", []slog.Attr{slog.Int("tokens", 7)}, "redacted", "7"},
		"empty stays":         {"m", []slog.Attr{slog.String("token", ""), slog.String("v", "x")}, "redacted", "x"},
		"level stays":         {"m", nil, "redacted", "INFO"},
	} {
		for _, asJSON := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/json=%t", name, asJSON), func(t *testing.T) {
				t.Parallel()
				var out bytes.Buffer
				NewLog(&out, slog.LevelInfo, asJSON).LogAttrs(t.Context(), slog.LevelInfo, tc.msg, tc.attrs...)
				got := strings.ReplaceAll(out.String(), `\u0026`, "&")
				if strings.Contains(got, tc.gone) || !strings.Contains(got, tc.kept) {
					t.Errorf("logged %s, want %q and no %q", got, tc.kept, tc.gone)
				}
			})
		}
	}
}

func TestNewLogLevel(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	log := NewLog(&out, slog.LevelWarn, true)
	log.Info("quiet")
	log.Warn("loud")
	if got := out.String(); strings.Contains(got, "quiet") || !strings.HasPrefix(got, "{") || !strings.Contains(got, "loud") {
		t.Errorf("logged %s, want the warning alone, as JSON", got)
	}
}

// TestLogInTrace has lines say in which trace they were written, sampled or not.
func TestLogInTrace(t *testing.T) {
	t.Parallel()
	for name, sample := range map[string]float64{"sampled": 1, "not sampled": 0} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tr := newTraces(t, func(c *TracesConfig) { c.Sample = sample })
			ctx, span := trace.Start(tr.In(t.Context()), "part")
			defer span.End()
			want := "trace_id=" + trace.CauseOf(ctx).TraceID().String()
			var out bytes.Buffer
			log := NewLog(&out, slog.LevelInfo, false).With("a", 1)
			log.InfoContext(ctx, "in it", "token", "hunter2")
			log.WithGroup("g").WarnContext(ctx, "in a group")
			log.Info("outside of it")
			lines := strings.Split(out.String(), "\n")
			if !strings.Contains(lines[0], want) || strings.Contains(lines[0], "hunter2") || !strings.Contains(lines[1], want) {
				t.Errorf("want %s in:\n%s\n%s", want, lines[0], lines[1])
			}
			if strings.Contains(lines[2], "trace_id") {
				t.Errorf("there is no trace: %s", lines[2])
			}
		})
	}
}
