package cli

import (
	"context"
	"strconv"

	"github.com/carnetproject/carnet/internal/audit"
	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/server"
)

type restrictionsCommand struct {
	List  restrictionsList  `cmd:"" help:"List the actors that are in a step of a restriction group."`
	Clear restrictionsClear `cmd:"" help:"Let an actor of a restriction group in again, or all of them."`
}

// restrictionsPage is how many actors are read from the store at a time.
const restrictionsPage = 500

type restrictionsList struct {
	Group string `arg:"" help:"Id of the group."`
	listing
}

// Help says what an actor is.
func (restrictionsList) Help() string {
	return `An actor is shown as a digest of its identifiers: who it is, is not kept.`
}

// Run prints the actors.
func (c restrictionsList) Run(s *shell) error {
	return s.withCore(func(ctx context.Context, core *server.Core) error {
		r, err := core.Restrictions()
		if err != nil {
			return err
		}
		type row struct {
			Actor string `json:"actor"`
			Step  int    `json:"step"`
			Until string `json:"until"`
		}
		rows, cells := []row{}, [][]string{}
		for after := ""; ; {
			page, err := r.Active(ctx, c.Group, after, restrictionsPage)
			if err != nil {
				return err
			}
			for _, a := range page {
				one := row{a.Actor, a.Step, moment(a.Until)}
				rows, cells = append(rows, one), append(cells, []string{one.Actor, strconv.Itoa(one.Step), one.Until})
				after = a.Actor
			}
			if len(page) < restrictionsPage {
				return c.print(s.Out, rows, "ACTOR STEP UNTIL", cells)
			}
		}
	})
}

type restrictionsClear struct {
	Group string `arg:"" help:"Id of the group."`
	Actor string `arg:"" optional:"" help:"As carnet connectors restrictions list shows it."`
	All   bool   `help:"All actors of the group."`
}

// Run lets them in.
func (c restrictionsClear) Run(s *shell) error {
	if (c.Actor == "") != c.All {
		return fault.BadField("ACTOR", "name one, or give --all")
	}
	return s.withCore(func(ctx context.Context, core *server.Core) error {
		r, err := core.Restrictions()
		if err != nil {
			return err
		}
		return s.record(ctx, core, r.Clear(ctx, c.Group, c.Actor), audit.Entry{
			Action: audit.RestrictionClear, Object: c.Group, Details: map[audit.Detail]string{audit.Name: c.Actor},
		})
	})
}
