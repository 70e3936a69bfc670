package cli

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/carnetproject/carnet/internal/audit"
	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/jose"
	"github.com/carnetproject/carnet/internal/key"
	"github.com/carnetproject/carnet/internal/server"
)

type keysCommand struct {
	List   keysList   `cmd:"" help:"List the keys of all sets, or of one."`
	Import keysImport `cmd:"" help:"Take over the private keys of another installation, under their key ids."`
	Rotate keysRotate `cmd:"" help:"Publish new keys, which take over when verifiers had time to fetch them."`
	Retire keysRetire `cmd:"" help:"Stop a key from signing; what it signed stays good."`
	Revoke keysRevoke `cmd:"" help:"Make a key and all that it signed unusable at once."`
}

type keysList struct {
	listing
	Set key.SetName `arg:"" optional:"" help:"Name of a key set."`
}

// keyRow is a key as lists show it.
type keyRow struct {
	Set       key.SetName    `json:"set"`
	ID        string         `json:"kid"`
	Algorithm jose.Algorithm `json:"alg"`
	State     string         `json:"state"`
	Created   string         `json:"created"`
	Active    string         `json:"active"`
	Retire    string         `json:"retire,omitempty"`
	Expire    string         `json:"expire,omitempty"`
	Revoked   string         `json:"revoked,omitempty"`
}

// Run prints the keys, oldest first in each set.
func (c keysList) Run(s *shell) error {
	return s.withCore(func(_ context.Context, core *server.Core) error {
		sets := slices.Sorted(maps.Keys(core.Config.Keys))
		if c.Set != "" {
			if !slices.Contains(sets, c.Set) {
				return fault.Newf(fault.NotFound, "there is no key set %s", c.Set)
			}
			sets = []key.SetName{c.Set}
		}
		now, rows, cells := time.Now(), []keyRow{}, [][]string{}
		for _, set := range sets {
			for _, k := range core.Keys.List(set) {
				row := rowOfKey(k, now)
				rows = append(rows, row)
				cells = append(cells, []string{string(row.Set), row.ID, string(row.Algorithm), row.State, row.Active, row.Retire, row.Expire})
			}
		}
		return c.print(s.Out, rows, "SET KID ALG STATE ACTIVE RETIRE EXPIRE", cells)
	})
}

func rowOfKey(k key.Key, now time.Time) keyRow {
	return keyRow{
		Set: k.Set, ID: k.Public.ID(), Algorithm: k.Public.Algorithm(), State: k.State(now).String(),
		Created: moment(k.Created), Active: moment(k.Active), Retire: moment(k.Retire),
		Expire: moment(k.Expire), Revoked: moment(k.Revoked),
	}
}

type keysRotate struct {
	Set       key.SetName    `arg:"" help:"Name of a key set."`
	Algorithm jose.Algorithm `help:"Only the key of this algorithm; without it, all of the set."`
	Now       bool           `help:"Sign with the new key at once: verifiers that have not fetched it yet refuse its tokens."`
	DryRun    bool           `help:"Only show which keys would be made or changed."`
}

// Help has examples.
func (keysRotate) Help() string {
	return `Example:
  carnet keys rotate access`
}

// Run makes the keys.
func (c keysRotate) Run(s *shell) error {
	return s.withCore(func(ctx context.Context, core *server.Core) error {
		o := key.RotateOptions{Algorithm: c.Algorithm, Now: c.Now}
		if c.DryRun {
			return c.dryRun(ctx, s, core, o)
		}
		err := core.Keys.Rotate(ctx, c.Set, o)
		if err := s.record(ctx, core, err, audit.Entry{Action: audit.KeyRotate, Object: string(c.Set)}); err != nil {
			return err
		}
		s.note("rotated; see: carnet keys list %s", c.Set)
		return nil
	})
}

type keysRetire struct {
	Kid string `arg:"" help:"Key id."`
}

// Run retires the key.
func (c keysRetire) Run(s *shell) error {
	return s.withCore(func(ctx context.Context, core *server.Core) error {
		return s.record(ctx, core, core.Keys.Retire(ctx, c.Kid), audit.Entry{Action: audit.KeyRetire, Object: c.Kid})
	})
}

type keysRevoke struct {
	Kid string `arg:"" help:"Key id."`
}

// Run revokes the key.
func (c keysRevoke) Run(s *shell) error {
	return s.withCore(func(ctx context.Context, core *server.Core) error {
		return s.record(ctx, core, core.Keys.Revoke(ctx, c.Kid), audit.Entry{Action: audit.KeyRevoke, Object: c.Kid})
	})
}
