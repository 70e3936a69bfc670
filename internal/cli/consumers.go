package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/carnetproject/carnet/internal/audit"
	"github.com/carnetproject/carnet/internal/consumer"
	"github.com/carnetproject/carnet/internal/server"
)

type consumersCommand struct {
	List         consumersList         `cmd:"" help:"List the consumers of the store."`
	Show         consumersShow         `cmd:"" help:"Show one consumer."`
	Add          consumersAdd          `cmd:"" help:"Add a consumer."`
	Edit         consumersEdit         `cmd:"" help:"Change a consumer."`
	Remove       consumersRemove       `cmd:"" help:"Remove a consumer with all its credentials, at once."`
	Decommission consumersDecommission `cmd:"" help:"Refuse a consumer's credentials from a date on, and see who still uses them."`
}

// consumerRow is a consumer as lists show it.
type consumerRow struct {
	ID       string   `json:"id"`
	Username string   `json:"username,omitempty"`
	CustomID string   `json:"custom_id,omitempty"`
	Groups   []string `json:"groups,omitempty"`
	Tags     []string `json:"tags,omitempty"`
	Created  string   `json:"created"`
	Ends     string   `json:"ends,omitempty"`
}

func rowOfConsumer(i *consumer.Info) consumerRow {
	row := consumerRow{ID: i.ID, Username: i.Username, CustomID: i.CustomID, Tags: i.Tags, Created: moment(i.Created), Ends: moment(i.Ends)}
	for _, g := range i.Groups {
		row.Groups = append(row.Groups, g.Name)
	}
	return row
}

type consumersList struct{ pageFlags }

// Run prints a page of consumers.
func (c consumersList) Run(s *shell) error {
	return s.withCore(func(ctx context.Context, core *server.Core) error {
		all, next, err := core.Consumers.Consumers(ctx, c.page())
		if err != nil {
			return err
		}
		rows, cells := []consumerRow{}, [][]string{}
		for i := range all {
			row := rowOfConsumer(&all[i])
			rows = append(rows, row)
			cells = append(cells, []string{row.ID, row.Username, row.CustomID, strings.Join(row.Groups, ","), row.Created, row.Ends})
		}
		c.more(s, next)
		return c.print(s.Out, rows, "ID USERNAME CUSTOM_ID GROUPS CREATED ENDS", cells)
	})
}

type consumersShow struct {
	Name string `arg:"" help:"Its username or id."`
}

// Run prints a consumer.
func (c consumersShow) Run(s *shell) error {
	return s.withCore(func(ctx context.Context, core *server.Core) error {
		i, err := core.Consumers.Consumer(ctx, c.Name)
		if err != nil {
			return err
		}
		return printJSON(s.Out, rowOfConsumer(&i))
	})
}

type consumersAdd struct {
	Username string   `arg:"" help:"What upstreams see as X-Consumer-Username."`
	CustomID string   `placeholder:"ID" help:"What your other systems call it."`
	Groups   []string `placeholder:"GROUP,…" help:"By which access lists admit it."`
	Tags     []string `placeholder:"TAG,…" help:"For you."`
}

// Help has examples.
func (consumersAdd) Help() string {
	return `Prints the consumer's id.

Example:
  carnet consumers add mobile_device --groups contentAccess,deviceAccess`
}

// Run prints the new consumer's id.
func (c consumersAdd) Run(s *shell) error {
	return s.withCore(func(ctx context.Context, core *server.Core) error {
		i := consumer.Info{Username: c.Username, CustomID: c.CustomID, Tags: c.Tags}
		for _, g := range c.Groups {
			i.Groups = append(i.Groups, consumer.Group{Name: g})
		}
		i, err := core.Consumers.AddConsumer(ctx, i)
		err = s.record(ctx, core, err, audit.Entry{Action: audit.ConsumerAdd, Object: i.ID, Details: map[audit.Detail]string{audit.Name: i.Username}})
		if err != nil {
			return err
		}
		_, err = fmt.Fprintln(s.Out, i.ID)
		return err
	})
}

type consumersEdit struct {
	Name     string    `arg:"" help:"Its username or id."`
	Username *string   `placeholder:"NAME" help:"Its new username."`
	CustomID *string   `placeholder:"ID" help:"Its new custom id; empty: none."`
	Groups   *[]string `placeholder:"GROUP,…" help:"All groups that it is to be in; empty: none."`
	Tags     *[]string `placeholder:"TAG,…" help:"All its tags."`
}

// Run changes what was given.
func (c consumersEdit) Run(s *shell) error {
	return s.withCore(func(ctx context.Context, core *server.Core) error {
		i, err := core.Consumers.EditConsumer(ctx, c.Name, func(i *consumer.Info) error {
			set(&i.Username, c.Username)
			set(&i.CustomID, c.CustomID)
			set(&i.Tags, c.Tags)
			return nil
		})
		err = s.record(ctx, core, err, audit.Entry{
			Action: audit.ConsumerEdit, Object: i.ID, Details: map[audit.Detail]string{audit.Name: c.Name, audit.Changed: givenFlags(c)},
		})
		if err != nil || c.Groups == nil {
			return err
		}
		for _, g := range i.Groups {
			if !slices.Contains(*c.Groups, g.Name) {
				if err := core.Consumers.DeleteGroup(ctx, i.ID, g.Name); err != nil {
					return err
				}
			}
		}
		for _, name := range *c.Groups {
			if !slices.ContainsFunc(i.Groups, func(g consumer.Group) bool { return g.Name == name }) {
				if _, err := core.Consumers.AddGroup(ctx, i.ID, consumer.Group{Name: name}); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

type consumersRemove struct {
	Name string `arg:"" help:"Its username or id."`
}

// Help says what else goes.
func (consumersRemove) Help() string {
	return `Its credentials are refused from now on; millions of them take a running node some
minutes to delete. To give their holders time: carnet consumers decommission.`
}

// Run removes a consumer.
func (c consumersRemove) Run(s *shell) error {
	return s.withCore(func(ctx context.Context, core *server.Core) error {
		if err := s.record(ctx, core, core.Consumers.DeleteConsumer(ctx, c.Name), audit.Entry{Action: audit.ConsumerRemove, Object: c.Name}); err != nil {
			return err
		}
		s.note("removed: running nodes see it within %s", core.Config.PollInterval)
		return nil
	})
}
