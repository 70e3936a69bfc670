package kore

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/carnetproject/carnet/internal/chat"
	"github.com/carnetproject/carnet/internal/limit"
)

// TestRestart loses the whole node. It comes back knowing no tab, and pushes what the bot
// said since a tab got its token, of which the SDK draws what it has not. Of what the
// user said it pushes what no tab can have.
func TestRestart(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	old := w.open(w.login("st-quiet", nil), "")
	old.send(4000, "?")
	old.wantText("!")
	w.clock.pass(time.Minute)
	bearer, other := w.login("st-quiet", nil), w.login("st-quiet", nil)
	p, q := w.open(bearer, ""), w.open(other, "")
	w.clock.pass(2 * time.Minute)
	p.send(4001, "?")
	first := p.wantText("!")
	q.wantUser("?")
	q.wantText("!")
	w.clock.pass(time.Second)

	w.restart()
	<-p.closed
	<-q.closed
	q = w.open(other, "&isReconnect=true")
	if got := q.wantText("!"); got != first {
		t.Errorf("got %s, want %s again", got, first)
	}
	q.wantQuiet()
	w.clock.pass(time.Second)
	q.send(4002, "?")
	q.wantText("!")
	p = w.open(bearer, "&isReconnect=true")
	if got := p.wantText("!"); got != first {
		t.Errorf("got %s, want %s again", got, first)
	}
	p.wantUser("?")
	p.wantText("!")
	p.wantQuiet()
}

// TestRestartAndNewToken comes to a node that knows nothing, with a token that says
// nothing: only what was said since the node began is pushed, and of that a page.
func TestRestartAndNewToken(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.open(w.login("st-quiet", nil), "")
	p.send(5000, "?")
	p.wantText("!")
	w.clock.pass(time.Second)
	w.restart()
	w.clock.pass(time.Second)
	q := w.open(w.login("st-quiet", nil), "")
	for i := range 8 {
		q.send(int64(5001+i), "?")
		q.wantText("!")
	}
	w.tabs = newTabs(maxTabs) // nothing is known
	p = w.open(w.login("st-quiet", nil), "&isReconnect=true")
	for range defaultPage / 2 {
		p.wantUser("?")
		p.wantText("!")
	}
	p.wantQuiet()
}

// TestRestartWithTwoSockets loses a node that knew that two sockets are of one tab. The
// next one learns it from what the tab has said.
func TestRestartWithTwoSockets(t *testing.T) {
	t.Parallel()
	for _, ghostFirst := range []bool{true, false} {
		w := newWorld(t)
		bearer := w.login("st-quiet", nil)
		w.open(bearer, "").cut()
		again := w.login("st-quiet", nil)
		p := w.open(again, "&isReconnect=true")
		w.wantSameTab(bearer, again)
		p.send(5500, "?")
		p.wantText("!")
		w.clock.pass(2 * time.Minute)
		w.restart()
		w.clock.pass(time.Second)
		order := []string{again, bearer}
		if ghostFirst {
			order = []string{bearer, again}
		}
		w.open(order[0], "&isReconnect=true").wantText("!")
		w.open(order[1], "&isReconnect=true")
		w.wantSameTab(bearer, again)
	}
}

// wantSameTab sees that two grants are of one tab.
func (w *world) wantSameTab(one, two string) {
	w.t.Helper()
	var a, b grant
	w.must(w.Handler.open(grantPurpose, one, &a))
	w.must(w.Handler.open(grantPurpose, two, &b))
	if t := w.tabs.find(a.ID); t == nil || t != w.tabs.find(b.ID) || t.name != a.ID {
		w.t.Errorf("the tabs are %+v and %+v", t, w.tabs.find(b.ID))
	}
}

func TestModes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	bearer := w.login("st-quiet", nil)
	p := w.open(bearer, "")
	p.mute = true
	p.send(6000, "?")
	p.wantText("!")
	p.cut()
	for _, tc := range []struct {
		more  string
		again bool // what was not confirmed is pushed
		total int64
	}{
		{"&ConnectionMode=Default&isReconnect=true", false, 2},
		{"&ConnectionMode=Reconnect", true, 2},
		{"&ConnectionMode=Unknown", false, 2},
		{"&isReconnect=false", false, 2},
		{"&ConnectionMode=Start_New&isReconnect=true", false, 0},
		{"", false, 0},
	} {
		p := w.open(bearer, tc.more)
		if tc.again {
			p.wantText("!")
		}
		p.wantQuiet()
		p.cut()
		if got := w.past(bearer, "").Total; got != tc.total {
			t.Errorf("%s: the history has %d messages, want %d", tc.more, got, tc.total)
		}
	}
	p = w.open(bearer, "")
	p.send(6001, "?")
	p.wantText("!")
	w.open(bearer, "&ConnectionMode=Start_New_Resume_Agent").wantQuiet()
	if got := w.past(bearer, "").Total; got != 0 {
		t.Errorf("Start_New_Resume_Agent: the history has %d messages, want none", got)
	}
}

// TestPhone says that it comes back when it starts, as Kore's SDKs for phones do.
func TestPhone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	bearer := w.login("st-quiet", nil)
	p := w.open(bearer, "")
	p.mute = true
	p.send(6500, "?")
	p.wantText("!")
	p.cut()
	var a struct{ URL string }
	w.do("POST", "/api/rtm/start?isReconnect=true", `{}`, "Authorization", "bearer "+bearer).to(t, &a)
	w.dial(a.URL).wantText("!")
}

// TestEndConversation ends what was said. The bot begins anew, in this window and, when
// they come next, in the others.
func TestEndConversation(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	bearer := w.login("st-echo", nil)
	p := w.open(bearer, "")
	welcome := bubbleText(p.next())
	p.send(7000, "before")
	p.wantText("before")
	p.say(`{"clientMessageId":7001,"resourceid":"/bot.closeConversationSession","botInfo":{},"client":"sdk","id":7001}`)
	p.wantText(welcome)
	p.send(7002, "after")
	p.wantText("after")
	if got := texts(w.past(bearer, "")); strings.Join(got, "|") != welcome+"|after|after" {
		t.Errorf("the history has %q", got)
	}
	w.confirmed(bearer, 3)
	p.cut()
	p = w.open(bearer, "&isReconnect=true")
	p.wantQuiet()
	p.send(7003, "on the next socket")
	p.wantText("on the next socket")
	if n := w.past(bearer, "").Total; n != 5 {
		t.Errorf("the history has %d messages, want 5", n)
	}
}

// TestPages reads a history from its newest message back, as the SDK does when one
// scrolls: the offset counts from the newest.
func TestPages(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	bearer := w.login("st-quiet", nil)
	p := w.open(bearer, "")
	for i := range 25 {
		p.wantAnswer(fmt.Sprintf(`{"clientMessageId":%d,"message":{"body":"m%d"}}`, 8000+i, i), "ack")
	}
	for _, tc := range []struct {
		query       string
		first, last string
		more        bool
	}{
		{"&limit=10", "m15", "m24", true},
		{"&offset=10&limit=10", "m5", "m14", true},
		{"&offset=20&limit=10", "m0", "m4", false},
		{"", "m15", "m24", true},
		{"&limit=1000", "m0", "m24", false},
		{"&offset=24&limit=1", "m0", "m0", false},
		{"&offset=25&limit=10", "", "", false},
		{"&offset=1000&limit=10", "", "", false},
	} {
		page := w.past(bearer, tc.query)
		list := texts(page)
		if tc.first == "" {
			if len(list) != 0 || page.More {
				t.Errorf("%s: %q", tc.query, list)
			}
			continue
		}
		if list[0] != tc.first || list[len(list)-1] != tc.last || page.More != tc.more || page.Total != 25 {
			t.Errorf("%s: %q, more %t, total %d", tc.query, list, page.More, page.Total)
		}
	}
}

// TestEmptyHistory is answered with a message that draws nothing: the SDK throws away
// what came over the socket before an empty one.
func TestEmptyHistory(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	bearer := w.login("st-quiet", nil)
	for range 2 { // without a conversation, and with one that nobody has said anything in
		p := w.past(bearer, "")
		if len(p.Messages) != 1 || p.Messages[0].Components[0].Type == "text" || p.Total != 0 || p.More {
			t.Errorf("history %+v", p)
		}
		w.open(bearer, "")
	}
}

// TestContextTakesNoMoreRoom: what a page says is as long in the context as it was sent.
func TestContextTakesNoMoreRoom(t *testing.T) {
	t.Parallel()
	got := newContext(botInfo{CustomData: json.RawMessage(`{"html":"<p>&</p>"}`)}, nil)
	if want := `{"customData":{"html":"<p>&</p>"}}`; string(got) != want {
		t.Errorf("newContext() = %s, want %s", got, want)
	}
}

// TestContext brings what the page says of itself to the bot: with the welcome what it
// says when it starts, and later with each message what has changed.
func TestContext(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	bearer := w.login("st-mirror", nil)
	p := w.dial(w.address(bearer, `{"customData":{"plan":"gold"},"metaTags":{}}`))
	p.wantText(`context {"customData":{"plan":"gold"}}`)
	p.say(`{"clientMessageId":1,"message":{"body":"x"},"botInfo":{"customData":{"plan":"gold"}},"meta":{"locale":"en-US"}}`)
	p.wantText(`context {"customData":{"plan":"gold"},"meta":{"locale":"en-US"}}`)
	p.say(`{"clientMessageId":2,"message":{"body":"x"},"botInfo":{"customData":{"plan":"silver"}}}`)
	p.wantText(`context {"customData":{"plan":"silver"},"meta":{"locale":"en-US"}}`)
	p.say(`{"clientMessageId":3,"message":{"body":"x"},"botInfo":{"customData":"` + strings.Repeat("x", 11<<10) + `"}}`)
	p.wantText(`context {"customData":{"plan":"silver"},"meta":{"locale":"en-US"}}`)
}

// TestContextTooSoon says it again with the next message.
func TestContextTooSoon(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.limits.Rate = limit.Rate{N: 2, Per: time.Minute}
	w.restart()
	p := w.dial(w.address(w.login("st-mirror", nil), `{"customData":{"plan":"gold"}}`))
	p.wantText(`context {"customData":{"plan":"gold"}}`)
	for i := range 2 {
		p.say(fmt.Sprintf(`{"clientMessageId":%d,"message":{"body":"x"}}`, i))
		p.wantText(`context {"customData":{"plan":"gold"}}`)
	}
	const silver = `{"clientMessageId":7,"message":{"body":"x"},"botInfo":{"customData":{"plan":"silver"}}}`
	p.say(silver)
	p.wantText(`This message was not sent: too many messages. Please send it again.`)
	w.clock.pass(time.Minute)
	p.say(silver)
	p.wantText(`context {"customData":{"plan":"silver"}}`)
}

func TestTickets(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	bearer := w.login("st-quiet", nil)
	refused := func(what, address string, want int, headers ...string) {
		t.Helper()
		p, res, err := w.try(address, headers...)
		if err == nil {
			_ = p.ws.NetConn().Close()
		}
		if res == nil || res.StatusCode != want {
			t.Errorf("%s: %v, %v; want %d", what, res, err, want)
		}
	}
	address := w.address(bearer, "{}")
	if !strings.HasPrefix(address, "ws"+strings.TrimPrefix(w.url, "http")+"/api/rtm/bot?") || !strings.Contains(address, "botId=st-quiet") {
		t.Errorf("address %s", address)
	}
	w.dial(address)
	refused("used", address, http.StatusForbidden)
	late := w.address(bearer, "{}")
	w.clock.pass(ticketLife)
	refused("late", late, http.StatusForbidden)
	refused("none", strings.Replace(late, "sid=", "sid=x", 1), http.StatusForbidden)
	refused("a token for a ticket", strings.Replace(late, sidOf(t, late), bearer, 1), http.StatusForbidden)
	refused("another app's page", w.address(bearer, "{}"), http.StatusForbidden, "Origin", otherPage)
	if p, res, err := w.try(w.address(bearer, "{}"), "Origin", shopPage); err != nil {
		t.Errorf("the app's own page: %v %v", res, err)
	} else {
		p.cut()
	}
	w.clock.pass(24*time.Hour - time.Minute)
	p := w.open(bearer, "")
	w.clock.pass(time.Hour) // the token is over, the socket goes on
	p.wantQuiet()
}

func TestManySockets(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *Config) { c.PerAddr = 2; c.Total = 3 })
	bearer := w.login("st-quiet", nil)
	one := w.open(bearer, "")
	w.open(bearer, "")
	if _, res, err := w.try(w.address(bearer, "{}")); err == nil || res.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("the third: %v %v, want 503", res, err)
	}
	one.cut()
	w.eventually(func() bool { return w.Conns() == 1 })
	w.open(bearer, "")
}

// TestTwoSocketsAtOnce places two sockets of a tab at once on a node that does not know it:
// the one finds what the other has begun, and changes nothing of it.
func TestTwoSocketsAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	bearer := w.login("st-quiet", nil)
	w.open(bearer, "").cut()
	again := w.login("st-quiet", nil)
	p := w.open(again, "&isReconnect=true")
	p.send(5600, "?")
	p.wantText("!")
	w.clock.pass(2 * time.Minute)
	w.restart()
	var first, second grant
	w.must(w.Handler.open(grantPurpose, bearer, &first))
	w.must(w.Handler.open(grantPurpose, again, &second))
	one, two := &conn{h: w.Handler, grant: second}, &conn{h: w.Handler, grant: second}
	w.must(one.placeUnknown(t.Context(), false, new(chat.Hello)))
	var both sync.WaitGroup
	both.Go(func() {
		if s := one.sender(); s == nil || *s != (wireSender{second.ID, first.ID}) {
			t.Errorf("it says that %v sends, want a tab whose first grant is %s", s, first.ID)
		}
	})
	both.Go(func() {
		if err := two.placeUnknown(t.Context(), false, new(chat.Hello)); err != nil {
			t.Error(err)
		}
	})
	both.Wait()
	if one.tab != two.tab {
		t.Error("they are of two tabs")
	}
	w.wantSameTab(bearer, again)
}
