// Package securesession stands between a conversation's user and its bot: a message
// passes while an API of the operator's own says that this user may go on. The first
// message asks it, and then the first after each validation interval; a refusal stops
// the message before the bot, the history or a log has seen it.
//
// [Machine] decides, without a clock, I/O or a goroutine: it is told what happens and
// answers what is to be done. [Gate] does it. What was decided last for a conversation
// is its [Record], which all nodes share through the store.
package securesession

import "time"

// Key names what a record is about: a conversation as one bot knows it.
type Key struct{ Bot, Conversation string }

// State is what is known of a conversation.
type State uint8

// The states that are kept. That a flight is under way is known to its node alone.
const (
	None    State = iota
	Allowed       // until [Record.Until]
	Denied        // the authorizer said no, or there was nothing to ask it with
	Failed        // the authorizer could not be asked
)

// Print is what a decision is bound to: nothing that was found for one print says
// anything about another.
type Print struct {
	Inputs   [32]byte // keyed hash of all that the authorizer reads of the context
	Revision [32]byte // keyed hash of the configuration, and of the versions of its secrets
}

// Record is the last decision about a conversation. The zero Record is none.
type Record struct {
	State State
	Print Print
	// Began orders records: of two the newer one stands. It is when the authorizer was
	// called, or a nanosecond after the record that this one replaces, whatever the
	// clocks of two nodes say.
	Began    time.Time
	Until    time.Time // of Allowed; from then on the authorizer is asked again
	At       time.Time // of Denied and Failed: when that was found
	Reason   Reason    // of Denied and Failed
	Denials  int       // in a row
	Failures int       // in a row
}

// Reason is why a message was blocked, as clients see it. It is an error, so that it can
// be found in the chain of what [Gate.Admit] returns.
type Reason string

// The reasons.
const (
	Unauthorized      Reason = "unauthorized"            // the authorizer said no
	CredentialMissing Reason = "credential_missing"      // the context lacks what it is asked with
	Restricted        Reason = "restricted"              // too many refusals: wait
	Unavailable       Reason = "temporarily_unavailable" // the authorizer could not be asked
	Busy              Reason = "busy"                    // too much waits, or asks too fast
	NotRunning        Reason = "bot_not_running"
)

func (r Reason) Error() string { return "secure session: " + string(r) }

// Result is in a word what a decision for that reason is: allow, deny or fail.
func (r Reason) Result() string {
	switch r {
	case "":
		return "allow"
	case Unavailable, Busy:
		return "fail"
	default:
		return "deny"
	}
}

// Source is what a decision rests on, for metrics.
type Source string

// The sources.
const (
	ByCall        Source = "call"  // an answer of the authorizer
	ByCache       Source = "cache" // an earlier one
	ByGrace       Source = "grace" // an earlier one that has run out, since there is no newer
	ByLocal       Source = "local" // nobody had to be asked
	ByRestriction Source = "restricted"
	ByBreaker     Source = "breaker"
)

// Standing is what the user is shown.
type Standing string

// The standings. Empty: nothing has been shown yet.
const (
	Locked     Standing = "locked"
	Secured    Standing = "secured"
	Unverified Standing = "unavailable"
)
