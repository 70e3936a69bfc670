// Package socket is how surfaces hold connections that stay: it admits them by number,
// takes them over from HTTP as WebSockets, queues what they are told, and ends them with
// a word. What is said over them is the surface's own.
package socket

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/lxzan/gws"

	"github.com/carnetproject/carnet/internal/fault"
)

const (
	readBuffer = 512 // bytes; what is longer is read around it
	// WriteTimeout is how long one write may take to leave. A peer that takes nothing
	// for so long has its connection cut.
	WriteTimeout = 10 * time.Second
	// together is how many bytes of frames share a write: each write is a system call.
	together = 4 << 10
	// LingerTime is how long the peer may take to answer a close frame.
	LingerTime = 2 * time.Second
)

// Opcode is the kind of a frame (RFC 6455 §5.2).
type Opcode = gws.Opcode

// The kinds of frames.
const (
	Text  = gws.OpcodeText
	Ping  = gws.OpcodePing
	Pong  = gws.OpcodePong
	Close = gws.OpcodeCloseConnection
)

// Frame is a frame to be written. Of a close frame Data is the reason.
type Frame struct {
	Op   Opcode
	Data []byte
	Code uint16 // of a close frame
	More bool   // another one follows at once
}

// Line is what a connection's frames leave by.
type Line interface {
	// Write writes one frame, or keeps it for the next Write if there is more to come. A
	// close frame ends this side. One goroutine writes.
	Write(f Frame) error
	// Cut ends the connection without a word. Safe for concurrent use.
	Cut()
}

// Conn is one WebSocket connection, and this file all that sees the library below it.
type Conn struct {
	ws   *gws.Conn
	conn *lingering
}

var _ Line = (*Conn)(nil)

// UpgraderConfig requires MaxFrame.
type UpgraderConfig struct {
	Protocol string // the subprotocol; "": none
	MaxFrame int    // bytes that a client may send at once, inflated
	Compress bool   // those of clients that offer it (RFC 7692)
}

// Upgrader turns requests into connections.
type Upgrader struct {
	gws *gws.Upgrader
	c   UpgraderConfig
}

// NewUpgrader returns an upgrader.
func NewUpgrader(c UpgraderConfig) *Upgrader {
	o := &gws.ServerOption{
		ReadMaxPayloadSize: c.MaxFrame,
		ReadBufferSize:     readBuffer,
		HandshakeTimeout:   WriteTimeout,
		NewSession:         func() gws.SessionStorage { return new(slot) },
	}
	if c.Protocol != "" {
		o.SubProtocols = []string{c.Protocol}
	}
	if c.Compress {
		o.PermessageDeflate = deflate()
	}
	return &Upgrader{gws.NewUpgrader(events{}, o), c}
}

// Upgrade takes the connection of r over. key is the challenge that [Challenge] has
// returned. After any other error than [fault.Invalid] the connection is closed, and there
// is nobody to answer.
func (u *Upgrader) Upgrade(w http.ResponseWriter, r *http.Request, key string) (*Conn, error) {
	raw, rw, err := http.NewResponseController(w).Hijack()
	if errors.Is(err, http.ErrNotSupported) {
		return nil, fault.New(fault.Invalid, "a WebSocket begins with HTTP/1.1")
	}
	if err != nil {
		return nil, fmt.Errorf("take connection over: %w", err)
	}
	if rw.Reader.Buffered() > 0 {
		return nil, errors.Join(errors.New("client spoke before the handshake"), raw.Close())
	}
	header := http.Header{
		"Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "Sec-Websocket-Version": {"13"}, "Sec-Websocket-Key": {key},
	}
	if u.c.Protocol != "" {
		header.Set("Sec-Websocket-Protocol", u.c.Protocol)
	}
	if u.c.Compress && offersDeflate(r.Header) {
		header.Set(extensions, deflateAnswer)
	}
	conn := &lingering{Conn: raw}
	ws, err := u.gws.UpgradeFromConn(conn, bufio.NewReaderSize(conn, readBuffer), &http.Request{
		Method: http.MethodGet, Header: header,
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("WebSocket handshake: %w", err), raw.Close())
	}
	return &Conn{ws, conn}, nil
}

// Read calls receive for each frame, with data that is receive's only until it returns,
// until the connection ends. Then the connection is closed. What is no WebSocket frame,
// or too long, ends it with the codes of RFC 6455 §7.4. A panic of receive is returned as a
// [PanicError]. One goroutine reads.
func (c *Conn) Read(receive func(op Opcode, data []byte)) (err error) {
	defer func() {
		c.Cut()
		// gws 1.8.9 slices with what a frame claims as its length, even if that is negative.
		if p := recover(); p != nil && err == nil {
			err = fmt.Errorf("panic on a frame: %v", p)
		}
	}()
	c.ws.Session().(*slot).receive = func(op Opcode, data []byte) {
		defer func() {
			if p := recover(); p != nil {
				err = Panicked(p)
				panic(err) // the library must not go on
			}
		}()
		receive(op, data)
	}
	c.ws.ReadLoop()
	return nil
}

// Write implements [Line]. Behind a close frame the reader goes on until the peer has
// answered, for a while.
func (c *Conn) Write(f Frame) error {
	if f.Op == Close {
		return c.ws.WriteClose(f.Code, f.Data)
	}
	c.conn.more.Store(f.More)
	return c.ws.WriteMessage(f.Op, f.Data)
}

// Cut implements [Line].
func (c *Conn) Cut() { _ = c.conn.Conn.Close() }

// slot is the library's place for what belongs to a connection.
type slot struct {
	gws.SessionStorage // none: its methods are not called
	receive            func(op Opcode, data []byte)
}

// events brings what the library has read to the connection's receiver.
type events struct{}

func (events) OnOpen(*gws.Conn)         {}
func (events) OnClose(*gws.Conn, error) {}
func (events) OnPing(c *gws.Conn, payload []byte) {
	c.Session().(*slot).receive(Ping, payload)
}

func (events) OnPong(c *gws.Conn, payload []byte) {
	c.Session().(*slot).receive(Pong, payload)
}

func (events) OnMessage(c *gws.Conn, m *gws.Message) {
	c.Session().(*slot).receive(m.Opcode, m.Bytes())
	_ = m.Close() // the buffer goes back to the pool
}

// lingering is a connection whose writes end in time, whoever makes them, and whose
// Close leaves the other direction open for a while. The library closes right behind
// its close frame; to close a TCP connection while input waits resets it, and the
// reset may overtake the frame that says why.
type lingering struct {
	net.Conn
	more atomic.Bool // see Frame.More

	// The library writes one at a time, and each time a whole frame.
	kept   []byte // frames that wait for the next one
	failed error  // the first write's that did
}

func (c *lingering) Write(p []byte) (n int, err error) {
	if c.failed != nil {
		return 0, c.failed
	}
	out := rightCode(p)
	closes := Opcode(p[0]&0x0f) == Close // which may be the library's own, in between
	if c.more.Load() && !closes && len(c.kept)+len(out) <= together {
		c.kept = append(c.kept, out...)
		return len(p), nil
	}
	if len(c.kept) > 0 {
		out, c.kept = append(c.kept, out...), nil
	}
	if err = c.SetWriteDeadline(time.Now().Add(WriteTimeout)); err == nil {
		_, err = c.Conn.Write(out)
	}
	if c.failed = err; err != nil {
		return 0, err
	}
	return len(p), nil
}

func (c *lingering) Close() error {
	half, ok := c.Conn.(interface{ CloseWrite() error })
	if !ok || c.failed != nil {
		return c.Conn.Close()
	}
	return errors.Join(c.SetReadDeadline(time.Now().Add(LingerTime)), half.CloseWrite())
}
