package chat

import (
	"testing"

	"github.com/carnetproject/carnet/internal/bot"
	"github.com/carnetproject/carnet/internal/chat"
)

// TestBotComesAndGoes has a bot go under a connection that is open. What is said is
// refused until it is back; who comes is turned away.
func TestBotComesAndGoes(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		c := w.dial()
		id := c.hello("ann")["conversation"].(string)
		w.engine.Use(map[bot.ID]chat.Policy{"menu": {}})
		c.say(`{"type":"send","id":"m1","body":{"text":"hi"}}`)
		if got := brief(c.want("nack")); got != "nack m1 bot_not_running" {
			t.Errorf("got %s", got)
		}
		c.wantQuiet()
		d := w.dial()
		d.say(`{"type":"hello","token":"ann","bot":"echo","conversation":%q}`, id)
		d.wantRefusal(closeNotAllowed, "not_found")

		w.engine.Use(map[bot.ID]chat.Policy{"echo": {}})
		c.say(`{"type":"send","id":"m1","body":{"text":"hi"}}`)
		if got := brief(c.want("ack")); got != "ack m1" {
			t.Errorf("got %s", got)
		}
		w.dial().hello("ann")
	})
}
