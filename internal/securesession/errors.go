package securesession

import (
	"cmp"
	"errors"
	"time"

	"github.com/carnetproject/carnet/internal/fault"
)

var (
	errTrailing = errors.New("more than one JSON value")
	errNoObject = errors.New("the mapping makes no object")
	errState    = errors.New(`the mapping writes "state", which is not its own`)
)

// tryAgain is when to come back to an authorizer that could not be asked, where nobody
// knows better.
const tryAgain = 5 * time.Second

// refusalOf is what the sender of a blocked message is told. The reason is in its chain.
// Nothing of what the authorizer said is.
func refusalOf(why Reason, retry time.Duration) *fault.Error {
	e := &fault.Error{Kind: fault.Unavailable, Code: string(why), RetryAfter: retry, Err: why}
	switch why {
	case Unauthorized:
		e.Kind, e.Msg = fault.Denied, "the session is not authorized"
	case CredentialMissing:
		e.Kind, e.Msg = fault.Denied, "the session lacks a credential"
	case Restricted:
		e.Kind, e.Msg = fault.Denied, "too many refusals"
	case Busy:
		e.Msg = "too many messages wait for the session to be verified"
	case NotRunning:
		e.Msg = "the bot takes no messages"
	case Unavailable:
		e.Msg, e.RetryAfter = "the session cannot be verified now", cmp.Or(retry, tryAgain)
	}
	return e
}
