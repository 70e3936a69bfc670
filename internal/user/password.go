package user

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"

	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/secret"
)

// The bounds of a password, in bytes. There are no rules about its characters:
// length is what helps (NIST SP 800-63B §3.1.1.2).
const (
	minPassword = 8
	maxPassword = 1024
)

func checkPassword(p secret.Bytes) error {
	if p.Len() < minPassword || p.Len() > maxPassword || !utf8.Valid(p.Reveal()) {
		return fault.BadField("password", fmt.Sprintf("must be %d to %d bytes of UTF-8", minPassword, maxPassword))
	}
	return nil
}

// Cost is what one argon2id hash takes (RFC 9106 §3.1). The zero Cost is
// [DefaultCost].
type Cost struct {
	Memory  uint32 // KiB
	Passes  uint32
	Threads uint8
}

// DefaultCost is OWASP's recommendation: 19 MiB, two passes, one thread.
var DefaultCost = Cost{Memory: 19 * 1024, Passes: 2, Threads: 1}

// What a stored hash may cost, and how long its parts may be. A hash beyond it
// was not made here, and checking it could take the node down.
const (
	maxMemory            = 256 * 1024 // KiB
	maxPasses            = 16
	maxThreads           = 16
	minSalt, maxSalt     = 8, 64
	minDigest, maxDigest = 16, 64
	newSalt, newDigest   = 16, 32
)

func (c Cost) valid() bool {
	return c.Threads >= 1 && c.Threads <= maxThreads && c.Passes >= 1 && c.Passes <= maxPasses &&
		c.Memory >= 8*uint32(c.Threads) && c.Memory <= maxMemory
}

// hash is an argon2id hash. Its text is the PHC string format.
type hash struct {
	Cost
	salt, digest []byte
}

// newHash hashes p with a new salt.
func newHash(c Cost, p secret.Bytes) hash {
	h := hash{Cost: c, salt: make([]byte, newSalt), digest: make([]byte, newDigest)}
	_, _ = rand.Read(h.salt) // never fails (crypto/rand)
	h.digest = h.of(p)
	return h
}

// matches tells in constant time whether h is the hash of p.
func (h hash) matches(p secret.Bytes) bool { return subtle.ConstantTimeCompare(h.of(p), h.digest) == 1 }

func (h hash) of(p secret.Bytes) []byte {
	return argon2.IDKey(p.Reveal(), h.salt, h.Passes, h.Memory, h.Threads, uint32(len(h.digest)))
}

// String is the PHC string: $argon2id$v=19$m=…,t=…,p=…$salt$digest.
func (h hash) String() string {
	b64 := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version,
		h.Memory, h.Passes, h.Threads, b64.EncodeToString(h.salt), b64.EncodeToString(h.digest))
}

var errHash = errors.New("stored password is not an argon2id hash of acceptable cost")

// parseHash reads what [hash.String] writes, and no other spelling of it. The
// error does not tell what was stored.
func parseHash(s string) (hash, error) {
	parts := strings.Split(s, "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" || parts[2] != "v="+strconv.Itoa(argon2.Version) {
		return hash{}, errHash
	}
	cost, ok := parseCost(parts[3])
	if !ok || !cost.valid() {
		return hash{}, errHash
	}
	salt, ok := decode(parts[4], minSalt, maxSalt)
	if !ok {
		return hash{}, errHash
	}
	digest, ok := decode(parts[5], minDigest, maxDigest)
	if !ok {
		return hash{}, errHash
	}
	return hash{Cost: cost, salt: salt, digest: digest}, nil
}

// parseCost reads "m=19456,t=2,p=1": in this order, without leading zeros.
func parseCost(s string) (Cost, bool) {
	parts := strings.Split(s, ",")
	if len(parts) != 3 {
		return Cost{}, false
	}
	var n [3]uint32
	for i, name := range [...]string{"m=", "t=", "p="} {
		digits, ok := strings.CutPrefix(parts[i], name)
		v, err := strconv.ParseUint(digits, 10, 32)
		if !ok || err != nil || strconv.FormatUint(v, 10) != digits {
			return Cost{}, false
		}
		n[i] = uint32(v)
	}
	if n[2] > maxThreads {
		return Cost{}, false
	}
	return Cost{Memory: n[0], Passes: n[1], Threads: uint8(n[2])}, true
}

func decode(s string, least, most int) ([]byte, bool) {
	if len(s) > base64.RawStdEncoding.EncodedLen(most) || strings.ContainsAny(s, "\r\n") {
		return nil, false // the decoder skips line ends
	}
	b, err := base64.RawStdEncoding.Strict().DecodeString(s)
	return b, err == nil && len(b) >= least && len(b) <= most
}
