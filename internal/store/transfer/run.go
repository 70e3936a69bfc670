package transfer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/store/table"
)

// Run copies what the plan says is missing, compares the stores, and makes the copy one
// that nodes open. When ctx ends, what was committed stays for the next run.
func (c *Copy) Run(ctx context.Context, p *Plan) error {
	err := c.run(ctx, p)
	if err != nil && ctx.Err() != nil { // it has ended a connection, too
		return ctx.Err()
	}
	return err
}

func (c *Copy) run(ctx context.Context, p *Plan) error {
	if !p.Begun {
		if err := c.begin(ctx); err != nil {
			return err
		}
	}
	var at Progress
	at.Total, at.Done = p.Total()
	for i := range p.Tables {
		if err := c.table(ctx, &p.Tables[i], &at); err != nil {
			return fmt.Errorf("copy table %s: %w", p.Tables[i].Name, err)
		}
	}
	at = Progress{Checking: true, Total: 2 * at.Total}
	last := map[string]int64{}
	for i := range p.Tables {
		if err := c.compare(ctx, &p.Tables[i], &at); err != nil {
			return err
		}
		last[p.Tables[i].Name] = p.Tables[i].Last
	}
	return commit(ctx, c.To, func() error {
		return errors.Join(c.To.Settle(ctx, last), exec(ctx, c.To, `DROP TABLE `+table.Unfinished))
	})
}

func (c *Copy) tell(at *Progress, n int) {
	at.Done += int64(n)
	at.Mine += int64(n)
	if c.Observe != nil {
		c.Observe(*at)
	}
}

// table copies the rest of a table.
func (c *Copy) table(ctx context.Context, t *TablePlan, at *Progress) error {
	if t.whole {
		return nil
	}
	m := mark{rows: t.Copied, after: t.after}
	var batch [][]any
	bytes, most := 0, cmp.Or(c.Batch, maxRows)
	flush := func(whole bool) error {
		m.whole = whole
		err := commit(ctx, c.To, func() error {
			if len(t.Key) == 0 { // a new store has the row already
				if err := exec(ctx, c.To, `DELETE FROM `+t.Name); err != nil {
					return err
				}
			}
			if err := c.To.Insert(ctx, t.to, batch); err != nil {
				return err
			}
			return c.put(ctx, t.Name, m)
		})
		if err != nil {
			return err
		}
		c.tell(at, len(batch))
		batch, bytes = batch[:0], 0
		return nil
	}
	err := rows(ctx, c.From, t.Shape, t.after, func(row []any) error {
		batch = append(batch, row)
		bytes += size(row)
		m.rows++
		m.after = keyOf(t.Shape, row)
		if len(batch) < most && bytes < maxBytes {
			return nil
		}
		return flush(false)
	})
	if err != nil {
		return err
	}
	return flush(true)
}

// compare reads a table in both stores.
func (c *Copy) compare(ctx context.Context, t *TablePlan, at *Progress) error {
	var sums [2]sum
	for i, side := range []struct {
		table.Querier
		table.Shape
	}{{c.From, t.Shape}, {c.To, t.to}} {
		err := rows(ctx, side.Querier, side.Shape, nil, func(row []any) error {
			sums[i].add(row)
			if sums[i].rows%maxRows == 0 {
				c.tell(at, maxRows)
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("check table %s: %w", t.Name, err)
		}
		c.tell(at, int(sums[i].rows%maxRows))
	}
	from, to := sums[0], sums[1]
	switch {
	case from.rows != to.rows:
		return fault.Newf(fault.Conflict, "the table %s has %d rows in the source and %d in the destination: "+
			"somebody has written meanwhile; begin again with an empty destination", t.Name, from.rows, to.rows)
	case from != to:
		return fault.Newf(fault.Conflict, "the table %s has other rows in the destination than in the source: "+
			"somebody has written meanwhile; begin again with an empty destination", t.Name)
	}
	return nil
}

// rows calls each with the rows of a table whose key is greater than after, by growing key.
// A row is each's to keep.
func rows(ctx context.Context, q table.Querier, s table.Shape, after []any, each func(row []any) error) error {
	columns := slices.Clone(s.Columns)
	for i, name := range columns {
		columns[i] = cmp.Or(s.Reads[name], name)
	}
	query := `SELECT ` + strings.Join(columns, ", ") + ` FROM ` + s.Name
	key := strings.Join(s.Key, ", ")
	if after != nil {
		query += ` WHERE (` + key + `) > (` + strings.TrimSuffix(strings.Repeat("?, ", len(after)), ", ") + `)`
	}
	if key != "" {
		query += ` ORDER BY ` + key
	}
	found, err := q.QueryContext(ctx, query, after...)
	if err != nil {
		return err
	}
	defer found.Close() //nolint:errcheck // after the last row there is nothing left to fail
	for found.Next() {
		row := make([]any, len(s.Columns))
		into := make([]any, len(row))
		for i := range row {
			into[i] = &row[i]
		}
		if err := found.Scan(into...); err != nil {
			return err
		}
		for i, v := range row {
			switch v := v.(type) {
			case bool:
				row[i] = int64(0)
				if v {
					row[i] = int64(1)
				}
			case []byte:
				row[i] = append([]byte{}, v...) // a nil one would be NULL
			}
		}
		if err := each(row); err != nil {
			return err
		}
	}
	return found.Err()
}

// commit makes one commit of what apply does.
func commit(ctx context.Context, to table.Tx, apply func() error) error {
	if err := exec(ctx, to, `BEGIN`); err != nil {
		return err
	}
	err := apply()
	if err == nil {
		err = exec(ctx, to, `COMMIT`)
	}
	if err != nil {
		_ = exec(context.WithoutCancel(ctx), to, `ROLLBACK`) // if that fails the connection is broken, and so is the transaction
	}
	return err
}

func exec(ctx context.Context, to table.Tx, query string, args ...any) error {
	_, err := to.ExecContext(ctx, query, args...)
	return err
}
