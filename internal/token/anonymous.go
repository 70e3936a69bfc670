package token

import (
	"crypto/rand"
	"strings"
)

// anonymousPrefix begins the subject of a visitor who is nobody's user.
const anonymousPrefix = "anon_"

// NewAnonymous is a subject for a visitor who proves nothing. Nobody can guess it.
func NewAnonymous() string { return anonymousPrefix + strings.ToLower(rand.Text()) }

// IsAnonymous tells whether a subject is of the form of [NewAnonymous].
func IsAnonymous(subject string) bool {
	name, ok := strings.CutPrefix(subject, anonymousPrefix)
	return ok && len(name) >= 26 && strings.Trim(name, "abcdefghijklmnopqrstuvwxyz234567") == ""
}
