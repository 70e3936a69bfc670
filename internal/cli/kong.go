package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/carnetproject/carnet/internal/api/kong"
	"github.com/carnetproject/carnet/internal/audit"
	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/server"
)

type importCommand struct {
	Kong      importKong      `cmd:"" help:"Take over a kong.yml, or Sunbird's kong_consumers.json."`
	Connector importConnector `cmd:"" help:"Take over an API connector, a restriction group or an auth profile of ServisBOT's shape."`
	Bot       importBot       `cmd:"" help:"Take over what a bot of ServisBOT's shape says of its secure session and its conversations."`
}

type diffCommand struct {
	Kong diffKong `cmd:"" help:"Show what importing a kong.yml would change."`
}

type exportCommand struct {
	Kong exportKong `cmd:"" help:"Write what the gateway has as a kong.yml."`
}

// kongFile is what the commands that read one have in common.
type kongFile struct {
	File            string `arg:"" help:"The file; - is standard input."`
	Prune           bool   `help:"Remove what the store has and the file does not. Not for kong_consumers.json."`
	SkipUnsupported bool   `help:"Leave out what Carnet has no counterpart for, with all that it protects."`
}

type importKong struct {
	kongFile
	DryRun bool `help:"Print the plan and change nothing."`
}

// Help has examples.
func (importKong) Help() string {
	return `Prints the plan and carries it out: consumers and credentials one by one, services, routes
and plugins all or nothing. What the configuration file has stays as it is there. After an
error, import the same file again. A running node has the change within its poll interval.

Variables that the file names (${{ env "DECK_NAME" }}) are taken from the environment.

Examples:
  deck gateway dump -o kong.yml
  carnet import kong kong.yml --dry-run
  carnet import kong kong.yml`
}

// Run prints the plan and does what it says.
func (c importKong) Run(s *shell) error {
	return c.plan(s, func(ctx context.Context, core *server.Core, i kong.Importer, p *kong.Plan) error {
		if c.DryRun || len(p.Steps) == 0 {
			return nil
		}
		err := i.Apply(ctx, p)
		return errors.Join(err, s.record(ctx, core, nil, audit.Entry{
			Action: audit.EntityImport, Outcome: audit.OutcomeOf(err), Details: map[audit.Detail]string{audit.Rows: strconv.Itoa(len(p.Steps))},
		}))
	})
}

type diffKong struct{ kongFile }

// Help has examples.
func (diffKong) Help() string {
	return `Exit code 0: nothing would change; 1: something would.

Example:
  carnet diff kong kong.yml --prune`
}

// Run prints the plan.
func (c diffKong) Run(s *shell) error {
	return c.plan(s, func(_ context.Context, _ *server.Core, _ kong.Importer, p *kong.Plan) error {
		if len(p.Steps) > 0 {
			return fmt.Errorf("%d differences", len(p.Steps)) // of no kind: its exit code is 1
		}
		return nil
	})
}

// plan reads the file, compares, prints and calls do.
func (c kongFile) plan(s *shell, do func(ctx context.Context, core *server.Core, i kong.Importer, p *kong.Plan) error) error {
	wanted, err := c.read(s)
	if err != nil {
		return err
	}
	if err := c.report(s, wanted.Unsupported); err != nil {
		return err
	}
	return s.withCore(func(ctx context.Context, core *server.Core) error {
		catalog, err := core.Catalog(ctx)
		if err != nil {
			return err
		}
		i := kong.Importer{Catalog: catalog, Registry: core.Consumers, Prune: c.Prune}
		p, err := i.Plan(ctx, wanted)
		if err != nil {
			return err
		}
		if err := printPlan(s.Out, p); err != nil {
			return err
		}
		return do(ctx, core, i, p)
	})
}

func (c kongFile) read(s *shell) (*kong.Wanted, error) {
	var from io.Reader = s.in
	if c.File != "-" {
		f, err := os.Open(c.File)
		if err != nil {
			return nil, fault.New(fault.Invalid, err.Error())
		}
		defer f.Close() //nolint:errcheck // it is only read
		from = f
	}
	data, err := io.ReadAll(io.LimitReader(from, kong.MaxFile+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", c.File, err)
	}
	if len(data) > kong.MaxFile {
		return nil, fault.Newf(fault.TooLarge, "%s must be at most %d bytes; for millions of credentials there is carnet credentials import", c.File, kong.MaxFile)
	}
	if !bytes.HasPrefix(bytes.TrimSpace(data), []byte("[")) {
		return kong.ReadYAML(data, s.lookup)
	}
	if c.Prune {
		return nil, fault.New(fault.Invalid, "kong_consumers.json does not have everything: what is to go has the state absent there, so leave out --prune")
	}
	return kong.ReadSunbird(data)
}

// report prints what cannot be done, and stops unless that may be left out.
func (c kongFile) report(s *shell, all []kong.Unsupported) error {
	open := 0
	for _, u := range all {
		s.note("not supported: %s: %s", u.What, u.Why)
		if u.Open {
			open++
		}
	}
	switch {
	case open > 0:
		return fault.New(fault.Invalid, "some of that cannot be left out: without it, requests would pass that it refuses")
	case len(all) > 0 && !c.SkipUnsupported:
		return fault.New(fault.Invalid, "--skip-unsupported imports the rest")
	}
	return nil
}

func printPlan(w io.Writer, p *kong.Plan) error {
	var out strings.Builder
	for _, step := range p.Steps {
		fmt.Fprintf(&out, "%s %s\n", step.Op, step.What)
		for _, c := range step.Changes {
			fmt.Fprintf(&out, "  %s\n", c)
		}
	}
	if len(p.Steps) == 0 {
		out.WriteString("nothing to change\n")
	}
	_, err := io.WriteString(w, out.String())
	return err
}

type exportKong struct {
	WithSecrets bool `help:"Write the secrets of credentials into it. Without, it names variables of the environment in their place."`
}

// Help has examples.
func (exportKong) Help() string {
	return `Writes what the configuration file and the store say, as Kong and decK read it. What Kong
has no word for stands in it as a comment.

Example:
  carnet export kong > kong.yml`
}

// Run prints the file.
func (c exportKong) Run(s *shell) error {
	return s.withCore(func(ctx context.Context, core *server.Core) error {
		catalog, err := core.Catalog(ctx)
		if err != nil {
			return err
		}
		return kong.Exporter{Catalog: catalog, Registry: core.Consumers, Secrets: c.WithSecrets}.Write(ctx, s.Out)
	})
}
