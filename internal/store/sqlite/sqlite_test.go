package sqlite_test

import (
	"context"
	"path/filepath"
	"sync"
	"testing"

	"github.com/carnetproject/carnet/internal/store/sqlite"
	"github.com/carnetproject/carnet/internal/store/storetest"
)

func TestConformance(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T) storetest.Opener {
		path := filepath.Join(t.TempDir(), "carnet.db")
		return func(t *testing.T) storetest.Store { return start(t, path) }
	})
}

// running is a store whose writer runs until Close.
type running struct {
	*sqlite.Store
	stop func() error
}

func (r *running) Close() error { return r.stop() }

func start(t *testing.T, path string) *running {
	t.Helper()
	s, err := sqlite.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	r := &running{s, sync.OnceValue(func() error {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run() = %v", err)
		}
		return s.Close()
	})}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return r
}
