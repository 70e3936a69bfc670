package oauth

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"errors"
	"html/template"
	"log/slog"
	"net/http"
	"strings"

	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/httpx"
)

//go:embed pages
var pageFiles embed.FS

var (
	pages = template.Must(template.ParseFS(pageFiles, "pages/*.html"))
	style = readStyle()

	// pagePolicy allows the pages' one style, and nothing else. It says nothing of where
	// forms lead to: browsers take that for the redirects behind them, too, and those lead
	// on to apps.
	pagePolicy = "default-src 'none'; style-src 'sha256-" + styleSum() + "'; base-uri 'none'; frame-ancestors 'none'"
)

func readStyle() template.CSS {
	text, err := pageFiles.ReadFile("pages/style.css")
	if err != nil {
		panic(err) // it is in the program
	}
	return template.CSS(text)
}

func styleSum() string {
	sum := sha256.Sum256([]byte(style))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// page is what the templates know. Which members count depends on the page.
type page struct {
	W       *words // nil: the first language
	Style   template.CSS
	Title   string // of the deployment
	Heading string
	Problem string // what was wrong with what was sent
	Field   string // whose fault it is: the id of an input
	Done    string
	CSRF    string
	ID      string // of a sign-in, for the form
	Request string // the authorization request that goes on afterwards; empty: none
	Path    string // of the form

	App  string // who asks
	Name string // who is signed in, or wants to be

	Switch string // where one signs in as another
	Back   string // where the browser goes afterwards
	Rights []right

	Places   []place
	Password bool // it is kept here

	Text, Ask, Link, LinkText string
	TextLang                  string // the language of Text, if it is another
}

// right is something that an app may do.
type right struct{ Text, Scope string }

// pageHeaders keep a page out of caches, of frames and of what other sites learn.
func pageHeaders(header http.Header) {
	header.Set("Cache-Control", "no-store")
	header.Set("Referrer-Policy", "no-referrer")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("X-Frame-Options", "DENY")
	header.Set("Content-Security-Policy", pagePolicy)
}

func (h *Handler) render(w http.ResponseWriter, status int, name string, p page) error {
	p.W, p.Style, p.Title = cmp.Or(p.W, languages[0]), style, h.c.Title
	var body bytes.Buffer
	if err := pages.ExecuteTemplate(&body, name, p); err != nil {
		return err
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(body.Bytes()) // the client may be gone: nobody is left to tell
	return nil
}

// forPeople serves a page: a refusal is one, too.
func (h *Handler) forPeople(f httpx.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		pageHeaders(w.Header())
		if r.Method == http.MethodHead { // who only looks begins nothing
			w.WriteHeader(http.StatusNoContent)
			return
		}
		if err := f(w, r); err != nil {
			h.refuse(w, r, err)
		}
	})
}

// refuse tells the person at the browser why they go nowhere. Nothing of the request
// stands in the page. The cause goes into the log.
func (h *Handler) refuse(w http.ResponseWriter, r *http.Request, err error) {
	public := fault.Public(err)
	logRefusal(r, public.Kind, err)
	retryAfter(w, public)
	speech := spoken(r, r.URL.Query().Get("ui_locales"))
	p := page{W: speech, Heading: speech.Failed}
	switch {
	case errors.Is(err, errCookies):
		p.Text = speech.Cookies
	case errors.Is(err, errStale):
		p.Text = speech.Stale
	default: // what is wrong with a request, for those who made it
		p.Text = sentence(public)
		if speech != &english {
			p.TextLang = english.Lang
		}
	}
	if public.Kind == fault.Invalid {
		p.Heading = speech.Unknown
	}
	if err := h.render(w, public.Kind.Status(), "message", p); err != nil {
		w.WriteHeader(http.StatusInternalServerError)
	}
}

func logRefusal(r *http.Request, kind fault.Kind, err error) {
	level := slog.LevelInfo
	switch kind {
	case fault.Internal:
		level = slog.LevelError
	case fault.Limited: // a flood must not flood the log
		level = slog.LevelDebug
	}
	httpx.LogFrom(r.Context()).LogAttrs(r.Context(), level, "sign-in refused",
		slog.String("path", r.URL.Path), slog.String("code", kind.String()), slog.Any("err", err))
}

func retryAfter(w http.ResponseWriter, public fault.Error) {
	if public.RetryAfter > 0 {
		w.Header().Set("Retry-After", httpx.RetryAfter(public.RetryAfter))
	}
}

// sentence begins a message as sentences do, unless with the name of a parameter, and
// ends it.
func sentence(e fault.Error) string {
	text := e.Msg
	switch {
	case e.Field != "":
		text = e.Field + " " + text
	case text != "":
		text = strings.ToUpper(text[:1]) + text[1:]
	}
	return strings.TrimSuffix(text, ".") + "."
}
