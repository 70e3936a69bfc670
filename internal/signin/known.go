package signin

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"

	"github.com/carnetproject/carnet/internal/user"
)

const (
	browserSize = 16
	markSize    = browserSize + sha256.Size // a multiple of 3: its base64url has no stray bits
)

// Mark is what a browser keeps in which a person of that name has signed in, to be known
// again: whoever tries to be the person elsewhere cannot have it, and so not keep them
// out. It says nothing of the name.
func (b *Book) Mark(name string) string {
	mark := make([]byte, browserSize, markSize)
	_, _ = rand.Read(mark) // never fails (crypto/rand)
	return base64.RawURLEncoding.EncodeToString(append(mark, b.sign(mark, name)...))
}

// Knows tells whether a mark was given to a browser for that name, and what to call the
// browser.
func (b *Book) Knows(mark, name string) (browser string, ok bool) {
	text, err := base64.RawURLEncoding.DecodeString(mark)
	if err != nil || len(text) != markSize || !hmac.Equal(text[browserSize:], b.sign(text[:browserSize], name)) {
		return "", false
	}
	return string(text[:browserSize]), true
}

func (b *Book) sign(browser []byte, name string) []byte {
	h := hmac.New(sha256.New, b.c.Key.Reveal())
	h.Write(browser)
	h.Write([]byte(user.Normalize(name)))
	return h.Sum(nil)
}
