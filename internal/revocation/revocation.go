// Package revocation takes tokens back before they expire.
//
// An entry names tokens by their id, by the key that signed them, or by whom they stand
// for; of the last kind it means those that were issued before a moment, so that who
// signs in again is let in again. Every node holds all entries in memory and asks
// nobody when it checks a token; the store has them with who made them and why.
package revocation

import (
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/carnetproject/carnet/internal/fault"
)

// Kind is what an entry names tokens by.
type Kind uint8

// The kinds. Of [ByToken] and [ByKey] all tokens are meant, of the others those that
// were issued before the entry's moment.
const (
	ByToken      Kind = iota + 1 // the claim jti, or what stands before a dot in it: all of a sign-in's, or what the token was exchanged for
	BySubject                    // the claims iss and sub
	ByApp                        // the client that the token was issued to
	ByIssuer                     // the claim iss, or the prefix of a device's
	ByDevice                     // the prefix and the device in an iss of that form
	ByCredential                 // the key of the gateway's credential
	ByKey                        // the kid of the key that verifies the token
	numKinds
)

var kinds = [numKinds]struct {
	name   string
	issuer bool // the target has an issuer
	dated  bool // the entry has a moment
}{
	ByToken:      {"token", false, false},
	BySubject:    {"subject", true, true},
	ByApp:        {"app", false, true},
	ByIssuer:     {"issuer", false, true},
	ByDevice:     {"device", true, true},
	ByCredential: {"credential", false, true},
	ByKey:        {"key", false, false},
}

// String is the kind's name on the command line, in the API and in the store.
func (k Kind) String() string {
	if k >= numKinds {
		return fmt.Sprintf("Kind(%d)", uint8(k))
	}
	return kinds[k].name
}

// Dated tells whether only tokens issued before a moment are meant.
func (k Kind) Dated() bool { return k < numKinds && kinds[k].dated }

// MarshalText is [Kind.String].
func (k Kind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText reads what [Kind.String] writes of a kind that there is.
func (k *Kind) UnmarshalText(text []byte) error {
	for i := ByToken; i < numKinds; i++ {
		if kinds[i].name == string(text) {
			*k = i
			return nil
		}
	}
	return fault.BadField("kind", "must be token, subject, app, issuer, device, credential or key")
}

// Target is what an entry is about.
type Target struct {
	Kind   Kind
	Issuer string // of a subject the iss, of a device the prefix; else ""
	Name   string // the jti, sub, client id, issuer, device, credential's key or kid
}

// Entry is one revocation as the store keeps it. There is at most one for a target.
type Entry struct {
	ID int64 // grows with each change of any entry, and is never used again
	Target
	Before  time.Time // tokens issued before it are refused; zero: all are
	Expires time.Time // when the entry leaves by itself; zero: never
	Created time.Time
	Reason  string // the operator's words
	By      string // who it was
	Removed bool   // it is taken back, and stands for as long as a node may still hold it
}

// InForce tells whether the entry refuses anything at now.
func (e *Entry) InForce(now time.Time) bool {
	return !e.Removed && (e.Expires.IsZero() || now.Before(e.Expires))
}

// Over is e in the place of an older entry for the same target: it refuses what either
// does, for as long as either does. Stores use it when they add e.
func (e Entry) Over(old Entry) Entry {
	if !old.InForce(e.Created) {
		return e
	}
	if old.Before.After(e.Before) {
		e.Before = old.Before
	}
	if !e.Expires.IsZero() && (old.Expires.IsZero() || old.Expires.After(e.Expires)) {
		e.Expires = old.Expires
	}
	return e
}

// Draft is an entry that somebody asks for.
type Draft struct {
	Target
	Before  time.Time // zero: now; only for kinds that are dated
	Expires time.Time // zero: when the last token is sure to have expired
	Forever bool      // it never leaves by itself
	Reason  string
	By      string
}

// The bounds of what a draft says, in bytes, and of how far its moment may lie ahead:
// the asker's clock may be a little fast.
const (
	maxName   = 1024
	maxReason = 1000
	maxBy     = 200
	maxAhead  = time.Minute
)

// validate reports what is wrong with the draft at now. Fields have the names of the API.
func (d *Draft) validate(now time.Time) error {
	if d.Kind == 0 || d.Kind >= numKinds {
		return fault.BadField("kind", "must be given")
	}
	k := kinds[d.Kind]
	switch {
	case !isText(d.Name, 1, maxName):
		return badText("name", 1, maxName)
	case k.issuer && !isText(d.Issuer, 1, maxName):
		return badText("issuer", 1, maxName)
	case !k.issuer && d.Issuer != "":
		return fault.BadField("issuer", "is for subjects and devices")
	case d.Kind == ByDevice && strings.Contains(d.Issuer, "-"):
		return fault.BadField("issuer", "must be the issuer prefix of the devices, which has no hyphen")
	case !k.dated && !d.Before.IsZero():
		return fault.BadField("issued_before", "is not for a token or a key, which is refused whenever it was issued")
	case d.Before.After(now.Add(maxAhead)):
		return fault.BadField("issued_before", "must not lie in the future")
	case d.Forever && !d.Expires.IsZero():
		return fault.BadField("expires", "must be a time or never")
	case !d.Expires.IsZero() && !d.Expires.After(now):
		return fault.BadField("expires", "must lie in the future")
	case !isText(d.Reason, 0, maxReason):
		return badText("reason", 0, maxReason)
	case !isText(d.By, 0, maxBy):
		return badText("by", 0, maxBy)
	}
	return nil
}

func isText(s string, least, most int) bool {
	return len(s) >= least && len(s) <= most && utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl)
}

func badText(field string, least, most int) error {
	return fault.BadField(field, fmt.Sprintf("must be %d to %d bytes of UTF-8 without control characters", least, most))
}

// wholeMillis is t to the millisecond that stores keep, rounded up: an entry refuses
// rather one token more.
func wholeMillis(t time.Time) time.Time {
	if t.IsZero() {
		return time.Time{}
	}
	return time.UnixMilli(t.Add(time.Millisecond - 1).UnixMilli()).UTC()
}
