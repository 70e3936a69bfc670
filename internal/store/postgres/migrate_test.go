package postgres_test

import (
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
)

// TestOpenAtOnce: of nodes that start at once on an empty database one makes the schema.
func TestOpenAtOnce(t *testing.T) {
	t.Parallel()
	url, err := server.Database("")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			if err := open(t, url); !errors.Is(err, errOpens) {
				t.Errorf("error = %v", err)
			}
		})
	}
	all.Wait()
}

// TestNewerSchema: a program works with a schema of a newer one that says that it may, so
// that nodes can be replaced one by one, and with no other.
func TestNewerSchema(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ newest, oldest, want string }{
		"one version newer, for this program, too": {"99", "1", "it opens"},
		"one version newer, not for this program":  {"99", "99", "use a newer one"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := database(t)
			conn, err := pgx.Connect(t.Context(), url)
			if err != nil {
				t.Fatal(err)
			}
			_, err = conn.Exec(t.Context(), `INSERT INTO goose_db_version (version_id, is_applied) VALUES (`+tc.newest+`, true);
				UPDATE schema_readers SET oldest = `+tc.oldest)
			if err != nil {
				t.Fatal(err)
			}
			if err := conn.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := open(t, url); !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error = %v, want one that says %q", err, tc.want)
			}
		})
	}
}
