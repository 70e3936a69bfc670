package securesession

import (
	"encoding/json"
	"slices"
	"time"

	"github.com/carnetproject/carnet/internal/connector"
)

// Class is what an answer means.
type Class uint8

// The classes. The zero Class lets nobody in.
const (
	Failure       Class = iota // no answer that could be used: temporary
	Yes                        // the user may go on
	No                         // the user may not
	Misconfigured              // no answer, and none to be expected before somebody changes something
	Barred                     // not asked: the actor has been refused too often
	Open                       // not asked: the authorizer's circuit breaker is open
)

// Answer is what an authorizer says.
type Answer struct {
	Class      Class
	Detail     string        // what came of the call, in a word: as [connector.Result.Class]
	Bounded    bool          // whether MaxAge says how long a yes is good
	MaxAge     time.Duration // may shorten the interval, never lengthen it; 0: this message alone
	RetryAfter time.Duration // zero: not said
	// Output has members for the conversation's context, which its user cannot set then.
	Output json.RawMessage
}

// maxRetryAfter bounds for how long an API may have a client sent away.
const maxRetryAfter = time.Minute

// classify tells what the result of a call means under p. Only a status of p.Success lets
// the user in, and only with a response that can be used; a refusal is one whatever became
// of its body, since it must not pass as a failure that grace forgives.
func (p *Policy) classify(r connector.Result) Class {
	var code connector.Code // "": the status says it all
	if r.Err != nil {
		code = r.Err.Code
	}
	switch {
	case code == connector.Restricted:
		return Barred
	case code == connector.BreakerOpen:
		return Open
	case connector.Refusal(r.Status):
		return No
	}
	switch code {
	case connector.MappingError, connector.SSRFBlocked, connector.RedirectRefused, connector.SecretError:
		return Misconfigured
	case "":
		if slices.Contains(p.Success, r.Status) {
			return Yes
		}
	}
	if r.Status/100 == 3 {
		return Misconfigured
	}
	return Failure
}
