package kore

import (
	"net/http"
	"testing"

	"github.com/carnetproject/carnet/internal/bot"
	"github.com/carnetproject/carnet/internal/chat"
)

// TestBotComesAndGoes has a bot go under a page that is open. The page is told with its
// next message, and finds what was said; a page that comes is refused.
func TestBotComesAndGoes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	bearer := w.login("st-echo", nil)
	p := w.open(bearer, "")
	p.next() // the welcome
	p.send(1, "one")
	p.wantText("one")

	w.engine.Use(map[bot.ID]chat.Policy{"quiet": {}})
	p.send(2, "two")
	p.wantText("This message was not sent.")
	if got := texts(w.past(bearer, "")); len(got) != 3 {
		t.Errorf("the history has %q", got)
	}
	_, res, err := w.try(w.address(bearer, "{}"))
	if err == nil || res.StatusCode != http.StatusNotFound {
		t.Errorf("a socket: %v, %v; want 404", res, err)
	}
	if a := w.do("POST", "/api/oAuth/token/jwtgrant", `{"assertion":"`+w.assertion(nil)+`","botInfo":{"taskBotId":"st-echo"}}`); a.status != http.StatusBadRequest {
		t.Errorf("a grant: %d %s", a.status, a.text)
	}
	if a := w.do("GET", "/api/botmeta/st-echo", "", "Authorization", "bearer "+w.assertion(nil)); a.status != http.StatusNotFound {
		t.Errorf("the webhook mode: %d %s", a.status, a.text)
	}

	w.engine.Use(map[bot.ID]chat.Policy{"echo": {}})
	p.send(2, "two")
	p.wantText("two")
	w.open(w.login("st-echo", nil), "")
}
