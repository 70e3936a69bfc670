package postgres

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/store/table"
)

// Bulk is a whole store, for who copies it: by one connection, whose statements may take
// as long as they need.
type Bulk struct {
	numbered

	conn   *sql.Conn
	db     *sql.DB
	flags  map[string][]string // columns that are true or false, by tables
	months map[time.Time]bool  // partitions of messages that are there
}

// bulkName is what the server calls the connection; nodes have another name.
const bulkName = "carnet store"

// bulkLock is the number of the lock that one copy into a database has at a time.
const bulkLock = order + 1

// OpenSource opens a database to be copied, and sees it as it is now. Unless others may go
// on with it, it is a conflict if a node or a command has it open.
func OpenSource(ctx context.Context, url string, others bool) (*Bulk, error) {
	return openBulk(ctx, url, func(b *Bulk) error {
		v, err := version(ctx, b)
		if err != nil {
			return err
		}
		if names, known, err := table.Pending(migrations, v); err != nil || v != known {
			return cmp.Or(err, table.ErrSchema(v, known, len(names)))
		}
		if err := whole(ctx, b); err != nil {
			return err
		}
		if !others {
			if err := b.alone(ctx); err != nil {
				return err
			}
		}
		_, err = b.ExecContext(ctx, `BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY`)
		return err
	})
}

// OpenDestination opens a database to be filled, and makes its tables if they are not
// there. It is a conflict if anybody else has it open.
func OpenDestination(ctx context.Context, url string) (*Bulk, error) {
	return openBulk(ctx, url, func(b *Bulk) error {
		if err := b.alone(ctx); err != nil {
			return err
		}
		// One that was killed may hold the lock until the server finds out.
		_, err := b.ExecContext(ctx, `SELECT pg_advisory_lock(?)`, bulkLock)
		if e, ok := errors.AsType[*pgconn.PgError](err); ok && e.Code == lockNotAvailable {
			return fault.New(fault.Conflict, "somebody copies into it already")
		}
		if err != nil {
			return err
		}
		return upgrade(ctx, b.db)
	})
}

func openBulk(ctx context.Context, url string, begin func(*Bulk) error) (_ *Bulk, err error) {
	c, err := parse(url)
	if err != nil {
		return nil, err
	}
	for name, value := range map[string]string{
		"application_name": bulkName, "statement_timeout": "0", "idle_in_transaction_session_timeout": "0",
		"lock_timeout": milliseconds(lockTimeout), "synchronous_commit": "on", "timezone": "UTC",
	} {
		c.ConnConfig.RuntimeParams[name] = value
	}
	first := stdlib.OptionAfterConnect(setUp(c.ConnConfig))
	b := &Bulk{db: stdlib.OpenDB(*c.ConnConfig, first), months: map[time.Time]bool{}}
	defer func() {
		if err != nil {
			err = errors.Join(explain("store", err), b.Close())
		}
	}()
	if b.conn, err = b.db.Conn(ctx); err != nil {
		return nil, err
	}
	b.numbered = numbered{b.conn}
	return b, begin(b)
}

// Close ends the transaction that there is.
func (b *Bulk) Close() error {
	var err error
	if b.conn != nil {
		if err = b.conn.Close(); errors.Is(err, sql.ErrConnDone) { // an ended context closes it, too
			err = nil
		}
	}
	return errors.Join(err, b.db.Close())
}

// lockNotAvailable is the SQLSTATE of a wait that took too long.
const lockNotAvailable = "55P03"

// partings is for how long the server may have connections that are closed already.
const partings = 2 * time.Second

// alone is a conflict if a node or a command is connected.
func (b *Bulk) alone(ctx context.Context) error {
	for until := time.Now().Add(partings); ; {
		others, err := connected(ctx, b)
		others = slices.DeleteFunc(others, func(who string) bool { return strings.HasPrefix(who, bulkName+" ") })
		if err != nil || len(others) == 0 {
			return err
		}
		if time.Now().After(until) {
			return fault.Newf(fault.Conflict, "others have it open: %s", strings.Join(others, ", "))
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// connected are the connections of nodes and commands, by their machines.
func connected(ctx context.Context, q table.Querier) ([]string, error) {
	return table.Collect(ctx, explain, q, "read connections", func(r table.Rows) (text string, err error) {
		var name, address string
		var n int
		err = r.Scan(&name, &address, &n)
		return fmt.Sprintf("%s from %s (%d connections)", name, address, n), err
	}, `
		SELECT application_name, COALESCE(host(client_addr), 'this machine'), COUNT(*) FROM pg_stat_activity
		WHERE datname = current_database() AND pid <> pg_backend_pid() AND application_name LIKE 'carnet%'
		GROUP BY 1, 2 ORDER BY 1, 2`)
}

// Begun tells whether the database holds a copy that is not finished.
func (b *Bulk) Begun(ctx context.Context) (bool, error) { return unfinished(ctx, b) }

func unfinished(ctx context.Context, q table.Source) (bool, error) {
	found, err := table.Collect(ctx, explain, q, "read tables", func(r table.Rows) (begun bool, err error) {
		err = r.Scan(&begun)
		return begun, err
	}, `SELECT to_regclass('`+table.Unfinished+`') IS NOT NULL`)
	return err == nil && found[0], err
}

// whole is nil if a store holds no copy that is not finished.
func whole(ctx context.Context, q table.Source) error {
	begun, err := unfinished(ctx, q)
	if err == nil && begun {
		err = table.ErrUnfinished
	}
	return err
}

const (
	selectColumns = `
		SELECT c.relname, a.attname, a.atttypid = 'bool'::regtype,
			COALESCE(array_position(k.indkey::int2[], a.attnum), -1) + 1,
			COALESCE((SELECT last_value FROM pg_sequences AS s
				WHERE s.schemaname = current_schema() AND s.sequencename = c.relname || '_' || a.attname || '_seq'), 0)
		FROM pg_class AS c
			JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
			LEFT JOIN pg_index AS k ON k.indrelid = c.oid AND k.indisprimary
		WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
		ORDER BY c.relname, a.attname COLLATE "C"`
	selectReferences = `
		SELECT conrelid::regclass::text, confrelid::regclass::text FROM pg_constraint
		WHERE contype = 'f' AND connamespace = current_schema()::regnamespace`
)

// Shapes are the tables, each behind those that it refers to.
func (b *Bulk) Shapes(ctx context.Context) ([]table.Shape, error) {
	type column struct {
		table, name string
		flag        bool
		primary     int // its place in the key, from 1 on
		last        int64
	}
	columns, err := table.Collect(ctx, explain, b, "read tables", func(r table.Rows) (c column, err error) {
		err = r.Scan(&c.table, &c.name, &c.flag, &c.primary, &c.last)
		return c, err
	}, selectColumns)
	if err != nil {
		return nil, err
	}
	b.flags = map[string][]string{}
	var all []table.Shape
	for len(columns) > 0 {
		s := table.Shape{Name: columns[0].table}
		primary := map[int]string{}
		for ; len(columns) > 0 && columns[0].table == s.Name; columns = columns[1:] {
			c := columns[0]
			s.Columns, s.Last = append(s.Columns, c.name), max(s.Last, c.last)
			if c.flag {
				b.flags[s.Name] = append(b.flags[s.Name], c.name)
			}
			if c.primary > 0 {
				primary[c.primary] = c.name
			}
		}
		for place := 1; place <= len(primary); place++ {
			s.Key = append(s.Key, primary[place])
		}
		if s.Key = table.KeyOf(s.Name, s.Key); !table.Private(s.Name) {
			all = append(all, s)
		}
	}
	return b.ordered(ctx, all)
}

// ordered puts tables behind those that they refer to.
func (b *Bulk) ordered(ctx context.Context, all []table.Shape) (sorted []table.Shape, err error) {
	refers := map[string][]string{}
	_, err = table.Collect(ctx, explain, b, "read references", func(r table.Rows) (none struct{}, err error) {
		var from, to string
		err = r.Scan(&from, &to)
		refers[from] = append(refers[from], to)
		return none, err
	}, selectReferences)
	placed := map[string]bool{}
	for len(all) > 0 && err == nil {
		at := slices.IndexFunc(all, func(s table.Shape) bool {
			return !slices.ContainsFunc(refers[s.Name], func(to string) bool { return !placed[to] })
		})
		if at < 0 {
			return nil, errors.New("tables refer to one another in a circle")
		}
		placed[all[at].Name] = true
		sorted, all = append(sorted, all[at]), slices.Delete(all, at, at+1)
	}
	return sorted, err
}

// Insert adds rows to a table, whose shape [Bulk.Shapes] has told.
func (b *Bulk) Insert(ctx context.Context, s table.Shape, rows [][]any) error {
	if s.Name == "messages" {
		if err := b.prepareMonths(ctx, rows[:len(rows):len(rows)], slices.Index(s.Columns, "at")); err != nil {
			return err
		}
	}
	for i, name := range s.Columns {
		if !slices.Contains(b.flags[s.Name], name) {
			continue
		}
		for _, row := range rows {
			row[i] = row[i] == int64(1)
		}
	}
	return b.conn.Raw(func(driver any) error {
		conn := driver.(*stdlib.Conn).Conn()
		_, err := conn.CopyFrom(ctx, pgx.Identifier{s.Name}, s.Columns, pgx.CopyFromRows(rows))
		return err
	})
}

// prepareMonths makes the partitions that messages go to, so that they can be dropped as
// whole months.
func (b *Bulk) prepareMonths(ctx context.Context, messages [][]any, at int) error {
	for _, m := range messages {
		ms, _ := m[at].(int64)
		t := time.UnixMilli(ms).UTC()
		from := time.Date(t.Year(), t.Month(), 1, 0, 0, 0, 0, time.UTC)
		if b.months[from] {
			continue
		}
		if _, err := b.ExecContext(ctx, createMonth(from)); err != nil {
			return err
		}
		b.months[from] = true
	}
	return nil
}

const (
	settleTurns = `
		UPDATE conversations AS c SET turns = t.n
		FROM (SELECT conversation, COUNT(*) AS n FROM turns GROUP BY conversation) AS t WHERE t.conversation = c.key AND t.n <> c.turns`
	selectNumbered = `
		SELECT c.relname, a.attname FROM pg_class AS c
			JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attidentity <> ''
		WHERE c.relnamespace = current_schema()::regnamespace`
)

// Settle has numbers go on behind last, and writes into conversations how many turns they
// have.
func (b *Bulk) Settle(ctx context.Context, last map[string]int64) error {
	if _, err := b.ExecContext(ctx, settleTurns); err != nil {
		return err
	}
	numbered, err := table.Collect(ctx, explain, b, "read tables", func(r table.Rows) (column [2]string, err error) {
		err = r.Scan(&column[0], &column[1])
		return column, err
	}, selectNumbered)
	if err != nil {
		return err
	}
	for _, column := range numbered {
		name, number := column[0], column[1]
		if _, err := b.ExecContext(ctx, fmt.Sprintf(`
			SELECT setval(pg_get_serial_sequence('%[1]s', '%[2]s'), newest) FROM (SELECT GREATEST(?, MAX(%[2]s)) AS newest FROM %[1]s) AS n WHERE newest > 0`,
			name, number), last[name]); err != nil {
			return err
		}
	}
	return nil
}
