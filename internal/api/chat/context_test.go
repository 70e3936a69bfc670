package chat

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/carnetproject/carnet/internal/chat"
)

// context is that of the only conversation there is.
func (w *world) context() string {
	w.t.Helper()
	c, err := w.store.lookup(func(*chat.Conversation) bool { return true })
	if err != nil {
		w.t.Fatal(err)
	}
	return string(c.Context)
}

// own makes set the server's.
func (w *world) own(set string) {
	w.t.Helper()
	c, err := w.store.lookup(func(*chat.Conversation) bool { return true })
	if err == nil {
		err = w.engine.SetServerContext(w.t.Context(), c.ID, json.RawMessage(set))
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

func TestContext(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		c := w.dial()
		c.hello("ann", `"context":{"a":1,"b":2}`)
		c.say(`{"type":"context","set":{"a":null,"c":[3]}}`)
		if m := c.want("session"); m["expires_in"] != nil {
			t.Errorf("session %v, want no word of a token", m)
		}
		c.say(`{"type":"context","id":"x-1","set":{"c":"<4>"}}`)
		if m := c.want("context"); m["id"] != "x-1" || len(m) != 2 {
			t.Errorf("context %v", m)
		}
		c.want("session")
		c.wantQuiet()
		if got := w.context(); got != `{"b":2,"c":"<4>"}` {
			t.Errorf("context %s", got)
		}
		w.store.breaks(errors.New("disk is gone"))
		c.say(`{"type":"context","id":"x-2","set":{"a":1}}`)
		if m := c.want("nack"); m["id"] != "x-2" || m["error"].(map[string]any)["code"] != "internal" {
			t.Errorf("nack %v", m)
		}
		c.say(`{"type":"context","set":{"a":1}}`)
		c.wantRefusal(closeUnavailable, "internal")
	})
}

// TestContextRefused asks for what cannot be, with an id and without.
func TestContextRefused(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		set   string
		code  string // of the answer
		close closeCode
		word  string // of the close without an id
	}{
		"the server's":      {`{"page":"/x","tier":"gold"}`, "protected", closeNotAllowed, "protected"},
		"the server's away": {`{"page":"/x","tier":null}`, "protected", closeNotAllowed, "protected"},
		"too large":         {`{"page":"` + strings.Repeat("x", chat.MaxContext) + `"}`, "too_large", closeBadFrame, "bad_frame"},
		"too large in all":  {`{"page":"` + strings.Repeat("x", chat.MaxContext-12) + `"}`, "too_large", closeBadFrame, "too_large"},
		"too deep":          {`{"page":` + strings.Repeat("[", 31) + strings.Repeat("]", 31) + `}`, "invalid", closeBadFrame, "bad_frame"},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				c := w.dial()
				c.hello("ann", `"context":{"page":"/"}`)
				w.own(`{"tier":"free"}`)
				c.say(`{"type":"context","id":"x","set":%s}`, tc.set)
				m := c.want("nack")
				if e := m["error"].(map[string]any); m["id"] != "x" || e["code"] != tc.code || strings.Contains(fmt.Sprint(e), "free") {
					t.Errorf("nack %v, want %s", m, tc.code)
				}
				c.send("m1") // the connection lives
				if got := w.context(); got != `{"page":"/","tier":"free"}` {
					t.Errorf("context %.99s", got)
				}
				c.say(`{"type":"context","set":%s}`, tc.set)
				c.wantRefusal(tc.close, tc.word)
			})
		})
	}
}

// TestHelloContext lets a page come back, which says again what the server has changed.
func TestHelloContext(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		const said = `"context":{"page":"/","tier":"?","gone":1}`
		w.dial().hello("ann", said)
		w.own(`{"tier":"gold","gone":2}`)
		c := w.dial()
		c.hello("ann", strings.Replace(said, "/", "/loans", 1))
		c.send("m1")
		if got := w.context(); got != `{"gone":2,"page":"/loans","tier":"gold"}` {
			t.Errorf("context %s", got)
		}
		w.own(`{"gone":null}`)
		w.dial().hello("ann", said)
		if got := w.context(); got != `{"gone":1,"page":"/","tier":"gold"}` {
			t.Errorf("context %s", got)
		}
	})
}
