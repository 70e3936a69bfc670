package chat

import (
	"net/netip"
	"testing"
	"testing/synctest"

	"github.com/carnetproject/carnet/internal/fault"
)

// TestVisit: what a request says reaches the user's sessions on any node, and the request
// hears of its own sends alone.
func TestVisit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m, b := newMemory(), newDirect()
		here, there := start(t, m, b), start(t, m, b)
		s, listening := here.open(t, hello)
		id := s.Conversation().ID
		asked := newEar()
		v, err := there.Visit(t.Context(), ann, id, netip.Addr{}, asked)
		if err != nil {
			t.Fatal(err)
		}
		s.Send("a", body("by the session"))
		listening.want(t, "ack a 1", "message 1 user a")
		v.Send("b", body("by the visit"))
		v.Send("b", body("again"))
		v.Send("", body("no id"))
		asked.want(t, "nack  invalid id", "ack b 2", "ack b 2")
		listening.want(t, "message 2 user b")
		v.Close()
		v.Send("c", body("too late"))
		listening.want(t)

		next, err := there.Visit(t.Context(), ann, id, netip.Addr{}, asked)
		if err != nil {
			t.Fatal(err)
		}
		defer next.Close()
		next.Read(1)
		next.Typing()
		listening.want(t, "typing user", "read 1")
		asked.want(t)
	})
}

func TestVisitRefused(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := start(t, newMemory(), newDirect())
		s, _ := n.open(t, hello)
		if _, err := n.Visit(t.Context(), bob, s.Conversation().ID, netip.Addr{}, newEar()); fault.KindOf(err) != fault.NotFound {
			t.Errorf("Visit() of another user's = %v, want not found", err)
		}
		if _, err := n.Visit(t.Context(), ann, "cnv_none", netip.Addr{}, newEar()); fault.KindOf(err) != fault.NotFound {
			t.Errorf("Visit() of none = %v, want not found", err)
		}
	})
}
