package server

import (
	"context"
	"log/slog"
	"time"
)

// retentionEvery is how often old messages are looked for.
const retentionEvery = time.Hour

// retain has messages that are older than chat.retention deleted until ctx ends. Of nodes
// with one store it is enough if one comes to it.
func retain(ctx context.Context, retention time.Duration, now func() time.Time, log *slog.Logger, deleteBefore func(context.Context, time.Time) error) error {
	tick := time.NewTicker(retentionEvery)
	defer tick.Stop()
	for {
		if err := deleteBefore(ctx, now().Add(-retention)); err != nil && ctx.Err() == nil {
			log.LogAttrs(ctx, slog.LevelError, "old messages not deleted", slog.Any("err", err))
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}
