package transfer_test

import (
	"context"
	"database/sql"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/carnetproject/carnet/internal/store/postgres"
	"github.com/carnetproject/carnet/internal/store/postgres/pgtest"
	"github.com/carnetproject/carnet/internal/store/sqlite"
	"github.com/carnetproject/carnet/internal/store/table"
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
		return m.Run()
	}())
}

func database(t *testing.T) string {
	t.Helper()
	url, err := server.Database("")
	if err != nil {
		t.Fatal(err)
	}
	return url
}

// raw is a file of SQLite as it is.
func raw(t *testing.T, path string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=foreign_keys(1)")
	if err != nil {
		t.Fatal(err)
	}
	return db
}

// alter changes a file that nobody has open.
func alter(t *testing.T, path, query string) {
	t.Helper()
	db := raw(t, path)
	defer func() { _ = db.Close() }()
	exec(t, db, query)
}

func exec(t *testing.T, db *sql.DB, query string, args ...any) {
	t.Helper()
	if _, err := db.ExecContext(t.Context(), query, args...); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
}

// column is one of a table of SQLite.
type column struct {
	name, kind string
	notNull    bool
	number     bool   // of the row
	parent     string // table and column that it refers to
}

// flags are the columns that are true or false in PostgreSQL, as table.column.
var flags = sync.OnceValues(func() (map[string]bool, error) {
	ctx := context.Background()
	url, err := server.Database("")
	if err == nil {
		err = postgres.Migrate(ctx, url)
	}
	if err != nil {
		return nil, err
	}
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close(ctx) }()
	found, err := conn.Query(ctx, `
		SELECT table_name || '.' || column_name FROM information_schema.columns WHERE table_schema = 'public' AND data_type = 'boolean'`)
	if err != nil {
		return nil, err
	}
	names, err := pgx.CollectRows(found, pgx.RowTo[string])
	all := map[string]bool{}
	for _, n := range names {
		all[n] = true
	}
	return all, err
})

// files are the contents of a file without rows and of one with rows in every table.
var files struct {
	once        sync.Once
	empty, full []byte
}

// filled is a new file with rows in every table: whatever the columns can hold.
func filled(t *testing.T) (path string) {
	t.Helper()
	return fileOf(t, func() []byte { return files.full })
}

// empty is a new file without rows.
func empty(t *testing.T) (path string) {
	t.Helper()
	return fileOf(t, func() []byte { return files.empty })
}

func fileOf(t *testing.T, content func() []byte) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "carnet.db")
	files.once.Do(func() {
		first := filepath.Join(t.TempDir(), "first.db")
		if err := sqlite.Migrate(t.Context(), first); err != nil {
			t.Fatal(err)
		}
		files.empty, _ = os.ReadFile(first)
		fill(t, first, 10)
		files.full, _ = os.ReadFile(first)
	})
	if err := os.WriteFile(path, content(), 0o600); err != nil || len(content()) == 0 {
		t.Fatalf("no file: %v", err)
	}
	return path
}

// fill adds rows to every table of a file.
func fill(t *testing.T, path string, rows int) {
	t.Helper()
	flags, err := flags()
	if err != nil {
		t.Fatal(err)
	}
	db, random := raw(t, path), rand.New(rand.NewPCG(1, 2))
	defer func() { _ = db.Close() }()
	exec(t, db, `PRAGMA synchronous = OFF`)
	tables := columns(t, db)
	var fillTable func(name string)
	done := map[string]bool{}
	fillTable = func(name string) {
		if done[name] {
			return
		}
		done[name] = true
		keys := primaryKey(t, db, name)
		if len(keys) == 0 && name != "messages" { // one row
			for _, c := range tables[name] {
				if c.kind == "INTEGER" {
					exec(t, db, `UPDATE `+name+` SET `+c.name+` = ?`, 1+random.IntN(1000))
				}
			}
			return
		}
		for _, c := range tables[name] {
			if parent, _, ok := strings.Cut(c.parent, "."); ok {
				fillTable(parent)
			}
		}
		tx, err := db.BeginTx(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		var names, values []string
		for _, c := range tables[name] {
			names = append(names, c.name)
			values = append(values, "?")
		}
		for i := range rows {
			args := make([]any, len(names))
			for j, c := range tables[name] {
				switch parent, of, ok := strings.Cut(c.parent, "."); {
				case ok:
					if err := tx.QueryRowContext(t.Context(), `SELECT `+of+` FROM `+parent+` ORDER BY random() LIMIT 1`).Scan(&args[j]); err != nil {
						t.Fatal(err)
					}
				case flags[name+"."+c.name]:
					args[j] = int64(random.IntN(2))
				case c.number:
					args[j] = int64(3*i + 1)
				case name == "messages" && c.name == "at":
					args[j] = 1_700_000_000_000 + random.Int64N(1e11)
				default:
					args[j] = value(random, c, i)
				}
			}
			// Of rows that clash with others there are fewer.
			if _, err := tx.ExecContext(t.Context(), `INSERT OR IGNORE INTO `+name+` (`+strings.Join(names, ", ")+`) VALUES (`+strings.Join(values, ", ")+`)`, args...); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
		if err := tx.Commit(); err != nil {
			t.Fatal(err)
		}
	}
	for name := range tables {
		fillTable(name)
	}
	// Where messages are, they tell where a conversation stands.
	exec(t, db, `UPDATE conversations AS c SET last_seq = 0 WHERE EXISTS (SELECT 1 FROM messages WHERE conversation = c.key)`)
	// The newest rows of some are gone, and their numbers are not to come again.
	for _, name := range []string{"credentials", "changes", "revocations"} {
		exec(t, db, `DELETE FROM `+name+` WHERE rowid = (SELECT MAX(rowid) FROM `+name+`)`)
	}
}

// value is one that a column can hold, often an odd one.
func value(random *rand.Rand, c column, i int) any {
	if !c.notNull && random.IntN(4) == 0 {
		return nil
	}
	switch c.kind {
	case "INTEGER":
		return []int64{int64(i) + 1, -int64(i), math.MaxInt64 - int64(i)*1000, math.MinInt64 + int64(i), random.Int64N(1 << 40)}[min(random.IntN(40), 4)]
	case "BLOB":
		b := make([]byte, random.IntN(40))
		for j := range b {
			b[j] = byte(random.Uint32())
		}
		return b
	default:
		texts := []string{"", `"quoted", \ and\tso on`, "Zürich – 東京 🛂", `\N`, "it's NULL", strings.Repeat("long ", 2000)}
		return texts[min(random.IntN(200), len(texts)-1)%len(texts)] + fmt.Sprintf("%x", random.Uint64())
	}
}

func columns(t *testing.T, db *sql.DB) map[string][]column {
	t.Helper()
	found, err := db.QueryContext(t.Context(), `
		SELECT t.name, c.name, c.type, c."notnull", c.pk = 1 AND c.type = 'INTEGER', COALESCE(f."table" || '.' || f."to", '')
		FROM sqlite_schema AS t, pragma_table_info(t.name) AS c
			LEFT JOIN pragma_foreign_key_list(t.name) AS f ON f."from" = c.name
		WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite%'`)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = found.Close() }()
	all := map[string][]column{}
	for found.Next() {
		var name string
		var c column
		if err := found.Scan(&name, &c.name, &c.kind, &c.notNull, &c.number, &c.parent); err != nil {
			t.Fatal(err)
		}
		if !table.Private(name) {
			all[name] = append(all[name], c)
		}
	}
	if err := found.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

func primaryKey(t *testing.T, db *sql.DB, name string) (names []string) {
	t.Helper()
	found, err := db.QueryContext(t.Context(), `SELECT name FROM pragma_table_info(?) WHERE pk > 0`, name)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = found.Close() }()
	for found.Next() {
		var n string
		if err := found.Scan(&n); err != nil {
			t.Fatal(err)
		}
		names = append(names, n)
	}
	return names
}

// dump is all that a file holds, and the numbers that it has given.
func dump(t *testing.T, path string) map[string][]string {
	t.Helper()
	db, all := raw(t, path), map[string][]string{}
	defer func() { _ = db.Close() }()
	for name, cs := range columns(t, db) {
		var quoted []string
		for _, c := range cs {
			quoted = append(quoted, "quote("+c.name+")")
		}
		all[name] = texts(t, db, `SELECT `+strings.Join(quoted, ` || ', ' || `)+` FROM `+name+` ORDER BY 1`)
	}
	all["numbers"] = texts(t, db, `SELECT name || ' ' || seq FROM sqlite_sequence WHERE name <> 'goose_db_version' AND seq > 0 ORDER BY 1`)
	return all
}

func texts(t *testing.T, db *sql.DB, query string) (all []string) {
	t.Helper()
	found, err := db.QueryContext(t.Context(), query)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	defer func() { _ = found.Close() }()
	for found.Next() {
		var text string
		if err := found.Scan(&text); err != nil {
			t.Fatal(err)
		}
		all = append(all, text)
	}
	return all
}

// same wants two files to hold the same.
func same(t *testing.T, from, to string) {
	t.Helper()
	want, got := dump(t, from), dump(t, to)
	for name := range want {
		if diff := cmp.Diff(want[name], got[name]); diff != "" {
			t.Errorf("%s differ (-source +copy):\n%.2000s", name, diff)
		}
	}
}
