package chat

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/carnetproject/carnet/internal/chat"
)

// opened is what a session frame, or the welcome, has sealed.
func (w *world) opened(frame map[string]any) string {
	w.t.Helper()
	plain, err := w.c.Box.Open(sessionPurpose, frame["session"].(string))
	if err != nil {
		w.t.Fatal(err)
	}
	return string(plain)
}

func TestState(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		c := w.dial()
		welcome := c.hello("ann", `"context":{"page":"</>"}`)
		head := fmt.Sprintf(`{"conversation":%q,"bot":"echo","iss":%q,"sub":"ann",`, welcome["conversation"], issuer)
		if got := w.opened(welcome); got != head+`"seq":0,"context":{"page":"</>"}}` {
			t.Errorf("the welcome has sealed %s", got)
		}
		w.own(`{"secret":1}`)
		c.send("m1")
		c.say(`{"type":"context","set":{"tab":1}}`)
		if got := w.opened(c.want("session")); got != head+`"seq":1,"context":{"page":"</>","tab":1}}` {
			t.Errorf("then %s", got)
		}
		c.send("m2")
		c.say(`{"type":"refresh","token":"ann"}`)
		if got := w.opened(c.want("session")); got != head+`"seq":2,"context":{"page":"</>","tab":1}}` {
			t.Errorf("with the token %s", got)
		}
		w.store.breaks(errors.New("disk is gone"))
		c.say(`{"type":"refresh","token":"ann"}`)
		if got := w.opened(c.want("session")); got != head+`"seq":2}` {
			t.Errorf("with the store away %s", got)
		}
	})
}

// TestStateFollows has messages come to a client that says little then.
func TestStateFollows(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		c := w.dial()
		c.hello("ann")
		c.idle(2 * carryEvery)
		c.wantQuiet() // at rest there is nothing new
		c.send("m1")
		c.say(`{"type":"typing"}`)
		if got := w.opened(c.want("session")); !strings.Contains(got, `"seq":1`) {
			t.Errorf("sealed %s", got)
		}
		c.send("m2")
		c.wantQuiet() // that was a moment ago
		at := time.Now()
		if got := w.opened(c.want("session")); !strings.Contains(got, `"seq":2`) { // pongs are all that is heard
			t.Errorf("sealed %s", got)
		}
		if waited := time.Since(at); waited < carryEvery-time.Second || waited > 2*carryEvery {
			t.Errorf("sealed after %v, want about %v", waited, carryEvery)
		}
		c.idle(2 * carryEvery)
	})
}

// TestStates resumes with what earlier versions have sealed, and with what the largest
// contexts become.
func TestStates(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		c := w.dial()
		big := `{"a":"` + strings.Repeat("<", chat.MaxContext-8) + `"}`
		welcome := c.hello("ann", `"context":`+big)
		sealed := welcome["session"].(string)
		if len(sealed) > maxSession || !strings.Contains(w.opened(welcome), big) {
			t.Errorf("sealed in %d bytes", len(sealed))
		}
		c.send("m1")
		old, err := w.c.Box.Seal(sessionPurpose, fmt.Appendf(nil,
			`{"conversation":%q,"bot":"echo","iss":%q,"sub":"ann"}`, welcome["conversation"], issuer))
		if err != nil {
			t.Fatal(err)
		}
		again := w.dial()
		if m := again.hello("ann", fmt.Sprintf(`"session":%q`, old)); m["conversation"] != welcome["conversation"] {
			t.Errorf("resumed %v", m)
		}
		again.wantQuiet()

		long := state{Sub: strings.Repeat("s", 8<<10), Context: json.RawMessage(big)}
		sealed, err = long.seal(w.c.Box)
		if err != nil || len(sealed) > maxSession {
			t.Errorf("sealed a long name in %d bytes, %v", len(sealed), err)
		}
		back, err := openState(w.c.Box, sealed)
		if err != nil || back.Sub != long.Sub || back.Context != nil || string(back.page()) != "{}" {
			t.Errorf("opened as %.99v, %v", back, err)
		}
	})
}

// TestStateWithoutItsConversation goes on in a new one, on which the other tab agrees.
func TestStateWithoutItsConversation(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		first := w.dial()
		welcome := first.hello("ann", `"context":{"page":"/"}`)
		for i := range 3 {
			first.send(fmt.Sprint("m", i))
		}
		_ = first.conn.Close()
		w.store.forget()
		c, tab := w.dial(), w.dial()
		resume := fmt.Sprintf(`"session":%q,"conversation":%q,"after":3,"context":{"tab":1}`, welcome["session"], welcome["conversation"])
		m := c.hello("ann", resume)
		if m["conversation"] == welcome["conversation"] || m["last_seq"] != 0. {
			t.Errorf("resumed %v", m)
		}
		if got := w.context(); got != `{"page":"/","tab":1}` {
			t.Errorf("context %s", got)
		}
		if other := tab.hello("ann", resume); other["conversation"] != m["conversation"] {
			t.Errorf("the other tab is in %v", other["conversation"])
		}
		c.send("again")
		if m := tab.want("message"); m["seq"] != 1. {
			t.Errorf("message %v", m)
		}
	})
}
