// Package jose is Carnet's strict layer for signed JSON: JWS compact
// serialization (RFC 7515), the algorithms of RFC 7518 and RFC 8037, keys
// (RFC 7517) and their thumbprints (RFC 7638), over the standard library's
// cryptography.
//
// It is strict where the standards leave room, because each freedom has been
// somebody's hole: the algorithm belongs to the key and a token cannot choose
// it; "none" does not exist; one token has one spelling; a JSON member stands
// once. It holds no cryptography of its own, no reflection, no clock, no I/O.
//
// A token goes through two types. [Unverified] is what came in, taken apart and
// checked for form; nothing of it may be believed until [Unverified.Verify] has
// returned nil for a key that the caller chose.
package jose

import "fmt"

// The size caps. Nothing is decoded before they have passed.
const (
	MaxToken  = 16 << 10 // bytes of a compact JWS
	MaxHeader = 4 << 10  // bytes of its header, decoded
	MaxJWKS   = 1 << 20  // bytes of a key set document
)

// FormError says that a token or key document is malformed, and where.
type FormError struct {
	Part   string // "token", "header", "alg", "claims", "signature", "key"
	Reason string // what is wrong; never contains input
}

func (e *FormError) Error() string { return fmt.Sprintf("malformed %s: %s", e.Part, e.Reason) }

func malformed(part, reason string) error { return &FormError{part, reason} }
