package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"github.com/carnetproject/carnet/internal/audit"
	"github.com/carnetproject/carnet/internal/config"
	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/observe"
	"github.com/carnetproject/carnet/internal/server"
	"github.com/carnetproject/carnet/internal/store/postgres"
	"github.com/carnetproject/carnet/internal/store/sqlite"
	"github.com/carnetproject/carnet/internal/store/table"
	"github.com/carnetproject/carnet/internal/store/transfer"
)

type storeCopy struct {
	From   string `arg:"" help:"sqlite://FILE or postgres://HOST/DATABASE."`
	To     string `arg:"" help:"An empty store, or one with a part of the same copy."`
	Live   bool   `help:"Copy although nodes have the store open. What they write from now on is left behind."`
	DryRun bool   `help:"Only show what would be copied."`
	listing
}

// Help has examples.
func (storeCopy) Help() string {
	return `Stop the nodes first: what they wrote meanwhile would be left behind. A copy that was cut
off goes on when the same command is given again. At its end both stores are read again, and
compared by the number and the hashes of their rows; until then no node opens the copy.
What is sealed stays sealed: nodes need the same master keys as before.

Example, from one node to many:
  carnet store copy sqlite://data/carnet.db postgres://carnet@db.example.com/carnet`
}

// bulk is a whole store of either kind.
type bulk interface {
	table.Tx
	Shapes(ctx context.Context) ([]table.Shape, error)
	Begun(ctx context.Context) (bool, error)
	Insert(ctx context.Context, s table.Shape, rows [][]any) error
	Settle(ctx context.Context, last map[string]int64) error
	Close() error
}

// Run copies, and prints what was copied.
func (c storeCopy) Run(s *shell) (err error) {
	if c.From == c.To {
		return fault.New(fault.Invalid, "the two stores must not be the same")
	}
	from, err := c.source(s.ctx)
	if err != nil {
		if l, looked := lookAt(s.ctx, c.From); looked == nil && len(l.Others) > 0 {
			s.note("stop what has it open, or copy what it has at this moment with --live")
		}
		return fmt.Errorf("source: %w", err)
	}
	defer func() { err = errors.Join(err, from.Close()) }()
	plan, began := (*transfer.Plan)(nil), time.Now()
	if c.DryRun {
		plan, err = c.plan(s.ctx, from)
	} else {
		plan, err = c.copy(s, from)
	}
	if errors.Is(err, context.Canceled) {
		s.note("stopped; the same command goes on from there")
	}
	if err != nil {
		return err
	}
	if err := c.report(s, plan, time.Since(began)); err != nil || c.DryRun {
		return err
	}
	if err := c.unseal(s); err != nil {
		s.note("nodes of %s need the master keys that sealed what it holds. With this configuration it cannot be opened: %v", config.WithoutPassword(c.To), err)
		return nil
	}
	s.note("the master keys of this configuration open what is sealed in it: give them to its nodes")
	return nil
}

func (c storeCopy) source(ctx context.Context) (b bulk, err error) {
	return b, whichStore(c.From,
		func(path string) (err error) { b, err = sqlite.OpenSource(ctx, path, c.Live); return err },
		func(url string) (err error) { b, err = postgres.OpenSource(ctx, url, c.Live); return err })
}

func (c storeCopy) destination(ctx context.Context) (b bulk, err error) {
	return b, whichStore(c.To,
		func(path string) (err error) { b, err = sqlite.OpenDestination(ctx, path); return err },
		func(url string) (err error) { b, err = postgres.OpenDestination(ctx, url); return err })
}

// plan is what would be copied. A destination that lacks tables, since there is none yet or
// a copy was killed while it made them, gets none.
func (c storeCopy) plan(ctx context.Context, from bulk) (p *transfer.Plan, err error) {
	l, err := lookAt(ctx, c.To)
	switch {
	case fault.KindOf(err) == fault.NotFound || err == nil && l.Empty && l.Version < l.Known:
		return (&transfer.Copy{From: from}).Plan(ctx)
	case err == nil && l.Version != l.Known:
		err = table.ErrSchema(l.Version, l.Known, len(l.Pending))
	}
	var to bulk
	if err == nil {
		to, err = c.destination(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("destination: %w", err)
	}
	defer func() { err = errors.Join(err, to.Close()) }()
	return (&transfer.Copy{From: from, To: to}).Plan(ctx)
}

// copy copies, and tells how that goes on.
func (c storeCopy) copy(s *shell, from bulk) (p *transfer.Plan, err error) {
	to, err := c.destination(s.ctx)
	if err != nil {
		return nil, fmt.Errorf("destination: %w", err)
	}
	defer func() { err = errors.Join(err, to.Close()) }()
	var bar *progress
	checking := false
	work := transfer.Copy{From: from, To: to, Observe: func(p transfer.Progress) {
		now := time.Now()
		if bar == nil || p.Checking != checking {
			if bar != nil {
				bar.end()
			}
			if p.Checking {
				s.note("all rows are there; both stores are compared")
			}
			bar, checking = newProgress(s.Err, p.Total, now), p.Checking
		}
		bar.tell(now, p.Done, p.Done, p.Mine)
	}}
	if p, err = work.Plan(s.ctx); err != nil {
		return nil, err
	}
	err = work.Run(s.ctx, p)
	if bar != nil {
		bar.end()
	}
	if err != nil {
		return p, err
	}
	total, _ := p.Total()
	e := audit.Entry{Action: audit.StoreCopy, Object: config.WithoutPassword(c.From), Details: map[audit.Detail]string{audit.Rows: strconv.FormatInt(total, 10)}}
	return p, audit.New(audit.Config{Store: copyOf{to}}).Record(s.ctx, s.signed(e), netip.Addr{})
}

// copyOf is a store that no node has open, as the audit log needs it.
type copyOf struct{ bulk }

// AddEntries adds to the log of the copy.
func (c copyOf) AddEntries(ctx context.Context, entries []audit.Entry) error {
	return table.InsertEntries(ctx, c.bulk, entries)
}

// copied is a table as JSON shows it.
type copied struct {
	Table   string `json:"table"`
	Rows    int64  `json:"rows"`
	Resumed int64  `json:"resumed"` // were there already
}

// report prints the tables that have rows, and how long it took.
func (c storeCopy) report(s *shell, p *transfer.Plan, took time.Duration) error {
	rows, cells := []copied{}, [][]string{}
	for i := range p.Tables {
		t := &p.Tables[i]
		if t.Rows == 0 {
			continue
		}
		rows = append(rows, copied{t.Name, t.Rows, t.Copied})
		cells = append(cells, []string{t.Name, grouped(t.Rows), grouped(t.Copied)})
	}
	slices.SortFunc(cells, func(a, b []string) int { return slices.Compare(a, b) })
	if err := c.print(s.Out, rows, "TABLE ROWS RESUMED", cells); err != nil {
		return err
	}
	total, before := p.Total()
	if c.DryRun {
		s.note("dry run: %s would be copied, and none was", count(total-before, "row", "rows"))
		return nil
	}
	s.note("%s copied in %s, and compared: both stores hold the same", count(total-before, "row", "rows"), took.Round(time.Millisecond))
	return nil
}

// unseal opens the copy as a node does, and what it holds sealed.
func (c storeCopy) unseal(s *shell) error {
	cfg, err := s.load()
	if err != nil {
		return err
	}
	cfg.Store = c.To
	core, err := server.Open(s.ctx, server.Options{
		Config: cfg, Environ: s.Environ, Stdin: s.in, Log: observe.NewLog(s.Err, slog.LevelWarn, false), NoFirstKeys: true,
	})
	if err != nil {
		return err
	}
	return core.Run(s.ctx, core.Unseals)
}
