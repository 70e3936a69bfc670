// Package key keeps the sets of signing keys: when each key is published, signs,
// only verifies, and is gone.
package key

import (
	"time"

	"github.com/carnetproject/carnet/internal/jose"
)

// SetName names a set, e.g. "access" or "mobile_device".
type SetName string

// Key is one key of a set, as the store holds it. Its state is not stored: it
// follows from the times, so that every node agrees without telling another.
type Key struct {
	Set    SetName
	Public *jose.Key // its ID is the kid
	Sealed string    // the private JWK, sealed under the signing master key

	Created time.Time
	Active  time.Time // signs from here on; published since Created
	Retire  time.Time // no longer signs from here on; zero: until replaced
	Expire  time.Time // no longer verifies from here on; zero: no end
	Revoked time.Time // unusable from here on, whatever the others say; zero: never
}

// State is where a key stands in its life.
type State uint8

// The states in the order of a key's life.
const (
	Pending  State = iota // published, does not sign yet
	Active                // signs and verifies
	Retiring              // verifies what it signed
	Retired               // neither
	Revoked               // neither, at once
)

// String is the state's name as the command line and the Admin API print it.
func (s State) String() string {
	return [...]string{"pending", "active", "retiring", "retired", "revoked"}[s]
}

// State tells where k stands at now.
func (k *Key) State(now time.Time) State {
	switch reached := func(t time.Time) bool { return !t.IsZero() && !now.Before(t) }; {
	case reached(k.Revoked):
		return Revoked
	case reached(k.Expire):
		return Retired
	case reached(k.Retire):
		return Retiring
	case reached(k.Active):
		return Active
	default:
		return Pending
	}
}
