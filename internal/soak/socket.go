package soak

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/lxzan/gws"
)

// frame has the members of all frames, of both directions.
type frame struct {
	Type         string          `json:"type"`
	Token        string          `json:"token,omitempty"`
	Bot          string          `json:"bot,omitempty"`
	Conversation string          `json:"conversation,omitempty"`
	After        *int64          `json:"after,omitempty"`
	Session      string          `json:"session,omitempty"`
	ExpiresIn    int64           `json:"expires_in,omitempty"`
	ID           string          `json:"id,omitempty"`
	Seq          int64           `json:"seq,omitempty"`
	From         string          `json:"from,omitempty"`
	Body         json.RawMessage `json:"body,omitempty"`
	At           string          `json:"at,omitempty"`
	Error        struct {
		Code       string  `json:"code"`
		RetryAfter float64 `json:"retry_after"`
	} `json:"error,omitzero"`
}

// message is the frame's, which is one of the type message.
func (f frame) message() Message { return Message{f.Seq, f.ID, f.From, canonical(f.Body), f.At} }

// socket is one connection. frames is closed when it has ended.
type socket struct {
	gws.BuiltinEventHandler
	conn   *gws.Conn
	frames chan frame
	gone   chan struct{} // closed when nobody takes frames any more
}

func dial(address string) (*socket, error) {
	s := &socket{frames: make(chan frame, 16), gone: make(chan struct{})}
	conn, _, err := gws.NewClient(s, &gws.ClientOption{
		Addr: "ws://" + address + "/chat/v1/connect", RequestHeader: http.Header{"Sec-Websocket-Protocol": {"carnet.v1"}},
		HandshakeTimeout: giveUp, ReadBufferSize: 1 << 10, WriteBufferSize: 1 << 10,
	})
	if err != nil {
		return nil, err
	}
	s.conn = conn
	go func() {
		conn.ReadLoop()
		close(s.frames)
	}()
	return s, nil
}

// OnMessage implements [gws.Event]. A frame that is not JSON is shown as what it is not:
// a message without a number.
func (s *socket) OnMessage(_ *gws.Conn, m *gws.Message) {
	defer func() { _ = m.Close() }()
	var f frame
	if json.Unmarshal(m.Bytes(), &f) != nil {
		f = frame{Type: "message"}
	}
	select {
	case s.frames <- f:
	case <-s.gone:
	}
}

// OnPing implements [gws.Event].
func (s *socket) OnPing(c *gws.Conn, payload []byte) { _ = c.WritePong(payload) }

func (s *socket) say(f frame) error {
	_ = s.conn.SetWriteDeadline(time.Now().Add(giveUp))
	return s.conn.WriteString(encode(f))
}

// close cuts the connection and waits for its reader.
func (s *socket) close() {
	close(s.gone)
	_ = s.conn.NetConn().Close()
	for range s.frames {
	}
}
