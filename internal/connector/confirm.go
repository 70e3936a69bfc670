package connector

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/carnetproject/carnet/internal/fault"
)

// Confirm asks the API about a person, with an input of which JSON can be made: see
// [Result.confirmed] for what its answer says. The result is that of the call.
func (cl *Client) Confirm(ctx context.Context, input any, by Actor) (r Result, yes bool, err error) {
	doc, err := json.Marshal(input)
	if err != nil {
		return Result{}, false, err
	}
	in, err := ParseInput(doc)
	if err != nil {
		return Result{}, false, err
	}
	r = cl.Execute(ctx, Call{Input: in, Actor: by})
	yes, err = r.confirmed()
	return r, yes, err
}

// askAgain is when to come back to an API that does not say so itself.
const askAgain = 5 * time.Second

// confirmed tells what the call says of the person whom it asks about: 200 alone is a
// yes; 4xx is a no, and so is an input that lacks what the API is asked with. Anything
// else is neither: a [fault.Limited] for who was refused too often, a [fault.Unavailable]
// otherwise. Both say when to try again, and nothing of the API but in their cause.
func (r Result) confirmed() (bool, error) {
	noCall := r.Err != nil && r.Err.Code == MappingError && r.Status == 0
	switch {
	case r.Err == nil && r.Status == http.StatusOK:
		return true, nil
	case Refusal(r.Status), noCall:
		return false, nil
	case r.Err == nil:
		return false, unsure(errors.New("the API answers neither 200 nor 4xx"))
	case r.Err.Code == Restricted:
		return false, &fault.Error{Kind: fault.Limited, Msg: "too many refusals", RetryAfter: r.Err.RetryAfter, Err: r.Err}
	}
	e := unsure(r.Err)
	if r.Err.RetryAfter > 0 {
		e.RetryAfter = r.Err.RetryAfter
	}
	return false, e
}

// Unusable is of what an API confirms, or of a connector that is not there, where only the
// operator can help. Callers are told to come back, and nothing of the cause.
func Unusable(cause string) error {
	e := unsure(errors.New(cause))
	e.RetryAfter = time.Minute
	return e
}

func unsure(cause error) *fault.Error {
	return &fault.Error{Kind: fault.Unavailable, Msg: "cannot be checked right now: try again", RetryAfter: askAgain, Err: cause}
}

// Refusal tells whether a status says no, whatever became of the body. Some of 4xx only
// say "not now".
func Refusal(status int) bool {
	switch status {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return false
	}
	return status/100 == 4
}
