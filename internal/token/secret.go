package token

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"strings"

	"github.com/carnetproject/carnet/internal/secret"
)

// refreshPrefix makes a token that leaked into a log or a repository easy to find.
const refreshPrefix = "rt_"

const (
	familySize  = 16
	secretSize  = 32
	refreshSize = familySize + secretSize // a multiple of 3: its base64url has no stray bits
)

// refresh is a refresh token: rt_ and the base64url of the family and a secret.
type refresh struct {
	family [familySize]byte
	secret [secretSize]byte
}

// newRefresh makes the first token of a new family.
func newRefresh() refresh {
	var t refresh
	_, _ = rand.Read(t.family[:]) // never fails (crypto/rand)
	_, _ = rand.Read(t.secret[:])
	return t
}

// next is the token of the family that comes after t. It is always the same one, so that
// an answer which was lost can be given again; only who has the key can tell it from t.
func (t refresh) next(key secret.Bytes) refresh {
	m := hmac.New(sha256.New, key.Reveal())
	m.Write(t.family[:])
	m.Write(t.secret[:])
	copy(t.secret[:], m.Sum(nil))
	return t
}

func (t refresh) id() FamilyID {
	return FamilyID(base64.RawURLEncoding.EncodeToString(t.family[:]))
}

// hash is all that is stored of the secret: it is random and long, so that a slow
// hash would protect nothing.
func (t refresh) hash() [32]byte { return sha256.Sum256(t.secret[:]) }

func (t refresh) text() secret.Bytes {
	b := append(t.family[:], t.secret[:]...)
	return secret.FromString(refreshPrefix + base64.RawURLEncoding.EncodeToString(b))
}

// parseRefresh reads what text writes, and no other spelling of it.
func parseRefresh(token secret.Bytes) (refresh, bool) {
	text, ok := strings.CutPrefix(string(token.Reveal()), refreshPrefix)
	if !ok || len(text) != base64.RawURLEncoding.EncodedLen(refreshSize) {
		return refresh{}, false
	}
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(b) != refreshSize { // the decoder skips line ends
		return refresh{}, false
	}
	var t refresh
	copy(t.family[:], b)
	copy(t.secret[:], b[familySize:])
	return t, true
}
