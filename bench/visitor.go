package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"time"
)

// visitor is a client of the chat with a connection of its own. It speaks WebSocket by
// hand, since the load shares the machine with what is measured: its mask is zero, so
// that a frame is the text behind a few bytes.
type visitor struct {
	token string
	hears func(v *visitor, f []byte) // called for each text frame, whose bytes are its own

	mu   sync.Mutex // writers
	conn net.Conn
	out  []byte
}

// The opcodes of RFC 6455 section 5.2 with the bit that says that a frame is whole.
const (
	frameText  = 0x81
	frameClose = 0x88
	framePing  = 0x89
	framePong  = 0x8a
)

const handshake = "GET /chat/v1/connect HTTP/1.1\r\nHost: bench\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
	"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: carnet.v1\r\n\r\n"

// connect opens the connection, says hello and waits for the welcome. From then on
// frames come, until the connection is lost.
func (v *visitor) connect(addr string, lost func(error)) error {
	conn, err := net.DialTimeout("tcp", addr, 20*time.Second)
	if err != nil {
		return err
	}
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := io.WriteString(conn, handshake); err != nil {
		return err
	}
	r := bufio.NewReaderSize(conn, 1<<10)
	status, err := r.ReadString('\n')
	if err != nil || !strings.Contains(status, " 101 ") {
		return fmt.Errorf("handshake answered %q: %v", status, err)
	}
	for line := status; strings.TrimSpace(line) != ""; {
		if line, err = r.ReadString('\n'); err != nil {
			return err
		}
	}
	v.mu.Lock()
	v.conn = conn
	v.mu.Unlock()
	if err := v.write(frameText, []byte(`{"type":"hello","bot":"bench","token":"`+v.token+`"}`)); err != nil {
		return err
	}
	_, text, err := readFrame(r)
	if err != nil {
		return err
	}
	if !bytes.HasPrefix(text, []byte(`{"type":"welcome"`)) {
		return fmt.Errorf("hello answered %q", text)
	}
	_ = conn.SetDeadline(time.Time{})
	go func() { lost(v.read(r)) }()
	return nil
}

// read hands frames on until the connection is lost.
func (v *visitor) read(r *bufio.Reader) error {
	for {
		op, text, err := readFrame(r)
		switch {
		case err != nil:
			return err
		case op == frameText:
			v.hears(v, text)
		case op == framePing:
			err = v.write(framePong, text)
		case op == frameClose:
			err = fmt.Errorf("closed: %q", text[min(2, len(text)):])
		}
		if err != nil {
			return err
		}
	}
}

// readFrame reads one frame, whose text stays until the next one is read.
func readFrame(r *bufio.Reader) (op byte, text []byte, err error) {
	head, err := r.Peek(2)
	if err != nil {
		return 0, nil, err
	}
	op, length, skip := head[0], int(head[1]), 2
	switch length {
	case 126:
		if head, err = r.Peek(4); err != nil {
			return 0, nil, err
		}
		length, skip = int(binary.BigEndian.Uint16(head[2:])), 4
	case 127:
		return 0, nil, errors.New("a frame is longer than any that was to come")
	}
	_, _ = r.Discard(skip)
	if length <= r.Size() {
		if text, err = r.Peek(length); err == nil {
			_, err = r.Discard(length)
		}
		return op, text, err
	}
	text = make([]byte, length)
	_, err = io.ReadFull(r, text)
	return op, text, err
}

// write sends one frame, masked with zeros (RFC 6455 section 5.3).
func (v *visitor) write(op byte, text []byte) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.out = append(v.out[:0], op)
	if n := len(text); n < 126 {
		v.out = append(v.out, 0x80|byte(n))
	} else {
		v.out = binary.BigEndian.AppendUint16(append(v.out, 0x80|126), uint16(n))
	}
	v.out = append(append(v.out, 0, 0, 0, 0), text...)
	_, err := v.conn.Write(v.out)
	if cap(v.out) > 512 {
		v.out = nil
	}
	return err
}

// close resets the connection, which leaves nothing behind that would keep its port.
func (v *visitor) close() {
	v.mu.Lock()
	defer v.mu.Unlock()
	if c, ok := v.conn.(*net.TCPConn); ok {
		_ = c.SetLinger(0)
		_ = c.Close()
	}
}
