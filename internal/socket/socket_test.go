package socket

import (
	"bufio"
	"bytes"
	"compress/flate"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/carnetproject/carnet/internal/fault"
)

// peer is a hand-written client of a server that says again what it hears.
type peer struct {
	t      *testing.T
	conn   net.Conn
	in     *bufio.Reader
	answer *http.Response
}

func dial(t *testing.T, c UpgraderConfig, offer string) *peer {
	t.Helper()
	u, ended := NewUpgrader(c), make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer close(ended)
		key, err := Challenge(w.Header(), r, c.Protocol)
		if err != nil {
			t.Errorf("Challenge() = %v", err)
			return
		}
		conn, err := u.Upgrade(w, r, key)
		if err != nil {
			t.Errorf("Upgrade() = %v", err)
			return
		}
		q := &Queue{Line: conn}
		if err := conn.Read(func(op Opcode, data []byte) { q.Push(op, bytes.Clone(data)) }); err != nil {
			t.Errorf("Read() = %v", err)
		}
		q.Wait()
	}))
	t.Cleanup(s.Close)
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(); <-ended })
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"+
		"Sec-WebSocket-Key: %s\r\nSec-WebSocket-Extensions: %s\r\nSec-WebSocket-Protocol: %s\r\n\r\n", goodKey, offer, c.Protocol)
	p := &peer{t: t, conn: conn, in: bufio.NewReader(conn)}
	if p.answer, err = http.ReadResponse(p.in, nil); err != nil || p.answer.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("handshake: %v %v", p.answer, err)
	}
	return p
}

// write sends one frame; first is its first byte.
func (p *peer) write(first byte, payload []byte) {
	p.t.Helper()
	b := binary.BigEndian.AppendUint16([]byte{first, 0x80 | 126}, uint16(len(payload)))
	b = append(append(b, 0, 0, 0, 0), payload...) // masked with nothing
	if _, err := p.conn.Write(b); err != nil {
		p.t.Fatal(err)
	}
}

func (p *peer) read() (first byte, payload []byte) {
	p.t.Helper()
	var head [2]byte
	_, err := io.ReadFull(p.in, head[:])
	n := uint64(head[1])
	if n == 126 {
		var long [2]byte
		_, err = io.ReadFull(p.in, long[:])
		n = uint64(binary.BigEndian.Uint16(long[:]))
	}
	if n == 127 {
		var long [8]byte
		_, err = io.ReadFull(p.in, long[:])
		n = binary.BigEndian.Uint64(long[:])
	}
	if err != nil {
		p.t.Fatal(err)
	}
	payload = make([]byte, n)
	if _, err := io.ReadFull(p.in, payload); err != nil {
		p.t.Fatal(err)
	}
	return head[0], payload
}

func (p *peer) wantClose(code uint16) {
	p.t.Helper()
	first, payload := p.read()
	if first != 0x88 || len(payload) < 2 || binary.BigEndian.Uint16(payload) != code {
		p.t.Errorf("got %x %q, want a close frame with %d", first, payload, code)
	}
}

func deflated(t *testing.T, text []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w, _ := flate.NewWriter(&b, 9)
	_, _ = w.Write(text)
	_ = w.Flush()
	return bytes.TrimSuffix(b.Bytes(), []byte{0, 0, 0xff, 0xff})
}

func inflated(t *testing.T, data []byte) string {
	t.Helper()
	text, err := io.ReadAll(flate.NewReader(io.MultiReader(bytes.NewReader(data), strings.NewReader("\x00\x00\xff\xff\x01\x00\x00\xff\xff"))))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

const chrome = "permessage-deflate; client_max_window_bits"

// TestDeflate: what is long is compressed, each message by itself, for who offers it.
func TestDeflate(t *testing.T) {
	t.Parallel()
	c := UpgraderConfig{Protocol: "carnet.v1", MaxFrame: 64 << 10, Compress: true}
	p := dial(t, c, chrome)
	if got := p.answer.Header.Get(extensions); got != deflateAnswer {
		t.Errorf("extensions %q, want %q", got, deflateAnswer)
	}
	long, short := strings.Repeat("hello ", 1000), "hello"
	for range 2 {
		p.write(0xc1, deflated(t, []byte(long)))
		first, data := p.read()
		if first != 0xc1 || len(data) > 200 || inflated(t, data) != long {
			t.Errorf("frame %x of %d bytes, want %d compressed", first, len(data), len(long))
		}
		p.write(0x81, []byte(short))
		if first, data := p.read(); first != 0x81 || string(data) != short {
			t.Errorf("frame %x %q, want %q as it is", first, data, short)
		}
	}
	plain := UpgraderConfig{MaxFrame: 64 << 10}
	p = dial(t, plain, chrome)
	if got := p.answer.Header.Get(extensions); got != "" {
		t.Errorf("extensions %q, want none where compression is off", got)
	}
	p.write(0xc1, deflated(t, []byte(long)))
	p.wantClose(1002)
}

// TestBomb: a message that inflates to more than one may have is refused before it has.
func TestBomb(t *testing.T) {
	c := UpgraderConfig{MaxFrame: 64 << 10, Compress: true}
	bomb := deflated(t, make([]byte, 40<<20))
	if len(bomb) > 64<<10 {
		t.Fatalf("the bomb has %d bytes", len(bomb))
	}
	p := dial(t, c, chrome)
	p.write(0xc1, deflated(t, make([]byte, 64<<10)))
	if first, data := p.read(); first != 0xc1 || len(inflated(t, data)) != 64<<10 {
		t.Fatalf("the longest message: %x of %d bytes", first, len(data))
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	p.write(0xc1, bomb)
	p.wantClose(1009)
	runtime.ReadMemStats(&after)
	if got := after.TotalAlloc - before.TotalAlloc; got > 4<<20 {
		t.Errorf("%d bytes were allocated to refuse %d", got, 40<<20)
	}

	p = dial(t, c, chrome)
	p.write(0xc1, []byte("this is not deflate"))
	p.wantClose(1011)
}

func TestOffersDeflate(t *testing.T) {
	t.Parallel()
	for offer, want := range map[string]bool{
		"": false, "permessage-deflate": true, chrome: true, "x-other, permessage-deflate": true,
		"permessage-deflate; server_no_context_takeover; client_no_context_takeover": true,
		"permessage-deflate; client_max_window_bits=10":                              true,
		"permessage-deflate; server_max_window_bits=10":                              false,
		"permessage-deflate; server_max_window_bits=10, permessage-deflate":          true,
		"permessage-deflate; something_new":                                          false,
		"permessage-deflate-frame":                                                   false,
		"x-webkit-deflate-frame":                                                     false,
	} {
		if got := offersDeflate(http.Header{extensions: {offer}}); got != want {
			t.Errorf("offersDeflate(%q) = %v", offer, got)
		}
	}
}

func TestTooLong(t *testing.T) {
	t.Parallel()
	p := dial(t, UpgraderConfig{MaxFrame: 1 << 10}, "")
	p.write(0x81, make([]byte, 1<<10+1))
	p.wantClose(1009)
}

// TestNoHijack is what HTTP/2 is like.
func TestNoHijack(t *testing.T) {
	t.Parallel()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
	_, err := NewUpgrader(UpgraderConfig{MaxFrame: 1}).Upgrade(httptest.NewRecorder(), r, goodKey)
	if fault.KindOf(err) != fault.Invalid || !strings.Contains(err.Error(), "HTTP/1.1") {
		t.Errorf("Upgrade() = %v", err)
	}
}

// counted is a connection that counts what is written to it at once.
type counted struct {
	net.Conn
	writes []string
}

func (c *counted) SetWriteDeadline(time.Time) error { return nil }
func (c *counted) Write(p []byte) (int, error) {
	c.writes = append(c.writes, string(p))
	return len(p), nil
}

// TestFramesShareAWrite as long as they are short and more follow. A close frame, which
// may be the library's own, waits for none.
func TestFramesShareAWrite(t *testing.T) {
	t.Parallel()
	text := func(n int, more bool) Frame {
		return Frame{Op: Text, Data: bytes.Repeat([]byte("x"), n), More: more}
	}
	for name, tc := range map[string]struct {
		frames []Frame
		want   []int // bytes of the writes
	}{
		"one":           {[]Frame{text(10, false)}, []int{12}},
		"three":         {[]Frame{text(10, true), text(20, true), text(30, false)}, []int{12 + 22 + 32}},
		"apart":         {[]Frame{text(10, false), text(20, false)}, []int{12, 22}},
		"long":          {[]Frame{text(together, true), text(10, false)}, []int{together + 4, 12}},
		"long together": {[]Frame{text(together/2, true), text(together/2, true), text(10, false)}, []int{together + 8, 12}},
		"close":         {[]Frame{text(10, true), {Op: Close, Code: 4500}}, []int{12 + 4}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			raw := &counted{}
			line := &lingering{Conn: raw}
			for _, f := range tc.frames {
				line.more.Store(f.More)
				head := []byte{0x80 | byte(f.Op), byte(len(f.Data))}
				switch {
				case f.Op == Close:
					head = []byte{0x88, 2, byte(f.Code >> 8), byte(f.Code)}
				case len(f.Data) > 125:
					head = binary.BigEndian.AppendUint16([]byte{0x81, 126}, uint16(len(f.Data)))
				}
				whole := append(head, f.Data...)
				if n, err := line.Write(whole); n != len(whole) || err != nil {
					t.Fatalf("Write() = %d, %v", n, err)
				}
			}
			var got []int
			for _, w := range raw.writes {
				got = append(got, len(w))
			}
			if !slices.Equal(got, tc.want) {
				t.Errorf("writes of %d bytes, want %d", got, tc.want)
			}
		})
	}
}

// TestLibraryClosesInBetween is a close frame while another is kept: it takes that along,
// and what comes behind it waits for nothing.
func TestLibraryClosesInBetween(t *testing.T) {
	t.Parallel()
	raw := &counted{}
	line := &lingering{Conn: raw}
	line.more.Store(true)
	for _, frame := range []string{"\x81\x01a", "\x88\x02\x03\xe8"} {
		if _, err := line.Write([]byte(frame)); err != nil {
			t.Fatal(err)
		}
	}
	if len(raw.writes) != 1 || raw.writes[0] != "\x81\x01a\x88\x02\x03\xe8" {
		t.Errorf("written %q", raw.writes)
	}
}

// BenchmarkQueue is an acknowledgement and a message to each of many clients.
func BenchmarkQueue(b *testing.B) {
	near, far := net.Pipe()
	defer near.Close()
	go func() { _, _ = io.Copy(io.Discard, far) }()
	line := &lingering{Conn: near}
	q := &Queue{Line: linger{line}}
	frame := append([]byte{0x81, 100}, make([]byte, 100)...)
	b.ReportAllocs()
	for b.Loop() {
		q.Push(Text, frame)
		q.Push(Text, frame)
		q.writer.Wait()
	}
}

// linger is a line of frames that are ready.
type linger struct{ *lingering }

func (l linger) Cut() {}
func (l linger) Write(f Frame) error {
	l.more.Store(f.More)
	_, err := l.lingering.Write(f.Data)
	return err
}
