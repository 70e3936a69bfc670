package cli

import (
	"cmp"
	"context"
	"time"

	"github.com/carnetproject/carnet/internal/audit"
	"github.com/carnetproject/carnet/internal/consumer"
	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/server"
)

type consumersDecommission struct {
	Name   string `arg:"" help:"Its username or id."`
	At     string `placeholder:"DATE" xor:"when" help:"When its credentials are refused: a date (UTC) or a time (RFC 3339)."`
	Grace  string `placeholder:"DURATION" xor:"when" help:"How long they are good from now on, such as 12h; 0s: no longer. Without a date, 30d."`
	Undo   bool   `xor:"when" help:"Do not decommission it after all."`
	DryRun bool   `help:"Only show who still uses it."`
	listing
}

// Help has examples.
func (consumersDecommission) Help() string {
	return `Prints how much the consumer was used of late: for each day the requests, how many of
its credentials made them, and the last. Counts of more than 64 credentials are right
within some 3 %. What happened in the last minute may not be there yet.

From the date on, its credentials are refused like unknown ones. A day later a running
node deletes them and the consumer; until then --undo brings all of it back.

Examples:
  carnet consumers decommission mobile_device --dry-run
  carnet consumers decommission mobile_device --grace 60d
  carnet consumers decommission mobile_device --undo`
}

// useRow is a day as the report shows it.
type useRow struct {
	Day         string `json:"day"`
	Requests    int64  `json:"requests"`
	Credentials int    `json:"credentials"`
	Last        string `json:"last"`
}

// Run prints the report and sets the date.
func (c consumersDecommission) Run(s *shell) error {
	at, err := c.end(time.Now())
	if err != nil {
		return err
	}
	return s.withCore(func(ctx context.Context, core *server.Core) error {
		uses, err := core.Consumers.Uses(ctx, c.Name)
		if err != nil {
			return err
		}
		if err := c.report(s, uses); err != nil {
			return err
		}
		if c.DryRun {
			s.note("dry run: nothing was changed")
			return nil
		}
		i, err := core.Consumers.Decommission(ctx, c.Name, at)
		err = s.record(ctx, core, err, audit.Entry{
			Action: audit.ConsumerDecommission, Object: i.ID, Details: map[audit.Detail]string{audit.Name: c.Name, audit.At: moment(at)},
		})
		if err != nil {
			return err
		}
		if c.Undo {
			s.note("undone: the credentials of %s are good", c.Name)
			return nil
		}
		s.note("the credentials of %s are refused from %s on, and deleted from %s on; to keep them: carnet consumers decommission %s --undo",
			c.Name, moment(i.Ends), moment(i.Ends.Add(consumer.UndoFor)), c.Name)
		return nil
	})
}

// report prints the days, and who still uses the consumer.
func (c consumersDecommission) report(s *shell, uses []consumer.Use) error {
	rows, cells := []useRow{}, [][]string{}
	var seen consumer.Sketch
	for _, u := range uses {
		row := useRow{u.Day.Format(time.DateOnly), u.Requests, u.Seen.Count(), moment(u.Last)}
		rows = append(rows, row)
		cells = append(cells, []string{row.Day, grouped(row.Requests), grouped(int64(row.Credentials)), row.Last})
		seen = seen.Merge(u.Seen)
	}
	if err := c.print(s.Out, rows, "DAY REQUESTS CREDENTIALS LAST", cells); err != nil {
		return err
	}
	if len(uses) == 0 {
		s.note("no use in the last five weeks, as far as nodes have told")
		return nil
	}
	s.note("%s made requests in the last five weeks, the last at %s",
		count(int64(seen.Count()), "credential", "credentials"), moment(uses[len(uses)-1].Last))
	return nil
}

// end is when the consumer ends, the zero time for --undo.
func (c consumersDecommission) end(now time.Time) (time.Time, error) {
	if c.Undo {
		return time.Time{}, nil
	}
	if c.At == "" {
		grace, err := graceOf(cmp.Or(c.Grace, "30d"))
		return now.Add(grace), err
	}
	t, err := at(c.At)
	if err != nil {
		return time.Time{}, fault.New(fault.Invalid, "--at must be a date such as 2026-06-01, or a time such as 2026-06-01T12:00:00Z")
	}
	return t, nil
}

// graceOf reads the flag --grace.
func graceOf(text string) (time.Duration, error) {
	d, err := span(text)
	if err != nil || d < 0 {
		return 0, fault.New(fault.Invalid, "--grace must be a duration such as 30d or 12h")
	}
	return d, nil
}
