// Package observe is how an operator sees into a node: its log, its metrics, and
// whether it is alive and ready. Nothing here shows a secret, a token or who a
// person is.
package observe

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"regexp"
	"strings"

	"github.com/carnetproject/carnet/internal/trace"
)

const redacted = "[redacted]"

// NewLog returns a logger of level and above that writes lines of JSON or of
// key=value text. It is the last guard against secrets in the log, not the first:
// what looks like a token is cut out of messages and values, and a value whose
// key says that it is a secret is hidden whole. What happens in a trace has its trace_id.
func NewLog(w io.Writer, level slog.Leveler, asJSON bool) *slog.Logger {
	o := &slog.HandlerOptions{Level: level, ReplaceAttr: guard}
	if asJSON {
		return slog.New(traced{slog.NewJSONHandler(w, o)})
	}
	return slog.New(traced{slog.NewTextHandler(w, o)})
}

// traced adds the id of the trace that something happened in.
type traced struct{ slog.Handler }

func (t traced) Handle(ctx context.Context, r slog.Record) error {
	if id := trace.ID(trace.CauseOf(ctx)); id != "" {
		r = r.Clone()
		r.AddAttrs(slog.String("trace_id", id))
	}
	return t.Handler.Handle(ctx, r)
}

func (t traced) WithAttrs(as []slog.Attr) slog.Handler { return traced{t.Handler.WithAttrs(as)} }

func (t traced) WithGroup(name string) slog.Handler { return traced{t.Handler.WithGroup(name)} }

// token matches compact JWS and JWE, refresh tokens and client secrets.
var token = regexp.MustCompile(`eyJ[\w-]+(?:\.[\w-]*){2,4}|\b(?:rt|cs)_[\w-]{20,}`)

// secretKeys end the names of attributes that hold secrets.
var secretKeys = []string{"authorization", "cookie", "token", "jwt", "secret", "password", "passphrase", "api_key"}

func guard(_ []string, a slog.Attr) slog.Attr {
	switch a.Value.Kind() {
	case slog.KindString:
		return slog.String(a.Key, scrub(a.Key, a.Value.String()))
	case slog.KindAny:
		if _, isLevel := a.Value.Any().(slog.Level); isLevel {
			return a
		}
		text := fmt.Sprintf("%+v", a.Value.Any())
		if clean := scrub(a.Key, text); clean != text {
			return slog.String(a.Key, clean)
		}
	default: // numbers, times and truth values hold no token
	}
	return a
}

func scrub(key, value string) string {
	key = strings.ReplaceAll(strings.ToLower(key), "-", "_")
	for _, k := range secretKeys {
		if strings.HasSuffix(key, k) && value != "" {
			return redacted
		}
	}
	return token.ReplaceAllLiteralString(value, redacted)
}
