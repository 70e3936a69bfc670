package key

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"
	"time"

	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/jose"
)

// Forever is the verification time of keys whose tokens never end.
const Forever time.Duration = math.MaxInt64

// MaxActive is how many keys of one algorithm may sign at a time.
const MaxActive = 64

// minRotation keeps a slip of the unit from making keys without end.
const minRotation = time.Minute

// Spec says how one set of keys lives.
type Spec struct {
	Name       SetName
	Algorithms []jose.Algorithm // the first is the default; each has its own line of keys

	Active       int           // how many keys of each line sign at a time, by turns of chance; 1 to MaxActive
	Rotation     time.Duration // how long a key signs; zero: until rotated by hand
	PublishAhead time.Duration // how long a key is published before it signs
	Verification time.Duration // how long a key verifies after it signed last; or Forever

	RSABits int // of new RSA keys: 2048, 3072 or 4096; zero: 2048

	KidPrefix    string // kids are this and a number; empty: RFC 7638 thumbprints
	IssuerPrefix string // of tokens whose issuer is prefix-device-timestamp; empty for other sets
}

// rsaSizes are those that the field uses: others are slower and no safer.
var rsaSizes = []int{2048, 3072, 4096}

var (
	setNames = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,63}$`)
	prefixes = regexp.MustCompile(`^[A-Za-z0-9._-]{0,64}$`)
)

// Validate reports everything that is wrong with s, each as a [fault.Error] whose
// Field is the member's name in the configuration.
func (s *Spec) Validate() error {
	var found []error
	check := func(ok bool, field, msg string) {
		if !ok {
			found = append(found, fault.BadField(field, msg))
		}
	}
	check(setNames.MatchString(string(s.Name)), "name", "must be 1 to 64 of a-z, 0-9, _ and -, and begin with a letter or digit")
	check(len(s.Algorithms) > 0, "algorithms", "must name at least one algorithm")
	for i, a := range s.Algorithms {
		field := fmt.Sprintf("algorithms[%d]", i)
		check(a.Valid() && !a.Symmetric(), field, "must be one of RS, PS, ES with 256, 384 or 512, or EdDSA")
		check(!slices.Contains(s.Algorithms[:i], a), field, "stands twice")
	}
	check(s.Active >= 1 && s.Active <= MaxActive, "active", fmt.Sprintf("must be 1 to %d", MaxActive))
	check(s.PublishAhead >= 0, "publish_ahead", "must not be negative")
	check(s.Rotation == 0 || s.Rotation >= minRotation, "rotation", "must be 0s (by hand only) or at least 1m")
	check(s.Rotation == 0 || s.Rotation > s.PublishAhead, "rotation", "must be longer than publish_ahead")
	check(s.Verification > 0, "verification", "must be longer than the set's tokens live, or forever")
	check(s.RSABits == 0 || slices.Contains(rsaSizes, s.RSABits), "rsa_bits", "must be 2048, 3072 or 4096")
	check(prefixes.MatchString(s.KidPrefix), "kid_prefix", "must be at most 64 letters, digits, dots, _ and -")
	check(prefixes.MatchString(s.IssuerPrefix), "issuer_prefix", "must be at most 64 letters, digits, dots, _ and -")
	return errors.Join(found...)
}

// SharesKids tells whether a kid may name a key of either set, so that nobody could
// say which one is meant: k1 and a number begins with k and a number.
func (s *Spec) SharesKids(other *Spec) bool {
	if s.KidPrefix == "" || other.KidPrefix == "" {
		return false
	}
	_, theirs := s.number(other.KidPrefix + "1")
	_, ours := other.number(s.KidPrefix + "1")
	return theirs || ours
}

// validateAll checks the sets and what they may not share.
func validateAll(specs []Spec) error {
	var found []error
	for i := range specs {
		s := &specs[i]
		if err := s.Validate(); err != nil {
			found = append(found, fmt.Errorf("key set %s: %w", s.Name, err))
		}
		for j := range specs[:i] {
			other := &specs[j]
			if s.Name == other.Name {
				found = append(found, fmt.Errorf("key set %s stands twice", s.Name))
			}
			if s.SharesKids(other) {
				found = append(found, fmt.Errorf("key sets %s and %s have kid prefixes that make the same kids, %s and %s",
					other.Name, s.Name, other.KidPrefix, s.KidPrefix))
			}
		}
	}
	return errors.Join(found...)
}
