package soak

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"time"
)

// fault is what can happen to a connection on its way.
type fault int

const (
	closing  fault = iota // both ends see its end
	reset                 // both ends see a reset
	freezing              // nothing gets through for a while, and nobody is told
	slowing               // little gets through for a while
)

// proxy passes TCP connections on, and breaks them. It copies in both directions and
// holds nothing back but what it is told to.
type proxy struct {
	listener net.Listener
	dial     func() (net.Conn, error)

	mu    sync.Mutex
	links []*link // in the order of their coming
	wg    sync.WaitGroup
}

// newProxy binds a port of the loopback; run serves it.
func newProxy(dial func() (net.Conn, error)) (*proxy, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	return &proxy{listener: l, dial: dial}, nil
}

func (p *proxy) address() string { return p.listener.Addr().String() }

// run passes connections on until ctx ends, and then cuts them.
func (p *proxy) run(ctx context.Context) {
	stop := context.AfterFunc(ctx, func() { _ = p.listener.Close() })
	defer stop()
	for {
		near, err := p.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			break
		}
		if err == nil {
			p.wg.Go(func() { p.pass(ctx, near) })
		}
	}
	p.wg.Wait()
}

// pass connects the two ends until one of them or ctx ends.
func (p *proxy) pass(ctx context.Context, near net.Conn) {
	far, err := p.dial()
	if err != nil {
		_ = near.Close()
		return
	}
	l := &link{near: near, far: far, gone: make(chan struct{})}
	p.mu.Lock()
	p.links = append(p.links, l)
	p.mu.Unlock()
	stop := context.AfterFunc(ctx, func() { l.cut(closing) })
	defer stop()
	var both sync.WaitGroup
	both.Go(func() { l.copy(far, near) })
	both.Go(func() { l.copy(near, far) })
	both.Wait()
	p.mu.Lock()
	p.links = slices.DeleteFunc(p.links, func(o *link) bool { return o == l })
	p.mu.Unlock()
}

// hit does f to at most n connections that chance chooses, for d if it passes, and
// returns to how many.
func (p *proxy) hit(f fault, n int, d time.Duration, chance *rand.Rand) int {
	p.mu.Lock()
	links := slices.Clone(p.links)
	p.mu.Unlock()
	chance.Shuffle(len(links), func(i, j int) { links[i], links[j] = links[j], links[i] })
	links = links[:min(n, len(links))]
	for _, l := range links {
		switch f {
		case freezing, slowing:
			l.hinder(f, d)
		default:
			l.cut(f)
		}
	}
	return len(links)
}

// link is a connection with its two ends.
type link struct {
	near, far net.Conn
	once      sync.Once
	gone      chan struct{} // closed when it is cut

	mu    sync.Mutex
	state fault // freezing or slowing, until then
	until time.Time
}

// cut ends the connection, for both ends.
func (l *link) cut(f fault) {
	l.once.Do(func() {
		close(l.gone)
		for _, c := range []net.Conn{l.near, l.far} {
			if t, ok := c.(*net.TCPConn); ok && f == reset {
				_ = t.SetLinger(0)
			}
			_ = c.Close()
		}
	})
}

func (l *link) hinder(f fault, d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.state, l.until = f, time.Now().Add(d)
}

// slowBytes get through each slowPause while the connection is slow.
const (
	slowBytes = 256
	slowPause = 50 * time.Millisecond
)

// allow waits until some bytes may go on, and returns how many at most.
func (l *link) allow() int {
	for {
		l.mu.Lock()
		state, left := l.state, time.Until(l.until)
		l.mu.Unlock()
		switch {
		case left <= 0, l.wait(min(left, slowPause)):
			return 32 << 10
		case state == slowing:
			return slowBytes
		}
	}
}

// wait is true if the connection was cut meanwhile.
func (l *link) wait(d time.Duration) bool {
	select {
	case <-l.gone:
		return true
	case <-time.After(d):
		return false
	}
}

// copy brings bytes from one end to the other. What it has read when the connection
// freezes goes on when it thaws, as with a laptop that slept.
func (l *link) copy(to io.Writer, from io.Reader) {
	defer l.cut(closing)
	buf := make([]byte, 4<<10)
	for {
		n, err := from.Read(buf)
		for rest := buf[:n]; len(rest) > 0; {
			some := min(l.allow(), len(rest))
			if _, err := to.Write(rest[:some]); err != nil {
				return
			}
			rest = rest[some:]
		}
		if err != nil {
			l.allow() // the other end hears of it no sooner
			return
		}
	}
}
