package signin

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"

	"github.com/carnetproject/carnet/internal/secret"
)

// newSecret makes 256 random bits, as text: a cookie or a code.
func newSecret() secret.Bytes {
	random := make([]byte, 32)
	_, _ = rand.Read(random) // never fails (crypto/rand)
	return secret.FromString(base64.RawURLEncoding.EncodeToString(random))
}

// hashOf is all that is stored of a secret: it is random and long, so that a slow hash
// would protect nothing.
func hashOf(s secret.Bytes) [32]byte { return sha256.Sum256(s.Reveal()) }
