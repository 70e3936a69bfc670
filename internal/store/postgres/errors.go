package postgres

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/carnetproject/carnet/internal/fault"
)

// explain says what was being done when err happened, and marks as temporary what
// the same call may survive later. A fault keeps its kind; nil stays nil.
func explain(what string, err error) error {
	if err == nil {
		return nil
	}
	within := fmt.Errorf("%s: %w", what, err)
	if e, ok := errors.AsType[*pgconn.ConnectError](err); ok {
		within = unreached{e} // whatever was to be done
	} else if e, ok := errors.AsType[*pgconn.PgError](err); ok && e.Code == "42501" {
		within = denied{e}
	}
	switch {
	case notText(err):
		return &fault.Error{Kind: fault.Invalid, Msg: "a text must be UTF-8 without the character U+0000", Err: within}
	case temporary(err):
		return &fault.Error{
			Kind: fault.Unavailable, Msg: "the store is not available",
			RetryAfter: time.Second, Err: within,
		}
	}
	return within
}

// temporary tells what may be over soon: a server that is away, full, changing its role
// or too busy.
func temporary(err error) bool {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		switch e.Code[:2] {
		case "08", "53", "57", "58": // connection, resources, operator, system
			return true
		case "40": // rolled back in favour of another
			return true
		}
		switch e.Code {
		case "25006", "55P03": // a standby, a lock that was not got in time
			return true
		}
		return false
	}
	if errors.Is(err, context.Canceled) {
		return false
	}
	if _, ok := errors.AsType[*pgconn.ConnectError](err); ok || errors.Is(err, errShared) {
		return true
	}
	_, network := errors.AsType[net.Error](err)
	return network || pgconn.Timeout(err) || pgconn.SafeToRetry(err) || errors.Is(err, context.DeadlineExceeded) ||
		errors.Is(err, net.ErrClosed) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, driver.ErrBadConn)
}

// denied is a right that the role does not have. Its text is one line.
type denied struct{ err *pgconn.PgError }

func (e denied) Unwrap() error { return e.err }

func (e denied) Error() string {
	return e.err.Message + " in PostgreSQL; the role must own the tables, and have the right CREATE in their schema"
}

// notText tells whether a text was refused that SQLite would take.
func notText(err error) bool {
	e, ok := errors.AsType[*pgconn.PgError](err)
	return ok && (e.Code == "22021" || e.Code == "22P05")
}

// taken reports whether err says that a unique value is there already.
func taken(err error) (*pgconn.PgError, bool) {
	e, ok := errors.AsType[*pgconn.PgError](err)
	return e, ok && e.Code == "23505"
}
