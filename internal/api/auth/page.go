package auth

import (
	"bytes"
	"html/template"
	"log/slog"
	"net/http"

	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/httpx"
)

// refusal is a page without script and style, so that its policy allows none.
var refusal = template.Must(template.New("refusal").Parse(`<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Sign-in</title>
<h1>Sign-in</h1>
<p>{{.Text}}.
{{with .Page}}<p><a href="{{.}}">Back</a>
{{end}}`))

// refuse tells the person at the browser why they go nowhere. Nothing of the request
// stands in the page. The cause goes into the log.
func refuse(w http.ResponseWriter, r *http.Request, page string, err error) {
	public := fault.Public(err)
	level := slog.LevelInfo
	if public.Kind == fault.Internal {
		level = slog.LevelError
	}
	httpx.LogFrom(r.Context()).LogAttrs(r.Context(), level, "sign-in refused",
		slog.String("path", r.URL.Path), slog.String("code", public.Kind.String()), slog.Any("err", err))
	var body bytes.Buffer
	if err := refusal.Execute(&body, struct{ Text, Page string }{sentence(public.Msg), page}); err != nil {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	header := w.Header()
	if public.RetryAfter > 0 {
		header.Set("Retry-After", httpx.RetryAfter(public.RetryAfter))
	}
	header.Set("Content-Type", "text/html; charset=utf-8")
	header.Set("Content-Security-Policy", "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	w.WriteHeader(public.Kind.Status())
	_, _ = w.Write(body.Bytes()) // the client may be gone: nobody is left to tell
}

// sentence begins a message as sentences do.
func sentence(msg string) string {
	b := []byte(msg)
	if len(b) > 0 && 'a' <= b[0] && b[0] <= 'z' {
		b[0] -= 'a' - 'A'
	}
	return string(b)
}
