package cli

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/netip"
	"strings"
	"time"

	"github.com/carnetproject/carnet/internal/app"
	"github.com/carnetproject/carnet/internal/audit"
	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/jose"
	"github.com/carnetproject/carnet/internal/secret"
	"github.com/carnetproject/carnet/internal/server"
)

type appsCommand struct {
	Add     appsAdd     `cmd:"" help:"Register an app and print its client id and secret."`
	List    appsList    `cmd:"" help:"List the apps."`
	Show    appsShow    `cmd:"" help:"Print all that is known of an app, but its secrets."`
	Set     appsSet     `cmd:"" help:"Change what is said of an app; what is not named stays."`
	Rotate  appsRotate  `cmd:"" help:"Give an app a new secret; the old ones stay good for a while."`
	Disable appsDisable `cmd:"" help:"Refuse an app from now on."`
	Enable  appsEnable  `cmd:"" help:"Let a disabled app in again."`
	Keys    appsKeys    `cmd:"" help:"Public keys by which an app proves who it is."`
}

// appFlags say what an app is. Those that are not given are nil.
type appFlags struct {
	Identity         *app.Identity   `placeholder:"MODE" help:"How POST /sts believes who a visitor is: anonymous (not at all), token (by an access token), trusted (by the app's secret), connector (your API confirms)."`
	Networks         *[]netip.Prefix `placeholder:"CIDR,…" help:"Where POST /sts may be called from."`
	HTTPSOnly        *bool           `name:"https-only" negatable:"" help:"POST /sts refuses plain HTTP, but from this machine."`
	TrustedNetworks  *[]netip.Prefix `placeholder:"CIDR,…" help:"Where trusted callers must come from."`
	Connector        *string         `placeholder:"ALIAS" help:"The API connector that confirms visitors."`
	Cookies          *[]string       `placeholder:"NAME,…" help:"Cookies of the visitor that the connector is told."`
	Origins          *[]string       `placeholder:"URL,…" help:"Pages that may call from a browser, such as https://www.example.com."`
	Audience         *string         `placeholder:"TEXT" help:"The aud of session tokens."`
	SessionAlgorithm *jose.Algorithm `placeholder:"ALG" help:"Of session tokens; HS256 signs with the app's secret."`
	AccessAlgorithm  *jose.Algorithm `placeholder:"ALG" help:"Of access tokens."`
	Scopes           *[]string       `placeholder:"SCOPE,…" help:"What it may ask for by client_credentials."`
	Claims           *string         `placeholder:"JSON" help:"What its own tokens say more, as in {\"org\": \"acme\", \"app\": \"$${client_id}\"}."`
	Grants           *[]app.Grant    `placeholder:"GRANT,…" help:"What it may use of authorization_code, client_credentials, refresh_token, and of jwt-bearer and token-exchange, which are only for those that name them. Without: what fits."`
	RedirectURIs     *[]string       `name:"redirect-uris" placeholder:"URI,…" help:"Where people are sent back to after they signed in, to the letter; on a loopback address the port may be another."`
	FirstParty       *bool           `negatable:"" help:"It is your own: people are not asked whether they consent."`
	UserScopes       *[]string       `placeholder:"SCOPE,…" help:"What people may grant it of their scopes."`
	Audiences        *[]string       `placeholder:"AUD,…" help:"Audiences that it answers for: it may ask about tokens for them, and exchange them. Without: the deployment's own."`
	Targets          *[]string       `placeholder:"AUD,…" help:"Other audiences that it may ask tokens for."`
}

// apply changes what is given.
func (f *appFlags) apply(r *app.Registration) {
	set(&r.Identity, f.Identity)
	set(&r.Networks, f.Networks)
	set(&r.HTTPSOnly, f.HTTPSOnly)
	set(&r.TrustedNetworks, f.TrustedNetworks)
	set(&r.Connector, f.Connector)
	set(&r.Cookies, f.Cookies)
	set(&r.Origins, f.Origins)
	set(&r.Audience, f.Audience)
	set(&r.SessionAlgorithm, f.SessionAlgorithm)
	set(&r.AccessAlgorithm, f.AccessAlgorithm)
	set(&r.Scopes, f.Scopes)
	set(&r.Claims, f.Claims)
	set(&r.Grants, f.Grants)
	set(&r.RedirectURIs, f.RedirectURIs)
	set(&r.FirstParty, f.FirstParty)
	set(&r.UserScopes, f.UserScopes)
	set(&r.Audiences, f.Audiences)
	set(&r.Targets, f.Targets)
}

func set[T any](member, given *T) {
	if given != nil {
		*member = *given
	}
}

type appsAdd struct {
	Name   string `arg:"" help:"What people call it."`
	Public bool   `help:"It runs where no secret can be kept, in a page or on a phone, and gets none: it signs users in and refreshes by its client id alone."`
	Secret string `placeholder:"SRN" help:"Where its secret lies; without, one is made."`
	appFlags
	JSON bool `help:"Print JSON."`
}

// Help has examples.
func (appsAdd) Help() string {
	return `The secret is printed once and cannot be printed again.

Examples:
  carnet apps add shop --origins https://shop.example --scopes orders.read
  carnet apps add bank --origins https://bank.example --identity connector --connector WhoIsIt --cookies sid
  carnet apps add shop-page --public --origins https://shop.example --redirect-uris https://shop.example/back
  carnet apps add orders --grants client_credentials,token-exchange --targets https://stock.example
  carnet apps add bank --secret srn:vault::default:secret:bank-app`
}

// Run prints the credentials.
func (c appsAdd) Run(s *shell) error {
	return s.withCore(func(ctx context.Context, core *server.Core) error {
		r := app.Registration{Name: c.Name, Public: c.Public, Secret: c.Secret}
		c.apply(&r)
		a, value, err := core.Apps.Add(ctx, r)
		if err != nil {
			return err
		}
		return errors.Join(s.printCredentials(a.ID, value, c.JSON),
			s.record(ctx, core, nil, audit.Entry{Action: audit.AppAdd, Object: string(a.ID), Details: map[audit.Detail]string{audit.Name: a.Name, audit.Key: c.Secret}}))
	})
}

// printCredentials prints a new secret, the only time that it can be. A public app
// has none, and of one that lies with a provider there is nothing to print.
func (s *shell) printCredentials(id app.ID, value secret.Bytes, asJSON bool) error {
	if value.Len() > 0 {
		s.note("keep the secret: it cannot be printed again")
	}
	if asJSON {
		return printJSON(s.Out, struct {
			ID     app.ID `json:"client_id"`
			Secret string `json:"client_secret,omitempty"`
		}{id, string(value.Reveal())})
	}
	text := "client_id=" + string(id) + "\n"
	if value.Len() > 0 {
		text += "client_secret=" + string(value.Reveal()) + "\n"
	}
	_, err := io.WriteString(s.Out, text)
	return err
}

type appsList struct{ listing }

// appRow is an app as lists show it.
type appRow struct {
	ID               app.ID         `json:"client_id"`
	Name             string         `json:"name"`
	Public           bool           `json:"public"`
	Disabled         bool           `json:"disabled"`
	Created          string         `json:"created"`
	Identity         app.Identity   `json:"identity"`
	Networks         []netip.Prefix `json:"networks,omitempty"`
	HTTPSOnly        bool           `json:"https_only,omitempty"`
	TrustedNetworks  []netip.Prefix `json:"trusted_networks,omitempty"`
	Connector        string         `json:"connector,omitempty"`
	Cookies          []string       `json:"cookies,omitempty"`
	Origins          []string       `json:"origins,omitempty"`
	Audience         string         `json:"audience,omitempty"`
	SessionAlgorithm jose.Algorithm `json:"session_algorithm"`
	AccessAlgorithm  jose.Algorithm `json:"access_algorithm"`
	Scopes           []string       `json:"scopes,omitempty"`
	Claims           any            `json:"claims,omitempty"`
	Grants           []app.Grant    `json:"grants"`
	RedirectURIs     []string       `json:"redirect_uris,omitempty"`
	FirstParty       bool           `json:"first_party,omitempty"`
	UserScopes       []string       `json:"user_scopes,omitempty"`
	Audiences        []string       `json:"audiences,omitempty"`
	Targets          []string       `json:"targets,omitempty"`
	Secrets          []secretRow    `json:"secrets"`
	Keys             []publicKeyRow `json:"keys,omitempty"`
}

// secretRow tells of a secret what may be known.
type secretRow struct {
	ID        string `json:"id"`
	SRN       string `json:"srn,omitempty"`
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
				strings.Join(a.Scopes, ","), row.Created, moment(a.Ends()),
			})
		}
		return c.print(s.Out, rows, "CLIENT_ID NAME STATE IDENTITY SCOPES CREATED ENDS", cells)
	})
}

func rowOfApp(a *app.App) appRow {
	row := appRow{
		ID: a.ID, Name: a.Name, Public: a.Public, Disabled: a.Disabled, Created: moment(a.Created), Identity: a.Identity,
		Networks: a.Networks, HTTPSOnly: a.HTTPSOnly,
		TrustedNetworks: a.TrustedNetworks, Connector: a.Connector, Cookies: a.Cookies, Origins: a.Origins, Audience: a.Audience,
		SessionAlgorithm: a.SessionAlgorithm, AccessAlgorithm: a.AccessAlgorithm, Scopes: a.Scopes,
		RedirectURIs: a.RedirectURIs, FirstParty: a.FirstParty, UserScopes: a.UserScopes,
		Audiences: a.Audiences, Targets: a.Targets, Secrets: []secretRow{},
	}
	if a.Claims != "" {
		row.Claims = json.RawMessage(a.Claims)
	}
	for _, g := range app.Grants() {
		if a.May(g) {
			row.Grants = append(row.Grants, g)
		}
	}
	for _, x := range a.Secrets {
		row.Secrets = append(row.Secrets, rowOfSecret(x))
	}
	for _, k := range a.Keys {
		row.Keys = append(row.Keys, rowOfPublicKey(k))
	}
	return row
}

func rowOfSecret(x app.Secret) secretRow {
	return secretRow{x.ID, x.Ref, moment(x.NotBefore), moment(x.NotAfter)}
}

type appsShow struct {
	ID app.ID `arg:"" help:"Client id."`
}

// Run prints the app as JSON.
func (c appsShow) Run(s *shell) error {
	return s.withCore(func(_ context.Context, core *server.Core) error {
		a, ok := core.Apps.Find(c.ID)
		if !ok {
			return fault.Newf(fault.NotFound, "there is no app %q", c.ID)
		}
		return printJSON(s.Out, rowOfApp(a))
	})
}

// stateWord is how tables show whether somebody is let in.
func stateWord(disabled bool) string {
	if disabled {
		return "disabled"
	}
	return "enabled"
}

type appsSet struct {
	ID   app.ID  `arg:"" help:"Client id."`
	Name *string `placeholder:"TEXT" help:"What people call it."`
	appFlags
}

// Help has examples.
func (appsSet) Help() string {
	return `A list that is given replaces the whole list; an empty one clears it.

Examples:
  carnet apps set app_2ivfk3tyo5ihgjvy --scopes orders.read,orders.write
  carnet apps set app_2ivfk3tyo5ihgjvy --name "Web shop" --origins ""`
}

// Run changes the app.
func (c appsSet) Run(s *shell) error {
	return s.withCore(func(ctx context.Context, core *server.Core) error {
		return s.record(ctx, core, core.Apps.Set(ctx, c.ID, func(r *app.Registration) {
			set(&r.Name, c.Name)
			c.apply(r)
		}), audit.Entry{Action: audit.AppSet, Object: string(c.ID), Details: map[audit.Detail]string{audit.Changed: givenFlags(c)}})
	})
}

type appsRotate struct {
	ID      app.ID        `arg:"" help:"Client id."`
	Overlap time.Duration `default:"24h" help:"How long the old secrets stay good."`
	Life    time.Duration `default:"0s" help:"How long the new secret is good; 0s: without end."`
	Secret  string        `placeholder:"SRN" help:"Where the new secret lies; without, one is made."`
	DryRun  bool          `help:"Only show which secrets there would be, and until when."`
	JSON    bool          `help:"Print JSON."`
}

// Run prints the new secret.
func (c appsRotate) Run(s *shell) error {
	return s.withCore(func(ctx context.Context, core *server.Core) error {
		if c.DryRun {
			return c.dryRun(ctx, s, core)
		}
		value, err := core.Apps.Rotate(ctx, c.ID, c.options())
		if err != nil {
			return err
		}
		return errors.Join(s.printCredentials(c.ID, value, c.JSON), s.record(ctx, core, nil, audit.Entry{
			Action: audit.AppRotate, Object: string(c.ID), Details: map[audit.Detail]string{audit.Key: c.Secret},
		}))
	})
}

func (c appsRotate) options() app.RotateOptions {
	return app.RotateOptions{Overlap: c.Overlap, Life: c.Life, Secret: c.Secret}
}

type appsDisable struct {
	ID app.ID `arg:"" help:"Client id."`
}

// Run disables the app.
func (c appsDisable) Run(s *shell) error {
	return s.withCore(func(ctx context.Context, core *server.Core) error {
		return s.record(ctx, core, core.Apps.Disable(ctx, c.ID), audit.Entry{Action: audit.AppDisable, Object: string(c.ID)})
	})
}

type appsEnable struct {
	ID app.ID `arg:"" help:"Client id."`
}

// Run enables the app.
func (c appsEnable) Run(s *shell) error {
	return s.withCore(func(ctx context.Context, core *server.Core) error {
		return s.record(ctx, core, core.Apps.Enable(ctx, c.ID), audit.Entry{Action: audit.AppEnable, Object: string(c.ID)})
	})
}
