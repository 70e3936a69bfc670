package kore

import (
	"encoding/json"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/carnetproject/carnet/internal/app"
	"github.com/carnetproject/carnet/internal/bot"
	"github.com/carnetproject/carnet/internal/limit"
	"github.com/carnetproject/carnet/internal/wire"
)

// exchange is a case of testdata/kore/http.json. Of path, headers and body <assertion>,
// <bearer>, <bearer v3>, <old bearer> and <foreign bearer> are filled in.
type exchange struct {
	Name    string            `json:"name"`
	Method  string            `json:"method"`
	Path    string            `json:"path"`
	Headers map[string]string `json:"headers"`
	Body    string            `json:"body"`
	Status  int               `json:"status"`
	Code    any               `json:"code"`    // of the error; absent: none
	Answer  string            `json:"answer"`  // the whole body
	Allowed *string           `json:"allowed"` // Access-Control-Allow-Origin; absent: not looked at
}

func TestHTTP(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	text, err := os.ReadFile("../../../testdata/kore/http.json")
	w.must(err)
	var cases []exchange
	w.must(json.Unmarshal(text, &cases))
	if len(cases) < 30 {
		t.Errorf("%d cases, want at least 30", len(cases))
	}
	old := w.login("st-echo", nil)
	w.clock.pass(25 * time.Hour)
	body, err := json.Marshal(map[string]any{"assertion": w.assertion(nil), "botInfo": map[string]any{"taskBotId": "st-echo", "uiVersion": "v3"}})
	w.must(err)
	var v3 grantAnswer
	w.do("POST", "/api/oAuth/token/jwtgrant", string(body)).to(t, &v3)
	fill := strings.NewReplacer(
		"<assertion>", w.assertion(nil), "<forged>", w.assertion(nil)+"A",
		"<bearer>", "bearer "+w.login("st-quiet", map[string]any{"sub": "http"}), "<bearer v3>", "bearer "+v3.Authorization.AccessToken,
		"<old bearer>", "bearer "+old, "<ticket>", "bearer "+sidOf(t, w.address(w.login("st-echo", nil), "{}")),
	)
	for _, tc := range cases {
		t.Run(tc.Name, func(t *testing.T) {
			var headers []string
			for name, value := range tc.Headers {
				headers = append(headers, name, fill.Replace(value))
			}
			a := w.do(tc.Method, fill.Replace(tc.Path), fill.Replace(tc.Body), headers...)
			if a.status != tc.Status {
				t.Fatalf("status %d, want %d: %s", a.status, tc.Status, a.text)
			}
			if tc.Answer != "" && a.text != tc.Answer {
				t.Errorf("answer %s, want %s", a.text, tc.Answer)
			}
			if tc.Allowed != nil && a.header.Get("Access-Control-Allow-Origin") != *tc.Allowed {
				t.Errorf("Access-Control-Allow-Origin %q, want %q", a.header.Get("Access-Control-Allow-Origin"), *tc.Allowed)
			}
			if tc.Code != nil {
				var e refusal
				if err := json.Unmarshal([]byte(a.text), &e); err != nil || e.Errors[0].Msg == "" || e.Errors[0].Code != tc.Code {
					t.Errorf("answer %s, want an error with the code %v", a.text, tc.Code)
				}
			}
		})
	}
}

func TestGrant(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	body, err := json.Marshal(map[string]any{
		"assertion": w.assertion(map[string]any{"isAnonymous": "true", "sub": "random-1"}),
		"botInfo":   map[string]any{"chatBot": "Bot", "taskBotId": "st-echo"}, "token": map[string]any{},
	})
	w.must(err)
	var a grantAnswer
	w.do("POST", "/api/oAuth/token/jwtgrant", string(body)).to(t, &a)
	var g grant
	w.must(w.Handler.open(grantPurpose, a.Authorization.AccessToken, &g))
	if g.App != w.shop.ID || g.Subject != "random-1" || !g.Anonymous || g.Bot != "echo" || g.BotID != "st-echo" || g.V3 {
		t.Errorf("grant %+v", g)
	}
	if a.Authorization.Expires != wire.Time(g.expires()) || g.expires().Sub(g.issued()) != 24*time.Hour || a.Authorization.TokenType != "bearer" {
		t.Errorf("authorization %+v", a.Authorization)
	}
	if u := a.UserInfo; !u.Anonymous || u.Identity != string(w.shop.ID)+"/random-1" || !strings.HasPrefix(u.UserID, "u-") || strings.Contains(u.UserID, "random") {
		t.Errorf("userInfo %+v", u)
	}
}

// Test11 begins as 11.x does: it writes // into paths, tells its version, and takes a
// nonce for the wish of a handshake of its own.
func Test11(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	body, err := json.Marshal(map[string]any{
		"assertion": w.assertion(nil), "botInfo": map[string]any{"chatBot": "Bot", "taskBotId": "st-echo", "uiVersion": "v3"}, "token": map[string]any{},
	})
	w.must(err)
	var a grantAnswer
	w.do("POST", "/api//oAuth/token/jwtgrant", string(body)).to(t, &a)
	bearer := a.Authorization.AccessToken
	var start map[string]string
	w.do("POST", "/api//rtm/start", `{"botInfo":{"chatBot":"Bot","taskBotId":"st-echo","uiVersion":"v3"},"token":{},"language":"en"}`,
		"Authorization", "bearer "+bearer, "X-RTM-V", "1").to(t, &start)
	if len(start) != 1 || start["url"] == "" {
		t.Fatalf("start %v, want an url and nothing else", start)
	}
	p, res, err := w.try(start["url"])
	w.must(err)
	if got := res.Header.Get("Sec-Websocket-Protocol"); got != "" {
		t.Errorf("subprotocol %q, want none", got)
	}
	p.wantText("Hello! I say what you say.")
	p.send(11, "hi")
	p.wantText("hi")
	messages := w.past(bearer, "").Messages
	if m := messages[1]; m.ClientID != "11" || m.ID != "11" {
		t.Errorf("the user's message is %q, %q in the history: 11.x looks for its own id", m.ClientID, m.ID)
	}
}

// TestLimits sees that the SDK gets 503 and never 429, which stops it for good.
func TestLimits(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *Config) { c.Requests = limit.New(limit.Rate{N: 2, Per: time.Minute}, 10) })
	for i := range 4 {
		a := w.do("GET", "/api/botmessages/rtm", "", "Origin", shopPage)
		if want := map[bool]int{true: 403, false: 503}[i < 2]; a.status != want {
			t.Errorf("request %d: %d %s, want %d", i, a.status, a.text, want)
		}
		if i >= 2 && (a.header.Get("Retry-After") == "" || a.header.Get("Access-Control-Allow-Origin") != shopPage) {
			t.Errorf("request %d: headers %v", i, a.header)
		}
	}
	if a := w.do("OPTIONS", "/api/rtm/start", "", "Origin", shopPage, "Access-Control-Request-Method", "POST"); a.status != http.StatusNoContent {
		t.Errorf("preflight: %d", a.status)
	}
}

// TestPagesUntaken: pages of history that clients do not take are counted.
func TestPagesUntaken(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *Config) { c.PerAddr = 1 })
	here := netip.MustParseAddr("127.0.0.1")
	w.must(w.pages.Admit(here))
	ask := func(want int) {
		t.Helper()
		for _, path := range []string{"/api/botmessages/rtm", "/api/chathistory/st-echo/c"} {
			if a := w.do("GET", path, ""); a.status != want || (a.header.Get("Retry-After") != "") != (want == http.StatusServiceUnavailable) {
				t.Errorf("%s: %d %s, want %d", path, a.status, a.text, want)
			}
		}
	}
	ask(http.StatusServiceUnavailable)
	w.pages.Leave(here, nil)
	ask(http.StatusForbidden)
}

// TestTakenBack shows tokens of those who may not come any more. None is a 401, which the
// SDK would answer with the same token of the next moment.
func TestTakenBack(t *testing.T) {
	t.Parallel()
	gone := &changing{}
	w := newWorld(t, func(c *Config) { c.Revocations = gone })
	bearer := w.login("st-echo", nil)
	check := func(want int) {
		t.Helper()
		for _, path := range []string{"GET /api/botmessages/rtm", "POST /api/rtm/start", "GET /api/websdkthemes/st-echo/activetheme"} {
			method, path, _ := strings.Cut(path, " ")
			if a := w.do(method, path, `{}`, "Authorization", "bearer "+bearer); a.status != want {
				t.Errorf("%s: %d %s, want %d", path, a.status, a.text, want)
			}
		}
	}
	check(200)
	gone.revoke("ann")
	check(403)
	gone.revoke("")
	w.must(w.apps.Disable(t.Context(), w.shop.ID))
	check(403)
	w.must(w.apps.Enable(t.Context(), w.shop.ID))
	check(200)
	w.clock.pass(24 * time.Hour)
	check(401)
}

func TestOtherPrefix(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *Config) { c.Prefix = "/kore/v2/" })
	if a := w.do("POST", "/kore//v2/rtm/start", "{}"); a.status != 403 {
		t.Errorf("status %d", a.status)
	}
	if a := w.do("POST", "/api/rtm/start", "{}"); a.status != 404 {
		t.Errorf("status %d", a.status)
	}
}

// TestUnknownBot tells at the grant, whose message the SDK shows and which it does not
// ask for again.
func TestUnknownBot(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *Config) {
		c.Bot = func(id, name string) (bot.ID, bool) { return bot.ID(id), id == "known" && name == "Bot" }
	})
	once := w.assertion(map[string]any{"jti": "a"})
	post := func(id string) answer {
		return w.do("POST", "/api/oAuth/token/jwtgrant", `{"assertion":"`+once+`","botInfo":{"chatBot":"Bot","taskBotId":"`+id+`"}}`)
	}
	if a := post("unknown"); a.status != 400 || !strings.Contains(a.text, "botInfo.taskBotId") {
		t.Errorf("%d %s", a.status, a.text)
	}
	if a := post("known"); a.status != 200 {
		t.Errorf("%d %s: the assertion was used up", a.status, a.text)
	}
}

// TestPattern sees that requests are counted under their route, whatever is in the path.
func TestPattern(t *testing.T) {
	t.Parallel()
	h := New(Config{Apps: oneApp{&app.App{}}, ClientAddr: func(*http.Request) netip.Addr { return netip.Addr{} }})
	for path, want := range map[string]string{
		"/api/websdkthemes/st-1/activetheme": "/api/websdkthemes/{bot}/activetheme",
		"/api//1.1//rtm/start":               "/api/rtm/start",
		"/api/1.1/oAuth/token/jwtgrant":      "/api/oAuth/token/jwtgrant",
		"/api/unknown":                       "",
		"/other":                             "",
	} {
		r, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, path, http.NoBody)
		rest := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
		h.Wrap(rest).ServeHTTP(discard{}, r)
		if r.Pattern != want {
			t.Errorf("%s: pattern %q, want %q", path, r.Pattern, want)
		}
	}
}

// discard is a client that takes no interest.
type discard struct{}

func (discard) Header() http.Header         { return http.Header{} }
func (discard) Write(b []byte) (int, error) { return len(b), nil }
func (discard) WriteHeader(int)             {}
