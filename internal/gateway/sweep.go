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
	seen    state     // at the last check; of [Gateway.recheck] alone
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

// sweepEvery is how soon a WebSocket ends whose token was taken back, and how long all
// of them together may wait for a store that would have to say so.
const sweepEvery = time.Second / 2

var (
	tokenExpired = ending{policyViolation, "token expired"}
	tokenInvalid = ending{policyViolation, "token no longer valid"}
	shutdown     = ending{goingAway, "going away"}
)

// Run ends the proxied WebSockets whose token expires, or lets its bearer in no more:
// revoked, of a removed credential, of a retired key, of a consumer that has left its
// group. When ctx ends it ends them all, and returns nil.
func (g *Gateway) Run(ctx context.Context) error {
	var all sync.WaitGroup
	defer all.Wait()
	end := func(c *socket, why *ending) { all.Go(func() { c.end(why) }) }
	all.Go(func() { g.doubt(ctx, end) })
	for {
		timer := time.NewTimer(g.expire(end))
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

// expire ends what has expired, and returns when to look again.
func (g *Gateway) expire(end func(*socket, *ending)) time.Duration {
	now, wait := g.clock(), sweepEvery
	for _, c := range g.sockets.list() {
		switch p := c.pass; {
		case p == nil || p.expiry.IsZero():
		case p.expired(now):
			end(c, &tokenExpired)
		default:
			wait = min(wait, p.expiry.Sub(now))
		}
	}
	return wait
}

// doubt checks tokens again until ctx ends. It may have to wait for a store, for which
// what expires does not.
func (g *Gateway) doubt(ctx context.Context, end func(*socket, *ending)) {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		g.recheck(ctx, end)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// recheck ends the sockets whose token is no longer good, which is looked at only if
// keys or revocations have changed. What nobody can say in time is asked again.
func (g *Gateway) recheck(ctx context.Context, end func(*socket, *ending)) {
	now, current := g.clock(), g.state() // read before what it guards
	ctx, cancel := context.WithTimeout(ctx, sweepEvery)
	defer cancel()
	for _, c := range g.sockets.list() {
		p := c.pass
		if p == nil || p.seen == current || p.expired(now) {
			continue
		}
		switch valid, known := p.check(ctx, now); {
		case !known:
		case valid:
			p.seen = current
		default:
			end(c, &tokenInvalid)
		}
	}
}
