package kore

import "github.com/carnetproject/carnet/internal/socket"

const maxFrame = 64 << 10 // bytes that a client may send at once

// line is a connection with what waits to be written to it.
type line struct{ socket.Queue }

// push queues a frame. Who takes frames too slowly is cut off, and is sent what it lacks
// when it comes back.
func (l *line) push(op socket.Opcode, data []byte) {
	if !l.Push(op, data) {
		l.Cut()
	}
}

// end closes the connection behind what waits.
func (l *line) end(code uint16) { l.End(socket.Frame{Op: socket.Close, Code: code}) }

// Ready tells the session of the moment that the queue has run empty.
func (c *conn) Ready() { c.session.Load().Ready() }
