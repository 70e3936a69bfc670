package sqlite

import (
	"errors"
	"fmt"
	"time"

	"modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"

	"github.com/carnetproject/carnet/internal/fault"
)

// explain says what was being done when err happened, and marks as temporary what
// the same call may survive later. A fault keeps its kind; nil stays nil.
func explain(what string, err error) error {
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*sqlite.Error](err); ok {
		switch e.Code() & 0xff { // the primary code
		case lib.SQLITE_BUSY, lib.SQLITE_LOCKED, lib.SQLITE_FULL, lib.SQLITE_IOERR, lib.SQLITE_READONLY, lib.SQLITE_CANTOPEN:
			return &fault.Error{
				Kind: fault.Unavailable, Msg: "the store is not available",
				RetryAfter: time.Second, Err: fmt.Errorf("%s: %w", what, err),
			}
		}
	}
	return fmt.Errorf("%s: %w", what, err)
}

// taken reports whether err says that a unique value is there already.
func taken(err error) bool {
	e, ok := errors.AsType[*sqlite.Error](err)
	return ok && (e.Code() == lib.SQLITE_CONSTRAINT_PRIMARYKEY || e.Code() == lib.SQLITE_CONSTRAINT_UNIQUE)
}
