package kore

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/carnetproject/carnet/internal/app"
	"github.com/carnetproject/carnet/internal/bot"
	"github.com/carnetproject/carnet/internal/chat"
	"github.com/carnetproject/carnet/internal/token"
)

// hookPage is a page in webhook mode.
type hookPage struct {
	*world
	bot, assertion string
}

func (w *world) hookPage(bot string, change map[string]any) hookPage {
	return hookPage{w, bot, w.assertion(change)}
}

const hookFrom = `"from":{"id":"someone@else.example","userInfo":{"firstName":"","lastName":"","email":""}},"to":{"id":"Kore.ai","groupInfo":{"id":"","name":""}},"preferredChannelForResponse":"rtm","token":{}`

// post says something as the SDK does.
func (p hookPage) post(message string) answer {
	p.t.Helper()
	return p.do("POST", "/chatbot/v2/webhook/"+p.bot, `{"session":{"new":false},"message":`+message+`,`+hookFrom+`}`, "Authorization", "bearer "+p.assertion)
}

func textMessage(text string) string {
	quoted, _ := json.Marshal(text) // a text
	return `{"type":"text","val":` + string(quoted) + `}`
}

func eventMessage(name string) string { return `{"type":"event","val":"` + name + `"}` }

// wantSaid reads an answer and returns its pollId.
func wantSaid(t *testing.T, a answer, want ...string) string {
	t.Helper()
	var got hookAnswer
	a.to(t, &got)
	said := []string{}
	for _, m := range got.Data {
		if m.Type != "text" || m.CreatedOn == "" || !safeID(m.MessageID) {
			t.Errorf("message %+v", m)
		}
		said = append(said, m.Value)
	}
	if d := cmp.Diff(append([]string{}, want...), said); d != "" {
		t.Fatalf("the bot says (-want +got):\n%s", d)
	}
	if got.Version != "v2" || !strings.Contains(a.text, `"data":[`) {
		t.Errorf("answer %s: the SDK fails on it", a.text)
	}
	return got.PollID
}

func (p hookPage) poll(id string) answer {
	p.t.Helper()
	return p.do("GET", "/chatbot/v2/webhook/"+p.bot+"/poll/"+id, "", "Authorization", "bearer "+p.assertion)
}

func (p hookPage) history(query string) (h page) {
	p.t.Helper()
	p.do("GET", "/api//chathistory/"+p.bot+"/ivr?botId="+p.bot+query, "", "Authorization", "bearer "+p.assertion).to(p.t, &h)
	return h
}

const hello = "Hello! I say what you say."

// TestHook is the life of a page: it reads the history, connects, speaks, and is loaded
// again. It has the same user and conversation as one with a socket.
func TestHook(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.hookPage("st-echo", nil)
	if got := texts(p.history("&limit=10")); len(got) != 1 || got[0] != "" {
		t.Errorf("a new user's history is %q", got)
	}
	var meta struct{ Icon string }
	w.do("GET", "/api/botmeta/st-echo", "", "Authorization", "bearer "+p.assertion).to(t, &meta)
	if meta.Icon != icon {
		t.Errorf("icon %q", meta.Icon)
	}
	wantSaid(t, p.post(eventMessage("ON_CONNECT")), hello)
	wantSaid(t, p.post(textMessage("one")), "one")
	wantSaid(t, p.post(textMessage("two")), "two")
	wantSaid(t, p.post(textMessage("two")), "two") // it was answered, so this is another

	if d := cmp.Diff([]string{"two", "two", "two", "two"}, texts(p.history("&limit=4"))); d != "" {
		t.Errorf("history (-want +got):\n%s", d)
	}
	if id := wantSaid(t, p.post(eventMessage("ON_CONNECT"))); id != "" {
		t.Errorf("a page that waits for nothing is to ask again, with %q", id)
	}
	bearer := w.login("st-echo", nil)
	want := []string{hello, "one", "one", "two", "two", "two", "two"}
	if d := cmp.Diff(want, texts(w.past(bearer, ""))); d != "" {
		t.Errorf("history of a page with a socket (-want +got):\n%s", d)
	}

	s := w.open(bearer, "")
	s.send(7, "from a socket")
	s.wantText("from a socket")
	wantSaid(t, p.post(textMessage("three")), "from a socket", "three") // it lacks what the bot said there
}

// TestHookVersions sends what each version of the mode does, and where.
func TestHookVersions(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for i, tc := range []struct{ path, message, want string }{
		{"/chatbot/v2/webhook/st-echo", `{"type":"text","val":"a"}`, "a"},
		{"/chatbot//v2/webhook/st-echo/hookInstance/ivr", `{"type":"text","val":"b"}`, "b"},
		{"/chatbot/hooks/st-echo", `{"text":"c"}`, "c"},
		{"/chatbot/hooks/st-echo/hookInstance/ivr", `{"text":"d"}`, "d"},
		{"/chatbot/hooks/st-echo", `{"text":"12345678901234567890"}`, "12345678901234567890\ufeff"},
		{"/chatbot/v2/webhook/st-echo", `{"type":"text","attachments":[{"fileName":"note.txt","fileType":"attachment","fileId":"f-1"}]}`, "note.txt"},
	} {
		p := w.hookPage("st-echo", map[string]any{"sub": fmt.Sprint("user ", i)})
		wantSaid(t, p.post(eventMessage("ON_CONNECT")), hello)
		a := w.do("POST", tc.path, `{"session":{"new":false},"message":`+tc.message+`,`+hookFrom+`}`, "Authorization", "bearer "+p.assertion)
		wantSaid(t, a, tc.want)
	}
}

// TestHookAgain sends a message again as the SDK does: it has got no answer, and the
// message no name.
func TestHookAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *Config) { c.AnswerWait = time.Minute })
	p := w.hookPage("st-slow", nil)
	wantSaid(t, p.post(eventMessage("ON_CONNECT")))
	lost := func() {
		t.Helper()
		ctx, cancel := context.WithCancel(t.Context())
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, w.url+"/chatbot/v2/webhook/st-slow",
			strings.NewReader(`{"message":`+textMessage("pay")+`}`))
		w.must(err)
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Authorization", "Bearer "+p.assertion)
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			if res, err := http.DefaultTransport.RoundTrip(r); err == nil {
				t.Errorf("status %d before the bot spoke", res.StatusCode)
				_ = res.Body.Close()
			}
		}()
		w.eventually(func() bool { return w.waiting.Len() == 1 && w.lastSeq("slow") == 1 })
		cancel()
		<-ended
		w.eventually(func() bool { return w.waiting.Len() == 0 })
	}
	lost()
	w.restart() // so that it is another node that is asked again
	lost()
	close(w.gate)
	wantSaid(t, p.post(textMessage("pay")), "pay", "done")
	if n := w.lastSeq("slow"); n != 3 {
		t.Errorf("the conversation has %d messages, want the user's once and two of the bot's", n)
	}
	wantSaid(t, p.post(textMessage("pay")), "pay", "done")
	if n := w.lastSeq("slow"); n != 6 {
		t.Errorf("the conversation has %d messages: what is said after an answer is said again", n)
	}
}

// lastSeq is how far ann has come with the bot.
func (w *world) lastSeq(name string) int64 {
	c, err := w.engine.Current(w.t.Context(), chat.User{Issuer: string(w.shop.ID), Subject: "ann"}, bot.ID(name))
	if err != nil {
		return 0
	}
	return c.LastSeq
}

// eventually waits until ok.
func (w *world) eventually(ok func() bool) {
	w.t.Helper()
	look := time.NewTicker(5 * time.Millisecond)
	defer look.Stop()
	for over := time.After(time.Minute); !ok(); {
		select {
		case <-look.C:
		case <-over:
			w.t.Fatal("it never comes to that")
		}
	}
}

// TestHookPoll waits for a bot that takes its time, on one node and then on another.
func TestHookPoll(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *Config) { c.AnswerWait = 20 * time.Millisecond })
	p := w.hookPage("st-slow", map[string]any{"exp": time.Now().Add(time.Hour).Unix()})
	id := wantSaid(t, p.post(textMessage("well?")))
	if again := wantSaid(t, p.poll(id)); id == "" || again != id {
		t.Fatalf("pollId %q, and then %q: want it to stay", id, again)
	}
	if again := wantSaid(t, p.post(eventMessage("ON_CONNECT"))); again == "" {
		t.Error("a page that is loaded while its user waits does not wait")
	}
	other := w.hookPage("st-slow", map[string]any{"sub": "bob"})
	if a := other.poll(id); a.status != 404 {
		t.Errorf("another user: %d %s, want 404", a.status, a.text)
	}
	if a := w.hookPage("st-echo", nil).poll(id); a.status != 400 {
		t.Errorf("another bot: %d %s, want 400", a.status, a.text)
	}
	w.restart()
	close(w.gate)
	var more string
	for more = id; more == id; {
		var a hookAnswer
		p.poll(more).to(t, &a)
		if more = a.PollID; len(a.Data) > 0 && (len(a.Data) != 2 || a.Data[0].Value != "well?" || a.Data[1].Value != "done") {
			t.Errorf("answer %+v", a)
		}
	}
	if more == "" {
		t.Fatal("a bot that has spoken may go on, and nobody asks")
	}
	if again := wantSaid(t, p.poll(id), "well?", "done"); again == "" {
		t.Error("an answer that was lost is not told again")
	}
	w.clock.pass(moreWithin + time.Second)
	if again := wantSaid(t, p.poll(more)); again != "" {
		t.Errorf("pollId %q: it never ends", again)
	}
}

// TestHookPollFromElsewhere: a pollId that is ahead of the conversation, as that of one which
// has ended is of the next, is set right.
func TestHookPollFromElsewhere(t *testing.T) {
	t.Parallel()
	p := newWorld(t).hookPage("st-echo", nil)
	at := strings.Split(wantSaid(t, p.post(eventMessage("ON_CONNECT")), hello), ".")
	next := wantSaid(t, p.poll(at[0]+".99."+at[2]))
	if want := at[0] + ".1."; !strings.HasPrefix(next, want) {
		t.Errorf("pollId %q, want %s…: what the bot says next would be left out", next, want)
	}
}

// TestHookLeaves sees that a node which goes away lets nobody wait.
func TestHookLeaves(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *Config) { c.AnswerWait = time.Minute })
	p := w.hookPage("st-slow", nil)
	done := make(chan answer)
	go func() { done <- p.post(textMessage("well?")) }()
	w.eventually(func() bool { return w.lastSeq("slow") == 1 })
	leaving, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	w.Shutdown(leaving)
	id := wantSaid(t, <-done)
	if id == "" {
		t.Error("the page is not told to ask again")
	}
	if a := p.post(textMessage("more")); a.status != 503 {
		t.Errorf("a node that has gone: %d %s, want 503", a.status, a.text)
	}
	if again := wantSaid(t, p.poll(id)); again != id {
		t.Errorf("pollId %q: the SDK asks no more, and would have to", again)
	}
	close(w.gate)
}

// TestHookCrowd sees that one address does not keep all requests waiting.
func TestHookCrowd(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *Config) { c.AnswerWait, c.PerAddr = time.Minute, 1 })
	p := w.hookPage("st-slow", nil)
	done := make(chan answer)
	go func() { done <- p.post(textMessage("one")) }()
	w.eventually(func() bool { return w.lastSeq("slow") == 1 })
	if a := p.post(textMessage("two")); a.status != 503 || a.header.Get("Retry-After") == "" {
		t.Errorf("%d %s, want 503", a.status, a.text)
	}
	close(w.gate)
	wantSaid(t, <-done, "one", "done")
	wantSaid(t, p.post(textMessage("two")), "two", "done")
}

// TestHookClose ends a conversation, once however often it is asked.
func TestHookClose(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.hookPage("st-echo", nil)
	closing := func() {
		t.Helper()
		a := p.post(eventMessage("SESSION_CLOSURE"))
		if wantSaid(t, a); !strings.Contains(a.text, `"endOfTask":true`) {
			t.Errorf("answer %s", a.text)
		}
	}
	closing() // of nothing
	wantSaid(t, p.post(eventMessage("ON_CONNECT")), hello)
	wantSaid(t, p.post(textMessage("one")), "one")
	closing()
	closing()
	wantSaid(t, p.post(eventMessage("ON_CONNECT")), hello)
	if d := cmp.Diff([]string{hello}, texts(p.history(""))); d != "" {
		t.Errorf("history (-want +got):\n%s", d)
	}
	wantSaid(t, p.post(eventMessage("something else")))
}

// TestHookMerge signs in between two pages.
func TestHookMerge(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	nobody := token.NewAnonymous()
	before := w.hookPage("st-echo", map[string]any{"sub": nobody, "isAnonymous": true})
	wantSaid(t, before.post(eventMessage("ON_CONNECT")), hello)
	wantSaid(t, before.post(textMessage("before")), "before")
	ann := w.hookPage("st-echo", map[string]any{"identityToMerge": nobody})
	if d := cmp.Diff([]string{hello, "before", "before"}, texts(ann.history(""))); d != "" {
		t.Errorf("history (-want +got):\n%s", d)
	}
	wantSaid(t, ann.post(textMessage("after")), "after")
}

// TestHookBearer shows what must not serve as one. 401 says that the token has expired.
func TestHookBearer(t *testing.T) {
	t.Parallel()
	gone := &changing{subject: "gone"}
	w := newWorld(t, func(c *Config) { c.Revocations = gone })
	once := w.assertion(map[string]any{"jti": "once"})
	show := func(bot, bearer string, headers ...string) map[string]int {
		got := map[string]int{}
		headers = append(headers, "Authorization", bearer)
		for name, a := range map[string]answer{
			"hook":    w.do("POST", "/chatbot/v2/webhook/"+bot, `{"message":`+eventMessage("ON_CONNECT")+`}`, headers...),
			"poll":    w.do("GET", "/chatbot/v2/webhook/"+bot+"/poll/cnv_none.0.0", "", headers...),
			"history": w.do("GET", "/api/chathistory/"+bot+"/ivr", "", headers...),
			"meta":    w.do("GET", "/api/botmeta/"+bot, "", headers...),
		} {
			got[name] = a.status
		}
		return got
	}
	all := func(status int) map[string]int {
		return map[string]int{"hook": status, "poll": status, "history": status, "meta": status}
	}
	good := map[string]int{"hook": 200, "poll": 404, "history": 200, "meta": 200}
	past := w.clock.now().Add(-time.Minute).Unix()
	for name, tc := range map[string]struct {
		bot, bearer string
		want        map[string]int
		headers     []string
	}{
		"as it should be":         {"st-echo", "bearer " + w.assertion(nil), good, nil},
		"with its own id":         {"st-echo", "bearer " + once, good, nil},
		"from the app's page":     {"st-echo", "bearer " + w.assertion(nil), good, []string{"Origin", shopPage}},
		"from another page":       {"st-echo", "bearer " + w.assertion(nil), all(403), []string{"Origin", otherPage}},
		"past":                    {"st-echo", "bearer " + w.assertion(map[string]any{"exp": past}), all(401), nil},
		"forged":                  {"st-echo", "bearer " + w.assertion(nil) + "A", all(403), nil},
		"nothing":                 {"st-echo", "", all(403), nil},
		"another scheme":          {"st-echo", "Basic " + w.assertion(nil), all(403), nil},
		"a grant":                 {"st-echo", "bearer " + w.login("st-echo", nil), all(403), nil},
		"taken back":              {"st-echo", "bearer " + w.assertion(map[string]any{"sub": "gone"}), all(403), nil},
		"an id for two hours":     {"st-echo", "bearer " + w.assertion(map[string]any{"jti": "x", "exp": w.clock.now().Add(2 * time.Hour).Unix()}), all(403), nil},
		"a bot of nobody":         {"st-nobody", "bearer " + w.assertion(nil), all(404), nil},
		"an app that is not ours": {"st-echo", "bearer " + w.assertion(map[string]any{"iss": "app_none"}), all(403), nil},
	} {
		if d := cmp.Diff(tc.want, show(tc.bot, tc.bearer, tc.headers...)); d != "" {
			t.Errorf("%s (-want +got):\n%s", name, d)
		}
	}
	body, _ := json.Marshal(map[string]any{"assertion": once, "botInfo": map[string]any{"taskBotId": "st-echo"}})
	if a := w.do("POST", "/api/oAuth/token/jwtgrant", string(body)); a.status != 200 {
		t.Fatalf("%d %s", a.status, a.text)
	}
	if d := cmp.Diff(all(403), show("st-echo", "bearer "+once)); d != "" {
		t.Errorf("an assertion that was exchanged (-want +got):\n%s", d)
	}
	w.must(w.apps.Disable(t.Context(), w.shop.ID))
	if d := cmp.Diff(all(403), show("st-echo", "bearer "+w.assertion(nil))); d != "" {
		t.Errorf("an app that is off (-want +got):\n%s", d)
	}
}

// TestHookRefused sends what cannot be taken.
func TestHookRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.hookPage("st-echo", nil)
	for name, tc := range map[string]struct {
		message string
		status  int
	}{
		"nothing":    {`{}`, 400},
		"empty":      {`{"type":"text","val":""}`, 400},
		"a number":   {`{"type":"text","val":7}`, 400},
		"no JSON":    {`{`, 400},
		"a long one": {textMessage(strings.Repeat("x", chat.MaxBody)), 413},
		"too long":   {textMessage(strings.Repeat("x", maxBody)), 413},
	} {
		if a := p.post(tc.message); a.status != tc.status {
			t.Errorf("%s: %d %s, want %d", name, a.status, a.text, tc.status)
		}
	}
	for _, id := range []string{"x", "cnv_1.2", "cnv_1.-1.0", "cnv_1.1.x", "a%20b.1.1", "cnv_1.99999999999999999999.1"} {
		if a := p.poll(id); a.status != 400 && a.status != 404 {
			t.Errorf("poll %q: %d %s", id, a.status, a.text)
		}
	}
	if a := w.do("GET", "/chatbot/v2/webhook/st-echo", ""); a.status != 405 || a.header.Get("Allow") != "POST, OPTIONS" {
		t.Errorf("GET: %d, Allow %q", a.status, a.header.Get("Allow"))
	}
	pre := w.do("OPTIONS", "/chatbot/v2/webhook/st-echo", "", "Origin", shopPage, "Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "authorization,content-type")
	if pre.status != http.StatusNoContent || pre.header.Get("Access-Control-Allow-Origin") != shopPage {
		t.Errorf("preflight: %d %v", pre.status, pre.header)
	}
}

func TestHookPath(t *testing.T) {
	t.Parallel()
	for prefix, want := range map[string]string{
		"/api/": "/chatbot/", "/kore/api/": "/kore/chatbot/", "/kore/v2/": "", "/wapi/": "", "/x/": "", "/api/1.1/": "",
	} {
		if got := hookPath(prefix); got != want {
			t.Errorf("hookPath(%s) = %q, want %q", prefix, got, want)
		}
	}
	w := newWorld(t, func(c *Config) { c.Prefix = "/kore/api/" })
	bearer := "bearer " + w.assertion(nil)
	body := `{"message":` + eventMessage("ON_CONNECT") + `}`
	wantSaid(t, w.do("POST", "/kore/chatbot/v2/webhook/st-echo", body, "Authorization", bearer), hello)
	for _, path := range []string{"/chatbot/v2/webhook/st-echo", "/kore/api/chatbot/v2/webhook/st-echo"} {
		if a := w.do("POST", path, body, "Authorization", bearer); a.status != 404 {
			t.Errorf("%s: %d %s, want 404", path, a.status, a.text)
		}
	}
	off := newWorld(t, func(c *Config) { c.Prefix = "/kore/v2/" })
	if a := off.do("POST", "/chatbot/v2/webhook/st-echo", body, "Authorization", "bearer "+off.assertion(nil)); a.status != 404 {
		t.Errorf("%d %s, want 404", a.status, a.text)
	}
}

func TestHookID(t *testing.T) {
	t.Parallel()
	a, b := json.RawMessage(`{"text":"a"}`), json.RawMessage(`{"text":"b"}`)
	first, again := hookID(1, a), hookID(1, a)
	if first != again || !safeID(first) {
		t.Errorf("hookID() = %q, then %q", first, again)
	}
	if hookID(1, a) == hookID(2, a) || hookID(1, a) == hookID(1, b) || hookID(1, json.RawMessage("2x")) == hookID(12, json.RawMessage("x")) {
		t.Error("two messages have the same id")
	}
}

// FuzzHook looks for a request that is kept as what is not JSON, or a pollId that means
// something else than it says.
func FuzzHook(f *testing.F) {
	f.Add(`{"message":{"type":"text","val":"hi"}}`, "cnv_abc.17.1795000000")
	f.Add(`{"message":{"text":"hi","attachments":[{"fileName":"a"}]}}`, "cnv_abc.0.0")
	f.Add(`{"message":{"attachments":null}}`, "a.b.c.d")
	f.Fuzz(func(t *testing.T, request, id string) {
		var q hookRequest
		if json.Unmarshal([]byte(request), &q) == nil {
			if body, err := q.body(); err == nil && !json.Valid(body) {
				t.Errorf("%q is kept as %q", request, body)
			}
		}
		p, err := parsePoll(id)
		if err != nil {
			return
		}
		again, err := parsePoll(p.String())
		if err != nil || again != p {
			t.Errorf("parsePoll(%q) = %v, and of its text %v, %v", id, p, again, err)
		}
		if !safeID(string(p.conversation)) || p.after < 0 {
			t.Errorf("parsePoll(%q) = %v", id, p)
		}
	})
}

// TestHookPattern sees that pollIds do not stand in the metrics.
func TestHookPattern(t *testing.T) {
	t.Parallel()
	h := New(Config{
		Apps:       oneApp{&app.App{}},
		Bot:        func(string, string) (bot.ID, bool) { return "", false },
		ClientAddr: func(*http.Request) netip.Addr { return netip.Addr{} },
	})
	r, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "/chatbot/v2/webhook/st-1/poll/cnv_1.2.3", http.NoBody)
	h.Wrap(http.NotFoundHandler()).ServeHTTP(discard{}, r)
	if want := "/chatbot/v2/webhook/{bot}/poll/{poll}"; r.Pattern != want {
		t.Errorf("pattern %q, want %q", r.Pattern, want)
	}
}
