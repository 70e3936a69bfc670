package chat

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"

	"github.com/carnetproject/carnet/internal/fault"
)

// trouble logs once that something is out of reach and once that it is back, however
// many conversations need it meanwhile.
type trouble struct {
	log  *slog.Logger
	what string
	on   atomic.Bool
}

// note takes the outcome of a use of it. A use that was called off says nothing.
func (t *trouble) note(ctx context.Context, err error) {
	if errors.Is(err, context.Canceled) {
		return
	}
	if k := fault.KindOf(err); k != fault.Internal && k != fault.Unavailable {
		err = nil // a refusal is an answer
	}
	if t.on.Swap(err != nil) == (err != nil) {
		return
	}
	if err != nil {
		t.log.LogAttrs(ctx, slog.LevelError, t.what+" out of reach", slog.Any("err", err))
		return
	}
	t.log.LogAttrs(ctx, slog.LevelInfo, t.what+" back")
}
