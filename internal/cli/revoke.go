package cli

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/carnetproject/carnet"
	"github.com/carnetproject/carnet/internal/audit"
	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/jose"
	"github.com/carnetproject/carnet/internal/key"
	"github.com/carnetproject/carnet/internal/revocation"
	"github.com/carnetproject/carnet/internal/server"
)

type revokeCommand struct {
	Token      revokeToken      `cmd:"" help:"Refuse one token, by its id."`
	Subject    revokeSubject    `cmd:"" help:"Refuse a user's tokens and sign-ins up to now."`
	App        revokeApp        `cmd:"" help:"Refuse the tokens that were issued to an app up to now."`
	Issuer     revokeIssuer     `cmd:"" help:"Refuse an issuer's tokens up to now, or those of all devices of an issuer prefix."`
	Device     revokeDevice     `cmd:"" help:"Refuse the tokens of one device up to now."`
	Credential revokeCredential `cmd:"" help:"Refuse the tokens that a credential of the gateway admits, up to now."`
	Key        revokeKey        `cmd:"" help:"Refuse all that a key has signed, and will sign."`
	List       revokeList       `cmd:"" help:"List the revocations in force."`
	Remove     revokeRemove     `cmd:"" help:"Take a revocation back: its tokens are good again."`
}

// revokeFlags are what all revocations have.
type revokeFlags struct {
	Expires string `placeholder:"WHEN" help:"When the revocation leaves by itself: a time (RFC 3339), a date (UTC), a duration from now, or never."`
	Reason  string `placeholder:"TEXT" help:"Why, for those who list it."`
}

// datedFlags are those of revocations that spare what is issued later.
type datedFlags struct {
	Before string `placeholder:"WHEN" help:"Only tokens issued before: a time (RFC 3339), a date (UTC), or a duration ago; without it, now."`
	revokeFlags
}

type revokeToken struct {
	ID    string `arg:"" optional:"" help:"The claim jti."`
	Stdin bool   `help:"Read the token itself from standard input, and take its id and end."`
	revokeFlags
}

// Help has examples.
func (revokeToken) Help() string {
	return `A token is never an argument, which other users of the machine can see.
Without --expires the revocation leaves when a token that Carnet issues now would have
expired. For a token of another issuer, give its end or --stdin.

Examples:
  carnet revoke token 53MHDQAQCPCMLSKRM23UFG2SCA --reason "found in a log"
  carnet revoke token --stdin < token.txt`
}

// Run prints the revocation's id.
func (c revokeToken) Run(s *shell) error {
	d := revocation.Draft{Target: revocation.Target{Kind: revocation.ByToken, Name: c.ID}}
	switch {
	case c.Stdin == (c.ID != ""):
		return fault.New(fault.Invalid, "give the id of the token (its claim jti), or --stdin and the token itself")
	case c.Stdin:
		text, err := s.readAll()
		if err != nil {
			return err
		}
		if err := readToken(strings.TrimSpace(text), &d, time.Now()); err != nil {
			return err
		}
	case strings.HasPrefix(c.ID, "eyJ") && strings.Count(c.ID, ".") == 2:
		return fault.New(fault.Invalid, "this is a token and not its id: give it on standard input, with --stdin")
	}
	return s.revoke(d, datedFlags{revokeFlags: c.revokeFlags})
}

// readToken takes the id and the end of a token that has the form of one. Nobody has
// checked who signed it.
func readToken(text string, d *revocation.Draft, now time.Time) error {
	var token jose.Unverified
	var claims jose.Object
	if err := token.Parse(text); err != nil {
		return fault.Wrap(fault.Invalid, "standard input is not a token", err)
	}
	if err := token.Claims(&claims); err != nil {
		return fault.Wrap(fault.Invalid, "standard input is not a token", err)
	}
	d.Name, _ = claims.Lookup("jti").Text()
	if d.Name == "" {
		return fault.New(fault.Invalid, "the token has no id (jti): revoke its subject, app, device or credential")
	}
	ms, ok := claims.Lookup("exp").Date()
	if !ok {
		d.Forever = true
		return nil
	}
	if d.Expires = time.UnixMilli(ms).Add(carnet.MaxLeeway); !d.Expires.After(now) {
		return fault.New(fault.Invalid, "the token has expired: nothing takes it any more")
	}
	return nil
}

type revokeSubject struct {
	Subject string `arg:"" help:"The claim sub; of a user of Carnet's, what carnet users list shows."`
	Issuer  string `placeholder:"ISS" help:"The claim iss; without it, this deployment's. Of a session token it is the client id."`
	datedFlags
}

// Help has examples.
func (revokeSubject) Help() string {
	return `Refresh tokens of sign-ins up to then are refused, too. Who signs in again is let in;
to keep somebody out: carnet users disable.

Examples:
  carnet revoke subject usr_bku5tirkh43ae5c5 --reason "lost phone"
  carnet revoke subject visitor-17 --issuer app_q2v5mhx3c4d6e7f8`
}

// Run prints the revocation's id.
func (c revokeSubject) Run(s *shell) error {
	return s.revoke(revocation.Draft{Target: revocation.Target{Kind: revocation.BySubject, Issuer: c.Issuer, Name: c.Subject}}, c.datedFlags)
}

type revokeApp struct {
	App string `arg:"" help:"The client id: the claim client_id or azp, or the issuer of session tokens."`
	datedFlags
}

// Run prints the revocation's id.
func (c revokeApp) Run(s *shell) error {
	return s.revoke(revocation.Draft{Target: revocation.Target{Kind: revocation.ByApp, Name: c.App}}, c.datedFlags)
}

type revokeIssuer struct {
	Issuer string `arg:"" help:"The claim iss, or the prefix of one of the form prefix-device-timestamp."`
	datedFlags
}

// Help has examples.
func (revokeIssuer) Help() string {
	return `Example: all devices that registered before June have to register again.
  carnet revoke issuer mobilev2 --before 2026-06-01T00:00:00Z`
}

// Run prints the revocation's id.
func (c revokeIssuer) Run(s *shell) error {
	return s.revoke(revocation.Draft{Target: revocation.Target{Kind: revocation.ByIssuer, Name: c.Issuer}}, c.datedFlags)
}

type revokeDevice struct {
	Prefix string `arg:"" help:"The prefix in the claim iss, which has the form prefix-device-timestamp."`
	Device string `arg:"" help:"The device in it."`
	datedFlags
}

// Help has examples.
func (revokeDevice) Help() string {
	return `Example:
  carnet revoke device mobilev2 dev.sunbird.app-7b1c0d9e5f`
}

// Run prints the revocation's id.
func (c revokeDevice) Run(s *shell) error {
	return s.revoke(revocation.Draft{Target: revocation.Target{Kind: revocation.ByDevice, Issuer: c.Prefix, Name: c.Device}}, c.datedFlags)
}

type revokeCredential struct {
	Credential string `arg:"" help:"The credential's key: the iss of its tokens, or the prefix of it."`
	datedFlags
}

// Run prints the revocation's id.
func (c revokeCredential) Run(s *shell) error {
	return s.revoke(revocation.Draft{Target: revocation.Target{Kind: revocation.ByCredential, Name: c.Credential}}, c.datedFlags)
}

type revokeKey struct {
	Kid string `arg:"" help:"Key id."`
	revokeFlags
}

// Help has examples.
func (revokeKey) Help() string {
	return `For keys of others. A key of Carnet's own goes on signing what is then refused: to have
another one take over, use carnet keys revoke.`
}

// Run prints the revocation's id.
func (c revokeKey) Run(s *shell) error {
	return s.revoke(revocation.Draft{Target: revocation.Target{Kind: revocation.ByKey, Name: c.Kid}}, datedFlags{revokeFlags: c.revokeFlags})
}

// revoke adds d with what the flags say, prints its id, and tells what was done.
func (s *shell) revoke(d revocation.Draft, f datedFlags) error {
	now := time.Now()
	if f.Before != "" {
		var err error
		if d.Before, err = ago(f.Before, now); err != nil {
			return err
		}
	}
	if f.Expires != "" {
		var err error
		if d.Expires, d.Forever, err = ahead(f.Expires, now); err != nil {
			return err
		}
	}
	d.Reason, d.By = f.Reason, cmp.Or(s.variable("USER"), s.variable("LOGNAME"), "command line")
	return s.withCore(func(ctx context.Context, core *server.Core) error {
		if d.Kind == revocation.BySubject && d.Issuer == "" {
			d.Issuer = core.Config.Issuer
		}
		e, err := core.Revocations.Add(ctx, d)
		err = s.record(ctx, core, err, audit.Entry{
			Action: audit.RevocationAdd, Object: d.Name, Details: map[audit.Detail]string{audit.Kind: d.Kind.String(), audit.Issuer: d.Issuer, audit.Reason: d.Reason},
		})
		if err != nil {
			return err
		}
		s.note("revoked: %s", describe(&e))
		s.note("running nodes follow within %s; to take it back: carnet revoke remove %d", core.Config.PollInterval, e.ID)
		if e.Kind == revocation.ByKey && signsHere(core, e.Name) {
			s.note("warning: Carnet goes on signing with this key; to have another take over: carnet keys revoke %s", e.Name)
		}
		_, err = fmt.Fprintln(s.Out, e.ID)
		return err
	})
}

// signsHere tells whether kid is a key of Carnet's own that is not revoked.
func signsHere(core *server.Core, kid string) bool {
	for set := range core.Config.Keys {
		if slices.ContainsFunc(core.Keys.List(set), func(k key.Key) bool { return k.Public.ID() == kid && k.Revoked.IsZero() }) {
			return true
		}
	}
	return false
}

// describe says what an entry refuses, and for how long.
func describe(e *revocation.Entry) string {
	text := e.Kind.String() + " " + e.Name
	if e.Issuer != "" {
		text += " of " + e.Issuer
	}
	if !e.Before.IsZero() {
		text += ", what was issued before " + instant(e.Before)
	}
	if e.Expires.IsZero() {
		return text + ", until it is removed"
	}
	return text + ", until " + instant(e.Expires)
}
