package transfer_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/pressly/goose/v3"

	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/store/postgres"
	"github.com/carnetproject/carnet/internal/store/sqlite"
	"github.com/carnetproject/carnet/internal/store/table"
	"github.com/carnetproject/carnet/internal/store/transfer"
)

// bulk is a store of either kind.
type bulk interface {
	table.Tx
	Shapes(ctx context.Context) ([]table.Shape, error)
	Begun(ctx context.Context) (bool, error)
	Insert(ctx context.Context, s table.Shape, rows [][]any) error
	Settle(ctx context.Context, last map[string]int64) error
	Close() error
}

func source(t *testing.T, at string) (bulk, error) {
	t.Helper()
	if strings.HasPrefix(at, "postgres") {
		return postgres.OpenSource(t.Context(), at, false)
	}
	return sqlite.OpenSource(t.Context(), at, false)
}

func destination(t *testing.T, at string) (bulk, error) {
	t.Helper()
	if strings.HasPrefix(at, "postgres") {
		return postgres.OpenDestination(t.Context(), at)
	}
	return sqlite.OpenDestination(t.Context(), at)
}

// copies copies all that is at a place to another one. It may be stopped by observe.
func copies(t *testing.T, from, to string, batch int, observe func(p transfer.Progress, stop func())) (p *transfer.Plan, err error) {
	t.Helper()
	s, err := source(t, from)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	d, err := destination(t, to)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	c := transfer.Copy{From: s, To: d, Batch: batch}
	if observe != nil {
		c.Observe = func(p transfer.Progress) { observe(p, stop) }
	}
	if p, err = c.Plan(ctx); err != nil {
		return nil, err
	}
	return p, c.Run(ctx, p)
}

// TestThereAndBack copies whatever a file can hold to PostgreSQL, and from there into
// another file.
func TestThereAndBack(t *testing.T) {
	t.Parallel()
	from, over, back := filled(t), database(t), empty(t)
	p, err := copies(t, from, over, 20, nil)
	if err != nil {
		t.Fatal(err)
	}
	if rows, copied := p.Total(); rows < 200 || copied != 0 {
		t.Errorf("%d rows, of which %d were there", rows, copied)
	}
	if _, err := copies(t, over, back, 20, nil); err != nil {
		t.Fatal(err)
	}
	same(t, from, back)
	for _, at := range []string{from, back} {
		s, err := sqlite.Open(t.Context(), at)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}

	conn, err := pgx.Connect(t.Context(), over)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(t.Context())) }()
	for what, query := range map[string]string{
		"numbers of credentials that were given before": `SELECT COUNT(*) FROM pg_sequences WHERE sequencename = 'credentials_n_seq' AND last_value <= (SELECT MAX(n) FROM credentials)`,
		"conversations that do not know where they stand": `
			SELECT COUNT(*) FROM conversations AS c WHERE last_seq <> (SELECT MAX(seq) FROM messages WHERE conversation = c.key)
				OR turns <> (SELECT COUNT(*) FROM turns WHERE conversation = c.key)`,
		"messages outside the partitions of their months": `SELECT COUNT(*) FROM messages_default`,
	} {
		var n int
		if err := conn.QueryRow(t.Context(), query).Scan(&n); err != nil || n != 0 {
			t.Errorf("%d %s (%v)", n, what, err)
		}
	}
}

// TestStopped stops a copy again and again. It goes on where it was, and nothing is copied
// twice.
func TestStopped(t *testing.T) {
	t.Parallel()
	from := filled(t)
	for name, to := range map[string]string{"PostgreSQL": database(t), "SQLite": empty(t)} {
		random, done, runs := rand.New(rand.NewPCG(3, 4)), int64(0), 0
		for err := errors.New("not begun"); err != nil; runs++ {
			enough := 1 + random.Int64N(120)
			var p *transfer.Plan
			var now transfer.Progress
			p, err = copies(t, from, to, 7, func(p transfer.Progress, stop func()) {
				if now = p; p.Mine >= enough && !p.Checking {
					stop()
				}
			})
			if p == nil || err != nil && !errors.Is(err, context.Canceled) {
				t.Fatalf("%s: %v", name, err)
			}
			if _, copied := p.Total(); copied != done || p.Begun != (runs > 0) {
				t.Errorf("%s: run %d finds %d rows and %v, want %d", name, runs, copied, p.Begun, done)
			}
			if err == nil {
				break
			}
			if done = now.Done; runs > 500 {
				t.Fatalf("%s: it does not come to its end", name)
			}
			if err := opens(t, to); !errors.Is(err, table.ErrUnfinished) {
				t.Fatalf("%s: a node opens half a copy: %v", name, err)
			}
		}
		if runs < 3 {
			t.Errorf("%s: it was stopped %d times", name, runs)
		}
		if err := opens(t, to); err != nil {
			t.Errorf("%s: a node does not open the copy: %v", name, err)
		}
	}
}

// TestKilledEarly copies into what a copy leaves that is killed before its first row: it
// looks empty, and is taken.
func TestKilledEarly(t *testing.T) {
	t.Parallel()
	from := filled(t)
	file := func(version int64) string {
		path := filepath.Join(t.TempDir(), "carnet.db")
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if version < 0 {
			return path
		}
		db := raw(t, path)
		defer func() { _ = db.Close() }()
		p, err := goose.NewProvider(goose.DialectSQLite3, db, os.DirFS("../sqlite/migrations"), goose.WithDisableGlobalRegistry(true))
		if err == nil {
			_, err = p.UpTo(t.Context(), version)
		}
		if err != nil {
			t.Fatal(err)
		}
		return path
	}
	made := database(t)
	d, err := destination(t, made)
	if err != nil || d.Close() != nil {
		t.Fatal(err)
	}
	for name, to := range map[string]string{
		"a file without anything": file(-1), "a schema half way": file(8), "an empty file": empty(t),
		"a database without anything": database(t), "an empty database": made,
	} {
		look := func() (l table.Look, err error) {
			if strings.HasPrefix(to, "postgres") {
				return postgres.Look(t.Context(), to)
			}
			return sqlite.Look(t.Context(), to)
		}
		if l, err := look(); err != nil || !l.Empty {
			t.Errorf("%s does not look empty: %+v, %v", name, l, err)
		}
		if p, err := copies(t, from, to, 0, nil); err != nil || p.Begun {
			t.Errorf("%s: begun %v, %v", name, p != nil && p.Begun, err)
		}
		if l, err := look(); err != nil || l.Empty {
			t.Errorf("%s looks empty with all rows: %v", name, err)
		}
	}
}

// opens opens a store as a node does.
func opens(t *testing.T, at string) error {
	t.Helper()
	if strings.HasPrefix(at, "postgres") {
		return postgres.Migrate(t.Context(), at)
	}
	return sqlite.Migrate(t.Context(), at)
}

// TestRefused is what a copy does not begin with, or does not end with.
func TestRefused(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		prepare func(t *testing.T) (from, to string)
		want    string
	}{
		"no source": {func(t *testing.T) (string, string) {
			return filepath.Join(t.TempDir(), "none.db"), database(t)
		}, "there is no store"},
		"a destination with rows": {func(t *testing.T) (string, string) {
			from, to := filled(t), filled(t)
			alter(t, to, `UPDATE row_ids SET key = randomblob(16)`)
			return from, to
		}, "the destination is not empty: it has"},
		"a destination that is a copy": {func(t *testing.T) (string, string) {
			return filled(t), filled(t)
		}, "it is a copy of the source, and a finished one"},
		"half a copy of another store": {func(t *testing.T) (string, string) {
			from, to := filled(t), empty(t)
			_, _ = copies(t, from, to, 20, func(_ transfer.Progress, stop func()) { stop() })
			alter(t, from, `UPDATE row_ids SET key = randomblob(16)`)
			return from, to
		}, "an unfinished copy of another store"},
		"half a copy as the source": {func(t *testing.T) (string, string) {
			other, to := filled(t), empty(t)
			_, _ = copies(t, other, to, 20, func(_ transfer.Progress, stop func()) { stop() })
			return to, database(t)
		}, "a copy that is not finished"},
		"a source that somebody has open": {func(t *testing.T) (string, string) {
			at := filled(t)
			s, err := sqlite.Open(t.Context(), at)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = s.Close() })
			return at, database(t)
		}, "another process has"},
		"a database that somebody has open": {func(t *testing.T) (string, string) {
			to := database(t)
			s, err := postgres.Open(t.Context(), to)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = s.Close() })
			return filled(t), to
		}, "others have it open: carnet from 127.0.0.1"},
		"a database that somebody copies into": {func(t *testing.T) (string, string) {
			to := database(t)
			d, err := destination(t, to)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = d.Close() })
			return filled(t), to
		}, "somebody copies into it already"},
		"another schema": {func(t *testing.T) (string, string) {
			at := filled(t)
			alter(t, at, `DELETE FROM goose_db_version WHERE version_id = (SELECT MAX(version_id) FROM goose_db_version)`)
			return at, database(t)
		}, "carnet store migrate brings it up to date"},
		"a newer schema": {func(t *testing.T) (string, string) {
			at := filled(t)
			alter(t, at, `INSERT INTO goose_db_version (version_id, is_applied) VALUES (999, 1)`)
			return at, database(t)
		}, "use a newer one"},
		"a row that was written to the copy": {func(t *testing.T) (string, string) {
			at, to := filled(t), empty(t)
			stopAtCheck(t, at, to)
			alter(t, to, `UPDATE users SET name = name || 'x' WHERE rowid = (SELECT MIN(rowid) FROM users)`)
			return at, to
		}, "the table users has other rows"},
		"a row that was written to the source": {func(t *testing.T) (string, string) {
			at, to := filled(t), database(t)
			stopAtCheck(t, at, to)
			alter(t, at, `DELETE FROM revocations WHERE rowid = (SELECT MIN(rowid) FROM revocations)`)
			return at, to
		}, "rows in the source and"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			from, to := tc.prepare(t)
			_, err := copies(t, from, to, 20, nil)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Fatalf("error = %v, want one that says %q", err, tc.want)
			}
			if kind := fault.KindOf(err); kind != fault.Conflict && kind != fault.NotFound {
				t.Errorf("its kind is %v", kind)
			}
		})
	}
}

// stopAtCheck copies all rows, and no more.
func stopAtCheck(t *testing.T, from, to string) {
	t.Helper()
	_, err := copies(t, from, to, 20, func(p transfer.Progress, stop func()) {
		if p.Checking {
			stop()
		}
	})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("error = %v, want that it was stopped", err)
	}
}
