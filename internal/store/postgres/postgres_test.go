package postgres_test

import (
	"context"
	"fmt"
	"os"
	"sync"
	"testing"

	"github.com/carnetproject/carnet/internal/store/postgres"
	"github.com/carnetproject/carnet/internal/store/postgres/pgtest"
	"github.com/carnetproject/carnet/internal/store/storetest"
)

// server is one for all tests of the package.
var server *pgtest.Server

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "carnet-pg")
		if err != nil {
			panic(err)
		}
		defer os.RemoveAll(dir) //nolint:errcheck // of a test
		if server, err = pgtest.New(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer server.Kill()
		if err := migrateOnce(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return m.Run()
	}())
}

// migrated is the database that those of the tests are copies of.
const migrated = "test1"

func migrateOnce() error {
	url, err := server.Database("")
	if err != nil {
		return err
	}
	s, err := postgres.Open(context.Background(), url)
	if err != nil {
		return err
	}
	return s.Close()
}

// database is a new one whose schema is up to date.
func database(t *testing.T) (url string) {
	t.Helper()
	url, err := server.Database(migrated)
	if err != nil {
		t.Fatal(err)
	}
	return url
}

func TestConformance(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T) storetest.Opener {
		url := database(t)
		return func(t *testing.T) storetest.Store { return start(t, url) }
	})
}

// running is a store that runs until Close.
type running struct {
	*postgres.Store
	stop func() error
}

func (r *running) Close() error { return r.stop() }

func start(t *testing.T, url string) *running {
	t.Helper()
	s, err := postgres.Open(t.Context(), url)
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
