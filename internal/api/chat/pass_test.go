package chat

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carnetproject/carnet/internal/revocation"
)

// outlaws is a list of subjects whose tokens are revoked.
type outlaws struct {
	mu    sync.Mutex
	names map[string]bool
	epoch uint64
	asked int
}

func (o *outlaws) Epoch() uint64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.epoch
}

func (o *outlaws) Revoked(t revocation.Token) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.asked++
	return o.names[t.Subject]
}

func (o *outlaws) revoke(names ...string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.names = map[string]bool{}
	for _, n := range names {
		o.names[n] = true
	}
	o.epoch++
}

func (o *outlaws) looks() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.asked
}

// withOutlaws has the tokens of [verify] say whose they are. during is called while a
// token is looked at.
func withOutlaws(list *outlaws, during func()) func(*Config) {
	return func(c *Config) {
		c.Revocations = list
		c.Verify = func(ctx context.Context, token string) (Identity, error) {
			id, err := verify(ctx, token)
			id.Token = revocation.Token{Issuer: id.User.Issuer, Subject: id.User.Subject}
			during()
			return id, err
		}
	}
}

func TestRevokedConnectionEnds(t *testing.T) {
	list := &outlaws{}
	inWorld(t, func(t *testing.T, w *world) {
		ann, bob, fresh := w.dial(), w.dial(), w.dial()
		ann.hello("ann")
		bob.hello("bob")
		at := time.Now()
		list.revoke("ann")
		ann.wantRefusal(closeTokenRefused, "token_refused")
		if waited := time.Since(at); waited > time.Second {
			t.Errorf("closed after %v, want it within a second", waited)
		}
		bob.send("m1")
		fresh.hello("carl/1h") // a connection that has no token yet is let be
		list.revoke("bob")
		bob.wantRefusal(closeTokenRefused, "token_refused")
		list.revoke()
		again := w.dial()
		again.hello("ann")
	}, withOutlaws(list, func() {}))
}

// TestRevokedWhileVerified: the revocation comes between the look at the token and the
// connection's being among those that are looked at.
func TestRevokedWhileVerified(t *testing.T) {
	t.Parallel()
	for name, refresh := range map[string]bool{"hello": false, "refresh": true} {
		t.Run(name, func(t *testing.T) {
			list := &outlaws{}
			armed := !refresh
			inWorld(t, func(t *testing.T, w *world) {
				c := w.dial()
				if refresh {
					c.hello("ann")
					armed = true
					c.say(`{"type":"refresh","token":"ann"}`)
				} else {
					c.say(`{"type":"hello","token":"ann","bot":"echo"}`)
				}
				c.wantRefusal(closeTokenRefused, "token_refused")
			}, withOutlaws(list, func() {
				if armed {
					list.revoke("ann")
				}
			}))
		})
	}
}

// TestRecheckCostsNothingAtRest: connections are looked at when the list has changed.
func TestRecheckCostsNothingAtRest(t *testing.T) {
	list := &outlaws{}
	inWorld(t, func(t *testing.T, w *world) {
		for range 3 {
			w.dial().hello("ann/1h")
		}
		looks := list.looks()
		time.Sleep(10 * time.Second)
		if n := list.looks() - looks; n != 0 {
			t.Errorf("the list was asked %d times and had not changed", n)
		}
		list.revoke("bob")
		time.Sleep(time.Second)
		synctest.Wait()
		if n := list.looks() - looks; n != 3 {
			t.Errorf("the list was asked %d times after a change, want once for each of 3", n)
		}
	}, withOutlaws(list, func() {}))
}
