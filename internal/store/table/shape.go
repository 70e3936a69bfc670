package table

import (
	"fmt"
	"io/fs"

	"github.com/pressly/goose/v3"

	"github.com/carnetproject/carnet/internal/fault"
)

// Shape is what a whole database has of one of its tables, for who copies it.
type Shape struct {
	Name    string
	Columns []string // by their names' order
	Key     []string // the columns that tell rows apart; none: there is one row
	// Reads has the expressions of columns that are read otherwise than by their names.
	Reads map[string]string
	Last  int64 // the greatest number that a row ever had; 0: rows are not numbered, or there was none
}

// Unfinished is the name of the table that a copy keeps in its destination while it is
// not finished. No node opens a store that has it.
const Unfinished = "unfinished_copy"

// Private tells whether a table is the database's own: its rows mean nothing to another.
func Private(name string) bool {
	switch name {
	case "goose_db_version", "schema_readers", Unfinished:
		return true
	}
	return false
}

// KeyOf is the key of a table, given the columns of its primary key.
func KeyOf(name string, primary []string) []string {
	if name == "messages" { // they are found by an index, and have no primary key
		return []string{"conversation", "seq"}
	}
	return primary
}

// Look is what a database shows to who is none of its nodes.
type Look struct {
	Server     string   // the product and its version
	Version    int64    // of the schema; 0: there is none yet
	Known      int64    // the schema that this program knows
	Pending    []string // migrations that would be made
	Unfinished bool     // it holds a copy that is not finished
	Bytes      int64
	Counts     []Count  // of each table, by their names
	Empty      bool     // no table has a row but those that have one from the beginning
	Others     []string // who else has it open
}

// Count is how many rows a table has.
type Count struct {
	Table string
	Rows  int64
	About bool // it was not counted: the server has an estimate
}

// Pending are the migrations, of those in the folder of that name, which a schema lacks,
// and the newest that there is.
func Pending(files fs.ReadDirFS, version int64) (names []string, newest int64, err error) {
	all, err := files.ReadDir("migrations")
	if err != nil {
		return nil, 0, err
	}
	for _, f := range all {
		n, err := goose.NumericComponent(f.Name())
		if err != nil {
			return nil, 0, fmt.Errorf("migration %s: %w", f.Name(), err)
		}
		if n > version {
			names = append(names, f.Name())
		}
		newest = max(newest, n)
	}
	return names, newest, nil
}

// ErrSchema refuses to copy a store whose schema is not the one that this program knows.
func ErrSchema(version, known int64, pending int) error {
	if pending > 0 {
		return fault.Newf(fault.Conflict, "its schema is version %d, and this program's is %d: carnet store migrate brings it up to date", version, known)
	}
	return fault.Newf(fault.Conflict, "its schema is version %d, and this program's is %d: use a newer one", version, known)
}

// ErrUnfinished refuses a store that holds a copy that is not finished.
var ErrUnfinished = fault.New(fault.Conflict, "it holds a copy that is not finished: carnet store copy goes on with it")
