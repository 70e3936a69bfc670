package consumer

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"fmt"

	"github.com/google/uuid"
)

// IDs turns the numbers of rows into UUIDs (version 8, RFC 9562 §5.8) and back, so that
// millions of rows need neither a column nor an index for theirs. Who does not have the
// key learns nothing from an id, not even how many there are.
type IDs struct{ block cipher.Block }

// IDKeySize is the number of bytes of the key.
const IDKeySize = 16

// NewIDs returns the ids under a key, which must stay the same for as long as the rows.
func NewIDs(key []byte) (*IDs, error) {
	if len(key) != IDKeySize {
		return nil, fmt.Errorf("key of row ids has %d bytes, not %d", len(key), IDKeySize)
	}
	block, err := aes.NewCipher(key)
	return &IDs{block}, err
}

// plainHead is the first half of a UUID that no key has touched: the version and zeros.
const plainHead = 0x8000

// Of is the id of a row from 0 to 2^62-1.
func (x *IDs) Of(row int64) string {
	var u uuid.UUID
	binary.BigEndian.PutUint64(u[:8], plainHead)
	binary.BigEndian.PutUint64(u[8:], uint64(row)&(1<<62-1)|1<<63)
	// AES permutes all blocks of 16 bytes. To walk on to the next block that is a UUID of
	// version 8 permutes those among themselves (Black and Rogaway 2002): some 64 steps.
	for x.block.Encrypt(u[:], u[:]); !version8(u); x.block.Encrypt(u[:], u[:]) {
	}
	return u.String()
}

// Row is the row of an id that Of made under this key; others are not ok, but for one
// in 2^60.
func (x *IDs) Row(id string) (row int64, ok bool) {
	u, err := uuid.Parse(id)
	if err != nil || !version8(u) {
		return 0, false
	}
	for x.block.Decrypt(u[:], u[:]); !version8(u); x.block.Decrypt(u[:], u[:]) {
	}
	if binary.BigEndian.Uint64(u[:8]) != plainHead {
		return 0, false
	}
	return int64(binary.BigEndian.Uint64(u[8:]) &^ (1 << 63)), true
}

func version8(u uuid.UUID) bool { return u[6]>>4 == 8 && u[8]>>6 == 2 }
