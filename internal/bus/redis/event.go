package redis

import "encoding/binary"

// pack is an event as it travels: the subject's length, the subject, the data.
func pack(subject string, data []byte) []byte {
	b := make([]byte, 0, binary.MaxVarintLen32+len(subject)+len(data))
	b = binary.AppendUvarint(b, uint64(len(subject)))
	b = append(b, subject...)
	return append(b, data...)
}

// unpack takes an event apart. What is none, since anybody may publish, is not ok.
func unpack(message string) (subject string, data []byte, ok bool) {
	head := []byte(message[:min(len(message), binary.MaxVarintLen64)])
	n, size := binary.Uvarint(head)
	if size <= 0 || n > uint64(len(message)-size) {
		return "", nil, false
	}
	end := size + int(n)
	return message[size:end], []byte(message[end:]), true
}
