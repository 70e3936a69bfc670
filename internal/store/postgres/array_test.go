package postgres

import (
	"bytes"
	"testing"

	"github.com/jackc/pgx/v5/pgtype"
)

// TestArrays encodes as pgtype's own codec does, and allocates nothing.
func TestArrays(t *testing.T) {
	t.Parallel()
	theirs, ours := pgtype.NewMap(), pgtype.NewMap()
	useArrays(ours)
	for name, tc := range map[string]struct {
		oid   uint32
		value any
	}{
		"bigints":          {pgtype.Int8ArrayOID, []int64{0, 1, -1, 1 << 62}},
		"no bigints":       {pgtype.Int8ArrayOID, []int64{}},
		"NULL of bigints":  {pgtype.Int8ArrayOID, []int64(nil)},
		"bigints or NULLs": {pgtype.Int8ArrayOID, []*int64{new(int64(7)), nil}},
		"texts":            {pgtype.TextArrayOID, []string{"", "a", `{"text":"€, \"b\""}`, "NULL"}},
		"no texts":         {pgtype.TextArrayOID, []string{}},
		"NULL of texts":    {pgtype.TextArrayOID, []string(nil)},
	} {
		for _, format := range []int16{pgtype.BinaryFormatCode, pgtype.TextFormatCode} {
			want, err1 := theirs.Encode(tc.oid, format, tc.value, nil)
			got, err2 := ours.Encode(tc.oid, format, tc.value, nil)
			if err1 != nil || err2 != nil || !bytes.Equal(got, want) || (got == nil) != (want == nil) {
				t.Errorf("%s, format %d: %x, %v, want %x, %v", name, format, got, err2, want, err1)
			}
		}
	}
	if _, err := ours.Encode(pgtype.TextArrayOID, pgtype.BinaryFormatCode, []int64{1}, nil); err == nil {
		t.Error("numbers were taken for texts")
	}
}
