package chat

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/carnetproject/carnet/internal/bot"
	"github.com/carnetproject/carnet/internal/chat"
	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/secret"
)

const (
	supportToken = "support-token-of-32-characters!!"
	salesToken   = "sales-token-that-is-another-one!"
)

// pushed notes what is pushed, and takes what is for cnv_a of the bot support.
type pushed struct{ got string }

func (p *pushed) Push(_ context.Context, of bot.ID, to chat.ID, id string, body json.RawMessage) (chat.Message, error) {
	p.got = strings.Join([]string{string(of), string(to), id, string(body)}, " ")
	if to != "cnv_a" || of != "support" {
		return chat.Message{}, fault.New(fault.NotFound, "there is no such conversation")
	}
	return chat.Message{Seq: 4, ID: id, From: chat.FromBot, Body: body, At: time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)}, nil
}

func (p *pushed) PushContext(_ context.Context, of bot.ID, to chat.ID, set json.RawMessage) error {
	_, err := p.Push(context.Background(), of, to, "context", set)
	return err
}

func TestPush(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		path, auth, kind, body string
		status                 int
		got, answer            string
	}{
		"taken": {
			"cnv_a", "Bearer " + supportToken, "application/json", `{"id":"p-1","body":{"text":"hi"}}`, 201,
			`support cnv_a p-1 {"text":"hi"}`, `{"type":"message","seq":4,"id":"p-1","from":"bot","body":{"text":"hi"},"at":"2026-06-01T12:00:00.000Z"}`,
		},
		"without an id":     {"cnv_a", "bearer  " + supportToken, "application/json; charset=utf-8", `{"body":1}`, 201, "support cnv_a  1", `"seq":4`},
		"no token":          {"cnv_a", "", "application/json", `{"body":1}`, 401, "", "unauthenticated"},
		"empty token":       {"cnv_a", "Bearer ", "application/json", `{"body":1}`, 401, "", "unauthenticated"},
		"a user's token":    {"cnv_a", "Bearer ann", "application/json", `{"body":1}`, 401, "", "unauthenticated"},
		"part of a token":   {"cnv_a", "Bearer " + supportToken[:31], "application/json", `{"body":1}`, 401, "", "unauthenticated"},
		"other scheme":      {"cnv_a", "Basic " + supportToken, "application/json", `{"body":1}`, 401, "", "unauthenticated"},
		"another bot's":     {"cnv_a", "Bearer " + salesToken, "application/json", `{"body":1}`, 404, "sales cnv_a  1", "not_found"},
		"no such":           {"cnv_b", "Bearer " + supportToken, "application/json", `{"body":1}`, 404, "support cnv_b  1", "not_found"},
		"not JSON":          {"cnv_a", "Bearer " + supportToken, "application/json", `{`, 400, "", "invalid"},
		"not said to be it": {"cnv_a", "Bearer " + supportToken, "text/plain", `{"body":1}`, 415, "", "unsupported_media_type"},
		"too long":          {"cnv_a", "Bearer " + supportToken, "application/json", `{"body":"` + strings.Repeat("x", maxPush) + `"}`, 413, "", "too_large"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := &pushed{}
			mux := http.NewServeMux()
			NewPush(e, tokens(t, supportToken, salesToken)).Mount(mux)
			r := httptest.NewRequest(http.MethodPost, "/chat/v1/conversations/"+tc.path+"/messages", strings.NewReader(tc.body))
			r.Header.Set("Content-Type", tc.kind)
			if tc.auth != "" {
				r.Header.Set("Authorization", tc.auth)
			}
			w := httptest.NewRecorder()
			mux.ServeHTTP(w, r)
			if w.Code != tc.status || !strings.Contains(w.Body.String(), tc.answer) || e.got != tc.got {
				t.Errorf("%d %s, pushed %q; want %d with %s, pushed %q", w.Code, w.Body, e.got, tc.status, tc.answer, tc.got)
			}
			if w.Header().Get("Cache-Control") != "no-store" {
				t.Error("the answer may be stored")
			}
		})
	}
}

// tokens are those of the two bots.
func tokens(t *testing.T, support, sales string) PushTokens {
	t.Helper()
	made, err := NewPushTokens(map[bot.ID]secret.Bytes{"support": secret.FromString(support), "sales": secret.FromString(sales)})
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// TestPushTokensChange has a bot's token changed, and then all of them taken away.
func TestPushTokensChange(t *testing.T) {
	t.Parallel()
	p := NewPush(&pushed{}, tokens(t, supportToken, salesToken))
	knows := func(token string, want bot.ID) {
		t.Helper()
		if of, ok := p.bot(token); of != want || ok != (want != "") {
			t.Errorf("%s is the token of %q, want %q", token, of, want)
		}
	}
	const fresh = "the-next-token-of-support"
	p.Use(tokens(t, fresh, salesToken))
	knows(supportToken, "")
	knows(fresh, "support")
	knows(salesToken, "sales")
	p.Use(PushTokens{})
	knows(salesToken, "")
}

func TestPushTokensRefused(t *testing.T) {
	t.Parallel()
	same := secret.FromString(supportToken)
	for want, of := range map[string]map[bot.ID]secret.Bytes{
		"support.token: must have at least 16 bytes":            {"support": secret.FromString("123456789012345")},
		"support.token: must be another one than that of sales": {"support": same, "sales": same, "help": secret.FromString(salesToken)},
	} {
		if _, err := NewPushTokens(of); err == nil || err.Error() != want {
			t.Errorf("NewPushTokens() = %v, want %s", err, want)
		}
	}
}

func TestPushContext(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		method, path, auth, body string
		status                   int
		got, answer              string
	}{
		"taken":         {"PATCH", "cnv_a", "Bearer " + supportToken, `{"set":{"tier":"gold","cart":null}}`, 204, `support cnv_a context {"tier":"gold","cart":null}`, ""},
		"no token":      {"PATCH", "cnv_a", "", `{"set":{}}`, 401, "", "unauthenticated"},
		"user's token":  {"PATCH", "cnv_a", "Bearer ann", `{"set":{}}`, 401, "", "unauthenticated"},
		"another bot's": {"PATCH", "cnv_a", "Bearer " + salesToken, `{"set":{}}`, 404, `sales cnv_a context {}`, "not_found"},
		"no set":        {"PATCH", "cnv_a", "Bearer " + supportToken, `{}`, 400, "", "set"},
		"no JSON":       {"PATCH", "cnv_a", "Bearer " + supportToken, `{`, 400, "", "invalid"},
		"too long":      {"PATCH", "cnv_a", "Bearer " + supportToken, `{"set":{"a":"` + strings.Repeat("x", maxSet) + `"}}`, 413, "", "too_large"},
		"read":          {"GET", "cnv_a", "Bearer " + supportToken, ``, 405, "", "PATCH"},
		"replaced":      {"PUT", "cnv_a", "Bearer " + supportToken, `{"set":{}}`, 405, "", "PATCH"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := &pushed{}
			mux := http.NewServeMux()
			NewPush(e, tokens(t, supportToken, salesToken)).Mount(mux)
			r := httptest.NewRequest(tc.method, "/chat/v1/conversations/"+tc.path+"/context", strings.NewReader(tc.body))
			r.Header.Set("Content-Type", "application/json")
			r.Header.Set("Authorization", tc.auth)
			w := httptest.NewRecorder()
			mux.ServeHTTP(w, r)
			if w.Code != tc.status || !strings.Contains(w.Body.String(), tc.answer) || e.got != tc.got {
				t.Errorf("%d %s, set %q; want %d with %s, set %q", w.Code, w.Body, e.got, tc.status, tc.answer, tc.got)
			}
		})
	}
}
