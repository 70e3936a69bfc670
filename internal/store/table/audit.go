package table

import (
	"context"
	"database/sql/driver"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/carnetproject/carnet/internal/audit"
)

// lockAudit makes writers of the log wait for one another, so that ids become visible in
// their order.
const lockAudit = `UPDATE audit_kept SET since = since`

// AddEntries adds entries to the audit log, all or none, with ids in their order.
func (t *Tables) AddEntries(ctx context.Context, entries []audit.Entry) error {
	return t.db.Write(ctx, "add to audit log", func(ctx context.Context, tx Tx) error {
		return InsertEntries(ctx, tx, entries)
	})
}

// InsertEntries is [Tables.AddEntries] for who has a transaction.
func InsertEntries(ctx context.Context, tx Tx, entries []audit.Entry) error {
	if _, err := tx.ExecContext(ctx, lockAudit); err != nil {
		return err
	}
	for i := range entries {
		e := &entries[i]
		_, err := tx.ExecContext(ctx, `
			INSERT INTO audit (at, kind, actor, action, object, outcome, address, node, details) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
			Stamp(e.At), string(e.Actor.Kind), e.Actor.Name, string(e.Action), e.Object, string(e.Outcome), e.Address, e.Node, details(e.Details))
		if err != nil {
			return err
		}
	}
	return nil
}

// Entries returns what a query chooses of the audit log, in the order of ids.
func (t *Tables) Entries(ctx context.Context, q audit.Query) ([]audit.Entry, error) {
	where, args := chosen(q)
	order := "DESC"
	if q.First {
		order = "ASC"
	}
	found, err := collect(ctx, t, t.db.Reader(), "read audit log", scanEntry, `
		SELECT id, at, kind, actor, action, object, outcome, address, node, details
		FROM audit WHERE `+where+` ORDER BY id `+order+` LIMIT ?`, append(args, q.Limit)...)
	if !q.First {
		slices.Reverse(found)
	}
	return found, err
}

// chosen is the condition of a query. There are as many texts of it as there are ways to
// combine what a query may say.
func chosen(q audit.Query) (where string, args []any) {
	where, args = `id > ?`, []any{q.After}
	and := func(is bool, text string, more ...any) {
		if is {
			where, args = where+` AND `+text, append(args, more...)
		}
	}
	and(!q.Since.IsZero(), `at >= ?`, Stamp(q.Since))
	and(!q.Until.IsZero(), `at < ?`, Stamp(q.Until))
	and(q.Actor != "", `(actor = ? OR kind = ?)`, q.Actor, q.Actor)
	and(q.Object != "", `object = ?`, q.Object)
	and(q.Outcome != "", `outcome = ?`, string(q.Outcome))
	var names []any
	for _, a := range q.Actions {
		names = append(names, string(a))
	}
	and(len(names) > 0, `action IN (`+strings.TrimSuffix(strings.Repeat("?, ", len(names)), ", ")+`)`, names...)
	return where, args
}

func scanEntry(r Rows) (e audit.Entry, err error) {
	err = r.Scan(&e.ID, (*Stamp)(&e.At), (*string)(&e.Actor.Kind), &e.Actor.Name, (*string)(&e.Action),
		&e.Object, (*string)(&e.Outcome), &e.Address, &e.Node, (*details)(&e.Details))
	return e, err
}

// ForgetEntries deletes the entries from before a time, and tells how many they were. The
// log refuses to lose others.
func (t *Tables) ForgetEntries(ctx context.Context, before time.Time) (int, error) {
	var n int64
	err := t.db.Write(ctx, "shorten audit log", func(ctx context.Context, tx Tx) (err error) {
		if _, err := tx.ExecContext(ctx, `UPDATE audit_kept SET since = ?1 WHERE since < ?1`, Stamp(before)); err != nil {
			return err
		}
		n, err = affected(tx.ExecContext(ctx, `DELETE FROM audit WHERE at < ?`, Stamp(before)))
		return err
	})
	if err != nil {
		return 0, err
	}
	return int(n), nil
}

// details are an entry's as a column: a JSON object.
type details map[audit.Detail]string

// Value implements [driver.Valuer].
func (d details) Value() (driver.Value, error) {
	if len(d) == 0 {
		return "{}", nil
	}
	b, err := json.Marshal(d)
	return string(b), err
}

// Scan implements [sql.Scanner].
func (d *details) Scan(v any) error {
	text, ok := v.(string)
	if !ok {
		return fmt.Errorf("details column holds %T", v)
	}
	if text == "{}" {
		*d = nil
		return nil
	}
	return json.Unmarshal([]byte(text), d)
}
