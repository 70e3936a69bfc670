package chat

import (
	"errors"

	"github.com/carnetproject/carnet/internal/chat"
	"github.com/carnetproject/carnet/internal/fault"
)

// closeCode is why a connection is closed. Clients need no table: they stop at 4000 to
// 4499 and connect again, with full jitter, at 4500 to 4999.
type closeCode uint16

const (
	closeBadFrame     closeCode = 4400
	closeTokenRefused closeCode = 4401 // or expired, or revoked
	closeNotAllowed   closeCode = 4403 // origin, bot, scope, somebody else's conversation
	closeHelloTimeout closeCode = 4408
	closeTooMany      closeCode = 4409 // frames
	closeLocked       closeCode = 4423 // the session is not one that may go on; see [chat.LockedError]
	closeGoingAway    closeCode = 4500
	closeUnavailable  closeCode = 4503
	closeSlowReader   closeCode = 4508
)

// closeCodes has an outcome for each kind of error.
var closeCodes = map[fault.Kind]closeCode{
	fault.Internal:         closeUnavailable,
	fault.Invalid:          closeBadFrame,
	fault.Unauthenticated:  closeTokenRefused,
	fault.Denied:           closeNotAllowed,
	fault.NotFound:         closeNotAllowed,
	fault.MethodNotAllowed: closeBadFrame,
	fault.Conflict:         closeNotAllowed,
	fault.TooLarge:         closeBadFrame,
	fault.UnsupportedMedia: closeBadFrame,
	fault.Limited:          closeTooMany,
	fault.Unavailable:      closeUnavailable,
}

// refusal ends a connection: an error frame, then the close frame with the same code
// word.
type refusal struct {
	close closeCode
	wire  wireError
	cause error // for the log; nil: nothing to say
}

// refuse names an error that carnet.v1 has a word of its own for.
func refuse(c closeCode, code, title string) *refusal {
	return &refusal{close: c, wire: wireError{Code: code, Title: title}}
}

// refuseFor is the refusal of what has failed with err.
func refuseFor(err error) *refusal {
	r := &refusal{close: closeCodes[fault.KindOf(err)], wire: toWire(err), cause: err}
	if _, locked := errors.AsType[*chat.LockedError](err); locked && r.close == closeNotAllowed {
		r.close = closeLocked
	}
	return r
}

// fault is the refusal as an answer to a request.
func (r *refusal) fault() error {
	kind := fault.Denied
	if r.close == closeTokenRefused {
		kind = fault.Unauthenticated
	}
	if r.cause != nil {
		return r.cause
	}
	return fault.New(kind, r.wire.Title)
}

// badFrame is the refusal of a frame that breaks the protocol.
func badFrame(err error) *refusal {
	return &refusal{close: closeBadFrame, wire: wireError{Code: "bad_frame", Title: toWire(err).Title}}
}
