package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/carnetproject/carnet/internal/audit"
	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/secret"
	"github.com/carnetproject/carnet/internal/secretstore"
	"github.com/carnetproject/carnet/internal/server"
)

type secretsCommand struct {
	Put    secretsPut    `cmd:"" help:"Put a value into the built-in vault, which shows it to nobody."`
	List   secretsList   `cmd:"" help:"List what is in the built-in vault, without the values."`
	Delete secretsDelete `cmd:"" help:"Delete a secret from the built-in vault, or one version of it."`
	Check  secretsCheck  `cmd:"" help:"Tell where secrets are found, and whether they are what their names say."`
}

type secretsPut struct {
	Name string `arg:"" help:"Letters, digits, or _ - $; letter case does not matter."`
	Type string `enum:"secret,secretdoc,certificate" default:"secret" help:"secret: a text; secretdoc: a JSON object; certificate: PEM of a certificate, its chain and its private key."`
	File string `default:"-" placeholder:"FILE" help:"Where the value is; - for standard input."`
}

// Help has examples.
func (secretsPut) Help() string {
	return `The value is read from a file or from standard input, so that no other user of this machine
sees it; one line end at its end is dropped. Prints the SRN of the new version. Whoever names
the secret without a version gets the new one: running nodes within seconds.

Examples:
  openssl rand -hex 32 | carnet secrets put bot-key
  carnet secrets put bank-api --type secretdoc --file bank-api.json
  cat client.crt client.key | carnet secrets put bank-client --type certificate`
}

// Run prints the SRN.
func (c secretsPut) Run(s *shell) error {
	if secret.IsRef(c.Name) {
		return errWholeSRN
	}
	return s.withCore(func(ctx context.Context, core *server.Core) error {
		value, err := c.value(s)
		if err != nil {
			return err
		}
		n, err := core.Safe.Put(ctx, c.Name, c.Type, value)
		if err := s.record(ctx, core, err, audit.Entry{Action: audit.SecretPut, Object: strings.ToLower(c.Name)}); err != nil {
			return err
		}
		if !slices.Contains(core.Config.Secrets.Providers, secretstore.Builtin) {
			s.note("secrets.providers does not have builtin: nobody looks there")
		}
		_, err = fmt.Fprintln(s.Out, n)
		return err
	})
}

var errWholeSRN = fault.BadField("name", "must be the name alone, which is the last part of an SRN")

// value reads the value to its end; of a text that is typed, this is the end of a line.
func (c secretsPut) value(s *shell) (secret.Bytes, error) {
	if c.File != "-" {
		return readFile(c.File)
	}
	if _, typed := s.terminal(); typed && c.Type == secret.Plain {
		return s.readSecret("value of " + c.Name)
	}
	s.note("value of %s (standard input, to its end):", c.Name)
	defer s.hush()()
	text, err := s.readAll()
	return secret.FromString(text), err
}

// readFile reads a file as far as a secret may go, and a little more.
func readFile(name string) (secret.Bytes, error) {
	f, err := os.Open(name)
	if errors.Is(err, os.ErrNotExist) {
		return secret.Bytes{}, fault.Newf(fault.NotFound, "there is no file %s", name)
	}
	if err != nil {
		return secret.Bytes{}, fault.Newf(fault.Invalid, "open: %v", err)
	}
	defer f.Close() //nolint:errcheck // it was only read
	data, err := io.ReadAll(io.LimitReader(f, maxInput))
	if err != nil {
		return secret.Bytes{}, fault.Newf(fault.Invalid, "read: %v", err)
	}
	return secret.New(data), nil
}

type secretsList struct{ listing }

// safeRow is a secret as lists show it.
type safeRow struct {
	SRN      string  `json:"srn"`
	Latest   int64   `json:"latest"`
	Versions []int64 `json:"versions"`
	Created  string  `json:"created"` // the latest
}

// Run prints the secrets.
func (c secretsList) Run(s *shell) error {
	return s.withCore(func(ctx context.Context, core *server.Core) error {
		all, err := core.Safe.List(ctx)
		if err != nil {
			return err
		}
		rows, cells := []safeRow{}, [][]string{}
		for _, v := range all {
			srn := secret.NewSRN(v.Organization, v.Type, v.Name).String()
			if n := len(rows); n > 0 && rows[n-1].SRN == srn {
				rows[n-1].Versions = append(rows[n-1].Versions, v.Version)
				continue
			}
			rows = append(rows, safeRow{srn, v.Version, []int64{v.Version}, moment(v.Created)})
		}
		for _, r := range rows {
			cells = append(cells, []string{r.SRN, joined(r.Versions), r.Created})
		}
		return c.print(s.Out, rows, "SRN VERSIONS CREATED", cells)
	})
}

func joined(versions []int64) string {
	words := make([]string, len(versions))
	for i, v := range versions {
		words[i] = strconv.FormatInt(v, 10)
	}
	return strings.Join(words, ",")
}

type secretsDelete struct {
	Name    string `arg:"" help:"As carnet secrets put took it."`
	Version int64  `placeholder:"N" help:"This version alone."`
	Yes     bool   `help:"Do not ask."`
}

// Help says what is lost.
func (secretsDelete) Help() string {
	return `Nothing is kept: what names the secret does not find it any more, running nodes within seconds.
Of a deleted version nobody gets the value again; without a version, the one before is then the latest.`
}

// Run deletes what is there, after a question.
func (c secretsDelete) Run(s *shell) error {
	if secret.IsRef(c.Name) {
		return errWholeSRN
	}
	return s.withCore(func(ctx context.Context, core *server.Core) error {
		all, err := core.Safe.List(ctx)
		if err != nil {
			return err
		}
		var versions []int64
		for _, v := range all {
			if v.Name == strings.ToLower(c.Name) && (c.Version == 0 || c.Version == v.Version) {
				versions = append(versions, v.Version)
			}
		}
		if len(versions) > 0 && !c.Yes {
			s.note("delete %s, version %s, for ever? Type yes:", strings.ToLower(c.Name), joined(versions))
			if line, _ := s.in.ReadString('\n'); strings.TrimSpace(line) != "yes" {
				return fault.New(fault.Invalid, "nothing was deleted; --yes does not ask")
			}
		}
		return s.record(ctx, core, core.Safe.Delete(ctx, c.Name, c.Version), audit.Entry{
			Action: audit.SecretDelete, Object: strings.ToLower(c.Name), Details: map[audit.Detail]string{audit.Version: joined(versions)},
		})
	})
}

type secretsCheck struct {
	SRN []string `arg:"" optional:"" name:"srn" help:"Names of secrets; without any, all that the configuration and the apps name."`
	listing
}

// Help has examples.
func (secretsCheck) Help() string {
	return `Shows no value. Exits with 1 if a secret cannot be used.

Examples:
  carnet secrets check
  carnet secrets check srn:vault::default:secretdoc:bank-api#/password`
}

// checkRow is what became of one name.
type checkRow struct {
	SRN      string `json:"srn"`
	Provider string `json:"provider,omitempty"`
	Version  string `json:"version,omitempty"`
	Problem  string `json:"problem,omitempty"`
}

// Run looks for each secret.
func (c secretsCheck) Run(s *shell) error {
	return s.withCore(func(ctx context.Context, core *server.Core) error {
		refs := c.SRN
		if len(refs) == 0 {
			refs = append(core.Config.SecretRefs(), core.Apps.SecretRefs()...)
			slices.Sort(refs)
		}
		rows, cells, bad := []checkRow{}, [][]string{}, 0
		for _, ref := range slices.Compact(refs) {
			found, err := core.Secrets.Find(ctx, ref)
			row := checkRow{SRN: ref, Provider: found.Provider, Version: found.Version}
			if err != nil {
				bad++
				row.Problem = strings.Join(strings.Fields(err.Error()), " ")
			}
			rows = append(rows, row)
			cells = append(cells, []string{row.SRN, row.Provider, row.Version, cmp.Or(row.Problem, "ok")})
		}
		if err := c.print(s.Out, rows, "SRN PROVIDER VERSION STATE", cells); err != nil || bad == 0 {
			return err
		}
		return fmt.Errorf("%d of %s cannot be used", bad, count(int64(len(rows)), "secret", "secrets"))
	})
}
