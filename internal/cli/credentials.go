package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"time"

	"github.com/carnetproject/carnet/internal/audit"
	"github.com/carnetproject/carnet/internal/consumer"
	"github.com/carnetproject/carnet/internal/dump"
	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/server"
)

type credentialsCommand struct {
	Import credentialsImport `cmd:"" help:"Take over credentials of devices, millions of them, from CSV or a dump of Kong's database."`
	List   credentialsList   `cmd:"" help:"List the credentials of the store."`
	Show   credentialsShow   `cmd:"" help:"Show one credential, without its secret."`
	Remove credentialsRemove `cmd:"" help:"Remove a credential: its tokens are refused from now on."`
}

type credentialsImport struct {
	File    string `arg:"" help:"CSV or a dump, plain or gzip; - for standard input."`
	Replace bool   `help:"Replace credentials that are there and differ; without it they stay and are reported."`
	Restart bool   `help:"Begin with the first row, although an earlier import of this file was cut off."`
	DryRun  bool   `help:"Check every row and write nothing."`
	JSON    bool   `help:"Print JSON instead of a table."`
}

// Help has examples.
func (credentialsImport) Help() string {
	return `CSV needs a header with consumer and key, and may have secret, algorithm (HS256),
rsa_public_key, tags and created_at. The consumers must be there: carnet consumers add.

A dump is what pg_dump makes of Kong's database in plain format. Its consumers are added
under their ids, its jwt_secrets get ids of Carnet's own. Groups come with carnet import kong.

A node may serve meanwhile. What was cut off, even by kill -9, goes on where it was when
the same command is run again. Exits with 2 if rows were rejected, with 5 if credentials
are there and differ.

Examples:
  pg_dump -t consumers -t jwt_secrets kong | gzip > kong.sql.gz
  carnet credentials import kong.sql.gz --dry-run
  carnet credentials import kong.sql.gz`
}

// Run imports the file and prints what became of its rows.
func (c credentialsImport) Run(s *shell) error {
	return s.withCore(func(ctx context.Context, core *server.Core) error {
		file, size, err := c.open(s)
		if err != nil {
			return err
		}
		defer file.Close() //nolint:errcheck // it was only read
		in := &metered{r: file}
		rows, err := dump.Open(in)
		if err != nil {
			return err
		}
		if _, err := core.Catalog(ctx); err != nil { // what the store says of issuer prefixes counts, too
			return err
		}
		begun := time.Now()
		p := newProgress(s.Err, size, begun)
		report, err := core.Consumers.Import(ctx, rows, consumer.ImportOptions{
			Replace: c.Replace, Restart: c.Restart, DryRun: c.DryRun,
			Report: func(r consumer.ImportReport) { p.tell(time.Now(), in.read.Load(), r.Rows, r.Rows-r.Resumed) },
		})
		p.end()
		if report.Added+report.Replaced+report.Consumers > 0 && !c.DryRun {
			err = errors.Join(err, s.record(ctx, core, nil, imported(report, err)))
		}
		if err != nil {
			if report.Rows > 0 && !c.DryRun {
				s.note("%s rows are in; the same command goes on from there", grouped(report.Rows))
			}
			return err
		}
		return c.print(s, report, time.Since(begun))
	})
}

// imported is the entry of one run, which may have been cut off by err.
func imported(r consumer.ImportReport, err error) audit.Entry {
	return audit.Entry{Action: audit.CredentialImport, Outcome: audit.OutcomeOf(err), Details: map[audit.Detail]string{
		audit.Rows: strconv.FormatInt(r.Added+r.Replaced, 10),
	}}
}

// open returns the file and its size, 0 if that is not known.
func (c credentialsImport) open(s *shell) (io.ReadCloser, int64, error) {
	if c.File == "-" {
		return io.NopCloser(s.in), 0, nil
	}
	f, err := os.Open(c.File)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, 0, fault.Newf(fault.NotFound, "there is no file %s", c.File)
	}
	if err != nil {
		return nil, 0, fault.Newf(fault.Invalid, "open: %v", err)
	}
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return f, 0, err
	}
	return f, info.Size(), nil
}

// importSummary is a report as JSON shows it.
type importSummary struct {
	consumer.ImportReport
	PerSecond int64 `json:"rows_per_second"`
	DryRun    bool  `json:"dry_run"`
}

func (c credentialsImport) print(s *shell, r consumer.ImportReport, took time.Duration) error {
	for _, p := range r.Problems {
		s.note("line %d: %s", p.Line, p.Reason)
	}
	if more := r.Rejected + r.Clashes - int64(len(r.Problems)); more > 0 && len(r.Problems) > 0 {
		s.note("… and %s more", grouped(more))
	}
	summary := importSummary{r, perSecond(r.Rows-r.Resumed, took), c.DryRun}
	var err error
	if c.JSON {
		err = printJSON(s.Out, summary)
	} else {
		err = listing{}.print(s.Out, nil, "ROWS CONSUMERS ADDED SAME REPLACED DIFFER REJECTED ROWS/S", [][]string{{
			grouped(r.Rows), grouped(r.Consumers), grouped(r.Added), grouped(r.Same), grouped(r.Replaced),
			grouped(r.Clashes), grouped(r.Rejected), grouped(summary.PerSecond),
		}})
	}
	if r.Resumed > 0 {
		s.note("%s of the rows were in from a run that was cut off", grouped(r.Resumed))
	}
	if c.DryRun {
		s.note("dry run: nothing was changed")
	}
	switch {
	case err != nil:
		return err
	case r.Rejected > 0:
		return fault.Newf(fault.Invalid, "%s rows were rejected", grouped(r.Rejected))
	case r.Clashes > 0:
		return fault.Newf(fault.Conflict, "%s credentials are there and differ: --replace replaces them", grouped(r.Clashes))
	default:
		return nil
	}
}

// pageFlags choose a part of a long list.
type pageFlags struct {
	Size   int    `default:"100" help:"How many, at most 1000."`
	Offset string `help:"Where to go on, as the list before said."`
	listing
}

func (f pageFlags) page() consumer.Page { return consumer.Page{Size: f.Size, Offset: f.Offset} }

// more says how to get the next page.
func (f pageFlags) more(s *shell, next string) {
	if next != "" {
		s.note("there are more: --offset %s", next)
	}
}

type credentialsList struct {
	Consumer string `placeholder:"NAME" help:"Of this consumer alone, by username or id."`
	pageFlags
}

// credentialRow is a credential as lists show it.
type credentialRow struct {
	ID        string   `json:"id"`
	Consumer  string   `json:"consumer_id"`
	Key       string   `json:"key"`
	Algorithm string   `json:"algorithm"`
	PublicKey string   `json:"rsa_public_key,omitempty"`
	Tags      []string `json:"tags,omitempty"`
	Created   string   `json:"created"`
}

func rowOfCredential(r *consumer.Record) credentialRow {
	return credentialRow{r.ID, r.ConsumerID, r.Key, string(r.Algorithm), r.PublicKey, r.Tags, moment(r.Created)}
}

// Run prints a page of credentials.
func (c credentialsList) Run(s *shell) error {
	return s.withCore(func(ctx context.Context, core *server.Core) error {
		all, next, err := core.Consumers.Credentials(ctx, c.Consumer, c.page())
		if err != nil {
			return err
		}
		rows, cells := []credentialRow{}, [][]string{}
		for i := range all {
			row := rowOfCredential(&all[i])
			rows = append(rows, row)
			cells = append(cells, []string{row.ID, row.Consumer, row.Key, row.Algorithm, row.Created})
		}
		c.more(s, next)
		return c.print(s.Out, rows, "ID CONSUMER KEY ALG CREATED", cells)
	})
}

type credentialsShow struct {
	Name string `arg:"" help:"Its key or id."`
}

// Run prints a credential.
func (c credentialsShow) Run(s *shell) error {
	return s.withCore(func(ctx context.Context, core *server.Core) error {
		r, err := core.Consumers.Credential(ctx, c.Name)
		if err != nil {
			return err
		}
		return printJSON(s.Out, rowOfCredential(&r))
	})
}

type credentialsRemove struct {
	Name string `arg:"" help:"Its key or id."`
}

// Run removes a credential.
func (c credentialsRemove) Run(s *shell) error {
	return s.withCore(func(ctx context.Context, core *server.Core) error {
		if err := s.record(ctx, core, core.Consumers.DeleteCredential(ctx, c.Name), audit.Entry{Action: audit.CredentialRemove, Object: c.Name}); err != nil {
			return err
		}
		s.note("removed: running nodes see it within %s", core.Config.PollInterval)
		return nil
	})
}

// count is n of something.
func count(n int64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%s %s", grouped(n), many)
}
