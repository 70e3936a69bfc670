package connector

import (
	"strings"
	"testing"
	"time"

	"github.com/carnetproject/carnet/internal/fault"
)

func TestConfirmed(t *testing.T) {
	t.Parallel()
	failed := func(code Code, after time.Duration) *Error {
		return &Error{Code: code, Message: "internal detail", RetryAfter: after}
	}
	for name, tc := range map[string]struct {
		result Result
		yes    bool
		kind   fault.Kind // of the error; Internal: there is none
		after  time.Duration
	}{
		"200":               {Result{Status: 200}, true, fault.Internal, 0},
		"201":               {Result{Status: 201}, false, fault.Unavailable, askAgain},
		"204":               {Result{Status: 204}, false, fault.Unavailable, askAgain},
		"200 unusable":      {Result{Status: 200, Err: failed(ResponseInvalid, 0)}, false, fault.Unavailable, askAgain},
		"302":               {Result{Status: 302, Err: failed(RedirectRefused, 0)}, false, fault.Unavailable, askAgain},
		"401":               {Result{Status: 401, Err: failed(HTTPError, 0)}, false, fault.Internal, 0},
		"404":               {Result{Status: 404, Err: failed(HTTPError, 0)}, false, fault.Internal, 0},
		"403 cut off":       {Result{Status: 403, Err: failed(ResponseTooLarge, 0)}, false, fault.Internal, 0},
		"408":               {Result{Status: 408, Err: failed(HTTPError, 0)}, false, fault.Unavailable, askAgain},
		"425":               {Result{Status: 425, Err: failed(HTTPError, 0)}, false, fault.Unavailable, askAgain},
		"429":               {Result{Status: 429, Err: failed(HTTPError, 9*time.Second)}, false, fault.Unavailable, 9 * time.Second},
		"500":               {Result{Status: 500, Err: failed(HTTPError, 0)}, false, fault.Unavailable, askAgain},
		"timeout":           {Result{Err: failed(Timeout, 0)}, false, fault.Unavailable, askAgain},
		"breaker":           {Result{Err: failed(BreakerOpen, time.Second)}, false, fault.Unavailable, time.Second},
		"no secret":         {Result{Err: failed(SecretError, 0)}, false, fault.Unavailable, askAgain},
		"private address":   {Result{Err: failed(SSRFBlocked, 0)}, false, fault.Unavailable, askAgain},
		"nothing to ask by": {Result{Err: failed(MappingError, 0)}, false, fault.Internal, 0},
		"refused too often": {Result{Err: failed(Restricted, time.Minute)}, false, fault.Limited, time.Minute},
	} {
		yes, err := tc.result.confirmed()
		public := fault.Public(err)
		if yes != tc.yes || (err != nil) != (tc.kind != fault.Internal) || err != nil && (public.Kind != tc.kind || public.RetryAfter != tc.after) {
			t.Errorf("%s: confirmed() = %v, %v after %v; want %v, %v after %v", name, yes, err, public.RetryAfter, tc.yes, tc.kind, tc.after)
		}
		if strings.Contains(public.Msg, "internal detail") {
			t.Errorf("%s tells callers of the API: %s", name, public.Msg)
		}
	}
}
