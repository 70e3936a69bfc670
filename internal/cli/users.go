package cli

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	"github.com/carnetproject/carnet/internal/app"
	"github.com/carnetproject/carnet/internal/audit"
	"github.com/carnetproject/carnet/internal/server"
	"github.com/carnetproject/carnet/internal/token"
	"github.com/carnetproject/carnet/internal/user"
)

type usersCommand struct {
	Add      usersAdd      `cmd:"" help:"Add a person; the password is read from standard input."`
	List     usersList     `cmd:"" help:"List the people."`
	Set      usersSet      `cmd:"" help:"Change what a person's access tokens may carry."`
	Disable  usersDisable  `cmd:"" help:"Refuse a person from now on."`
	Enable   usersEnable   `cmd:"" help:"Let a disabled person in again."`
	Passwd   usersPasswd   `cmd:"" aliases:"password" help:"Set a new password, read from standard input, and sign the person out."`
	Sessions usersSessions `cmd:"" help:"List where a person is signed in."`
	Signout  usersSignout  `cmd:"" help:"Sign a person out of one place, or everywhere."`
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
		err = s.record(ctx, core, err, audit.Entry{Action: audit.UserAdd, Object: string(u.ID), Details: map[audit.Detail]string{audit.Name: c.Name}})
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
		return s.record(ctx, core, core.Users.SetScopes(ctx, id, c.Scopes), audit.Entry{
			Action: audit.UserSet, Object: string(id), Details: map[audit.Detail]string{audit.Name: c.Name, audit.Scopes: strings.Join(c.Scopes, " ")},
		})
	})
}

// placesOf explains the argument of commands about sign-ins.
type placesOf struct {
	Name string `arg:"" help:"What they type to sign in; of a directory of your own, the subject (ext_…)."`
}

// with runs do for the subject.
func (p placesOf) with(s *shell, do func(ctx context.Context, core *server.Core, subject string) error) error {
	if user.Remotely(p.Name) {
		return s.withCore(func(ctx context.Context, core *server.Core) error { return do(ctx, core, p.Name) })
	}
	return s.withUser(p.Name, func(ctx context.Context, core *server.Core, id user.ID) error { return do(ctx, core, string(id)) })
}

type usersSessions struct {
	placesOf
	listing
}

// placeRow is where somebody is signed in, as lists show it.
type placeRow struct {
	ID      string `json:"id"`
	Kind    string `json:"kind"` // browser or app
	App     app.ID `json:"app,omitempty"`
	Agent   string `json:"agent,omitempty"`
	Network string `json:"network,omitempty"`
	Created string `json:"created"`
	Expires string `json:"expires"`
}

// Run prints the sign-ins.
func (c usersSessions) Run(s *shell) error {
	return c.with(s, func(ctx context.Context, core *server.Core, subject string) error {
		list, err := core.SignIns.List(ctx, subject)
		if err != nil {
			return err
		}
		rows, cells := []placeRow{}, [][]string{}
		for _, p := range list {
			row := placeRow{p.ID, "app", p.App, p.Place.Agent, p.Place.Network, moment(p.Created), moment(p.Expires)}
			if p.Session {
				row.Kind = "browser"
			} else {
				row.App = cmp.Or(p.App, token.Itself)
			}
			rows = append(rows, row)
			cells = append(cells, []string{row.ID, row.Kind, cmp.Or(string(row.App), row.Agent), row.Network, row.Created, row.Expires})
		}
		return c.print(s.Out, rows, "ID KIND WHAT NETWORK CREATED EXPIRES", cells)
	})
}

type usersSignout struct {
	placesOf
	ID string `arg:"" optional:"" help:"Of one place, as carnet users sessions shows it; without it, of all."`
}

// Help has examples.
func (usersSignout) Help() string {
	return `Refresh tokens are good no more, nor are the access tokens that came with them. To be
signed out of a browser ends the sign-ins at apps that began there, too.

Example:
  carnet users signout ann`
}

// Run ends the sign-ins.
func (c usersSignout) Run(s *shell) error {
	return c.with(s, func(ctx context.Context, core *server.Core, subject string) error {
		e := audit.Entry{Action: audit.UserSignOut, Object: subject, Details: map[audit.Detail]string{audit.Place: c.ID}}
		if c.ID != "" {
			return s.record(ctx, core, core.SignIns.End(ctx, subject, c.ID), e)
		}
		return s.record(ctx, core, core.SignIns.EndAll(ctx, subject), e)
	})
}

type usersDisable struct {
	Name string `arg:"" help:"What they type to sign in."`
}

// Run disables the user.
func (c usersDisable) Run(s *shell) error {
	return s.withUser(c.Name, func(ctx context.Context, core *server.Core, id user.ID) error {
		return s.record(ctx, core, core.Users.Disable(ctx, id), audit.Entry{Action: audit.UserDisable, Object: string(id), Details: map[audit.Detail]string{audit.Name: c.Name}})
	})
}

type usersEnable struct {
	Name string `arg:"" help:"What they type to sign in."`
}

// Run enables the user.
func (c usersEnable) Run(s *shell) error {
	return s.withUser(c.Name, func(ctx context.Context, core *server.Core, id user.ID) error {
		return s.record(ctx, core, core.Users.Enable(ctx, id), audit.Entry{Action: audit.UserEnable, Object: string(id), Details: map[audit.Detail]string{audit.Name: c.Name}})
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
		return s.record(ctx, core, core.Users.SetPassword(ctx, id, password), audit.Entry{Action: audit.UserPassword, Object: string(id), Details: map[audit.Detail]string{audit.Name: c.Name}})
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
