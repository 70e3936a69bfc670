package connector

import (
	"errors"
	"net/http"
	"time"

	"github.com/carnetproject/carnet/internal/fault"
)

// askAgain is when to come back to an API that does not say so itself.
const askAgain = 5 * time.Second

// Confirmed tells what the call says of the person whom it asks about: 200 alone is a
// yes; 4xx is a no, and so is an input that lacks what the API is asked with. Anything
// else is neither: a [fault.Limited] for who was refused too often, a [fault.Unavailable]
// otherwise. Both say when to try again, and nothing of the API but in their cause.
func (r Result) Confirmed() (bool, error) {
	switch {
	case r.Err == nil && r.Status == http.StatusOK:
		return true, nil
	case r.refused():
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

func unsure(cause error) *fault.Error {
	return &fault.Error{Kind: fault.Unavailable, Msg: "cannot be checked right now: try again", RetryAfter: askAgain, Err: cause}
}

// refused tells whether the answer is a no, whatever became of its body. Some of 4xx only
// say "not now".
func (r Result) refused() bool {
	switch r.Status {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return false
	case 0:
		return r.Err != nil && r.Err.Code == MappingError
	}
	return r.Status/100 == 4
}
