package cli

import (
	"context"
	"net/netip"
	"strings"
	"time"

	"github.com/carnetproject/carnet/internal/app"
	"github.com/carnetproject/carnet/internal/jose"
	"github.com/carnetproject/carnet/internal/secret"
	"github.com/carnetproject/carnet/internal/server"
)

type appsCommand struct {
	Add     appsAdd     `cmd:"" help:"Register an app and print its client id and secret."`
	List    appsList    `cmd:"" help:"List the apps."`
	Rotate  appsRotate  `cmd:"" help:"Give an app a new secret; the old ones stay good for a while."`
	Disable appsDisable `cmd:"" help:"Refuse an app from now on."`
	Enable  appsEnable  `cmd:"" help:"Let a disabled app in again."`
}

type appsAdd struct {
	Name             string         `arg:"" help:"What people call it."`
	Identity         app.Identity   `enum:"anonymous,token,trusted" default:"anonymous" help:"How POST /sts believes who a visitor is: not at all, by an access token, or by the app's secret."`
	TrustedNetworks  []netip.Prefix `placeholder:"CIDR,…" help:"Where trusted callers must come from."`
	Origins          []string       `placeholder:"URL,…" help:"Pages that may call from a browser, such as https://www.example.com."`
	Audience         string         `help:"The aud of session tokens."`
	SessionAlgorithm jose.Algorithm `placeholder:"ALG" help:"Of session tokens; HS256 signs with the app's secret."`
	AccessAlgorithm  jose.Algorithm `placeholder:"ALG" help:"Of access tokens."`
	Scopes           []string       `placeholder:"SCOPE,…" help:"What it may ask for by client_credentials."`
	JSON             bool           `help:"Print JSON."`
}

// Help has examples.
func (appsAdd) Help() string {
	return `The secret is printed once and cannot be printed again.

Example:
  carnet apps add shop --origins https://shop.example --scopes orders.read`
}

// Run prints the credentials.
func (c appsAdd) Run(s *shell) error {
	return s.withCore(func(ctx context.Context, core *server.Core) error {
		a, value, err := core.Apps.Add(ctx, app.Registration{
			Name: c.Name, Identity: c.Identity, TrustedNetworks: c.TrustedNetworks, Origins: c.Origins, Audience: c.Audience,
			SessionAlgorithm: c.SessionAlgorithm, AccessAlgorithm: c.AccessAlgorithm, Scopes: c.Scopes,
		})
		if err != nil {
			return err
		}
		return s.printCredentials(a.ID, value, c.JSON)
	})
}

// printCredentials prints a new secret, the only time that it can be.
func (s *shell) printCredentials(id app.ID, value secret.Bytes, asJSON bool) error {
	s.note("keep the secret: it cannot be printed again")
	if asJSON {
		return printJSON(s.Out, struct {
			ID     app.ID `json:"client_id"`
			Secret string `json:"client_secret"`
		}{id, string(value.Reveal())})
	}
	_, err := s.Out.Write([]byte("client_id=" + string(id) + "\nclient_secret=" + string(value.Reveal()) + "\n"))
	return err
}

type appsList struct{ listing }

// appRow is an app as lists show it.
type appRow struct {
	ID               app.ID         `json:"client_id"`
	Name             string         `json:"name"`
	Disabled         bool           `json:"disabled"`
	Created          string         `json:"created"`
	Identity         app.Identity   `json:"identity"`
	TrustedNetworks  []netip.Prefix `json:"trusted_networks,omitempty"`
	Origins          []string       `json:"origins,omitempty"`
	Audience         string         `json:"audience,omitempty"`
	SessionAlgorithm jose.Algorithm `json:"session_algorithm"`
	AccessAlgorithm  jose.Algorithm `json:"access_algorithm"`
	Scopes           []string       `json:"scopes,omitempty"`
	Secrets          []secretRow    `json:"secrets"`
}

// secretRow tells of a secret what may be known.
type secretRow struct {
	ID        string `json:"id"`
	NotBefore string `json:"not_before"`
	NotAfter  string `json:"not_after,omitempty"`
}

// Run prints the apps.
func (c appsList) Run(s *shell) error {
	return s.withCore(func(_ context.Context, core *server.Core) error {
		rows, cells := []appRow{}, [][]string{}
		for _, a := range core.Apps.All() {
			row := rowOfApp(a)
			rows = append(rows, row)
			cells = append(cells, []string{
				string(a.ID), a.Name, stateWord(a.Disabled), string(a.Identity),
				strings.Join(a.Scopes, ","), row.Created,
			})
		}
		return c.print(s.Out, rows, "CLIENT_ID NAME STATE IDENTITY SCOPES CREATED", cells)
	})
}

func rowOfApp(a *app.App) appRow {
	row := appRow{
		ID: a.ID, Name: a.Name, Disabled: a.Disabled, Created: moment(a.Created), Identity: a.Identity,
		TrustedNetworks: a.TrustedNetworks, Origins: a.Origins, Audience: a.Audience,
		SessionAlgorithm: a.SessionAlgorithm, AccessAlgorithm: a.AccessAlgorithm, Scopes: a.Scopes,
		Secrets: []secretRow{},
	}
	for _, x := range a.Secrets {
		row.Secrets = append(row.Secrets, secretRow{x.ID, moment(x.NotBefore), moment(x.NotAfter)})
	}
	return row
}

// stateWord is how tables show whether somebody is let in.
func stateWord(disabled bool) string {
	if disabled {
		return "disabled"
	}
	return "enabled"
}

type appsRotate struct {
	ID      app.ID        `arg:"" help:"Client id."`
	Overlap time.Duration `default:"24h" help:"How long the old secrets stay good."`
	JSON    bool          `help:"Print JSON."`
}

// Run prints the new secret.
func (c appsRotate) Run(s *shell) error {
	return s.withCore(func(ctx context.Context, core *server.Core) error {
		value, err := core.Apps.Rotate(ctx, c.ID, c.Overlap)
		if err != nil {
			return err
		}
		return s.printCredentials(c.ID, value, c.JSON)
	})
}

type appsDisable struct {
	ID app.ID `arg:"" help:"Client id."`
}

// Run disables the app.
func (c appsDisable) Run(s *shell) error {
	return s.withCore(func(ctx context.Context, core *server.Core) error { return core.Apps.Disable(ctx, c.ID) })
}

type appsEnable struct {
	ID app.ID `arg:"" help:"Client id."`
}

// Run enables the app.
func (c appsEnable) Run(s *shell) error {
	return s.withCore(func(ctx context.Context, core *server.Core) error { return core.Apps.Enable(ctx, c.ID) })
}
