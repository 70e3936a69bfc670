package chat

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/carnetproject/carnet/internal/chat"
	"github.com/carnetproject/carnet/internal/fault"
)

// TestMerge lets a visitor sign in: the page goes on with its conversation, and what was
// open as the visitor ends.
func TestMerge(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		page, tab := w.dial(), w.dial()
		welcome := page.hello("visitor", `"context":{"page":"/"}`)
		tab.hello("visitor")
		page.send("m1")
		tab.want("message")
		page.send("m2")
		tab.want("message")
		for range 2 { // the second time the visitor has nothing left
			c := w.dial()
			again := c.hello("ann", fmt.Sprintf(`"merge":"visitor","session":%q,"conversation":%q,"after":1`,
				welcome["session"], welcome["conversation"]))
			if user := again["user"].(map[string]any); user["sub"] != "ann" || again["conversation"] != welcome["conversation"] {
				t.Errorf("welcome %v", again)
			}
			if m := c.want("message"); m["id"] != "m2" {
				t.Errorf("message %v", m)
			}
			c.wantQuiet()
			_ = c.conn.Close()
		}
		page.wantRefusal(closeTokenRefused, "merged")
		tab.wantRefusal(closeTokenRefused, "merged")

		back := w.dial()
		back.say(`{"type":"hello","token":"visitor","bot":"echo","conversation":%q}`, welcome["conversation"])
		back.wantRefusal(closeNotAllowed, "not_found")
		if again := w.dial().hello("ann"); again["conversation"] != welcome["conversation"] {
			t.Errorf("without a word of it ann is in %v", again["conversation"])
		}
		if fresh := w.dial().hello("visitor"); fresh["conversation"] == welcome["conversation"] {
			t.Error("the visitor is still there")
		}
	})
}

// TestMergeIntoMore has a user with a conversation of their own: the one that began last is
// the current one.
func TestMergeIntoMore(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		mine := w.dial().hello("ann")["conversation"]
		visit := w.dial().hello("visitor")["conversation"]
		if got := w.dial().hello("ann", `"merge":"visitor"`)["conversation"]; got != visit {
			t.Errorf("the current one is %v, want the visitor's", got)
		}
		if got := w.dial().hello("ann", fmt.Sprintf(`"conversation":%q`, mine))["conversation"]; got != mine {
			t.Errorf("ann is in %v, want %v", got, mine)
		}
	})
}

func TestMergeRefusals(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		token, merge string
		close        closeCode
		code         string
	}{
		"junk":                      {"ann", "forged", closeNotAllowed, "merge_refused"},
		"without the scope":         {"ann", "no-scope", closeNotAllowed, "merge_refused"},
		"expired":                   {"ann", "visitor/-1s", closeNotAllowed, "merge_refused"},
		"of a known user":           {"ann", "bob", closeNotAllowed, "merge_refused"},
		"into a visitor":            {"visitor2", "visitor", closeNotAllowed, "merge_refused"},
		"of another app":            {"ann", "visitor@bank", closeNotAllowed, "merge_refused"},
		"verifier cannot tell":      {"ann", "no-keys", closeUnavailable, "unavailable"},
		"beside a token that fails": {"forged", "visitor", closeTokenRefused, "token_refused"},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				visit := w.dial().hello("visitor")["conversation"]
				c := w.dial()
				c.say(`{"type":"hello","token":%q,"bot":"echo","merge":%q}`, tc.token, tc.merge)
				c.wantRefusal(tc.close, tc.code)
				if got := w.dial().hello("visitor")["conversation"]; got != visit {
					t.Error("the visitor's conversation is gone")
				}
			})
		})
	}
}

// TestSessionOfTheVisitor resumes with state that was sealed for the visitor, which ann
// alone may not.
func TestSessionOfTheVisitor(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		welcome := w.dial().hello("visitor")
		resume := fmt.Sprintf(`"session":%q`, welcome["session"])
		c := w.dial()
		c.say(`{"type":"hello","token":"ann","bot":"echo",%s}`, resume)
		c.wantRefusal(closeNotAllowed, "session_refused")
		other := w.dial()
		other.say(`{"type":"hello","token":"ann","bot":"echo","merge":"visitor2",%s}`, resume)
		other.wantRefusal(closeNotAllowed, "session_refused")
		if got := w.dial().hello("ann", `"merge":"visitor"`, resume); got["conversation"] != welcome["conversation"] {
			t.Errorf("welcome %v", got)
		}
	})
}

func TestMergeWithTheStoreDown(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.store.breaks(fault.Wrap(fault.Unavailable, "the store is out of reach", errors.New("10.0.0.7")))
		c := w.dial()
		c.say(`{"type":"hello","token":"ann","bot":"echo","merge":"visitor"}`)
		c.wantRefusal(closeUnavailable, "unavailable")
	})
}

// TestSweptAfterAMerge has a merge on a node that nothing is heard of.
func TestSweptAfterAMerge(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		c := w.dial()
		c.hello("visitor")
		from, to := chat.User{Issuer: issuer, Subject: "visitor"}, chat.User{Issuer: issuer, Subject: "ann"}
		if _, err := w.store.MoveConversations(t.Context(), from, to); err != nil {
			t.Fatal(err)
		}
		at := time.Now()
		c.wantRefusal(closeTokenRefused, "merged")
		if waited := time.Since(at); waited > 4*time.Second {
			t.Errorf("closed after %v, want one sweep", waited)
		}
	})
}
