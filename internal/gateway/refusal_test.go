package gateway

import (
	"encoding/json"
	"encoding/xml"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/carnetproject/carnet/internal/httpx"
)

// The bytes that clients of Kong 3.5 and later know.
func TestDocument(t *testing.T) {
	t.Parallel()
	w := httptest.NewRecorder()
	f := document(http.StatusTooManyRequests, `no "more" <&> é`, "reason")
	f.challenge = "Bearer"
	f.write(w, nil)
	want := "{\n  \"message\":\"no \\\"more\\\" <&> é\",\n  \"request_id\":\"" + f.request + "\"\n}"
	if w.Code != 429 || w.Body.String() != want || w.Header().Get("Www-Authenticate") != "Bearer" {
		t.Errorf("%d %v %s, want 429 %s", w.Code, w.Header(), w.Body, want)
	}
	if !json.Valid(w.Body.Bytes()) || !regexp.MustCompile("^[0-9a-f]{32}$").MatchString(f.request) {
		t.Errorf("number %q, body %s", f.request, w.Body)
	}
	if document(404, "x", "").request == f.request {
		t.Error("two documents have the same number")
	}
}

func TestMessageHasOneForm(t *testing.T) {
	t.Parallel()
	w := httptest.NewRecorder()
	message(401, "Unauthorized", "").write(w, http.Header{"Accept": {"text/html"}})
	if w.Body.String() != `{"message":"Unauthorized"}` || w.Header().Get("Content-Type") != "application/json; charset=utf-8" {
		t.Errorf("%v %s", w.Header(), w.Body)
	}
}

func TestDocumentForms(t *testing.T) {
	t.Parallel()
	var parsed struct {
		Message   string `xml:"message"`
		RequestID string `xml:"requestid"`
	}
	for accept, want := range map[string]struct {
		form  form
		reads func(body, number string) bool
	}{
		"text/html": {htmlForm, func(b, n string) bool {
			return strings.HasPrefix(b, "<!doctype html>") && strings.Contains(b, "a &lt;b&gt;.") && strings.Contains(b, n)
		}},
		"text/plain": {plainForm, func(b, n string) bool { return b == "a <b>\nrequest_id: "+n+"\n" }},
		"application/xml": {xmlForm, func(b, n string) bool {
			return xml.Unmarshal([]byte(b), &parsed) == nil && parsed.Message == "a <b>" && parsed.RequestID == n
		}},
		"application/json": {jsonForm, func(b, n string) bool { return strings.Contains(b, `"a <b>"`) && strings.Contains(b, n) }},
	} {
		w := httptest.NewRecorder()
		f := document(400, "a <b>", "")
		f.write(w, http.Header{"Accept": {accept}})
		if ct := w.Header().Get("Content-Type"); ct != string(want.form)+"; charset=utf-8" || !want.reads(w.Body.String(), f.request) {
			t.Errorf("%s: %s, %s", accept, ct, w.Body)
		}
	}
}

func TestAccepted(t *testing.T) {
	t.Parallel()
	for accept, want := range map[string]form{
		"":                                    jsonForm,
		"*/*":                                 jsonForm,
		"application/*":                       jsonForm,
		"text/*":                              plainForm,
		"TEXT/HTML":                           htmlForm,
		"text/html;level=1":                   htmlForm,
		"text/html;q=0.5, application/xml":    xmlForm,
		"text/html, application/xml":          htmlForm,
		"text/html;q=0":                       jsonForm,
		"text/html;q=x":                       jsonForm,
		"text/html;q=2":                       jsonForm,
		"image/png, text/html;q=0.9":          jsonForm,
		"image/png;q=0.1, text/plain ; Q=0.2": plainForm,
		"text/html,application/xhtml+xml,application/xml;q=0.9,image/webp,*/*;q=0.8": htmlForm,
		"application/grpc": jsonForm,
		";;,,q=":           jsonForm,
	} {
		if got := accepted([]string{accept}); got != want {
			t.Errorf("Accept %q → %s, want %s", accept, got, want)
		}
	}
	if got := accepted([]string{"text/plain;q=0.1", "text/html"}); got != htmlForm {
		t.Errorf("two headers → %s", got)
	}
}

// What the gateway says itself has the document, in the form that is asked for, and
// the number that the log has.
func TestOwnAnswersAreDocuments(t *testing.T) {
	t.Parallel()
	var log strings.Builder
	_, server := newGateway(t, Options{
		Config: oneRoute(refusing(t), Plugins{}),
		Log:    slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	number := regexp.MustCompile(`\nrequest_id: ([0-9a-f]{32})\n$`)
	var numbers []string
	for target, want := range map[string]string{
		"/nowhere": "404 no Route matched with those values",
		"/a//b":    "400 Bad request: path has an empty segment",
		"/demo":    "502 An invalid response was received from the upstream server",
	} {
		a := call(t, server, "GET", target, "Accept: text/plain")
		if got := strconv.Itoa(a.status) + " " + number.ReplaceAllString(a.body, ""); got != want {
			t.Errorf("%s: %q, want %q", target, got, want)
			continue
		}
		numbers = append(numbers, number.FindStringSubmatch(a.body)[1])
	}
	server.Close() // and with it all that writes the log
	for _, n := range numbers {
		if !strings.Contains(log.String(), "request_id="+n) {
			t.Errorf("the log does not have %s", n)
		}
	}
}

func TestPlainHTTPIsSentAway(t *testing.T) {
	t.Parallel()
	for _, status := range []int{0, 301, 308, 426} {
		cfg := oneRoute("internal://echo", Plugins{JWT: &JWT{}})
		cfg.Services[0].Routes[0].Protocols, cfg.Services[0].Routes[0].HTTPSRedirect = []string{"https"}, status
		_, server := newGateway(t, Options{
			Config: cfg, Internal: map[string]http.Handler{"echo": http.HandlerFunc(echo)}, Trusts: httpx.Trusts(here),
		})
		a := call(t, server, "GET", "/demo/x%20y?q=1", "Host: Shop.example:8000", "X-Forwarded-Proto: https, http")
		want := "https://shop.example/demo/x%20y?q=1"
		if status == 0 || status == 426 {
			want = ""
			if a.status != 426 || a.header.Get("Upgrade") != "TLS/1.2, HTTP/1.1" {
				t.Errorf("%d: %d %v", status, a.status, a.header)
			}
		} else if a.status != status {
			t.Errorf("%d, want %d", a.status, status)
		}
		if a.header.Get("Location") != want || a.message(t) != "Please use HTTPS protocol" {
			t.Errorf("%d: Location %q, want %q; %s", status, a.header.Get("Location"), want, a.body)
		}
		if a := call(t, server, "GET", "/demo", "X-Forwarded-Proto: HTTPS"); a.status != 401 {
			t.Errorf("%d over TLS, want 401", a.status)
		}
	}
}

func TestHTTPMayPassOverTLS(t *testing.T) {
	t.Parallel()
	cfg := oneRoute("internal://echo", Plugins{})
	cfg.Services[0].Routes[0].Protocols = []string{"http"}
	g, _ := newGateway(t, Options{Config: cfg, Internal: map[string]http.Handler{"echo": http.HandlerFunc(echo)}})
	server := httptest.NewTLSServer(g)
	t.Cleanup(server.Close)
	res, err := server.Client().Get(server.URL + "/demo")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _, _ = io.Copy(io.Discard, res.Body); _ = res.Body.Close() }()
	if res.StatusCode != 200 {
		t.Errorf("%d, want 200 as with Kong", res.StatusCode)
	}
}
