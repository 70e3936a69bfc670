package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/carnetproject/carnet/internal/server"
	"github.com/carnetproject/carnet/internal/user"
)

type usersCommand struct {
	Add     usersAdd     `cmd:"" help:"Add a person; the password is read from standard input."`
	List    usersList    `cmd:"" help:"List the people."`
	Set     usersSet     `cmd:"" help:"Change what a person's access tokens may carry."`
	Disable usersDisable `cmd:"" help:"Refuse a person from now on."`
	Enable  usersEnable  `cmd:"" help:"Let a disabled person in again."`
	Passwd  usersPasswd  `cmd:"" help:"Set a new password, read from standard input, and sign the person out."`
	Signout usersSignout `cmd:"" help:"End all sign-ins of a person: nothing is refreshed any more."`
}

type usersAdd struct {
	Name   string   `arg:"" help:"What they type to sign in."`
	Scopes []string `placeholder:"SCOPE,…" help:"What their access tokens may carry."`
}

// Help has examples.
func (usersAdd) Help() string {
	return `The password is one line on standard input, so that no other user of this machine sees it.
Prints the user's subject identifier (sub).

Example:
  pass show ann | carnet users add ann --scopes orders.read`
}

// Run prints the new user's id.
func (c usersAdd) Run(s *shell) error {
	return s.withCore(func(ctx context.Context, core *server.Core) error {
		password, err := s.readSecret("password of " + c.Name)
		if err != nil {
			return err
		}
		u, err := core.Users.Add(ctx, c.Name, password, c.Scopes)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintln(s.Out, u.ID)
		return err
	})
}

type usersList struct{ listing }

// userRow is a user as lists show it.
type userRow struct {
	ID       user.ID  `json:"sub"`
	Name     string   `json:"name"`
	Disabled bool     `json:"disabled"`
	Created  string   `json:"created"`
	Scopes   []string `json:"scopes,omitempty"`
}

// Run prints the users.
func (c usersList) Run(s *shell) error {
	return s.withCore(func(ctx context.Context, core *server.Core) error {
		all, err := core.Users.All(ctx)
		if err != nil {
			return err
		}
		rows, cells := []userRow{}, [][]string{}
		for _, u := range all {
			row := userRow{u.ID, u.Name, u.Disabled, moment(u.Created), u.Scopes}
			rows = append(rows, row)
			cells = append(cells, []string{string(u.ID), u.Name, stateWord(u.Disabled), strings.Join(u.Scopes, ","), row.Created})
		}
		return c.print(s.Out, rows, "SUB NAME STATE SCOPES CREATED", cells)
	})
}

type usersSet struct {
	Name   string   `arg:"" help:"What they type to sign in."`
	Scopes []string `required:"" placeholder:"SCOPE,…" help:"All that their access tokens may carry; an empty list is none."`
}

// Help has examples.
func (usersSet) Help() string {
	return `To take a scope away signs the person out, for a sign-in carries on what it began with.

Example:
  carnet users set ann --scopes orders.read,orders.write`
}

// Run sets the scopes.
func (c usersSet) Run(s *shell) error {
	return s.withUser(c.Name, func(ctx context.Context, core *server.Core, id user.ID) error {
		return core.Users.SetScopes(ctx, id, c.Scopes)
	})
}

type usersSignout struct {
	Name string `arg:"" help:"What they type to sign in."`
}

// Run ends the user's sign-ins.
func (c usersSignout) Run(s *shell) error {
	return s.withUser(c.Name, func(ctx context.Context, core *server.Core, id user.ID) error {
		return core.Users.SignOut(ctx, id)
	})
}

type usersDisable struct {
	Name string `arg:"" help:"What they type to sign in."`
}

// Run disables the user.
func (c usersDisable) Run(s *shell) error {
	return s.withUser(c.Name, func(ctx context.Context, core *server.Core, id user.ID) error {
		return core.Users.Disable(ctx, id)
	})
}

type usersEnable struct {
	Name string `arg:"" help:"What they type to sign in."`
}

// Run enables the user.
func (c usersEnable) Run(s *shell) error {
	return s.withUser(c.Name, func(ctx context.Context, core *server.Core, id user.ID) error {
		return core.Users.Enable(ctx, id)
	})
}

type usersPasswd struct {
	Name string `arg:"" help:"What they type to sign in."`
}

// Help has examples.
func (usersPasswd) Help() string {
	return `Example:
  openssl rand -base64 18 | tee /dev/stderr | carnet users passwd ann`
}

// Run sets the password.
func (c usersPasswd) Run(s *shell) error {
	return s.withUser(c.Name, func(ctx context.Context, core *server.Core, id user.ID) error {
		password, err := s.readSecret("new password of " + c.Name)
		if err != nil {
			return err
		}
		return core.Users.SetPassword(ctx, id, password)
	})
}

// withUser runs do for the user of that name.
func (s *shell) withUser(name string, do func(ctx context.Context, core *server.Core, id user.ID) error) error {
	return s.withCore(func(ctx context.Context, core *server.Core) error {
		u, err := core.Users.ByName(ctx, name)
		if err != nil {
			return err
		}
		return do(ctx, core, u.ID)
	})
}
