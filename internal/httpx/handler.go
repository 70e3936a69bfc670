// Package httpx is what all of Carnet's HTTP surfaces share: handlers that return
// errors, problem documents, bounded bodies, the client's address behind proxies,
// TLS that follows its files, and a server that stops gracefully.
package httpx

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/wire"
)

// Handler is an [http.Handler] that may fail. It returns an error only before
// it has begun its response; [WriteProblem] then answers.
type Handler func(w http.ResponseWriter, r *http.Request) error

// ServeHTTP implements [http.Handler].
func (h Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if err := h(w, r); err != nil {
		WriteProblem(w, r, err)
	}
}

// NotFound answers 404 as a problem document. Mount it at "/".
func NotFound(http.ResponseWriter, *http.Request) error {
	return fault.New(fault.NotFound, "there is nothing at this path")
}

// Problem is the body of a refusal: RFC 9457, with our stable code and the
// member of the request at fault.
type Problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`
	Code   string `json:"code"`
	Field  string `json:"field,omitempty"`
}

// WriteProblem answers with what the caller may know of err, and logs the rest.
// It is the only place where a [fault.Kind] becomes a status. Headers that were
// already set stay; a 401 without a challenge gets "Bearer" (RFC 9110 §15.5.2).
func WriteProblem(w http.ResponseWriter, r *http.Request, err error) {
	public := fault.Public(err)
	if errors.Is(err, context.Canceled) && r.Context().Err() != nil {
		public = fault.Error{Kind: fault.Unavailable, Msg: "the request was cancelled"}
	} else {
		LogRefusal(r, public.Kind, err)
	}
	status := public.Kind.Status()
	h := w.Header()
	if public.RetryAfter > 0 {
		h.Set("Retry-After", RetryAfter(public.RetryAfter))
	}
	if status == http.StatusUnauthorized && h.Get("WWW-Authenticate") == "" {
		h.Set("WWW-Authenticate", "Bearer")
	}
	h.Set("Cache-Control", "no-store")
	h.Del("ETag")
	writeJSON(w, status, "application/problem+json", Problem{
		Type: "about:blank", Title: http.StatusText(status), Status: status,
		Detail: public.Msg, Code: cmp.Or(public.Code, public.Kind.String()), Field: public.Field,
	})
}

// LogRefusal logs what a caller is not told of err: an internal fault as an error, the
// hidden cause of any other as information.
func LogRefusal(r *http.Request, k fault.Kind, err error) {
	level := slog.LevelError
	if k != fault.Internal {
		if e, ok := errors.AsType[*fault.Error](err); ok && e.Err == nil {
			return
		}
		level = slog.LevelInfo
	}
	LogFrom(r.Context()).LogAttrs(r.Context(), level, "request refused",
		slog.String("method", r.Method), slog.String("path", r.URL.Path),
		slog.String("code", k.String()), slog.Any("err", err))
}

// RetryAfter is d as the header of that name wants it: whole seconds, at least one.
func RetryAfter(d time.Duration) string {
	return strconv.FormatInt(max(1, int64(math.Ceil(d.Seconds()))), 10)
}

// WriteJSON answers with v as application/json. A v that cannot be encoded is a
// fault of the program and answers 500 with an empty body.
func WriteJSON(w http.ResponseWriter, status int, v any) {
	writeJSON(w, status, "application/json", v)
}

func writeJSON(w http.ResponseWriter, status int, media string, v any) {
	text, err := wire.JSON(v) // nosniff says that it is no HTML
	if err != nil {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", media)
	h.Set("Content-Length", strconv.Itoa(len(text)))
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(text) // the client may be gone: nobody is left to tell
}

type logKey struct{}

// WithLog gives the handlers below ctx their logger. [Server] does so by itself.
func WithLog(ctx context.Context, log *slog.Logger) context.Context {
	return context.WithValue(ctx, logKey{}, log)
}

// LogFrom returns the logger of [WithLog], [slog.Default] without one.
func LogFrom(ctx context.Context) *slog.Logger {
	if log, ok := ctx.Value(logKey{}).(*slog.Logger); ok {
		return log
	}
	return slog.Default()
}
