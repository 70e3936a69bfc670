package securesession

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"time"
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
	Detail     string        // what came of the call, for metrics: 2xx to 5xx, or e.g. timeout
	Bounded    bool          // whether MaxAge says how long a yes is good
	MaxAge     time.Duration // may shorten the interval, never lengthen it; 0: this message alone
	RetryAfter time.Duration // zero: not said
	// Output has members for the conversation's context, which its user cannot set then.
	Output json.RawMessage
}

// response is what came of a call of an API.
type response struct {
	status int // 0: there is none
	// code says why the response is not to be used, or that there is none: a code of
	// package connector. Empty or "http_error": the status says it all.
	code string
}

// maxRetryAfter bounds for how long an API may have a client sent away.
const maxRetryAfter = time.Minute

// classify tells what a response means under p. Only a status of p.Success lets the user
// in, and only with a response that can be used; a refusal is one whatever became of its
// body, since it must not pass as a failure that grace forgives.
func (p *Policy) classify(r response) Class {
	switch {
	case r.code == "restricted":
		return Barred
	case r.code == "breaker_open":
		return Open
	case refusal(r.status):
		return No
	}
	switch r.code {
	case "mapping_error", "ssrf_blocked", "redirect_refused", "secret_error":
		return Misconfigured
	case "":
		if slices.Contains(p.Success, r.status) {
			return Yes
		}
	}
	if r.status/100 == 3 {
		return Misconfigured
	}
	return Failure
}

// refusal tells whether a status says no. Some of 4xx only say "not now".
func refusal(status int) bool {
	switch status {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return false
	}
	return status/100 == 4
}

// detail is a name for what came of a call: one of few.
func (r response) detail() string {
	if r.code != "" && r.code != "http_error" {
		return r.code
	}
	return strconv.Itoa(r.status/100) + "xx"
}
