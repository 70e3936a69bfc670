// Package transfer copies a whole store into another one, be it of another kind: every row
// of every table, as it is. What tables there are the stores say.
//
// Rows come in the order of their keys, a batch a commit, and each commit notes how far
// the copy is. So it can be killed at any moment, and goes on from there. When all rows are
// there both stores are read again, and compared. Until then no node opens the copy.
package transfer

import (
	"context"
	"fmt"
	"slices"

	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/store/table"
)

// The bounds of a commit, unless a copy has its own.
const (
	maxRows  = 5000
	maxBytes = 4 << 20
)

// source is a store that nobody changes, or of which one moment is seen.
type source interface {
	table.Querier
	// Shapes are the tables but those that are the database's own, in an order in which
	// rows can be added: what they refer to is there already.
	Shapes(ctx context.Context) ([]table.Shape, error)
}

// destination is a store that nobody else has open. What it is told between BEGIN and
// COMMIT is one commit.
type destination interface {
	source
	table.Tx
	// Begun tells whether there is a table [table.Unfinished].
	Begun(ctx context.Context) (bool, error)
	// Insert adds rows, whose values are those of s.Columns: nil, int64, string or []byte.
	Insert(ctx context.Context, s table.Shape, rows [][]any) error
	// Settle has numbers go on behind those of the rows and the greatest that each table's
	// rows ever had, and derives the columns that other kinds of store do not have.
	Settle(ctx context.Context, last map[string]int64) error
}

// Copy copies From into To.
type Copy struct {
	From source
	To   destination // nil, for a plan: one that is empty
	// Observe hears how far the copy is, often; nil: nobody does.
	Observe func(Progress)
	Batch   int // rows of a commit at the most; 0: 5000
}

// Progress is how far a copy is.
type Progress struct {
	Checking bool  // all rows are there; the stores are compared
	Done     int64 // rows that were copied, or compared
	Mine     int64 // of these, what this run did
	Total    int64 // rows that there are
}

// Plan is what a copy has to do.
type Plan struct {
	Tables []TablePlan // in their order
	Begun  bool        // an earlier run has begun it
}

// TablePlan is a table of a plan.
type TablePlan struct {
	table.Shape // in the source

	Rows   int64
	Copied int64 // by earlier runs
	after  []any // the key of the last one copied
	whole  bool
	to     table.Shape
}

// Total is how many rows there are to be copied, and how many of them are.
func (p *Plan) Total() (rows, copied int64) {
	for i := range p.Tables {
		rows += p.Tables[i].Rows
		copied += p.Tables[i].Copied
	}
	return rows, copied
}

// Plan tells what [Copy.Run] would do, and changes nothing. It is a conflict if the
// destination holds anything but an earlier part of the same copy.
func (c *Copy) Plan(ctx context.Context) (*Plan, error) {
	shapes, err := c.shapes(ctx)
	if err != nil {
		return nil, err
	}
	p := &Plan{}
	marks, err := c.marks(ctx)
	if err != nil {
		return nil, err
	}
	p.Begun = marks != nil
	for _, pair := range shapes {
		s := pair[0]
		t := TablePlan{Shape: s, to: pair[1]}
		if t.Rows, err = count(ctx, c.From, s.Name); err != nil {
			return nil, err
		}
		switch m, there := marks[s.Name]; {
		case there:
			t.Copied, t.after, t.whole = m.rows, m.after, m.whole
		case c.To != nil && len(s.Key) > 0:
			if n, err := count(ctx, c.To, s.Name); err != nil {
				return nil, err
			} else if n > 0 {
				return nil, c.notEmpty(ctx, s.Name, n)
			}
		}
		p.Tables = append(p.Tables, t)
	}
	return p, nil
}

// notEmpty refuses a destination that has n rows in a table.
func (c *Copy) notEmpty(ctx context.Context, name string, n int64) error {
	from, err := identity(ctx, c.From)
	if err != nil {
		return err
	}
	to, err := identity(ctx, c.To)
	switch {
	case err != nil:
		return err
	case from == to:
		return fault.New(fault.Conflict, "the destination is not empty: it is a copy of the source, and a finished one")
	}
	return fault.Newf(fault.Conflict, "the destination is not empty: it has %d rows in the table %s", n, name)
}

// derived are columns that [destination.Settle] derives where other kinds of store do not
// have them.
var derived = map[string][]string{"conversations": {"turns"}}

// shapes are the tables of both stores in the destination's order, with the columns that
// both have.
func (c *Copy) shapes(ctx context.Context) (pairs [][2]table.Shape, err error) {
	from, err := c.From.Shapes(ctx)
	if err != nil {
		return nil, err
	}
	if c.To == nil {
		for _, s := range from {
			pairs = append(pairs, [2]table.Shape{s})
		}
		return pairs, nil
	}
	to, err := c.To.Shapes(ctx)
	if err != nil {
		return nil, err
	}
	if len(from) != len(to) {
		return nil, fmt.Errorf("the source has %d tables, the destination %d", len(from), len(to))
	}
	for _, t := range to {
		at := slices.IndexFunc(from, func(s table.Shape) bool { return s.Name == t.Name })
		if at < 0 {
			return nil, fmt.Errorf("the source has no table %s", t.Name)
		}
		f := from[at]
		common := slices.DeleteFunc(slices.Clone(t.Columns), func(name string) bool { return !slices.Contains(f.Columns, name) })
		for _, name := range slices.Concat(t.Columns, f.Columns) {
			if !slices.Contains(common, name) && !slices.Contains(derived[t.Name], name) {
				return nil, fmt.Errorf("only one of the stores has the column %s of the table %s", name, t.Name)
			}
		}
		if !slices.Equal(t.Key, f.Key) {
			return nil, fmt.Errorf("the stores tell rows of %s apart by %q and %q", t.Name, f.Key, t.Key)
		}
		t.Columns, f.Columns = common, common
		pairs = append(pairs, [2]table.Shape{f, t})
	}
	return pairs, nil
}

func count(ctx context.Context, q table.Querier, name string) (n int64, err error) {
	err = q.QueryRowContext(ctx, `SELECT COUNT(*) FROM `+name).Scan(&n)
	return n, err
}
