package server

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/carnetproject/carnet/internal/chat"
	"github.com/carnetproject/carnet/internal/observe/observetest"
)

// callee is what a node calls: an upstream, an API, and a bot. It notes where each was told
// that the call comes from.
type callee struct {
	url    string
	mu     sync.Mutex
	parent map[string]string // traceparent, by the path
}

func newCallee(t *testing.T) *callee {
	t.Helper()
	c := &callee{parent: map[string]string{}}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.parent[r.URL.Path] = r.Header.Get("Traceparent")
		_, _ = io.WriteString(w, `{"messages":[{"text":"answer-canary"}]}`)
	}))
	t.Cleanup(s.Close)
	c.url = s.URL
	return c
}

// traced runs a node that has c for all that it calls, and calls f while it serves.
func (c *callee) traced(t *testing.T, traces string, f func(s *Server)) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"secrets/default/bot": "a secret of at least sixteen bytes", "secrets/default/collector": "key-canary",
		"still.json": connectorFile("still", c.url+"/still", "", "$.token", "$.token"),
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	u, err := url.Parse(c.url)
	if err != nil {
		t.Fatal(err)
	}
	config := load(t, t.TempDir(), fmt.Sprintf(`traces: %s
secrets: {dir: %s/secrets}
connectors: [%[2]s/still.json]
egress: {allow: [127.0.0.0/8], ports: [%s], allow_insecure: true}
chat:
  bots:
    mine: {type: webhook, url: %q, secret: "srn:vault::default:secret:bot", welcome: none, secure_session: {connector: still, interval: 1h}}
gateway:
  services: [{name: shop, url: %q, routes: [{name: things, paths: [/things], strip_path: false}]}]
`, traces, dir, u.Port(), c.url+"/bot", c.url))
	run(t, config, func(ctx context.Context, core *Core) error {
		s, err := NewServer(ctx, core, ServeOptions{})
		if err != nil {
			return err
		}
		ctx, stop := context.WithCancel(ctx)
		done := make(chan error, 1)
		go func() { done <- s.Run(ctx) }()
		f(s)
		stop()
		return <-done
	})
}

// theirs is the trace that visit is in.
const theirs = "4bf92f3577b34da6a3ce929d0e0e4736"

// visit sends a request that is a part of somebody else's trace, who does not record it.
func visit(t *testing.T, target string) (status int) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, target, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header = http.Header{
		"Traceparent": {"00-" + theirs + "-00f067aa0ba902b7-00"}, "Tracestate": {"a=state-canary"}, "Baggage": {"b=baggage-canary"},
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	return resp.StatusCode
}

// TestTraces has a request pass through the gateway and a message through a secure session
// to its bot, and looks at what the collector and the callees know of it.
func TestTraces(t *testing.T) {
	t.Parallel()
	collector, c := observetest.New(t), newCallee(t)
	c.traced(t, `{endpoint: "`+collector.URL+`", headers: {X-Key: "srn:vault::default:secret:collector"}}`, func(s *Server) {
		base := addresses(s)
		for _, target := range []string{
			base[1] + "/things/7?q=query-canary", base[1] + "/nothing",
			base[0] + "/nothing", base[2] + "/services/path-canary", base[2] + "/healthz",
		} {
			visit(t, target)
		}
		heard := make(watcher, 100)
		session, err := s.carrier.engine.Open(t.Context(), chat.Hello{
			User: chat.User{Issuer: "i", Subject: "user-canary"}, Bot: "mine", Context: json.RawMessage(`{"token":"token-canary"}`),
		}, heard)
		if err != nil {
			t.Fatal(err)
		}
		session.Ready()
		waitFor(t, "the greeting's turn to end", func() bool {
			waiting, err := s.core.store.WaitingTurns(t.Context())
			return err == nil && len(waiting) == 0
		})
		session.Send("m1", json.RawMessage(`{"text":"text-canary"}`))
		heard.wants(t, "secure secured", "ack m1")
		waitFor(t, "the bot to have answered", func() bool {
			ms, err := s.core.store.MessagesAfter(t.Context(), session.Conversation().ID, 1, 10)
			return err == nil && len(ms) == 1
		})
		session.Close()
	})

	spans := collector.Spans()
	got := map[string]map[string]string{}
	for path, all := range spans {
		for _, s := range all {
			got[path] = s.Attributes
		}
	}
	want := map[string]map[string]string{
		"GET things":                 {"carnet.door": "admit", "http.request.method": "GET", "http.route": "things", "http.response.status_code": "200"},
		"GET things > upstream":      {"carnet.service": "shop", "http.response.status_code": "200"},
		"chat send":                  {"carnet.bot": "mine", "carnet.messages": "1"},
		"chat send > secure session": {"carnet.bot": "mine", "carnet.result": "allow", "carnet.source": "call"},
		"chat send > secure session > authorizer call":                  {"carnet.connector": "still", "carnet.outcome": "2xx"},
		"chat send > secure session > authorizer call > connector call": {"carnet.connector": "still", "carnet.outcome": "2xx"},
		"chat send > store append":                                      {},
		"chat send > bot turn":                                          {"carnet.bot": "mine", "carnet.turn": "message", "carnet.attempt": "1", "carnet.outcome": "answered"},
		"chat send > bot turn > bot call":                               {"http.response.status_code": "200"},
		"chat send > bot turn > store append":                           {},
	}
	for path, attributes := range want {
		if diff := cmp.Diff(attributes, got[path]); diff != "" {
			t.Errorf("%s (-want +got):\n%s", path, diff)
		}
	}
	if n := len(spans["GET"]); n != 3 {
		t.Errorf("%d requests of no route, want 3", n)
	}
	for path, span := range map[string]string{
		"/things/7": "GET things > upstream",
		"/still":    "chat send > secure session > authorizer call > connector call",
		"/bot":      "chat send > bot turn > bot call",
	} {
		of := false
		for _, s := range spans[span] {
			of = of || c.parent[path] == fmt.Sprintf("00-%x-%x-01", s.TraceId, s.SpanId)
		}
		if !of {
			t.Errorf("%s was told that it is called from %q, want a span %q", path, c.parent[path], span)
		}
	}
	for path, all := range spans {
		for _, s := range all {
			if door := strings.HasPrefix(path, "GET"); door != (fmt.Sprintf("%x", s.TraceId) == theirs) {
				t.Errorf("%s is in the trace %x", path, s.TraceId)
			}
		}
	}
	for _, word := range []string{"canary", "cnv_"} {
		if strings.Contains(collector.Raw(), word) {
			t.Errorf("a span has %q in it", word)
		}
	}
	if heads := collector.Headers(); heads[0].Get("X-Key") != "key-canary" {
		t.Errorf("the collector was shown %v", heads[0])
	}
}

// TestTracesOff passes on what a client says of its trace, as any header; and with a
// collector that is gone, requests are answered all the same.
func TestTracesOff(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		traces string
		same   bool // what the client says is passed on as it came
	}{
		"off":            {`{sample: 1}`, true},
		"collector gone": {`{endpoint: "http://127.0.0.1:1"}`, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCallee(t)
			c.traced(t, tc.traces, func(s *Server) {
				if status := visit(t, addresses(s)[1]+"/things/7"); status != http.StatusOK {
					t.Errorf("status %d", status)
				}
			})
			got := c.parent["/things/7"]
			if same := got == "00-"+theirs+"-00f067aa0ba902b7-00"; same != tc.same || !strings.HasPrefix(got, "00-"+theirs) {
				t.Errorf("the upstream was told %q", got)
			}
		})
	}
}
