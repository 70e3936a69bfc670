package chat

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestHelloTimeout(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		at := time.Now()
		c := w.dial()
		c.wantRefusal(closeHelloTimeout, "hello_timeout")
		if waited := time.Since(at); waited < helloTimeout || waited > helloTimeout+2*sweepEvery {
			t.Errorf("closed after %v", waited)
		}
	})
}

// TestPings: a client that answers is kept, though it says nothing else.
func TestPings(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		c := w.dial()
		c.hello("ann/1h")
		for range 10 {
			at := time.Now()
			op, payload, err := c.read()
			if op != 0x9 || err != nil {
				t.Fatalf("opcode %x, %v; want a ping", op, err)
			}
			if waited := time.Since(at); waited < 23*time.Second || waited > 27*time.Second {
				t.Errorf("ping after %v, want 25 s", waited)
			}
			c.raw(0x8a, payload)
		}
		c.send("m1")
	})
}

// TestSpeakingIsAsGoodAsAPong: pings may get lost on the way to a page that is alive.
func TestSpeakingIsAsGoodAsAPong(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		c := w.dial()
		c.mute = true
		c.hello("ann/1h")
		for range 10 {
			c.idle(20 * time.Second)
			c.say(`{"type":"ping"}`)
			c.want("pong")
		}
	})
}

// TestHalfOpen: a client that is gone without a word is cut after two intervals.
func TestHalfOpen(t *testing.T) {
	t.Parallel()
	for name, reads := range map[string]bool{"that reads": true, "that does nothing": false} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				at := time.Now()
				c := w.dial()
				c.mute = true
				c.hello("ann")
				if reads {
					c.wantGone()
				} else {
					time.Sleep(time.Minute) // the pings find nobody who takes them
				}
				if waited := time.Since(at); waited < 48*time.Second || waited > 61*time.Second {
					t.Errorf("gone after %v, want 50 s", waited)
				}
				synctest.Wait()
				if n := w.Conns(); n != 0 {
					t.Errorf("%d connections are left", n)
				}
			})
		})
	}
}

func TestShutdown(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		fresh, inChat := w.dial(), w.dial()
		inChat.hello("ann")
		stopped := make(chan struct{})
		go func() {
			w.Shutdown(t.Context())
			close(stopped)
		}()
		for _, c := range []*client{fresh, inChat} {
			e := c.wantRefusal(closeGoingAway, "going_away")
			if after, _ := e["retry_after"].(float64); after <= 0 || after > 5 {
				t.Errorf("retry_after %v, want some of the next 5 s", e["retry_after"])
			}
		}
		<-stopped
		if n := w.Conns(); n != 0 {
			t.Errorf("%d connections are left", n)
		}
		_, res := w.try()
		if res.StatusCode != 503 || res.Header.Get("Retry-After") != "5" {
			t.Errorf("a connection after the stop: %d, Retry-After %q", res.StatusCode, res.Header.Get("Retry-After"))
		}
	})
}

// TestShutdownDuringTheHandshake catches a connection that is not among the others yet.
func TestShutdownDuringTheHandshake(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		near, far := pipe(w)
		w.dials <- far
		request(t, near)
		synctest.Wait() // until the server waits for its answer to be read
		go w.Shutdown(t.Context())
		synctest.Wait()
		c, _ := answer(t, near)
		c.wantRefusal(closeGoingAway, "going_away")
	})
}

// TestShutdownOfOneWhoDoesNotRead: it is cut when the patience ends.
func TestShutdownOfOneWhoDoesNotRead(t *testing.T) {
	inWorld(t, func(_ *testing.T, w *world) {
		w.dial().hello("ann")
		w.dial()
	}) // the world's end is a shutdown
}

// TestDrain: the engine spreads its sessions, and what waits goes out first.
func TestDrain(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		c := w.dial()
		c.hello("ann")
		c.say(`{"type":"send","id":"m1","body":1}`)
		c.want("ack")
		go w.engine.Drain(t.Context())
		c.want("message")
		e := c.wantRefusal(closeGoingAway, "going_away")
		if after, _ := e["retry_after"].(float64); after < 0 || after > 1 {
			t.Errorf("retry_after %v", after)
		}
		late := w.dial()
		late.say(`{"type":"hello","token":"ann","bot":"echo"}`)
		late.wantRefusal(closeUnavailable, "unavailable")
	})
}
