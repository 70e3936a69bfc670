package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/carnetproject/carnet/internal/config"
	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/store/postgres"
	"github.com/carnetproject/carnet/internal/store/sqlite"
	"github.com/carnetproject/carnet/internal/store/table"
)

type storeCommand struct {
	Status  storeStatus  `cmd:"" help:"Show what there is in the store, and who else has it open."`
	Migrate storeMigrate `cmd:"" help:"Bring the store's schema up to date."`
	Copy    storeCopy    `cmd:"" help:"Copy a whole store into another one."`
}

// place is where a store is: the configuration's, unless another one is named.
type place struct {
	URL string `arg:"" optional:"" name:"url" help:"sqlite://FILE or postgres://HOST/DATABASE; without it, store of the configuration."`
}

// at is a URL that [whichStore] takes.
func (p place) at(s *shell) (string, error) {
	if p.URL != "" {
		return p.URL, nil
	}
	cfg, err := s.load()
	if err != nil {
		return "", err
	}
	return cfg.Store, nil
}

// whichStore does with the store at a URL what its kind needs.
func whichStore(url string, file, server func(at string) error) error {
	if path, ok := strings.CutPrefix(url, "sqlite://"); ok && path != "" {
		return file(path)
	}
	if strings.HasPrefix(url, "postgres://") || strings.HasPrefix(url, "postgresql://") {
		return server(url)
	}
	return fault.New(fault.Invalid, "a store must be sqlite://FILE or postgres://HOST/DATABASE")
}

// lookAt looks at the store at a URL.
func lookAt(ctx context.Context, url string) (l table.Look, err error) {
	return l, whichStore(url,
		func(path string) (err error) { l, err = sqlite.Look(ctx, path); return err },
		func(url string) (err error) { l, err = postgres.Look(ctx, url); return err })
}

type storeStatus struct {
	place
	listing
}

// Help has examples.
func (storeStatus) Help() string {
	return `Changes nothing. Tables without rows are left out; numbers with a ~ are the server's estimate.

Examples:
  carnet store status
  carnet store status postgres://carnet@db.example.com/carnet --json`
}

// storeSummary is a store as JSON shows it.
type storeSummary struct {
	Store      string           `json:"store"`
	Server     string           `json:"server"`
	Schema     int64            `json:"schema"`
	Known      int64            `json:"known_schema"`
	Pending    []string         `json:"pending_migrations"`
	Unfinished bool             `json:"unfinished_copy"`
	Bytes      int64            `json:"bytes"`
	Others     []string         `json:"open_elsewhere"`
	Rows       map[string]int64 `json:"rows"`
}

// Run prints what there is.
func (c storeStatus) Run(s *shell) error {
	at, err := c.at(s)
	if err != nil {
		return err
	}
	l, err := lookAt(s.ctx, at)
	if err != nil {
		return err
	}
	if c.JSON {
		rows := map[string]int64{}
		for _, n := range l.Counts {
			rows[n.Table] = n.Rows
		}
		return printJSON(s.Out, storeSummary{
			config.WithoutPassword(at), l.Server, l.Version, l.Known, append([]string{}, l.Pending...), l.Unfinished, l.Bytes,
			append([]string{}, l.Others...), rows,
		})
	}
	fmt.Fprintf(s.Out, "store   %s\nserver  %s\nschema  %s\nsize    %s\n", config.WithoutPassword(at), l.Server, schema(&l), megabytes(l.Bytes))
	for _, who := range l.Others {
		fmt.Fprintf(s.Out, "open    %s\n", who)
	}
	if l.Unfinished {
		s.note("it holds a copy that is not finished: carnet store copy goes on with it")
	}
	var cells [][]string
	for _, n := range l.Counts {
		if n.Rows == 0 {
			continue
		}
		about := ""
		if n.About {
			about = "~"
		}
		cells = append(cells, []string{n.Table, about + grouped(n.Rows)})
	}
	if len(cells) == 0 {
		return nil
	}
	fmt.Fprintln(s.Out)
	return c.print(s.Out, nil, "TABLE ROWS", cells)
}

// schema tells how a schema stands to this program.
func schema(l *table.Look) string {
	switch {
	case len(l.Pending) > 0:
		return fmt.Sprintf("%d, this program's is %d: %s", l.Version, l.Known, count(int64(len(l.Pending)), "migration is to be made", "migrations are to be made"))
	case l.Version > l.Known:
		return fmt.Sprintf("%d, newer than this program's, which is %d", l.Version, l.Known)
	default:
		return fmt.Sprintf("%d, up to date", l.Version)
	}
}

func megabytes(bytes int64) string {
	const mega = 1 << 20
	return fmt.Sprintf("%s.%d MB", grouped(bytes/mega), bytes%mega*10/mega)
}

type storeMigrate struct {
	place
	DryRun bool `help:"Only show what would be made."`
}

// Help has examples.
func (storeMigrate) Help() string {
	return `A node does the same when it starts. One version older still works with the new schema of
PostgreSQL; what would not fit refuses to start, and says so.

Example:
  carnet store migrate --dry-run`
}

// Run makes the migrations that the schema lacks, and prints their names.
func (c storeMigrate) Run(s *shell) error {
	at, err := c.at(s)
	if err != nil {
		return err
	}
	l, err := lookAt(s.ctx, at)
	if err != nil {
		return err
	}
	for _, name := range l.Pending {
		fmt.Fprintln(s.Out, name)
	}
	switch {
	case len(l.Pending) == 0:
		s.note("nothing to be made: the schema is %s", schema(&l))
		return nil
	case c.DryRun:
		s.note("dry run: nothing was changed")
		return nil
	}
	err = whichStore(at,
		func(path string) error { return sqlite.Migrate(s.ctx, path) },
		func(url string) error { return postgres.Migrate(s.ctx, url) })
	if err != nil {
		return err
	}
	s.note("done: the schema is version %d", l.Known)
	return nil
}
