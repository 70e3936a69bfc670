package chat

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/carnetproject/carnet/internal/bot"
	"github.com/carnetproject/carnet/internal/chat"
	"github.com/carnetproject/carnet/internal/httpx"
)

var noon = time.Date(2026, 6, 1, 12, 0, 0, 7_000_000, time.FixedZone("here", 3600))

// library has a conversation of ann with 45 messages.
func library(t *testing.T, edit ...func(*Config)) (h http.Handler, w *world) {
	t.Helper()
	w = newWorld(t, edit...)
	u := chat.User{Issuer: issuer, Subject: "ann"}
	if err := w.store.AddConversation(t.Context(), chat.Conversation{ID: "cnv_a", Bot: bot.ID("echo"), User: u}, false); err != nil {
		t.Fatal(err)
	}
	for i := range 45 {
		d := chat.Draft{ID: fmt.Sprint("m", i+1), From: chat.FromUser, Body: json.RawMessage(`{"text":"a<b"}`)}
		if _, _, err := w.store.AppendMessages(t.Context(), "cnv_a", []chat.Draft{d}, noon, time.Time{}); err != nil {
			t.Fatal(err)
		}
	}
	mux := http.NewServeMux()
	w.Mount(mux)
	return mux, w
}

func ask(t *testing.T, h http.Handler, method, target string, headers ...string) *httptest.ResponseRecorder {
	t.Helper()
	ctx := httpx.WithLog(t.Context(), slog.New(slog.DiscardHandler))
	r := httptest.NewRequestWithContext(ctx, method, "https://chat.example/chat/v1/conversations/"+target, nil)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestHistory(t *testing.T) {
	t.Parallel()
	h, _ := library(t)
	for query, want := range map[string]struct {
		first, last int64
		more        bool
	}{
		"":                        {26, 45, true},
		"?limit=100":              {1, 45, false},
		"?limit=1":                {45, 45, true},
		"?before=26":              {6, 25, true},
		"?before=6":               {1, 5, false},
		"?before=3&limit=2":       {1, 2, false},
		"?before=9999":            {26, 45, true},
		"?before=0&limit=44":      {2, 45, true},
		"?unknown=x&limit=45":     {1, 45, false},
		"?before=1&unknown=later": {0, -1, false},
	} {
		t.Run(query, func(t *testing.T) {
			t.Parallel()
			w := ask(t, h, "GET", "cnv_a/messages"+query, "Authorization", "bearer ann")
			var got struct {
				Messages []json.RawMessage
				More     *bool
			}
			if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Code != 200 || got.More == nil || got.Messages == nil {
				t.Fatalf("%d %s, %v", w.Code, w.Body, err)
			}
			if int64(len(got.Messages)) != want.last-want.first+1 || *got.More != want.more {
				t.Fatalf("%d messages, more %v; want %d to %d and %v", len(got.Messages), *got.More, want.first, want.last, want.more)
			}
			for i, m := range got.Messages {
				var seq struct{ Seq int64 }
				_ = json.Unmarshal(m, &seq)
				if why := checkServerFrame(m); why != "" || seq.Seq != want.first+int64(i) {
					t.Errorf("message %s: %s; want number %d", m, why, want.first+int64(i))
				}
			}
			if w.Header().Get("Cache-Control") != "no-store" {
				t.Error("the page may be cached")
			}
		})
	}
}

// TestHistoryOfLongMessages: a page ends early, and the next one goes on where it ended.
func TestHistoryOfLongMessages(t *testing.T) {
	t.Parallel()
	h, w := library(t)
	for i := range 40 {
		if _, _, err := w.store.AppendMessages(t.Context(), "cnv_a", []chat.Draft{{
			ID: fmt.Sprint("long", i), From: chat.FromUser, Body: json.RawMessage(`"` + strings.Repeat("x", chat.MaxBody-2) + `"`),
		}}, noon, time.Time{}); err != nil {
			t.Fatal(err)
		}
	}
	before, pages := int64(86), 0
	for more := true; more; pages++ {
		w := ask(t, h, "GET", fmt.Sprintf("cnv_a/messages?limit=100&before=%d", before), "Authorization", "Bearer ann")
		var got struct {
			Messages []struct{ Seq int64 }
			More     bool
		}
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || len(got.Messages) == 0 {
			t.Fatalf("%d: %d messages, %v", w.Code, len(got.Messages), err)
		}
		if n := w.Body.Len(); n > maxPageBytes+chat.MaxPage*200 {
			t.Errorf("a page of %d bytes", n)
		}
		if last := got.Messages[len(got.Messages)-1].Seq; last != before-1 {
			t.Errorf("a page ends with %d, want %d", last, before-1)
		}
		before, more = got.Messages[0].Seq, got.More
	}
	if before != 1 || pages != 3 {
		t.Errorf("%d pages down to %d, want 3 to 1", pages, before)
	}
}

// stuck is a client that takes nothing of its answer.
type stuck struct {
	*httptest.ResponseRecorder
	begun, end chan struct{}
}

func (s stuck) Write(p []byte) (int, error) {
	close(s.begun)
	<-s.end
	return s.ResponseRecorder.Write(p)
}

// TestHistoryUntaken: pages that clients do not take are counted.
func TestHistoryUntaken(t *testing.T) {
	t.Parallel()
	h, _ := library(t, func(c *Config) { c.PerAddr = 1 })
	r := httptest.NewRequestWithContext(t.Context(), "GET", "https://chat.example/chat/v1/conversations/cnv_a/messages", nil)
	r.Header.Set("Authorization", "Bearer ann")
	first := stuck{httptest.NewRecorder(), make(chan struct{}), make(chan struct{})}
	taken := make(chan struct{})
	go func() {
		h.ServeHTTP(first, r)
		close(taken)
	}()
	<-first.begun
	status := func() int { return ask(t, h, "GET", "cnv_a/messages", "Authorization", "Bearer ann").Code }
	if got := status(); got != http.StatusTooManyRequests {
		t.Errorf("status %d while another page is not taken, want 429", got)
	}
	close(first.end)
	<-taken
	if got := status(); got != http.StatusOK {
		t.Errorf("status %d afterwards", got)
	}
}

func TestHistoryMessage(t *testing.T) {
	t.Parallel()
	h, _ := library(t)
	w := ask(t, h, "GET", "cnv_a/messages?limit=1", "Authorization", "Bearer ann")
	var got, want any
	_ = json.Unmarshal(w.Body.Bytes(), &got)
	_ = json.Unmarshal([]byte(`{"messages":[{"type":"message","seq":45,"id":"m45","from":"user","body":{"text":"a<b"},"at":"2026-06-01T11:00:00.007Z"}],"more":true}`), &want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("page (-want +got):\n%s", diff)
	}
}

func TestHistoryRefusals(t *testing.T) {
	t.Parallel()
	h, w := library(t)
	if err := w.store.AddConversation(t.Context(), chat.Conversation{ID: "cnv_b", User: chat.User{Issuer: "https://elsewhere.example", Subject: "ann"}}, false); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		method, target, bearer string
		status                 int
		code, field            string
	}{
		"no token":                {"GET", "cnv_a/messages", "", 401, "unauthenticated", ""},
		"Basic":                   {"GET", "cnv_a/messages", "Basic ann", 401, "unauthenticated", ""},
		"no token after the word": {"GET", "cnv_a/messages", "Bearer ", 401, "unauthenticated", ""},
		"token not valid":         {"GET", "cnv_a/messages", "Bearer forged", 401, "unauthenticated", ""},
		"token without the scope": {"GET", "cnv_a/messages", "Bearer no-scope", 403, "denied", ""},
		"verifier cannot tell":    {"GET", "cnv_a/messages", "Bearer no-keys", 503, "unavailable", ""},
		"bob":                     {"GET", "cnv_a/messages", "Bearer bob", 404, "not_found", "conversation"},
		"ann of another issuer's": {"GET", "cnv_b/messages", "Bearer ann", 404, "not_found", "conversation"},
		"no such conversation":    {"GET", "cnv_nosuch/messages", "Bearer ann", 404, "not_found", "conversation"},
		"limit 0":                 {"GET", "cnv_a/messages?limit=0", "Bearer ann", 400, "invalid", "limit"},
		"limit 101":               {"GET", "cnv_a/messages?limit=101", "Bearer ann", 400, "invalid", "limit"},
		"limit of words":          {"GET", "cnv_a/messages?limit=all", "Bearer ann", 400, "invalid", "limit"},
		"empty limit":             {"GET", "cnv_a/messages?limit=", "Bearer ann", 400, "invalid", "limit"},
		"limit twice":             {"GET", "cnv_a/messages?limit=1&limit=2", "Bearer ann", 400, "invalid", "limit"},
		"before is negative":      {"GET", "cnv_a/messages?before=-1", "Bearer ann", 400, "invalid", "before"},
		"before is a fraction":    {"GET", "cnv_a/messages?before=1.5", "Bearer ann", 400, "invalid", "before"},
		"before is endless":       {"GET", "cnv_a/messages?before=99999999999999999999", "Bearer ann", 400, "invalid", "before"},
		"DELETE":                  {"DELETE", "cnv_a/messages", "Bearer ann", 405, "method_not_allowed", ""},
		"POST":                    {"POST", "cnv_a/messages", "Bearer ann", 405, "method_not_allowed", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := ask(t, h, tc.method, tc.target, "Authorization", tc.bearer)
			var p struct{ Code, Field string }
			_ = json.Unmarshal(w.Body.Bytes(), &p)
			if w.Code != tc.status || p.Code != tc.code || p.Field != tc.field {
				t.Errorf("%d %+v, want %d %s %s", w.Code, p, tc.status, tc.code, tc.field)
			}
			if w.Code == 405 && w.Header().Get("Allow") != "GET, HEAD, OPTIONS" {
				t.Errorf("Allow = %q", w.Header().Get("Allow"))
			}
			if w.Code == 401 && w.Header().Get("WWW-Authenticate") != "Bearer" {
				t.Errorf("challenge = %q", w.Header().Get("WWW-Authenticate"))
			}
		})
	}
}

func TestHistoryOrigins(t *testing.T) {
	t.Parallel()
	h, _ := library(t)
	for origin, want := range map[string]struct{ get, preflight string }{
		shop:                   {shop, shop},
		other:                  {"", other}, // a preflight does not say whose token will come
		"https://evil.example": {"", ""},
		"null":                 {"", ""},
	} {
		t.Run(origin, func(t *testing.T) {
			t.Parallel()
			const name = "Access-Control-Allow-Origin"
			w := ask(t, h, "GET", "cnv_a/messages", "Authorization", "Bearer ann", "Origin", origin)
			if got := w.Header().Get(name); got != want.get || w.Code != 200 {
				t.Errorf("GET: %d, %s %q, want %q", w.Code, name, got, want.get)
			}
			w = ask(t, h, "OPTIONS", "cnv_a/messages", "Origin", origin, "Access-Control-Request-Method", "GET", "Access-Control-Request-Headers", "authorization")
			if got := w.Header().Get(name); got != want.preflight || w.Code != 204 {
				t.Errorf("preflight: %d, %s %q, want %q", w.Code, name, got, want.preflight)
			}
			if got := w.Header().Get("Access-Control-Allow-Headers"); (got == "Authorization") != (want.preflight != "") {
				t.Errorf("allowed headers %q", got)
			}
		})
	}
	if w := ask(t, h, "OPTIONS", "cnv_a/messages"); w.Code != 204 {
		t.Errorf("OPTIONS: %d", w.Code)
	}
}
