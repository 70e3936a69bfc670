package transfer

import (
	"crypto/sha256"
	"encoding/binary"
)

// sum is what tables are compared by: how many rows there are, and the sum of their
// hashes, which is the same in whatever order the rows come.
type sum struct {
	rows   int64
	hashes [2]uint64
}

func (s *sum) add(row []any) {
	b := make([]byte, 0, 512)
	for _, v := range row {
		switch v := v.(type) {
		case int64:
			b = binary.BigEndian.AppendUint64(append(b, 'i'), uint64(v))
		case string:
			b = append(binary.BigEndian.AppendUint64(append(b, 's'), uint64(len(v))), v...)
		case []byte:
			b = append(binary.BigEndian.AppendUint64(append(b, 'b'), uint64(len(v))), v...)
		default:
			b = append(b, 'n')
		}
	}
	h := sha256.Sum256(b)
	s.rows++
	s.hashes[0] += binary.BigEndian.Uint64(h[:8])
	s.hashes[1] += binary.BigEndian.Uint64(h[8:16])
}

// size is about how many bytes a row is.
func size(row []any) int {
	n := 0
	for _, v := range row {
		n += 16
		switch v := v.(type) {
		case string:
			n += len(v)
		case []byte:
			n += len(v)
		}
	}
	return n
}
