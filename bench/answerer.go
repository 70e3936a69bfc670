package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"
)

// answerer is a webhook bot that answers with the id of what it was sent, and costs
// little beside what is measured. It believes whoever calls it.
type answerer struct {
	addr     string
	listener net.Listener
	wg       sync.WaitGroup
	mu       sync.Mutex
	conns    []net.Conn
}

func startAnswerer() (*answerer, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	a := &answerer{addr: l.Addr().String(), listener: l}
	a.wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			a.mu.Lock()
			a.conns = append(a.conns, conn)
			a.mu.Unlock()
			a.wg.Go(func() { _ = answerAll(conn) })
		}
	})
	return a, nil
}

func (a *answerer) stop() {
	_ = a.listener.Close()
	a.mu.Lock()
	for _, c := range a.conns {
		_ = c.Close()
	}
	a.mu.Unlock()
	a.wg.Wait()
}

// answerAll answers the requests of a connection.
func answerAll(conn net.Conn) error {
	r := bufio.NewReaderSize(conn, 4<<10)
	var body, out []byte
	for {
		length, err := bodyLength(r)
		if err != nil {
			return err
		}
		body = append(body[:0], make([]byte, length)...)
		if _, err := io.ReadFull(r, body); err != nil {
			return err
		}
		id, ok := member(body, `"message":{`, `"id":"`)
		if !ok {
			return errors.New("the call has no message")
		}
		const before, after = `{"messages":[{"text":"`, `"}]}`
		out = fmt.Appendf(out[:0], "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s%s%s",
			len(before)+len(id)+len(after), before, id, after)
		if _, err := conn.Write(out); err != nil {
			return err
		}
	}
}

// bodyLength reads a request up to its body.
func bodyLength(r *bufio.Reader) (length int, err error) {
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return 0, err
		}
		if line = bytes.TrimSpace(line); len(line) == 0 {
			return length, nil
		}
		if name, value, _ := bytes.Cut(line, []byte(": ")); bytes.EqualFold(name, []byte("Content-Length")) {
			if length, err = strconv.Atoi(string(value)); err != nil {
				return 0, err
			}
		}
	}
}

// member is the text of a member of JSON that has no escapes, behind another text.
func member(text []byte, behind, name string) (value []byte, ok bool) {
	_, rest, ok1 := bytes.Cut(text, []byte(behind))
	_, rest, ok2 := bytes.Cut(rest, []byte(name))
	value, _, ok3 := bytes.Cut(rest, []byte(`"`))
	return value, ok1 && ok2 && ok3
}
