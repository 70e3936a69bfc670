package device

import (
	"regexp"
	"strings"
)

// MaxKey is the longest device key, in bytes.
const MaxKey = 128

// Problem is one thing that is wrong with a device key.
type Problem string

// The problems, in the order in which they are reported. [CheckKey] does not know
// of Reserved.
const (
	Missing Problem = "is missing"
	Space   Problem = "has white space"
	UUID    Problem = "is a UUID"
	TooLong Problem = "is longer than 128 bytes"
	Charset Problem = "has a character outside printable ASCII"

	Reserved Problem = "begins as an issuer prefix does"
)

// KeyError says all that is wrong with a device key, and nothing of the key.
type KeyError struct{ Problems []Problem }

// Error implements error.
func (e *KeyError) Error() string {
	texts := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		texts[i] = string(p)
	}
	return "device key " + strings.Join(texts, ", ")
}

// uuid is lower case only: that is how the contract's original tells a key from
// the identifier of a credential.
var uuid = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)

// CheckKey returns nil or a [*KeyError]. A key is 1 to [MaxKey] characters from
// "!" to "~", as the gateway will want it in an issuer, and no UUID.
func CheckKey(k string) error {
	if k == "" {
		return &KeyError{[]Problem{Missing}}
	}
	var problems []Problem
	if strings.ContainsAny(k, " \t\n\v\f\r") {
		problems = append(problems, Space)
	}
	if uuid.MatchString(k) {
		problems = append(problems, UUID)
	}
	if len(k) > MaxKey {
		problems = append(problems, TooLong)
	}
	if strings.ContainsFunc(k, func(r rune) bool { return r > '~' || r < '!' && !strings.ContainsRune(" \t\n\v\f\r", r) }) {
		problems = append(problems, Charset)
	}
	if problems == nil {
		return nil
	}
	return &KeyError{problems}
}
