package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net"
	"strconv"
	"sync"
	"time"
)

// request is one HTTP/1.1 request as bytes, so that the client costs little beside
// what is measured.
func request(method, path, body string, headers ...string) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: bench\r\n", method, path)
	for i := 0; i < len(headers); i += 2 {
		fmt.Fprintf(&b, "%s: %s\r\n", headers[i], headers[i+1])
	}
	if body != "" {
		fmt.Fprintf(&b, "Content-Length: %d\r\n", len(body))
	}
	b.WriteString("\r\n" + body)
	return b.Bytes()
}

// load sends req over connections that stay open for the given time and returns how
// many requests were answered 200, and how long it took.
func load(ctx context.Context, addr string, req []byte, connections int, d time.Duration) (n int, took time.Duration, err error) {
	return loadTurns(ctx, addr, [][]byte{req}, connections, d)
}

// loadTurns is load with several requests. Each connection sends them in turn, and
// begins with another one.
func loadTurns(ctx context.Context, addr string, reqs [][]byte, connections int, d time.Duration) (n int, took time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	counts, errs := make([]int, connections), make([]error, connections)
	start := time.Now()
	var wg sync.WaitGroup
	for i := range connections {
		first := i * len(reqs) / connections
		wg.Go(func() { counts[i], errs[i] = converse(ctx, addr, turns(reqs, first)) })
	}
	wg.Wait()
	took = time.Since(start)
	for _, c := range counts {
		n += c
	}
	if err := errors.Join(errs...); err != nil {
		return 0, 0, err
	}
	if n == 0 {
		return 0, 0, errors.New("no request was answered")
	}
	return n, took, nil
}

// turns goes round reqs without end.
func turns(reqs [][]byte, first int) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for i := first; yield(reqs[i]); i = (i + 1) % len(reqs) {
		}
	}
}

// converse sends one request after the other until they or the time end.
func converse(ctx context.Context, addr string, reqs iter.Seq[[]byte]) (n int, err error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return 0, err
	}
	defer func() { _ = conn.Close() }()
	r := bufio.NewReader(conn)
	for req := range reqs {
		if ctx.Err() != nil {
			break
		}
		if _, err := conn.Write(req); err != nil {
			return n, err
		}
		if err := readOK(r); err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

// readOK reads one answer and refuses any status but 200.
func readOK(r *bufio.Reader) error {
	status, err := r.ReadSlice('\n')
	if err != nil {
		return err
	}
	ok := bytes.HasPrefix(status, []byte("HTTP/1.1 200 "))
	first := string(status)
	length, chunked := 0, false
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return err
		}
		line = bytes.TrimSpace(line)
		if len(line) == 0 {
			break
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		switch {
		case bytes.EqualFold(name, []byte("Content-Length")):
			if length, err = strconv.Atoi(string(bytes.TrimSpace(value))); err != nil {
				return err
			}
		case bytes.EqualFold(name, []byte("Transfer-Encoding")):
			chunked = true
		}
	}
	if !ok {
		rest, _ := io.ReadAll(io.LimitReader(r, int64(length)))
		return fmt.Errorf("answered %q: %s", first, rest)
	}
	if chunked {
		return errors.New("answer is chunked: the client reads only Content-Length")
	}
	_, err = r.Discard(length)
	return err
}
