package httpx

import (
	"log/slog"
	"net/http"
	"runtime/debug"
)

// reportPanics logs a panic of next as an error. net/http's own line of it is among
// those that any client can cause, which are for debugging only.
func reportPanics(log *slog.Logger, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			p := recover()
			if p == nil {
				return
			}
			if p != http.ErrAbortHandler {
				log.LogAttrs(r.Context(), slog.LevelError, "handler panicked",
					slog.Any("panic", p), slog.String("stack", string(debug.Stack())))
			}
			panic(http.ErrAbortHandler) // the client must not take what was sent for the whole
		}()
		next.ServeHTTP(w, r)
	})
}
