package chat

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/httpx"
	"github.com/carnetproject/carnet/internal/socket"
)

// stream is a connection's line where no WebSocket gets through: the client's hello is
// the body of a request, and what it is told the answer, as server-sent events. What else
// the client says comes with other requests, to any node; see [Handler.say].
type stream struct {
	hello []byte
	w     http.ResponseWriter
	conn  *http.ResponseController
	gone  <-chan struct{} // the client is
	over  chan struct{}
	end   sync.Once
}

var _ socket.Line = (*stream)(nil)

// closeFrame is the last frame of a stream: what a WebSocket's close frame says.
type closeFrame struct {
	Type   string `json:"type"`
	Code   uint16 `json:"code"`
	Reason string `json:"reason"` // the code of the error frame before it
}

// prelude is a comment that is longer than what proxies like to wait for before they pass
// an answer on.
var prelude = ":" + strings.Repeat(" ", 2<<10) + "\n\n"

// listen begins a stream. What is wrong with the hello is said in it.
func (h *Handler) listen(w http.ResponseWriter, r *http.Request) error {
	addr, origin, err := h.admit(r)
	if err != nil {
		return err
	}
	c := &conn{h: h, addr: addr, origin: origin, deaf: true}
	defer h.conns.Leave(addr, c)
	hello, err := httpx.ReadBody(w, r, maxFrame)
	if err != nil {
		return err
	}
	s := &stream{
		hello: hello, w: w, conn: http.NewResponseController(w),
		gone: r.Context().Done(), over: make(chan struct{}),
	}
	if err := s.begin(); err != nil {
		return err
	}
	c.out.Line = s
	h.enter(c)
	c.run(r.Context(), s.read)
	return nil
}

// begin sends what is known before the hello is looked at.
func (s *stream) begin() error {
	if err := s.conn.SetWriteDeadline(time.Time{}); errors.Is(err, http.ErrNotSupported) {
		return fault.Wrap(fault.Internal, "", errors.New("stream over a connection without deadlines"))
	}
	header := s.w.Header()
	header.Set("Content-Type", "text/event-stream")
	header.Set("Cache-Control", "no-store, no-transform")
	header.Set("X-Accel-Buffering", "no") // of nginx
	_, _ = s.w.Write([]byte(prelude))
	_ = s.conn.Flush() // a client that is gone is found out by who reads
	return nil
}

// read brings the hello, and then waits for the end.
func (s *stream) read(receive func(socket.Opcode, []byte)) error {
	hello := s.hello
	s.hello = nil // up to 64 KiB for as long as the stream
	receive(socket.Text, hello)
	select {
	case <-s.over:
	case <-s.gone:
	}
	return nil
}

// Write sends an event. How long that may take the server says.
func (s *stream) Write(f socket.Frame) error {
	_, err := s.w.Write(event(f))
	if err == nil && !f.More {
		err = s.conn.Flush()
	}
	if err != nil || f.Op == socket.Close {
		s.end.Do(func() { close(s.over) })
	}
	return err
}

// Cut ends the stream in the midst of what is being written.
func (s *stream) Cut() {
	_ = s.conn.SetWriteDeadline(time.Unix(1, 0))
	s.end.Do(func() { close(s.over) })
}

// event is a frame as a server-sent event: a ping is a comment.
func event(f socket.Frame) []byte {
	text := text(f)
	if text == nil {
		return []byte(":\n\n")
	}
	b := make([]byte, 0, len(text)+8)
	return append(append(append(b, "data: "...), text...), "\n\n"...)
}

// text is a frame for who gets no WebSocket frames; nil if it says nothing.
func text(f socket.Frame) []byte {
	switch f.Op {
	case socket.Text:
		return f.Data
	case socket.Close:
		b, _ := json.Marshal(closeFrame{"close", f.Code, string(f.Data)}) // strings and a number always encode
		return b
	default:
		return nil
	}
}
