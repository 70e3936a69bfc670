package postgres_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/store/postgres"
)

// do has the server run statements, as the owner of all.
func do(t *testing.T, url, statements string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Exec(t.Context(), statements); err != nil {
		t.Fatal(err)
	}
	if err := conn.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// named is where a database of that name is, which is made.
func named(t *testing.T, name, options string) (url string) {
	t.Helper()
	do(t, server.URL("postgres"), "CREATE DATABASE "+name+" TEMPLATE template0 "+options)
	return server.URL(name)
}

// TestUnfit: what a store cannot be kept in is refused with what to change.
func TestUnfit(t *testing.T) {
	t.Parallel()
	do(t, server.URL("postgres"), "CREATE ROLE poor LOGIN")
	as := func(role, url string) string { return strings.Replace(url, "carnet@", role+"@", 1) }
	for name, tc := range map[string]struct {
		url  string
		want string
		kind fault.Kind
	}{
		"no URL":             {"postgres://ann:hu/sh@h/x", "must be postgres://[user[:password]@]host[:port]/database", fault.Invalid},
		"sslmode":            {"postgres://ann:hush@h/x?sslmode=sure", "sslmode is invalid", fault.Invalid},
		"no certificates":    {"postgres://ann:hush@h/x?sslmode=verify-full&sslrootcert=/nowhere", "open /nowhere: no such file", fault.Invalid},
		"bound, not a count": {"postgres://ann:hush@h/x?pool_max_conns=many", "pool_max_conns", fault.Invalid},
		"bound of one":       {"postgres://ann:hush@h/x?pool_max_conns=1", "pool_max_conns must be at least 2", fault.Invalid},
		"a setting that PostgreSQL does not have": {
			database(t) + "?nonsense=1", `unrecognized configuration parameter "nonsense"`, fault.Internal,
		},
		"encoding": {
			named(t, "ascii", "ENCODING 'SQL_ASCII'"), "the database has the encoding SQL_ASCII and must have UTF8", fault.Invalid,
		},
		"no schema": {
			database(t) + "?search_path=nowhere", "search_path names no schema that is there", fault.Invalid,
		},
		"a role that may make nothing": {
			as("poor", named(t, "others", "")), "permission denied for schema public in PostgreSQL; the role must own the tables", fault.Internal,
		},
		"a role whose tables they are not": {
			as("poor", database(t)), "permission denied for table goose_db_version in PostgreSQL; the role must own the tables", fault.Internal,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := open(t, tc.url)
			if err == nil || !strings.Contains(err.Error(), tc.want) || fault.KindOf(err) != tc.kind {
				t.Errorf("error = %v, of the kind %v\nwant %v, and %q", err, fault.KindOf(err), tc.kind, tc.want)
			}
			if strings.ContainsAny(err.Error(), "\n\t") || strings.Contains(err.Error(), "hush") {
				t.Errorf("error = %q", err)
			}
		})
	}
}

// TestPooler: a connection whose session another has set up before is refused: a pooler would
// have statements of several run in it by turns.
func TestPooler(t *testing.T) {
	t.Parallel()
	url := database(t)
	do(t, server.URL("postgres"), "ALTER DATABASE "+url[strings.LastIndex(url, "/")+1:]+" SET carnet.taken = 'yes'")
	for what, f := range map[string]func() error{
		"Open": func() error { return open(t, url) },
		"Look": func() error { _, err := postgres.Look(t.Context(), url); return err },
	} {
		if err := f(); fault.KindOf(err) != fault.Unavailable || !strings.Contains(err.Error(), "pool_mode = session") {
			t.Errorf("%s() error = %v", what, err)
		}
	}
}

// TestOwnSchema: a store keeps to the schema that search_path names first, if a URL or the
// database says so.
func TestOwnSchema(t *testing.T) {
	t.Parallel()
	url := named(t, "schemas", "")
	do(t, url, "CREATE SCHEMA mine; CREATE SCHEMA yours; ALTER DATABASE schemas SET search_path = yours, public")
	for at, want := range map[string]string{url: "yours", url + "?search_path=mine": "mine"} {
		if err := open(t, at); !errors.Is(err, errOpens) {
			t.Fatal(err)
		}
		conn, err := pgx.Connect(t.Context(), url)
		if err != nil {
			t.Fatal(err)
		}
		var tables, parts int
		err = conn.QueryRow(context.Background(), `
			SELECT COUNT(*) FILTER (WHERE tablename IN ('messages', 'goose_db_version', 'apps')), COUNT(*) FILTER (WHERE tablename LIKE 'messages\_20%')
			FROM pg_tables WHERE schemaname = $1`, want).Scan(&tables, &parts)
		if err != nil || tables != 3 || parts != 3 {
			t.Errorf("%s: %d tables and %d partitions in %s, %v, want 3 and 3", at, tables, parts, want, err)
		}
		if err := conn.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// TestSlowMigration: a migration may take longer than a node's statements.
func TestSlowMigration(t *testing.T) {
	t.Parallel()
	url := named(t, "slow", "")
	do(t, url, `
		CREATE FUNCTION wait() RETURNS event_trigger LANGUAGE plpgsql AS
			$$ BEGIN IF EXISTS (SELECT 1 FROM pg_trigger WHERE NOT tgisinternal) THEN RETURN; END IF; PERFORM pg_sleep(1.2); END $$;
		CREATE EVENT TRIGGER slow ON ddl_command_start WHEN TAG IN ('CREATE TRIGGER') EXECUTE FUNCTION wait()`)
	if err := open(t, url+"?statement_timeout=1000"); !errors.Is(err, errOpens) {
		t.Error(err)
	}
}
