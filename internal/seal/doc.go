// Package seal hides values from everyone but a key's holder: JWE (RFC 7516) in
// compact serialization.
//
// A [Box] seals under a master key, for one named purpose. A [Recipient] seals to
// a key and its [Opener] opens, both in one [Suite]: one key algorithm and one content
// encryption. A token chooses nothing. The cryptography is
// go-jose's; what reaches it has been taken apart here first, so that neither
// compression, nor passwords (PBES2), nor RSA1_5, nor the JSON serialization, nor
// a header we do not know ever gets that far. Values of which there are millions have
// a binary form ([Box.SealBytes]) under the same key, with the same cipher. What other
// systems seal is [Nested]'s alone to open.
package seal

import "errors"

// The size caps. Nothing is decoded before they have passed.
const (
	MaxPlain  = 64 << 10 // bytes that may be sealed
	MaxSealed = 96 << 10 // bytes of a sealed value
	maxHeader = 2 << 10  // bytes of its header, decoded
)

// ErrOpen says that a value was not sealed for this key and purpose, or is
// damaged. It does not tell which: who made the value must not learn it.
var ErrOpen = errors.New("sealed value does not open")

// ErrPlainSize refuses to seal more than [MaxPlain] bytes.
var ErrPlainSize = errors.New("value to seal is over 64 KiB")
