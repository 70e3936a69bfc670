// Package fault gives every error of Carnet a kind, and every kind one outcome:
// an HTTP status, a stable code for clients and an exit code for the command line.
//
// A message in a [fault.Error] is written for the person who made the request.
// What must stay inside (causes, names of tables, file paths) goes into Err,
// which is logged and never shown.
package fault

import (
	"errors"
	"fmt"
	"net/http"
	"time"
)

// Kind tells what went wrong in terms the caller can act on.
type Kind uint8

// The zero Kind is Internal, so that an error nobody classified shows nothing.
const (
	Internal        Kind = iota // a fault of ours; the message is not shown
	Invalid                     // the request is malformed: change it
	Unauthenticated             // who is asking is not proven
	Denied                      // proven, but not allowed
	NotFound
	MethodNotAllowed
	Conflict // clashes with what is there
	TooLarge
	UnsupportedMedia
	Limited     // too many requests: wait RetryAfter
	Unavailable // temporary: the same request may succeed later
	numKinds
)

// outcome is the one table that turns a Kind into what the outside sees.
var outcome = [numKinds]struct {
	status int
	exit   int
	code   string
}{
	Internal:         {http.StatusInternalServerError, 1, "internal"},
	Invalid:          {http.StatusBadRequest, 2, "invalid"},
	Unauthenticated:  {http.StatusUnauthorized, 3, "unauthenticated"},
	Denied:           {http.StatusForbidden, 3, "denied"},
	NotFound:         {http.StatusNotFound, 4, "not_found"},
	MethodNotAllowed: {http.StatusMethodNotAllowed, 2, "method_not_allowed"},
	Conflict:         {http.StatusConflict, 5, "conflict"},
	TooLarge:         {http.StatusRequestEntityTooLarge, 2, "too_large"},
	UnsupportedMedia: {http.StatusUnsupportedMediaType, 2, "unsupported_media_type"},
	Limited:          {http.StatusTooManyRequests, 6, "limited"},
	Unavailable:      {http.StatusServiceUnavailable, 6, "unavailable"},
}

// Status is the HTTP status of k.
func (k Kind) Status() int { return outcome[k].status }

// ExitCode is the exit code of a command that fails with k.
func (k Kind) ExitCode() int { return outcome[k].exit }

// String is the stable code of k, as clients see it.
func (k Kind) String() string { return outcome[k].code }

// Error is an error whose message may be shown to the caller.
type Error struct {
	Kind       Kind
	Msg        string        // for the caller: lower case, names the field and what would be right
	Field      string        // the member of the request at fault, if one is
	Code       string        // a stable code of its own; empty: the kind's
	RetryAfter time.Duration // for Limited and Unavailable; zero if unknown
	Err        error         // the cause, for the log alone; may be nil
}

// New returns an error of kind k that says msg to the caller.
func New(k Kind, msg string) *Error { return &Error{Kind: k, Msg: msg} }

// Newf is [New] with a format. The arguments are shown to the caller.
func Newf(k Kind, format string, args ...any) *Error {
	return &Error{Kind: k, Msg: fmt.Sprintf(format, args...)}
}

// Wrap hides cause behind a message for the caller.
func Wrap(k Kind, msg string, cause error) *Error { return &Error{Kind: k, Msg: msg, Err: cause} }

// BadField reports that a member of the request is wrong, and what would be right.
func BadField(field, msg string) *Error { return &Error{Kind: Invalid, Field: field, Msg: msg} }

// Error is for logs: it has the cause. What the caller sees is [Public].
func (e *Error) Error() string {
	s := e.Msg
	if e.Field != "" {
		s = e.Field + ": " + s
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// KindOf returns the kind of the first [Error] in err's chain, Internal if there is none.
func KindOf(err error) Kind {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Kind
	}
	return Internal
}

// Public returns what the caller may be told about err: never a cause, and for
// an internal fault nothing but that it is one.
func Public(err error) Error {
	e, ok := errors.AsType[*Error](err)
	if !ok || e.Kind == Internal {
		return Error{Kind: Internal, Msg: "internal error"}
	}
	return Error{Kind: e.Kind, Msg: e.Msg, Field: e.Field, Code: e.Code, RetryAfter: e.RetryAfter}
}
