package connector

import (
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/carnetproject/carnet/internal/wire"
)

// Code is how a call failed.
type Code string

// The ways in which a call fails. Those of the first group went out to nobody.
const (
	MappingError Code = "mapping_error" // the input does not make a request
	Restricted   Code = "restricted"    // the actor is shut out for a while
	BreakerOpen  Code = "breaker_open"  // the API failed too often lately
	SecretError  Code = "secret_error"  // a secret cannot be had, or not be used
	SSRFBlocked  Code = "ssrf_blocked"  // the host leads where calls may not go

	DNSError     Code = "dns_error"
	ConnectError Code = "connect_error" // no connection, or it broke
	TLSError     Code = "tls_error"
	Timeout      Code = "timeout"

	HTTPError        Code = "http_error" // a status of 1xx, 4xx or 5xx
	RedirectRefused  Code = "redirect_refused"
	ResponseTooLarge Code = "response_too_large"
	ResponseInvalid  Code = "response_invalid" // cut off, not JSON, or without what is required
)

// Error is why a call failed. It says nothing of what was sent or answered.
type Error struct {
	Code       Code
	Message    string
	Temporary  bool          // the same call may succeed later
	RetryAfter time.Duration // as far as it is known
}

// Error is "http_error: the API answers 401".
func (e *Error) Error() string { return string(e.Code) + ": " + e.Message }

// infrastructure tells whether the API, or the way to it, is at fault: what a breaker
// counts. A status of 4xx is an answer, and what the configuration refuses is no call.
func (e *Error) infrastructure(status int) bool {
	switch e.Code {
	case DNSError, ConnectError, TLSError, Timeout, ResponseTooLarge, ResponseInvalid:
		return true
	case HTTPError:
		return status >= 500
	default:
		return false
	}
}

// NoMaxAge is the MaxAge of an answer that sets none.
const NoMaxAge time.Duration = math.MaxInt64

// Result is what came of a call.
type Result struct {
	Status   int    // of the answer; 0: there was none
	Response any    // what the mapping made of the body; without one, the body
	Headers  any    // what the mapping made of the header
	Err      *Error // nil: the status was 2xx, and what is required was there
	// MaxAge is how long the answer may be relied on, by its own Cache-Control: 0 for
	// no-store, NoMaxAge if it says nothing.
	MaxAge   time.Duration
	Duration time.Duration
	Attempts int // connections that a request was given to
	Debug    *Debug
}

// Class is in a word how a call ended, and whether it went out.
func (r Result) Class() (class string, out bool) {
	if r.Err == nil {
		return strconv.Itoa(r.Status/100) + "xx", true
	}
	switch r.Err.Code {
	case MappingError:
		return "mapping", false
	case Restricted:
		return "restricted", false
	case BreakerOpen:
		return "breaker", false
	case SecretError:
		return "secret", false
	case SSRFBlocked:
		return "ssrf", false
	case DNSError:
		return "dns", true
	case ConnectError:
		return "connect", true
	case TLSError:
		return "tls", true
	case Timeout:
		return "timeout", true
	case RedirectRefused:
		return "redirect", true
	case ResponseTooLarge:
		return "too_large", true
	case ResponseInvalid:
		return "invalid", true
	case HTTPError:
		return strconv.Itoa(r.Status/100) + "xx", true
	default:
		return "other", true
	}
}

// Debug is what an operator may see of a call.
type Debug struct {
	Request  *Request          `json:"request,omitempty"` // nil: it could not be made
	Status   int               `json:"status,omitempty"`
	Headers  map[string]string `json:"headers,omitempty"` // of the answer
	Response any               `json:"response,omitempty"`
}

// MarshalJSON is the envelope of an execution.
func (r Result) MarshalJSON() ([]byte, error) {
	type wireError struct {
		Code      Code    `json:"code"`
		Message   string  `json:"message"`
		Temporary bool    `json:"temporary"`
		After     float64 `json:"retryAfter,omitempty"` // seconds
	}
	w := struct {
		OK       bool       `json:"ok"`
		Status   int        `json:"status"`
		Response any        `json:"response"`
		Headers  any        `json:"headers"`
		Error    *wireError `json:"error,omitempty"`
		Duration int64      `json:"durationMs"`
		Debug    *Debug     `json:"debug,omitempty"`
	}{r.Err == nil, r.Status, r.Response, r.Headers, nil, r.Duration.Milliseconds(), r.Debug}
	if w.Headers == nil {
		w.Headers = map[string]any{}
	}
	if e := r.Err; e != nil {
		w.Error = &wireError{e.Code, e.Message, e.Temporary, e.RetryAfter.Seconds()}
	}
	return wire.JSON(w)
}

// maxAge reads Cache-Control (RFC 9111 section 5.2). What cannot be read is old already.
func maxAge(h http.Header) time.Duration {
	least := NoMaxAge
	for directive := range strings.SplitSeq(strings.Join(h.Values("Cache-Control"), ","), ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(directive), "=")
		switch strings.ToLower(name) {
		case "no-store", "no-cache":
			return 0
		case "max-age":
			seconds, err := strconv.ParseUint(strings.Trim(value, `"`), 10, 31)
			if err != nil {
				return 0
			}
			least = min(least, time.Duration(seconds)*time.Second)
		}
	}
	return least
}

// maxRetryAfter bounds what an API may ask for.
const maxRetryAfter = time.Minute
