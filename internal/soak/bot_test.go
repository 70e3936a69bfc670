package soak

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

const testSecret = "a secret of at least 16 bytes"

// still is a node that does nothing.
type still struct{ address string }

func (s still) Address() string { return s.address }
func (s still) Start() error    { return nil }
func (s still) Kill() error     { return nil }
func (s still) Pause() error    { return nil }
func (s still) Resume() error   { return nil }

func newTestRun(t *testing.T, edit func(*Config)) *Run {
	t.Helper()
	c := Config{Nodes: []Node{still{"127.0.0.1:1"}}, App: "app", Secret: "s", BotSecret: testSecret, BotToken: "token", Conversations: 3}
	if edit != nil {
		edit(&c)
	}
	r, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = r.bot.listener.Close()
		_ = r.front.listener.Close()
		_ = r.back.listener.Close()
	})
	return r
}

// called has the bot answer a signed call for a message.
func called(t *testing.T, b *bot, w wish, signedWith string) *httptest.ResponseRecorder {
	t.Helper()
	body := fmt.Sprintf(`{"type":"message.created","timestamp":"2030-01-01T00:00:00.000Z","data":{"bot":"soak","conversation":"cnv_1",`+
		`"user":{"iss":"i","sub":"s"},"message":{"seq":1,"id":%q,"body":%s,"at":"2030-01-01T00:00:00.000Z"},"context":{}}}`, w.Text, encode(w))
	at := fmt.Sprint(time.Now().Unix())
	mac := hmac.New(sha256.New, []byte(signedWith))
	mac.Write([]byte(w.Text + "." + at + "." + body))
	req := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", strings.NewReader(body))
	req.Header.Set("Webhook-Id", w.Text)
	req.Header.Set("Webhook-Timestamp", at)
	req.Header.Set("Webhook-Signature", "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	rec := httptest.NewRecorder()
	func() {
		defer func() {
			if p := recover(); p != nil {
				rec.Code = 0 // what was said does not come to an end
			}
		}()
		b.ServeHTTP(rec, req)
	}()
	return rec
}

func TestBotFulfilsWishes(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		want   want
		status []int  // of each call
		body   string // of the last
	}{
		"say":    {say, []int{200}, `{"messages":[{"text":"re m 1"},{"text":"re m 2"}]}`},
		"slow":   {slow, []int{200}, `{"messages":[{"text":"re m 1"},{"text":"re m 2"}]}`},
		"none":   {none, []int{200}, `{"messages":[]}`},
		"refuse": {refuse, []int{418}, ""},
		"fail":   {fail, []int{503, 503, 200}, `{"messages":[{"text":"re m 1"},{"text":"re m 2"}]}`},
		"cut":    {cut, []int{0, 200}, `{"messages":[{"text":"re m 1"},{"text":"re m 2"}]}`},
		"ndjson": {ndjson, []int{200}, `{"delta":{"text":"re m"}}
{"delta":{"text":" 1"}}
{"message":{"text":"re m 1"}}
{"delta":{"text":"re m"}}
{"delta":{"text":" 2"}}
{"message":{"text":"re m 2"}}`},
		"sse": {sse, []int{200}, `data: {"delta":{"text":"re m"}}

data: {"delta":{"text":" 1"}}

data: {"message":{"text":"re m 1"}}

data: {"delta":{"text":"re m"}}

data: {"delta":{"text":" 2"}}

data: {"message":{"text":"re m 2"}}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newTestRun(t, nil).bot
			body := ""
			for i, status := range tc.status {
				rec := called(t, b, wish{Text: "m", Want: tc.want, Replies: 2}, testSecret)
				if rec.Code != status {
					t.Errorf("call %d answered %d, want %d", i+1, rec.Code, status)
				}
				if answered := b.calls[i].Answered > b.calls[i].Began; answered != (i == len(tc.status)-1) {
					t.Errorf("call %d noted as answered: %v", i+1, answered)
				}
				body = strings.TrimSpace(rec.Body.String())
			}
			if body != tc.body {
				t.Errorf("answered\n%s\nwant\n%s", body, tc.body)
			}
		})
	}
}

func TestBotNotesForgeries(t *testing.T) {
	t.Parallel()
	b := newTestRun(t, nil).bot
	if rec := called(t, b, wish{Text: "m", Want: say}, "another secret, as long"); rec.Code != http.StatusUnauthorized {
		t.Errorf("answered %d", rec.Code)
	}
	if b.forged != 1 || len(b.calls) != 0 {
		t.Errorf("%d forged, %d calls", b.forged, len(b.calls))
	}
}

// TestBotPushes has the node fail once: the push comes again under its id.
func TestBotPushes(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var got []string
	node := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		text := new(strings.Builder)
		_ = r.Write(text)
		first, _, _ := strings.Cut(text.String(), "\r\n")
		got = append(got, fmt.Sprintf("%s %s %s", first, r.Header.Get("Authorization"), text.String()[strings.LastIndex(text.String(), "\n")+1:]))
		if len(got) > 1 {
			w.WriteHeader(http.StatusCreated)
		}
	}))
	defer node.Close()
	b := newTestRun(t, func(c *Config) { c.Nodes = []Node{still{strings.TrimPrefix(node.URL, "http://")}} }).bot
	b.ctx = t.Context()
	if rec := called(t, b, wish{Text: "m", Want: push, Replies: 1}, testSecret); strings.TrimSpace(rec.Body.String()) != `{"messages":[]}` {
		t.Errorf("answered %s", rec.Body)
	}
	b.pushing.Wait()
	const want = `POST /chat/v1/conversations/cnv_1/messages HTTP/1.1 Bearer token {"id":"push-m-1","body":{"text":"re m 1"}}`
	if len(got) != 2 || got[0] != want || got[1] != want {
		t.Errorf("pushed %q", got)
	}
}
