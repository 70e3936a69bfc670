package sqlite_test

import (
	"database/sql"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/carnetproject/carnet/internal/store/sqlite"
	"github.com/carnetproject/carnet/internal/user"
)

func TestOpenMakesPrivateFiles(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "a", "b", "carnet.db")
	s := start(t, path)
	if err := s.AddUser(t.Context(), user.User{ID: "u", Name: "u"}); err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]os.FileMode{
		filepath.Dir(path): 0o700 | os.ModeDir, path: 0o600, path + "-wal": 0o600, path + "-shm": 0o600,
	} {
		info, err := os.Stat(file)
		if err != nil {
			t.Error(err)
			continue
		}
		if info.Mode() != want {
			t.Errorf("%s has mode %v, want %v", file, info.Mode(), want)
		}
	}
}

func TestOpenSettings(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "carnet.db")
	start(t, path)
	var mode string
	if err := raw(t, path).QueryRow(`PRAGMA journal_mode`).Scan(&mode); err != nil || mode != "wal" {
		t.Errorf("journal mode = %s, %v; want wal", mode, err)
	}
}

// raw is the file without the package.
func raw(t *testing.T, path string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

func execRaw(t *testing.T, path, statement string) {
	t.Helper()
	if _, err := raw(t, path).Exec(statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

func TestOpenTakesPathsAsTheyAre(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"a b.db", "a?mode=memory", "a#b", "a%41", "ä;b&c"} {
		path := filepath.Join(t.TempDir(), name)
		s := start(t, path)
		if err := s.AddUser(t.Context(), user.User{ID: "u", Name: "u"}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if info, err := os.Stat(path); err != nil || info.Size() == 0 {
			t.Errorf("%s: nothing is in the file: %v", name, err)
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		prepare func(t *testing.T, path string)
		want    string // in the error
	}{
		"a folder": {func(t *testing.T, path string) {
			if err := os.Mkdir(path, 0o700); err != nil {
				t.Fatal(err)
			}
		}, "is a directory"},
		"another file": {func(t *testing.T, path string) {
			if err := os.WriteFile(path, []byte(strings.Repeat("not a database\n", 100)), 0o600); err != nil {
				t.Fatal(err)
			}
		}, "not a database"},
		"a newer schema": {func(t *testing.T, path string) {
			s, err := sqlite.Open(t.Context(), path)
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			execRaw(t, path, `INSERT INTO goose_db_version (version_id, is_applied) VALUES (9999, 1)`)
		}, "schema is version 9999"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "carnet.db")
			tc.prepare(t, path)
			s, err := sqlite.Open(t.Context(), path)
			if err == nil {
				_ = s.Close()
			}
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("Open() error = %v, want one with %q", err, tc.want)
			}
		})
	}
}

// TestOpenAtOnce is several processes on their first start.
func TestOpenAtOnce(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "carnet.db")
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			s, err := sqlite.Open(t.Context(), path)
			if err != nil {
				t.Error(err)
				return
			}
			if _, err := s.Version(t.Context()); err != nil {
				t.Error(err)
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

func TestDamagedRowsAreErrors(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		damage string
		read   func(*running) error
	}{
		"a list that is no JSON": {
			`INSERT INTO users VALUES ('u', 'u', '', 0, '[', 0)`,
			func(s *running) error { _, err := s.Users(t.Context()); return err },
		},
		"a list of numbers": {
			`INSERT INTO users VALUES ('u', 'u', '', 0, '[1]', 0)`,
			func(s *running) error { _, err := s.UserByName(t.Context(), "u"); return err },
		},
		"a short digest": {
			`INSERT INTO families (id, app, subject, scope, audience, algorithm, hash) VALUES ('f', '', '', '', '', '', x'00')`,
			func(s *running) error { _, err := s.Family(t.Context(), "f"); return err },
		},
		"a key that is no JWK": {
			`INSERT INTO keys VALUES ('access', 'k', '{}', '', 0, 0, NULL, NULL, NULL)`,
			func(s *running) error { _, err := s.Keys(t.Context()); return err },
		},
		"a network that is none": {
			`INSERT INTO apps (id, name, disabled, identity, trusted_networks, origins, audience, session_algorithm, access_algorithm, scopes) VALUES ('a', '', 0, '', '["10.0.0.0/99"]', '[]', '', '', '', '[]')`,
			func(s *running) error { _, err := s.Apps(t.Context()); return err },
		},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "carnet.db")
			s := start(t, path)
			execRaw(t, path, tc.damage)
			if err := tc.read(s); err == nil {
				t.Error("read it")
			}
		})
	}
}
