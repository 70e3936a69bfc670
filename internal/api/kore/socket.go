package kore

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/lxzan/gws"

	"github.com/carnetproject/carnet/internal/fault"
)

const (
	maxFrame   = 64 << 10 // bytes that a client may send at once
	readBuffer = 512      // bytes; what is longer is read around it
	// writeTimeout is how long one frame may take to leave.
	writeTimeout = 10 * time.Second
	// maxQueued is how many bytes may wait to be written. Who takes them too slowly is
	// cut off, and is sent what it lacks when it comes back.
	maxQueued = 512 << 10
)

// socket is one WebSocket connection, and this file all that sees the library below it.
// One goroutine reads; another writes while there is something to write.
type socket struct {
	ws      *gws.Conn
	conn    net.Conn
	receive func(op gws.Opcode, data []byte) // data is receive's only until it returns
	drained func()                           // called whenever nothing waits any more

	mu     sync.Mutex
	queued int  // bytes, with something for each frame's head
	over   bool // nothing is taken any more
	writes sync.WaitGroup
}

// upgrader turns requests into sockets.
type upgrader struct{ gws *gws.Upgrader }

func newUpgrader() *upgrader {
	return &upgrader{gws.NewUpgrader(events{}, &gws.ServerOption{
		ReadMaxPayloadSize: maxFrame,
		ReadBufferSize:     readBuffer,
		HandshakeTimeout:   writeTimeout,
		NewSession:         func() gws.SessionStorage { return new(slot) },
	})}
}

// upgrade takes the connection over. key is the challenge of a handshake that was
// checked. After any other error than [fault.Invalid] there is nobody to answer.
func (u *upgrader) upgrade(w http.ResponseWriter, key string, s *socket) error {
	raw, rw, err := http.NewResponseController(w).Hijack()
	if errors.Is(err, http.ErrNotSupported) {
		return fault.New(fault.Invalid, "a WebSocket begins with HTTP/1.1")
	}
	if err != nil {
		return fmt.Errorf("take connection over: %w", err)
	}
	if rw.Reader.Buffered() > 0 {
		return errors.Join(errors.New("client spoke before the handshake"), raw.Close())
	}
	s.conn = raw
	timed := &timed{Conn: raw}
	s.ws, err = u.gws.UpgradeFromConn(timed, bufio.NewReaderSize(timed, readBuffer), &http.Request{
		Method: http.MethodGet,
		Header: http.Header{
			"Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "Sec-Websocket-Version": {"13"}, "Sec-Websocket-Key": {key},
		},
	})
	if err != nil {
		return errors.Join(fmt.Errorf("WebSocket handshake: %w", err), raw.Close())
	}
	s.ws.Session().(*slot).socket = s
	return nil
}

// read calls receive for each frame until the connection ends, and returns when nothing
// is being written any more.
func (s *socket) read() (err error) {
	defer func() {
		s.cut()
		s.writes.Wait()
		// gws 1.8.9 slices with what a frame claims as its length, even if that is negative.
		if p := recover(); p != nil {
			err = fmt.Errorf("panic on a frame: %v", p)
		}
	}()
	s.ws.ReadLoop()
	return nil
}

// frameCost is what a frame counts for beside its bytes.
const frameCost = 16

// push queues a frame. It never blocks.
func (s *socket) push(op gws.Opcode, data []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	size := len(data) + frameCost
	switch {
	case s.over:
		return
	case s.queued+size > maxQueued:
		s.over = true
		_ = s.conn.Close()
		return
	}
	s.queued += size
	s.writes.Add(1)
	s.ws.WriteAsync(op, data, func(err error) {
		defer s.writes.Done()
		s.mu.Lock()
		s.queued -= size
		empty := s.queued == 0 && err == nil
		s.mu.Unlock()
		if empty {
			s.drained()
		}
	})
}

// free is how many bytes may be queued.
func (s *socket) free() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over {
		return 0
	}
	return maxQueued - s.queued
}

// end closes the connection behind what waits.
func (s *socket) end(code uint16) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over {
		return
	}
	s.over = true
	s.writes.Add(1)
	s.ws.Async(func() {
		defer s.writes.Done()
		_ = s.ws.WriteClose(code, nil)
	})
}

// cut ends the connection without a word.
func (s *socket) cut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over = true
	_ = s.conn.Close()
}

// slot is the library's place for what belongs to a connection.
type slot struct {
	gws.SessionStorage // none: its methods are not called
	socket             *socket
}

// events brings what the library has read to the socket's receiver.
type events struct{}

func (events) OnOpen(*gws.Conn)         {}
func (events) OnClose(*gws.Conn, error) {}

func (events) OnPing(c *gws.Conn, payload []byte) {
	c.Session().(*slot).socket.receive(gws.OpcodePing, payload)
}

func (events) OnPong(c *gws.Conn, payload []byte) {
	c.Session().(*slot).socket.receive(gws.OpcodePong, payload)
}

func (events) OnMessage(c *gws.Conn, m *gws.Message) {
	c.Session().(*slot).socket.receive(m.Opcode, m.Bytes())
	_ = m.Close() // the buffer goes back to the pool
}

// timed is a connection whose writes end in time.
type timed struct{ net.Conn }

func (c *timed) Write(p []byte) (int, error) {
	if err := c.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return 0, err
	}
	return c.Conn.Write(p)
}
