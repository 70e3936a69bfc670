package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/carnetproject/carnet/internal/app"
	"github.com/carnetproject/carnet/internal/audit"
	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/jose"
	"github.com/carnetproject/carnet/internal/server"
)

type appsKeys struct {
	Add    appsKeysAdd    `cmd:"" help:"Add a public key, or the URL where the app publishes its keys."`
	Remove appsKeysRemove `cmd:"" help:"Take a key away: what it signed is refused from now on."`
}

type appsKeysAdd struct {
	ID        app.ID         `arg:"" help:"Client id."`
	File      string         `arg:"" optional:"" help:"File with the key: a JWK, or with --alg one PEM block."`
	URL       string         `name:"url" placeholder:"URL" help:"Of a JWKS document, in the place of a file. It is fetched when a key is needed."`
	Alg       jose.Algorithm `placeholder:"ALG" help:"What a key in PEM signs with, as in RS256."`
	Kid       string         `placeholder:"TEXT" help:"The kid that the app puts into its assertions. Without: that of the JWK, else the thumbprint."`
	NotBefore time.Time      `placeholder:"TIME" help:"When it becomes good: a date (UTC) or a time (RFC 3339). Without: now."`
	NotAfter  time.Time      `placeholder:"TIME" help:"When it ends, likewise. Without: never."`
	JSON      bool           `help:"Print JSON."`
}

// Help has examples.
func (appsKeysAdd) Help() string {
	return `Of a private key only the public half is kept; the app keeps the other one.

Examples:
  carnet apps keys add app_2ivfk3tyo5ihgjvy app.jwk
  carnet apps keys add app_2ivfk3tyo5ihgjvy app.pem --alg RS256 --kid 2027-01
  carnet apps keys add app_2ivfk3tyo5ihgjvy --url https://app.example/jwks.json`
}

// Run prints the key's id.
func (c appsKeysAdd) Run(s *shell) error {
	k, err := c.key()
	if err != nil {
		return err
	}
	k.NotBefore, k.NotAfter = c.NotBefore, c.NotAfter
	return s.withCore(func(ctx context.Context, core *server.Core) error {
		k, err := core.Apps.AddKey(ctx, c.ID, k)
		err = s.record(ctx, core, err, audit.Entry{Action: audit.AppAddKey, Object: string(c.ID), Details: map[audit.Detail]string{audit.Key: k.ID}})
		if err != nil {
			return err
		}
		if c.JSON {
			return printJSON(s.Out, rowOfPublicKey(k))
		}
		_, err = fmt.Fprintln(s.Out, k.ID)
		return err
	})
}

func (c appsKeysAdd) key() (app.Key, error) {
	if (c.File == "") == (c.URL == "") {
		return app.Key{}, fault.New(fault.Invalid, "name a file with a key, or --url")
	}
	if c.URL != "" {
		return app.Key{URL: c.URL}, nil
	}
	text, err := os.ReadFile(c.File)
	if err != nil {
		return app.Key{}, err
	}
	return app.NewKey(c.Alg, c.Kid, text)
}

type appsKeysRemove struct {
	ID  app.ID `arg:"" help:"Client id."`
	Key string `arg:"" help:"Id of the key, as apps show prints it."`
}

// Run removes the key.
func (c appsKeysRemove) Run(s *shell) error {
	return s.withCore(func(ctx context.Context, core *server.Core) error {
		return s.record(ctx, core, core.Apps.RemoveKey(ctx, c.ID, c.Key),
			audit.Entry{Action: audit.AppRemoveKey, Object: string(c.ID), Details: map[audit.Detail]string{audit.Key: c.Key}})
	})
}

// publicKeyRow is a public key as lists show it.
type publicKeyRow struct {
	ID        string          `json:"id"`
	JWK       json.RawMessage `json:"jwk,omitempty"`
	URL       string          `json:"url,omitempty"`
	NotBefore string          `json:"not_before"`
	NotAfter  string          `json:"not_after,omitempty"`
}

func rowOfPublicKey(k app.Key) publicKeyRow {
	row := publicKeyRow{ID: k.ID, URL: k.URL, NotBefore: moment(k.NotBefore), NotAfter: moment(k.NotAfter)}
	if k.JWK != "" {
		row.JWK = json.RawMessage(k.JWK)
	}
	return row
}
