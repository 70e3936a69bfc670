package gateway

import (
	"bytes"
	"encoding/binary"
	"testing"
)

// frame is a frame of a WebSocket with a payload of n bytes.
func frame(op byte, n int, masked bool) []byte {
	mask := byte(0)
	if masked {
		mask = 0x80
	}
	f := []byte{0x80 | op}
	switch {
	case n < 126:
		f = append(f, mask|byte(n))
	case n < 1<<16:
		f = binary.BigEndian.AppendUint16(append(f, mask|126), uint16(n))
	default:
		f = binary.BigEndian.AppendUint64(append(f, mask|127), uint64(n))
	}
	if masked {
		f = append(f, 1, 2, 3, 4)
	}
	return append(f, bytes.Repeat([]byte{0x88}, n)...)
}

func TestFrames(t *testing.T) {
	t.Parallel()
	for _, masked := range []bool{false, true} {
		for _, n := range []int{0, 1, 125, 126, 127, 1 << 10, 1<<16 - 1, 1 << 16} {
			whole := frame(2, n, masked)
			var f frames
			for i, b := range whole {
				if !f.between() != (i > 0) {
					t.Fatalf("payload of %d: after %d bytes, between frames: %v", n, i, f.between())
				}
				if f.next([]byte{b}) != 1 {
					t.Fatalf("payload of %d: byte %d is not taken", n, i)
				}
			}
			if !f.between() || f.closed {
				t.Errorf("payload of %d: between %v, closed %v", n, f.between(), f.closed)
			}
			if got := f.next(append(whole, 0x81)); got != len(whole) {
				t.Errorf("payload of %d: the frame ends after %d bytes, want %d", n, got, len(whole))
			}
		}
	}
	var f frames
	f.pass(append(frame(1, 3, false), frame(8, 2, false)...))
	if !f.between() || !f.closed {
		t.Errorf("after a close frame: between %v, closed %v", f.between(), f.closed)
	}
}

func TestCloseFrame(t *testing.T) {
	t.Parallel()
	if got, want := closeFrame(policyViolation, "bye"), []byte{0x88, 5, 0x03, 0xf0, 'b', 'y', 'e'}; !bytes.Equal(got, want) {
		t.Errorf("%x, want %x", got, want)
	}
	for _, why := range []ending{tokenExpired, tokenInvalid, shutdown} {
		if len(why.reason) > 123 {
			t.Errorf("%q is too long for a control frame", why.reason)
		}
	}
}

// However frames are cut into pieces, they end where they end.
func FuzzFrames(f *testing.F) {
	f.Add([]byte{1, 5, 2}, []byte{3, 1, 4})
	f.Add([]byte{126, 0, 200, 255}, []byte{1})
	f.Fuzz(func(t *testing.T, sizes, cuts []byte) {
		var stream []byte
		ends := map[int]bool{0: true}
		for i, n := range sizes[:min(len(sizes), 20)] {
			stream = append(stream, frame(byte(i%3), int(n)*int(n), i%2 == 1)...)
			ends[len(stream)] = true
		}
		var tracked frames
		for at, i := 0, 0; at < len(stream); i++ {
			piece := stream[at:]
			if len(cuts) > 0 {
				piece = piece[:min(len(piece), int(cuts[i%len(cuts)])+1)]
			}
			if i%2 == 0 {
				tracked.pass(piece)
				at += len(piece)
			} else {
				n := tracked.next(piece)
				if n == 0 {
					t.Fatal("nothing is taken")
				}
				for in := at + 1; in < at+n; in++ {
					if ends[in] {
						t.Fatalf("a frame that ends at %d was run over, from %d to %d", in, at, at+n)
					}
				}
				at += n
			}
			if tracked.between() != ends[at] {
				t.Fatalf("at %d: between %v, want %v", at, tracked.between(), ends[at])
			}
		}
	})
}
