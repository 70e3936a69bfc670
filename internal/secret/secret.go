// Package secret holds values that must not be printed, and the names that stand for
// them in the configuration: see [SRN] and [Ref].
package secret

import (
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"log/slog"
)

const redacted = "[redacted]"

// Bytes is a secret value. Every way to print it by accident (fmt, JSON, YAML,
// text encoding, slog) yields "[redacted]"; only [Bytes.Reveal] gives the value.
type Bytes struct{ b []byte }

// New takes ownership of b.
func New(b []byte) Bytes { return Bytes{b} }

// FromString copies s.
func FromString(s string) Bytes { return Bytes{[]byte(s)} }

// Reveal returns the value itself, not a copy. Each caller stands in the
// architecture test's list: adding one is a decision.
func (s Bytes) Reveal() []byte { return s.b }

// Len is the number of bytes.
func (s Bytes) Len() int { return len(s.b) }

// Equal compares in constant time whatever the lengths.
func (s Bytes) Equal(o Bytes) bool {
	a, b := sha256.Sum256(s.b), sha256.Sum256(o.b)
	return subtle.ConstantTimeCompare(a[:], b[:]) == 1
}

func (Bytes) String() string               { return redacted }
func (Bytes) GoString() string             { return redacted }
func (Bytes) Format(f fmt.State, _ rune)   { _, _ = f.Write([]byte(redacted)) }
func (Bytes) LogValue() slog.Value         { return slog.StringValue(redacted) }
func (Bytes) MarshalText() ([]byte, error) { return []byte(redacted), nil }
func (Bytes) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }
func (Bytes) MarshalYAML() ([]byte, error) { return []byte(redacted), nil }
