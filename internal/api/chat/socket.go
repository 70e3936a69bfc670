package chat

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/lxzan/gws"

	"github.com/carnetproject/carnet/internal/fault"
)

const (
	readBuffer = 512 // bytes; what is longer is read around it
	// writeTimeout is how long one frame may take to leave. A peer that takes nothing
	// for so long has its connection cut.
	writeTimeout = 10 * time.Second
	// lingerTime is how long the peer may take to answer a close frame.
	lingerTime = 2 * time.Second
)

// opcode is the kind of a WebSocket frame (RFC 6455 §5.2).
type opcode = gws.Opcode

const (
	opText  = gws.OpcodeText
	opPing  = gws.OpcodePing
	opPong  = gws.OpcodePong
	opClose = gws.OpcodeCloseConnection
)

// socket is one WebSocket connection, and this file all that sees the library below
// it. One goroutine reads and one writes.
type socket struct {
	ws   *gws.Conn
	conn *lingering
}

// upgrader turns requests into sockets. There is no compression: chat's frames are
// small, and a window for each connection would be most of its memory.
type upgrader struct{ gws *gws.Upgrader }

func newUpgrader() *upgrader {
	return &upgrader{gws.NewUpgrader(events{}, &gws.ServerOption{
		ReadMaxPayloadSize: maxFrame,
		ReadBufferSize:     readBuffer,
		SubProtocols:       []string{subprotocol},
		HandshakeTimeout:   writeTimeout,
		NewSession:         func() gws.SessionStorage { return new(slot) },
	})}
}

// upgrade takes the connection over. The request is one that checkHandshake has
// passed; key is its challenge. After any other error than fault.Invalid the
// connection is closed, and there is nobody to answer.
func (u *upgrader) upgrade(w http.ResponseWriter, key string) (*socket, error) {
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
	conn := &lingering{Conn: raw}
	ws, err := u.gws.UpgradeFromConn(conn, bufio.NewReaderSize(conn, readBuffer), &http.Request{
		Method: http.MethodGet,
		Header: http.Header{
			"Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "Sec-Websocket-Version": {"13"},
			"Sec-Websocket-Key": {key}, "Sec-Websocket-Protocol": {subprotocol},
		},
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("WebSocket handshake: %w", err), raw.Close())
	}
	return &socket{ws, conn}, nil
}

// read calls receive for each frame, with data that is receive's only until it
// returns, until the connection ends. Then the connection is closed. What is no
// WebSocket frame, or longer than maxFrame, ends it with the codes of RFC 6455 §7.4.
func (s *socket) read(receive func(op opcode, data []byte)) (err error) {
	defer func() {
		_ = s.conn.Conn.Close()
		// gws 1.8.9 slices with what a frame claims as its length, even if that is negative.
		if p := recover(); p != nil {
			err = fmt.Errorf("panic on a frame: %v", p)
		}
	}()
	s.ws.Session().(*slot).receive = receive
	s.ws.ReadLoop()
	return nil
}

// write writes one frame. A close frame ends this side: the reader goes on until the
// peer has answered, for a while.
func (s *socket) write(f outgoing) error {
	if f.op == opClose {
		return s.ws.WriteClose(uint16(f.code), f.data)
	}
	return s.ws.WriteMessage(f.op, f.data)
}

// cut ends the connection without a word. Safe for concurrent use.
func (s *socket) cut() { _ = s.conn.Conn.Close() }

// slot is the library's place for what belongs to a connection.
type slot struct {
	gws.SessionStorage // none: its methods are not called
	receive            func(op opcode, data []byte)
}

// events brings what the library has read to the connection's receiver.
type events struct{}

func (events) OnOpen(*gws.Conn)         {}
func (events) OnClose(*gws.Conn, error) {}
func (events) OnPing(c *gws.Conn, payload []byte) {
	c.Session().(*slot).receive(opPing, payload)
}

func (events) OnPong(c *gws.Conn, payload []byte) {
	c.Session().(*slot).receive(opPong, payload)
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
	failed error // the first write's that did; the library writes one at a time
}

func (c *lingering) Write(p []byte) (n int, err error) {
	if c.failed != nil {
		return 0, c.failed
	}
	if err = c.SetWriteDeadline(time.Now().Add(writeTimeout)); err == nil {
		n, err = c.Conn.Write(p)
	}
	c.failed = err
	return n, err
}

func (c *lingering) Close() error {
	half, ok := c.Conn.(interface{ CloseWrite() error })
	if !ok || c.failed != nil {
		return c.Conn.Close()
	}
	return errors.Join(c.SetReadDeadline(time.Now().Add(lingerTime)), half.CloseWrite())
}
