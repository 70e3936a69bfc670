package cli

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/carnetproject/carnet/internal/audit"
	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/jose"
	"github.com/carnetproject/carnet/internal/key"
	"github.com/carnetproject/carnet/internal/server"
)

type keysImport struct {
	listing
	Set        key.SetName `arg:"" help:"Name of a key set."`
	Files      []string    `arg:"" name:"file" placeholder:"[KID=]FILE" help:"Files with one private key each, in PEM. Without KID= the file's name is the key id, but for .pem or .key."`
	VerifyOnly bool        `help:"Sign with none of them: what they signed stays good, and that is all."`
	DryRun     bool        `help:"Check everything and change nothing."`
}

// Help has examples.
func (keysImport) Help() string {
	return `The keys sign at once and count as the newest, the highest number first. As many sign
as the set's "active" says; the others, and those that signed before, only verify.
A set that numbers its keys (kid_prefix) takes its own numbers: import before the node
is first started with the set, which makes a key 1.

Example:
  carnet keys import mobile_device /keys/mobile_devicev2_key1 /keys/mobile_devicev2_key2`
}

// Run imports all keys or none.
func (c keysImport) Run(s *shell) error {
	return s.withCoreAs(server.Options{NoFirstKeys: true}, func(ctx context.Context, core *server.Core) error {
		set := core.Config.Keys[c.Set]
		if set == nil {
			return fault.Newf(fault.NotFound, "there is no key set %s", c.Set)
		}
		keys, err := c.read(set.Algorithms, set.KidPrefix != "")
		if err != nil {
			return err
		}
		added, err := core.Keys.Import(ctx, c.Set, key.ImportOptions{VerifyOnly: c.VerifyOnly, DryRun: c.DryRun}, keys...)
		if err != nil {
			return err
		}
		now, rows, cells := time.Now(), []keyRow{}, [][]string{}
		for _, k := range added {
			row := rowOfKey(k, now)
			rows = append(rows, row)
			cells = append(cells, []string{string(row.Set), row.ID, string(row.Algorithm), row.State})
		}
		if err := c.print(s.Out, rows, "SET KID ALG STATE", cells); err != nil {
			return err
		}
		if there := len(keys) - len(added); there > 0 {
			s.note("%d of the keys were there already", there)
		}
		if c.DryRun {
			s.note("dry run: nothing was changed")
			return nil
		}
		var kids []string
		for _, k := range added {
			kids = append(kids, k.Public.ID())
		}
		return errors.Join(
			s.record(ctx, core, nil, audit.Entry{Action: audit.KeyImport, Object: string(c.Set), Details: map[audit.Detail]string{audit.Key: strings.Join(kids, " ")}}),
			core.Keys.Ensure(ctx), // what this start would have made
		)
	})
}

// read reads the files, and reports all that cannot be used.
func (c keysImport) read(algorithms []jose.Algorithm, named bool) (keys []*jose.Key, err error) {
	var problems []error
	files := map[string]string{} // by kid
	for _, arg := range c.Files {
		kid, file, ok := strings.Cut(arg, "=")
		if !ok {
			file = arg
			kid = strings.TrimSuffix(strings.TrimSuffix(filepath.Base(arg), ".pem"), ".key")
		}
		if !named {
			kid = "" // the thumbprint
		}
		k, err := readKey(algorithms, kid, file)
		if err != nil {
			problems = append(problems, err)
			continue
		}
		if other, twice := files[k.ID()]; twice {
			problems = append(problems, fault.Newf(fault.Invalid, "%s: is key %s, as %s is", file, k.ID(), other))
			continue
		}
		files[k.ID()] = file
		keys = append(keys, k)
	}
	return keys, errors.Join(problems...)
}

// readKey reads a private key for the first of the algorithms that it fits.
func readKey(algorithms []jose.Algorithm, kid, file string) (k *jose.Key, err error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, fault.New(fault.Invalid, err.Error())
	}
	text, err := io.ReadAll(io.LimitReader(f, maxInput))
	if err := errors.Join(err, f.Close()); err != nil {
		return nil, fault.New(fault.Invalid, err.Error())
	}
	for i, alg := range algorithms {
		found, problem := jose.ParsePEM(alg, kid, text)
		if problem == nil {
			k = found
			break
		}
		if i == 0 {
			err = problem
		}
	}
	switch {
	case k == nil:
		return nil, fault.Newf(fault.Invalid, "%s: %v", file, err)
	case !k.CanSign():
		return nil, fault.Newf(fault.Invalid, "%s: is a public key: a private one is needed", file)
	default:
		return k, nil
	}
}
