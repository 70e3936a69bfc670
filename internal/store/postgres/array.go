package postgres

import (
	"encoding/binary"

	"github.com/jackc/pgx/v5/pgtype"
)

// arrays is the codec of bigint[] and text[]. It encodes []int64 and []string as they
// stand: pgtype's own allocates for each element, and the columns of a group have hundreds.
type arrays struct{ pgtype.Codec }

// useArrays makes it the codec of a connection.
func useArrays(m *pgtype.Map) {
	for _, oid := range []uint32{pgtype.Int8ArrayOID, pgtype.TextArrayOID} {
		t, _ := m.TypeForOID(oid)
		m.RegisterType(&pgtype.Type{Name: t.Name, OID: oid, Codec: arrays{t.Codec}})
	}
}

func (a arrays) PlanEncode(m *pgtype.Map, oid uint32, format int16, value any) pgtype.EncodePlan {
	switch value.(type) {
	case []int64:
		if oid == pgtype.Int8ArrayOID && format == pgtype.BinaryFormatCode {
			return int64Array{}
		}
	case []string:
		if oid == pgtype.TextArrayOID && format == pgtype.BinaryFormatCode {
			return textArray{}
		}
	}
	return a.Codec.PlanEncode(m, oid, format, value)
}

type int64Array struct{}

// Encode appends the array; nil is NULL.
func (int64Array) Encode(value any, to []byte) ([]byte, error) {
	elements := value.([]int64)
	if elements == nil {
		return nil, nil
	}
	to = appendArray(to, pgtype.Int8OID, len(elements))
	for _, n := range elements {
		to = binary.BigEndian.AppendUint32(to, 8)
		to = binary.BigEndian.AppendUint64(to, uint64(n))
	}
	return to, nil
}

type textArray struct{}

// Encode appends the array; nil is NULL.
func (textArray) Encode(value any, to []byte) ([]byte, error) {
	elements := value.([]string)
	if elements == nil {
		return nil, nil
	}
	to = appendArray(to, pgtype.TextOID, len(elements))
	for _, s := range elements {
		to = binary.BigEndian.AppendUint32(to, uint32(len(s)))
		to = append(to, s...)
	}
	return to, nil
}

// appendArray begins an array of n elements in the server's binary form (array_recv): one
// dimension, no NULL, the elements' type, then the dimension's length and first index.
func appendArray(to []byte, of uint32, n int) []byte {
	for _, x := range []uint32{1, 0, of, uint32(n), 1} {
		to = binary.BigEndian.AppendUint32(to, x)
	}
	return to
}
