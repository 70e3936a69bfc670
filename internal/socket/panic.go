package socket

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
)

// PanicError is a panic of who takes frames, which is no peer's doing.
type PanicError struct {
	value any
	stack []byte
}

// Panicked is called where a panic is recovered, and keeps where it was. One that is kept
// already stays as it is.
func Panicked(value any) *PanicError {
	if e, ok := value.(*PanicError); ok {
		return e
	}
	return &PanicError{value, debug.Stack()}
}

func (e *PanicError) Error() string { return fmt.Sprintf("panic: %v\n%s", e.value, e.stack) }

// Report logs what [Conn.Read] has returned: what any peer can bring about as a warning, a
// [PanicError] as an error.
func Report(ctx context.Context, log *slog.Logger, err error) {
	if err == nil {
		return
	}
	level := slog.LevelWarn
	if _, ours := errors.AsType[*PanicError](err); ours {
		level = slog.LevelError
	}
	log.LogAttrs(ctx, level, "chat connection cut", slog.Any("err", err))
}
