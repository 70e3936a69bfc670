package gateway

import "encoding/binary"

// frames follows the frames of a WebSocket in one direction (RFC 6455 §5.2), to know
// where one ends. It looks at no content. The zero value is before the first frame.
type frames struct {
	head   [14]byte
	read   int    // bytes of the head so far
	left   uint64 // bytes of the payload to come, once the head is complete
	closed bool   // a close frame has begun
}

// between reports whether the last frame is complete.
func (f *frames) between() bool { return f.read == 0 }

// next takes the bytes of p up to the end of the frame that they begin with or go on
// with, and returns how many those are.
func (f *frames) next(p []byte) int {
	n := 0
	for n < len(p) && !f.headed() {
		f.head[f.read] = p[n]
		f.read++
		n++
		if f.headed() {
			f.open()
		}
	}
	if f.headed() {
		body := min(uint64(len(p)-n), f.left)
		f.left -= body
		n += int(body)
		if f.left == 0 {
			f.read = 0
		}
	}
	return n
}

// pass takes all of p.
func (f *frames) pass(p []byte) {
	for len(p) > 0 {
		p = p[f.next(p):]
	}
}

// headed reports whether the head is complete.
func (f *frames) headed() bool { return f.read >= 2 && f.read == f.size() }

// size is the length of the head, of which two bytes are there.
func (f *frames) size() int {
	n := 2
	switch f.head[1] & 0x7f {
	case 126:
		n += 2
	case 127:
		n += 8
	}
	if f.head[1]&0x80 != 0 {
		n += 4 // the mask
	}
	return n
}

// open reads the head, which is complete.
func (f *frames) open() {
	switch n := f.head[1] & 0x7f; n {
	case 126:
		f.left = uint64(binary.BigEndian.Uint16(f.head[2:]))
	case 127:
		f.left = binary.BigEndian.Uint64(f.head[2:])
	default:
		f.left = uint64(n)
	}
	const opClose = 8
	f.closed = f.closed || f.head[0]&0x0f == opClose
}

// The statuses of a close frame (RFC 6455 §7.4.1).
const (
	goingAway       = 1001
	policyViolation = 1008
)

// closeFrame is one from a server. reason has at most 123 bytes.
func closeFrame(status uint16, reason string) []byte {
	frame := []byte{0x88, byte(2 + len(reason))}
	return append(binary.BigEndian.AppendUint16(frame, status), reason...)
}
