package kore

import (
	"errors"
	"net/http"

	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/httpx"
)

// errExpired makes the SDK begin anew by itself, with a new assertion. Its loop has no
// pause, so nothing but an expired token may be answered with it.
var errExpired = fault.New(fault.Unauthenticated, "token expired")

// denied refuses a bearer token for what is wrong with it, unless that cannot be told now.
func denied(err error) error {
	if fault.KindOf(err) == fault.Unavailable {
		return err
	}
	return fault.Wrap(fault.Denied, "the token is not valid here", err)
}

// refusal is the body of every answer that is not 200.
type refusal struct {
	Errors [1]wireError `json:"errors"`
}

type wireError struct {
	Msg  string `json:"msg"`
	Code any    `json:"code"` // the status, or a word that the SDK knows
}

// writeError answers with what the caller may know of err, in Kore's form, and logs the
// rest. The SDK never gets 429, which stops it for good.
func writeError(w http.ResponseWriter, r *http.Request, err error) {
	public := fault.Public(err)
	status := public.Kind.Status()
	if public.Kind == fault.Limited {
		status = http.StatusServiceUnavailable
	}
	e := wireError{Msg: public.Msg, Code: status}
	if public.Field != "" {
		e.Msg = public.Field + ": " + public.Msg
	}
	if errors.Is(err, errExpired) {
		e.Code = "TOKEN_EXPIRED"
	}
	if public.RetryAfter > 0 {
		w.Header().Set("Retry-After", httpx.RetryAfter(public.RetryAfter))
	}
	httpx.LogRefusal(r, public.Kind, err)
	httpx.WriteJSON(w, status, refusal{[1]wireError{e}})
}
