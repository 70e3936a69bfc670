package bot

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/carnetproject/carnet/internal/secret"
)

const (
	specSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	rawSecret  = "a secret that is just text"
)

func secretsOf(texts ...string) (out []secret.Bytes) {
	for _, s := range texts {
		out = append(out, secret.FromString(s))
	}
	return out
}

// TestSign has the example of the Standard Webhooks specification.
func TestSign(t *testing.T) {
	t.Parallel()
	s, err := newSigner(secretsOf(specSecret))
	if err != nil {
		t.Fatal(err)
	}
	const want = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
	got := s.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", []byte(`{"test": 2432232314}`))
	if got != want {
		t.Errorf("sign() = %s, want %s", got, want)
	}
	both, err := newSigner(secretsOf(rawSecret, specSecret))
	if err != nil {
		t.Fatal(err)
	}
	first, second, ok := strings.Cut(both.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", []byte(`{"test": 2432232314}`)), " ")
	if !ok || second != want || first == want || !strings.HasPrefix(first, "v1,") {
		t.Errorf("two keys sign %s %s", first, second)
	}
}

func TestSignerRefused(t *testing.T) {
	t.Parallel()
	for _, texts := range [][]string{nil, {""}, {"short"}, {"whsec_AAAA"}, {"whsec_%%%%%%%%%%%%%%%%%%%%%%%%%%%%"}, {specSecret, "x"}} {
		if _, err := newSigner(secretsOf(texts...)); err == nil || len(texts) > 0 && texts[0] != "" && strings.Contains(err.Error(), texts[0]) {
			t.Errorf("newSigner(%q) = %v, want an error that does not show it", texts, err)
		}
	}
}

var sampleTurn = Turn{
	Conversation: "cnv_1", Seq: 3, Bot: "support", Kind: Message, MessageID: "m-1",
	Body: json.RawMessage(`{"text":"<hi> & 店"}`), At: time.Date(2026, 6, 1, 12, 0, 0, 5e6, time.UTC),
	User: User{"https://iss.example", "ann"}, Context: json.RawMessage(`{"page":"/"}`), Attempt: 1,
}

// serve runs a bot of one handler, and returns one that calls it.
func serve(t *testing.T, h http.HandlerFunc) *Webhook {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	w, err := NewWebhook(WebhookConfig{
		Endpoint: Endpoint{URL: srv.URL + "/hook?k=hidden", Headers: http.Header{"X-Api-Key": {"k1"}}},
		Secrets:  secretsOf(specSecret, rawSecret), Clock: func() time.Time { return time.Unix(1780000000, 0) },
	})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func TestWebhookCall(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		edit     func(*Turn)
		id, want string
	}{
		"message": {
			func(*Turn) {}, "m-1",
			`{"type":"message.created","timestamp":"2026-06-01T12:00:00.005Z","data":{"bot":"support","conversation":"cnv_1",` +
				`"user":{"iss":"https://iss.example","sub":"ann"},"message":{"seq":3,"id":"m-1","body":{"text":"<hi> & 店"},` +
				`"at":"2026-06-01T12:00:00.005Z"},"context":{"page":"/"}}}`,
		},
		"welcome": {
			func(t *Turn) { t.Kind, t.Seq, t.MessageID, t.Body, t.Context = Welcome, 0, "welcome", nil, nil }, "cnv_1",
			`{"type":"session.started","timestamp":"2026-06-01T12:00:00.005Z","data":{"bot":"support","conversation":"cnv_1",` +
				`"user":{"iss":"https://iss.example","sub":"ann"},"context":{}}}`,
		},
		"offline": {
			func(t *Turn) { t.Kind, t.MessageID, t.Body = Offline, HookID(Offline, t.At), nil }, "cnv_1-offline-1780315200005",
			`{"type":"user.offline","timestamp":"2026-06-01T12:00:00.005Z","data":{"bot":"support","conversation":"cnv_1",` +
				`"user":{"iss":"https://iss.example","sub":"ann"},"context":{"page":"/"}}}`,
		},
		"ended": {
			func(t *Turn) { t.Kind, t.MessageID, t.Body = Ended, HookID(Ended, t.At), nil }, "cnv_1-ended-1780315200005",
			`{"type":"session.ended","timestamp":"2026-06-01T12:00:00.005Z","data":{"bot":"support","conversation":"cnv_1",` +
				`"user":{"iss":"https://iss.example","sub":"ann"},"context":{"page":"/"}}}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			signs, err := newSigner(secretsOf(specSecret, rawSecret))
			if err != nil {
				t.Fatal(err)
			}
			w := serve(t, func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				if string(body) != tc.want {
					t.Errorf("body\n%s\nwant\n%s", body, tc.want)
				}
				h := r.Header
				for name, want := range map[string]string{
					"Webhook-Id": tc.id, "Webhook-Timestamp": "1780000000", "X-Api-Key": "k1", "Content-Type": "application/json",
					"Webhook-Signature": signs.sign(tc.id, "1780000000", body),
				} {
					if h.Get(name) != want {
						t.Errorf("%s: %s, want %s", name, h.Get(name), want)
					}
				}
				if r.Method != http.MethodPost || r.URL.RequestURI() != "/hook?k=hidden" {
					t.Errorf("%s %s", r.Method, r.URL)
				}
				io.WriteString(w, `{"messages":[{"text":"one","quick_replies":["a"]},{"body":[1]}],"context":{"a":1}}`)
			})
			turn := sampleTurn
			tc.edit(&turn)
			got, err := w.Answer(t.Context(), turn)
			if err != nil {
				t.Fatal(err)
			}
			want := Answer{
				Replies: []Reply{{Body: json.RawMessage(`{"text":"one","quick_replies":["a"]}`)}, {Body: json.RawMessage(`[1]`)}},
				Context: json.RawMessage(`{"a":1}`),
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("answer (-want +got):\n%s", diff)
			}
		})
	}
}

func TestWebhookFailures(t *testing.T) {
	t.Parallel()
	status := func(code int, after string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			if after != "" {
				w.Header().Set("Retry-After", after)
			}
			w.WriteHeader(code)
		}
	}
	says := func(kind, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", kind)
			io.WriteString(w, body)
		}
	}
	for name, tc := range map[string]struct {
		bot   http.HandlerFunc
		final bool
		wait  time.Duration
	}{
		"500":                 {status(500, ""), false, 0},
		"503, wait":           {status(503, "7"), false, 7 * time.Second},
		"503, wait for ever":  {status(503, "999999999"), false, maxAfter},
		"503, odd wait":       {status(503, "-1"), false, 0},
		"503, a date gone by": {status(503, "Mon, 01 Jan 2001 00:00:00 GMT"), false, 0},
		"408":                 {status(408, ""), false, 0},
		"429":                 {status(429, "3"), false, 3 * time.Second},
		"400":                 {status(400, "3"), true, 0},
		"401":                 {status(401, ""), true, 0},
		"404":                 {status(404, ""), true, 0},
		"410":                 {status(410, ""), true, 0},
		"redirect": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/hook", http.StatusTemporaryRedirect)
		}, true, 0},
		"not JSON":                {says("application/json", `<html>`), true, 0},
		"a list":                  {says("application/json", `[]`), true, 0},
		"nothing known":           {says("application/json", `{"message":{"text":"x"}}`), true, 0},
		"two values":              {says("application/json", `{"messages":[]}{}`), true, 0},
		"text is a number":        {says("application/json", `{"messages":[{"text":1}]}`), true, 0},
		"empty message":           {says("application/json", `{"messages":[{}]}`), true, 0},
		"null message":            {says("application/json", `{"messages":[null]}`), true, 0},
		"null body":               {says("application/json", `{"messages":[{"body":null}]}`), true, 0},
		"context is a list":       {says("application/json", `{"messages":[],"context":[]}`), true, 0},
		"too long":                {says("application/json", `{"messages":[{"text":"`+strings.Repeat("x", maxAnswer)+`"}]}`), true, 0},
		"too long a stream":       {says("application/x-ndjson", strings.Repeat(`{"delta":{"text":"xxxxxxxxxx"}}`+"\n", maxAnswer/20)), true, 0},
		"bad line":                {says("application/x-ndjson", "{\"delta\":{\"text\":\"x\"}}\nnope\n"), true, 0},
		"more messages than many": {says("application/json", `{"messages":[`+strings.Repeat(`{"text":""},`, maxParts)+`{"text":""}]}`), true, 0},
		"cut off": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			io.WriteString(w, `{"messages":[]}`)
		}, false, 0},
		"stream cut off": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			io.WriteString(w, "data: {\"delta\":{\"text\":\"he\"}}\n\n")
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		}, false, 0},
		"hangs up": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, false, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := serve(t, tc.bot).Answer(t.Context(), sampleTurn)
			if err == nil {
				t.Fatalf("Answer() = %+v, want an error", got)
			}
			if strings.Contains(err.Error(), "hidden") {
				t.Errorf("the error has the URL: %v", err)
			}
			final, wait := judge(err)
			if final != tc.final || wait != tc.wait {
				t.Errorf("%v: final %t, wait %v, want %t, %v", err, final, wait, tc.final, tc.wait)
			}
		})
	}
}

func TestWebhookSaysNothing(t *testing.T) {
	t.Parallel()
	for name, h := range map[string]http.HandlerFunc{
		"204":        func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) },
		"202":        func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(202) },
		"empty body": func(http.ResponseWriter, *http.Request) {},
		"empty list": func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, ` {"messages":[]} `) },
		"more": func(w http.ResponseWriter, _ *http.Request) {
			io.WriteString(w, `{"messages":[],"context":null,"later":1}`)
		},
		"no events": func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Type", "text/event-stream") },
		"empty delta": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/x-ndjson")
			io.WriteString(w, `{"delta":{"text":""}}`)
		},
	} {
		if got, err := serve(t, h).Answer(t.Context(), sampleTurn); err != nil || len(got.Replies) != 0 || got.Context != nil {
			t.Errorf("%s: Answer() = %+v, %v, want nothing", name, got, err)
		}
	}
}

func TestWebhookStreams(t *testing.T) {
	t.Parallel()
	parts := []string{
		`{"delta":{"text":"On"}}`, `{"delta":{"text":"ce"},"context":{"a":1,"b":1}}`, `{"message":{}}`,
		`{"message":{"text":"Two"}}`, `{"context":{"b":2}}`, `{"delta":{"text":"Three"}}`,
	}
	parts[2] = `{"message":{"text":"Once","quick_replies":["go on"]}}`
	for kind, join := range map[string]func(string) string{
		"application/x-ndjson":             func(s string) string { return s + "\n" },
		"text/event-stream; charset=utf-8": func(s string) string { return ": note\nevent: x\ndata: " + s[:1] + "\ndata:" + s[1:] + "\r\n\r\n" },
	} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			told := make(chan Delta, 10)
			w := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", kind)
				for _, p := range parts {
					io.WriteString(w, join(p))
					w.(http.Flusher).Flush()
				}
			})
			got, err := w.Stream(t.Context(), sampleTurn, func(d Delta) { told <- d })
			if err != nil {
				t.Fatal(err)
			}
			close(told)
			first := <-told
			if first.Text != "On" || !strings.HasPrefix(first.ID, "bot_") {
				t.Errorf("told %+v first", first)
			}
			var bodies []string
			for _, r := range got.Replies {
				bodies = append(bodies, string(r.Body))
			}
			want := []string{`{"text":"Once","quick_replies":["go on"]}`, `{"text":"Two"}`, `{"text":"Three"}`}
			if diff := cmp.Diff(want, bodies); diff != "" {
				t.Errorf("replies (-want +got):\n%s", diff)
			}
			if got.Replies[0].ID != first.ID || got.Replies[1].ID != "" || got.Replies[2].ID == first.ID {
				t.Errorf("ids %q, %q, %q of deltas under %q", got.Replies[0].ID, got.Replies[1].ID, got.Replies[2].ID, first.ID)
			}
			if string(got.Context) != `{"a":1,"b":2}` {
				t.Errorf("context %s", got.Context)
			}
		})
	}
}

// TestWebhookTellsBeforeTheEnd has a bot that goes on only when its first words were told.
func TestWebhookTellsBeforeTheEnd(t *testing.T) {
	t.Parallel()
	heard := make(chan string, 1)
	w := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/x-ndjson")
		io.WriteString(w, `{"delta":{"text":"wait"}}`+"\n")
		w.(http.Flusher).Flush()
		io.WriteString(w, `{"message":{"text":"`+<-heard+` no more"}}`)
	})
	got, err := w.Stream(t.Context(), sampleTurn, func(d Delta) { heard <- d.Text })
	if err != nil || string(got.Replies[0].Body) != `{"text":"wait no more"}` {
		t.Errorf("Stream() = %+v, %v", got, err)
	}
}

func TestWebhookEndsWithItsContext(t *testing.T) {
	t.Parallel()
	w := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/x-ndjson")
		for r.Context().Err() == nil { // never silent, never done
			io.WriteString(w, "\n")
			w.(http.Flusher).Flush()
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err := w.Answer(ctx, sampleTurn)
	if final, _ := judge(err); err == nil || final && ctx.Err() == nil {
		t.Errorf("Answer() = %v", err)
	}
}

func TestWebhookKeepsConnections(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{} // of calls that come one after another
	var calls atomic.Int64
	w := serve(t, func(w http.ResponseWriter, r *http.Request) {
		seen[r.RemoteAddr] = true
		if calls.Add(1)%2 == 0 {
			w.WriteHeader(503)
		}
		io.WriteString(w, `{"messages":[]}`)
	})
	for range 20 {
		_, _ = w.Answer(t.Context(), sampleTurn)
	}
	if len(seen) != 1 {
		t.Errorf("%d connections for 20 calls, want 1", len(seen))
	}
}

func TestNewWebhookRefused(t *testing.T) {
	t.Parallel()
	for _, u := range []string{"", "bots.example.com", "ftp://x", "https://me:pw@x/", "http://", "http://%zz"} {
		if _, err := NewWebhook(WebhookConfig{Endpoint: Endpoint{URL: u}, Secrets: secretsOf(specSecret)}); err == nil {
			t.Errorf("NewWebhook(%q) = nil error", u)
		}
	}
	if _, err := NewWebhook(WebhookConfig{Endpoint: Endpoint{URL: "https://x"}}); err == nil {
		t.Error("NewWebhook() without a secret = nil error")
	}
}

// TestAnswerTakesNoMoreRoom: a context is as long as it was sent, which bounds are for.
func TestAnswerTakesNoMoreRoom(t *testing.T) {
	t.Parallel()
	const context = `{"html":"<p>&</p>","plan":"gold"}`
	a, err := readAnswer("application/json", strings.NewReader(`{"messages":[],"context":`+context+`}`), func(Delta) {})
	if err != nil || string(a.Context) != context {
		t.Errorf("context %s, %v; want %s", a.Context, err, context)
	}
	said, err := say(text{Text: "<&>"})
	if err != nil || string(said.Replies[0].Body) != `{"text":"<&>"}` {
		t.Errorf("said %s, %v", said.Replies[0].Body, err)
	}
}

// FuzzReadAnswer has any bot answer: what is read can be kept, or is refused for good.
func FuzzReadAnswer(f *testing.F) {
	for _, s := range []string{`{"messages":[{"text":"x"}]}`, `{"delta":{"text":"x"}}`, "data: {\"message\":{\"body\":1}}\n\n", `{"context":{"a":null}}`, "{\"messages\":[{\"text\":\"\xff\"}],\"context\":{\"a\":\"\xff\"}}"} {
		f.Add("application/json", s)
		f.Add("text/event-stream", s)
		f.Add("application/x-ndjson", s)
	}
	f.Fuzz(func(t *testing.T, kind, body string) {
		var told strings.Builder
		a, err := readAnswer(kind, strings.NewReader(body), func(d Delta) { told.WriteString(d.Text) })
		if err != nil {
			if e, ok := errors.AsType[*CallError](err); !errors.Is(err, io.EOF) && (!ok || !e.Final) {
				t.Fatalf("error %v is to be tried again", err)
			}
			return
		}
		for _, r := range a.Replies {
			if !json.Valid(r.Body) || !utf8.Valid(r.Body) || string(r.Body) == "null" {
				t.Errorf("reply %q", r.Body)
			}
		}
		if a.Context != nil && !(json.Valid(a.Context) && utf8.Valid(a.Context)) {
			t.Errorf("context %q", a.Context)
		}
	})
}
