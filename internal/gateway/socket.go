package gateway

import (
	"bufio"
	"errors"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// upgrade is the answer to a request that asks for a WebSocket. The connection that
// is taken from it is a [socket].
type upgrade struct {
	http.ResponseWriter
	flight *flight
}

// Hijack is how the proxy answers 101.
func (u *upgrade) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	c, rw, err := http.NewResponseController(u.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	s := &socket{Conn: c, pass: newPass(u.flight)}
	s.left = func() { u.flight.gateway.sockets.remove(s) }
	u.flight.gateway.sockets.add(s)
	return s, rw, nil
}

// Unwrap lets [http.ResponseController] flush.
func (u *upgrade) Unwrap() http.ResponseWriter { return u.ResponseWriter }

// socket is the client's side of a proxied WebSocket. It can be ended from outside:
// then nothing more of the client reaches the upstream, the frame that is on its way
// to the client is completed if that is quick, and a close frame follows it.
type socket struct {
	net.Conn
	pass *pass
	left func() // called once it is closed

	ending atomic.Pointer[ending]
	unread atomic.Bool // nobody reads it any more
	mu     sync.Mutex  // held to write
	frames frames      // what the client was sent
	over   bool        // nothing more is sent
}

// ending is why a socket ends.
type ending struct {
	status uint16
	reason string
}

// closeGrace is for the client to take the close frame and to answer it.
const closeGrace = time.Second

var errEnded = errors.New("the WebSocket was ended by the gateway")

// end ends s. It waits for the client no longer than closeGrace.
func (s *socket) end(why *ending) {
	if s.ending.CompareAndSwap(nil, why) {
		_ = s.SetDeadline(time.Now().Add(closeGrace)) // a closed one has ended, too
		s.finish()
	}
}

// Write goes on with the upstream's frames. If s ends, that is to the end of the
// present one; what follows it goes nowhere until the client has left or its time
// is up.
func (s *socket) Write(p []byte) (int, error) {
	defer s.finish() // an end that came in between could not
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.over && s.unread.Load():
		return 0, errEnded
	case s.over:
	case s.ending.Load() == nil:
		n, err := s.Conn.Write(p)
		s.frames.pass(p[:n])
		return n, err
	case !s.frames.between():
		if n, err := s.Conn.Write(p[:s.frames.next(p)]); err != nil {
			return n, err
		}
	}
	return len(p), nil
}

// finish says goodbye if s ends and is between frames. Whoever else holds the lock
// then calls it when done.
func (s *socket) finish() {
	why := s.ending.Load()
	if why == nil || !s.mu.TryLock() {
		return
	}
	defer s.mu.Unlock()
	if s.over || !s.frames.between() {
		return
	}
	s.over = true
	if !s.frames.closed {
		_, _ = s.Conn.Write(closeFrame(why.status, why.reason)) // a client that is gone needs none
	}
	_ = s.CloseWrite()
}

// Read returns nothing more of what the client says once s ends, only the end.
func (s *socket) Read(p []byte) (int, error) {
	for {
		n, err := s.Conn.Read(p)
		if err != nil {
			s.unread.Store(true)
		}
		switch {
		case s.ending.Load() == nil:
			return n, err
		case err != nil:
			return 0, errEnded
		}
	}
}

// CloseWrite tells the client that nothing more comes.
func (s *socket) CloseWrite() error {
	if c, ok := s.Conn.(interface{ CloseWrite() error }); ok {
		return c.CloseWrite()
	}
	return errors.ErrUnsupported
}

// Close closes the connection.
func (s *socket) Close() error {
	s.left()
	return s.Conn.Close()
}
