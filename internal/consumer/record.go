package consumer

import (
	"time"

	"github.com/carnetproject/carnet/internal/jose"
	"github.com/carnetproject/carnet/internal/secret"
)

// Info is a consumer as the store has it. Times have a precision of one second.
type Info struct {
	ID       string // a UUID
	Username string // unique, "" if CustomID alone names it
	CustomID string // unique, "" if none
	Groups   []Group
	Tags     []string
	Created  time.Time
	Ends     time.Time // from then on it is decommissioned; zero: it stays
}

// Group is a consumer's membership, by which access lists ask.
type Group struct {
	ID      string // a UUID
	Name    string // unique for the consumer
	Tags    []string
	Created time.Time
}

// Record is a credential as the store has it. Its secret stands in Secret while
// Carnet works with it and in Sealed while it lies in the store, never in both.
type Record struct {
	ID         string         // a UUID; the store gives one that follows from the row if it is ""
	ConsumerID string         // Info.ID
	Key        string         // the iss of the tokens, unique over all consumers
	Algorithm  jose.Algorithm // HS256 unless said otherwise
	Secret     secret.Bytes   // for HS*
	Sealed     []byte         // Secret under the data master key, bound to Key
	PublicKey  string         // PEM, for all others
	Tags       []string
	Created    time.Time
}

// Page is a part of a long list.
type Page struct {
	Size   int    // at most MaxPage; 0: DefaultPage
	Offset string // what the page before it gave; "": the first
}

// The sizes of a page, as Kong's Admin API has them.
const (
	DefaultPage = 100
	MaxPage     = 1000
)
