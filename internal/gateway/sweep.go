package gateway

import (
	"context"
	"net/http"
	"sync"
	"time"
)

// pass is what let a proxied WebSocket in. nil is that of a route which asks nobody.
type pass struct {
	stage   *jwtStage
	acl     *aclStage // nil: any consumer may
	request request   // as the stage found it
	expiry  time.Time // zero if the token has none, or was let in after it
	seen    state     // at the last check; of the sweep alone
}

// newPass returns the pass of a flight, nil if nobody had to prove anything.
func newPass(f *flight) *pass {
	p := f.request.principal
	if p == nil || p.Token == nil {
		return nil
	}
	for _, s := range f.route.stages.before {
		if jwt, ok := s.(*jwtStage); ok {
			out := &pass{stage: jwt, acl: f.route.stages.acl(p), request: *f.request}
			if exp, ok := p.Token.Expiry(); ok {
				if exp = exp.Add(jwt.demands.leeway); exp.After(f.request.now) {
					out.expiry = exp
				}
			}
			return out
		}
	}
	return nil
}

func (p *pass) expired(now time.Time) bool { return !p.expiry.IsZero() && !now.Before(p.expiry) }

// check asks the stages again. valid is false if the token no longer lets the same
// caller in; known is false if that cannot be said now.
func (p *pass) check(ctx context.Context, now time.Time) (valid, known bool) {
	r := p.request
	r.now, r.principal, r.answers, r.again = now, nil, nil, true
	f := p.stage.check(ctx, &r)
	if f == nil && p.acl != nil {
		f = p.acl.check(ctx, &r)
	}
	if f != nil {
		return false, f.status == http.StatusUnauthorized || f.status == http.StatusForbidden
	}
	was, is := p.request.principal, r.principal
	return is != nil && is.Token != nil && is.Identity == was.Identity && is.Consumer.ID == was.Consumer.ID, true
}

// state changes when a token may no longer be good that was.
type state struct{ keys, revocations uint64 }

func (g *Gateway) state() state {
	s := state{keys: g.ring.generation()}
	if g.revocations != nil {
		s.revocations = g.revocations.Epoch()
	}
	return s
}

// sockets are the proxied WebSockets that are open.
type sockets struct {
	mu   sync.Mutex
	open map[*socket]struct{}
	wake chan struct{} // holds one when a socket may expire before the next look
}

func newSockets() *sockets {
	return &sockets{open: map[*socket]struct{}{}, wake: make(chan struct{}, 1)}
}

func (s *sockets) add(c *socket) {
	s.mu.Lock()
	s.open[c] = struct{}{}
	s.mu.Unlock()
	if c.pass != nil && !c.pass.expiry.IsZero() {
		select {
		case s.wake <- struct{}{}:
		default:
		}
	}
}

func (s *sockets) remove(c *socket) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, c)
}

// list is those that are open now.
func (s *sockets) list() []*socket {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]*socket, 0, len(s.open))
	for c := range s.open {
		list = append(list, c)
	}
	return list
}

// sweepEvery is how soon a WebSocket ends whose token was taken back.
const sweepEvery = time.Second / 2

var (
	tokenExpired = ending{policyViolation, "token expired"}
	tokenInvalid = ending{policyViolation, "token no longer valid"}
	shutdown     = ending{goingAway, "going away"}
)

// Run ends the proxied WebSockets whose token expires, or lets its bearer in no more:
// revoked, of a removed credential, of a retired key, of a consumer that has left its
// group. When ctx ends it ends them all,
// and returns nil.
func (g *Gateway) Run(ctx context.Context) error {
	var ends sync.WaitGroup
	defer ends.Wait()
	end := func(c *socket, why *ending) { ends.Go(func() { c.end(why) }) }
	for {
		timer := time.NewTimer(g.sweep(ctx, end))
		select {
		case <-ctx.Done():
			timer.Stop()
			for _, c := range g.sockets.list() {
				end(c, &shutdown)
			}
			return nil
		case <-timer.C:
		case <-g.sockets.wake:
			timer.Stop()
		}
	}
}

// sweep ends what has to end, and returns when to look again. A token is checked
// again only when keys or revocations have changed.
func (g *Gateway) sweep(ctx context.Context, end func(*socket, *ending)) time.Duration {
	now, current := g.clock(), g.state() // read before what it guards
	wait := sweepEvery
	for _, c := range g.sockets.list() {
		p := c.pass
		if p == nil {
			continue
		}
		if p.expired(now) {
			end(c, &tokenExpired)
			continue
		}
		if p.seen != current {
			valid, known := p.check(ctx, now)
			if known && !valid {
				end(c, &tokenInvalid)
				continue
			}
			if known {
				p.seen = current
			}
		}
		if !p.expiry.IsZero() {
			wait = min(wait, p.expiry.Sub(now))
		}
	}
	return wait
}
