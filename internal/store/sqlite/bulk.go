package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"

	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/store/table"
)

// Bulk is a whole store, for who copies it: by one connection, which is a transaction in
// what it is given to do.
type Bulk struct {
	*sql.Conn

	db *sql.DB
}

// alone keeps every other process from the file, and fails if one has it open.
const alone = "locking_mode(EXCLUSIVE)"

// OpenSource opens a file to be copied, and sees it as it is now. Unless others may go on
// with it, it is a conflict if a process has it open, and none can open it meanwhile.
func OpenSource(ctx context.Context, path string, others bool) (*Bulk, error) {
	if err := there(path); err != nil {
		return nil, err
	}
	pragmas := []string{alone, "query_only(1)"}
	if others {
		pragmas = pragmas[1:]
	}
	b, err := openBulk(ctx, path, pragmas...)
	if err != nil {
		return nil, err
	}
	if err := b.see(ctx); err != nil {
		return nil, errors.Join(err, b.Close())
	}
	return b, nil
}

// there is nil if there is a file.
func there(path string) error {
	if _, err := os.Stat(path); err != nil {
		return fault.Newf(fault.NotFound, "there is no store at %s", path)
	}
	return nil
}

// see begins to read the store as it is at this moment.
func (b *Bulk) see(ctx context.Context) error {
	version, err := schemaVersion(ctx, b)
	if err != nil {
		return err
	}
	if names, known, err := table.Pending(migrations, version); err != nil || version != known {
		return cmp.Or(err, table.ErrSchema(version, known, len(names)))
	}
	if err := whole(ctx, b); err != nil {
		return err
	}
	if _, err := b.ExecContext(ctx, `BEGIN`); err != nil {
		return err
	}
	return b.QueryRowContext(ctx, `SELECT n FROM version`).Scan(new(int64))
}

// OpenDestination opens a file to be filled, and makes it and its tables if they are not
// there. No other process can open it meanwhile.
func OpenDestination(ctx context.Context, path string) (*Bulk, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	if err := create(path); err != nil {
		return nil, err
	}
	b, err := openBulk(ctx, path, alone, "journal_mode(WAL)", "synchronous(NORMAL)", walPages)
	if err != nil {
		return nil, err
	}
	if err := b.Conn.Close(); err != nil { // back to the pool, which has no other
		return nil, errors.Join(err, b.db.Close())
	}
	if err = upgrade(ctx, b.db); err == nil {
		b.Conn, err = b.db.Conn(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, b.db.Close())
	}
	return b, nil
}

func openBulk(ctx context.Context, path string, pragmas ...string) (*Bulk, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	b := &Bulk{}
	if b.db, err = connect(path, 1, pragmas...); err != nil {
		return nil, err
	}
	if b.Conn, err = b.db.Conn(ctx); err == nil {
		err = b.QueryRowContext(ctx, `SELECT COUNT(*) FROM sqlite_schema`).Scan(new(int64)) // that locks it
	}
	if e, ok := errors.AsType[*sqlite.Error](err); ok && e.Code()&0xff == lib.SQLITE_BUSY {
		err = fault.Wrap(fault.Conflict, "another process has "+path+" open", err)
	}
	if err != nil {
		return nil, errors.Join(err, b.Close())
	}
	return b, nil
}

// Close ends the transaction that there is, and lets others have the file.
func (b *Bulk) Close() error {
	var err error
	if b.Conn != nil {
		_, _ = b.ExecContext(context.Background(), `ROLLBACK`) // or there is none
		err = b.Conn.Close()
	}
	return errors.Join(err, b.db.Close())
}

// Begun tells whether the file holds a copy that is not finished.
func (b *Bulk) Begun(ctx context.Context) (bool, error) { return unfinished(ctx, b) }

func unfinished(ctx context.Context, q table.Querier) (begun bool, err error) {
	err = q.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = ?)`, table.Unfinished).Scan(&begun)
	return begun, err
}

// whole is nil if a store holds no copy that is not finished.
func whole(ctx context.Context, q table.Querier) error {
	begun, err := unfinished(ctx, q)
	if err == nil && begun {
		err = table.ErrUnfinished
	}
	return err
}

// Shapes are the tables by their names: rows may refer to what is added later.
func (b *Bulk) Shapes(ctx context.Context) (all []table.Shape, err error) {
	type column struct {
		table, name string
		primary     int // its place in the key, from 1 on
		last        int64
	}
	columns, err := collect(ctx, b, "read tables", func(r rows) (c column, err error) {
		err = r.Scan(&c.table, &c.name, &c.primary, &c.last)
		return c, err
	}, `
		SELECT t.name, c.name, c.pk, COALESCE((SELECT seq FROM sqlite_sequence AS s WHERE s.name = t.name), 0)
		FROM sqlite_schema AS t, pragma_table_info(t.name) AS c
		WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite!_%' ESCAPE '!' ORDER BY t.name, c.name`)
	if err != nil {
		return nil, err
	}
	for len(columns) > 0 {
		s := table.Shape{Name: columns[0].table, Last: columns[0].last}
		primary := map[int]string{}
		for ; len(columns) > 0 && columns[0].table == s.Name; columns = columns[1:] {
			s.Columns = append(s.Columns, columns[0].name)
			if place := columns[0].primary; place > 0 {
				primary[place] = columns[0].name
			}
		}
		for place := 1; place <= len(primary); place++ {
			s.Key = append(s.Key, primary[place])
		}
		if s.Name == "conversations" {
			s.Reads = map[string]string{"last_seq": readLastSeq}
		}
		if s.Key = table.KeyOf(s.Name, s.Key); !table.Private(s.Name) {
			all = append(all, s)
		}
	}
	return all, nil
}

// Insert adds rows to a table.
func (b *Bulk) Insert(ctx context.Context, s table.Shape, rows [][]any) error {
	marks := strings.TrimSuffix(strings.Repeat("?, ", len(s.Columns)), ", ")
	insert, err := b.PrepareContext(ctx, `INSERT INTO `+s.Name+` (`+strings.Join(s.Columns, ", ")+`) VALUES (`+marks+`)`)
	if err != nil {
		return err
	}
	defer insert.Close() //nolint:errcheck // it has no more to do
	for _, row := range rows {
		if _, err := insert.ExecContext(ctx, row...); err != nil {
			return err
		}
	}
	return nil
}

// Where a conversation stands the messages tell, as long as there are any. Another store
// may have noted it.
const (
	readLastSeq    = `(SELECT COALESCE(MAX(seq), conversations.last_seq) FROM messages WHERE conversation = conversations.key)`
	settleMessages = `
		UPDATE conversations SET last_seq = 0 WHERE EXISTS (SELECT 1 FROM messages WHERE conversation = conversations.key)`
)

// Settle has numbers go on behind last, and checks what rows refer to.
func (b *Bulk) Settle(ctx context.Context, last map[string]int64) error {
	broken, err := collect(ctx, b, "check references", func(r rows) (name string, err error) {
		err = r.Scan(&name)
		return name, err
	}, `SELECT DISTINCT "table" FROM pragma_foreign_key_check()`)
	if err != nil {
		return err
	}
	if len(broken) > 0 {
		return fmt.Errorf("rows of %s refer to what is not there", strings.Join(broken, ", "))
	}
	if _, err := b.ExecContext(ctx, settleMessages); err != nil {
		return err
	}
	numbered, err := collect(ctx, b, "read tables", func(r rows) (name string, err error) {
		err = r.Scan(&name)
		return name, err
	}, `SELECT name FROM sqlite_schema WHERE type = 'table' AND sql LIKE '%AUTOINCREMENT%'`)
	if err != nil {
		return err
	}
	for _, name := range numbered {
		if last[name] == 0 || table.Private(name) {
			continue
		}
		if _, err := b.ExecContext(ctx, `DELETE FROM sqlite_sequence WHERE name = ?`, name); err != nil {
			return err
		}
		if _, err := b.ExecContext(ctx, `INSERT INTO sqlite_sequence (name, seq) SELECT ?1, MAX(?2, COALESCE(MAX(rowid), 0)) FROM `+name, name, last[name]); err != nil {
			return err
		}
	}
	return nil
}
