package server

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestRetain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const retention = 48 * time.Hour
		var logged bytes.Buffer
		var ages []time.Duration
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() {
			ended <- retain(ctx, retention, time.Now, slog.New(slog.NewTextHandler(&logged, nil)), func(_ context.Context, before time.Time) error {
				ages = append(ages, time.Since(before))
				if len(ages) == 2 {
					return errors.New("disk on fire")
				}
				return nil
			})
		}()
		time.Sleep(2*retentionEvery + time.Minute)
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("retain() = %v", err)
		}
		if len(ages) != 3 {
			t.Errorf("looked %d times in two hours, want 3", len(ages))
		}
		for _, age := range ages {
			if age != retention {
				t.Errorf("deletes what is older than %v, want %v", age, retention)
			}
		}
		if n := strings.Count(logged.String(), "disk on fire"); n != 1 {
			t.Errorf("%d errors logged, want 1: %s", n, &logged)
		}
	})
}
