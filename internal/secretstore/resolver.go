package secretstore

import (
	"context"
	"log/slog"
	"strings"
	"sync"

	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/secret"
)

// maxValue bounds a secret.
const maxValue = 64 << 10

// Config requires Organization. Without Dir there are no files, without Environ
// no environment.
type Config struct {
	Organization string   // the one that every SRN must name
	Dir          string   // files are {Dir}/{organization}/{name}
	Environ      []string // as os.Environ gives it
	Log          *slog.Logger
}

// Resolver finds secrets, in the environment first, then in files. It keeps no
// values: each call looks anew, so that a file that changes is seen. Safe for
// concurrent use.
type Resolver struct {
	organization string
	env          environment
	files        files
}

// New returns a resolver. A nil Log is slog.Default().
func New(c Config) *Resolver {
	if c.Log == nil {
		c.Log = slog.Default()
	}
	return &Resolver{
		organization: c.Organization,
		env:          newEnvironment(c.Environ),
		files:        files{dir: c.Dir, log: c.Log, warned: &sync.Map{}},
	}
}

// Value returns the secret that s names if s starts with "srn:", else s itself.
func (r *Resolver) Value(ctx context.Context, s string) (secret.Bytes, error) {
	if !IsRef(s) {
		return secret.FromString(s), nil
	}
	return r.Resolve(ctx, s)
}

// Resolve returns the secret that an SRN of the form
// srn:vault::{organization}:secret:{name} names. One line end at the value's end
// is dropped; an empty value and one beyond 64 KiB are refused. Errors name the
// SRN and say where it was sought, never what was found.
func (r *Resolver) Resolve(ctx context.Context, ref string) (secret.Bytes, error) {
	if err := ctx.Err(); err != nil {
		return secret.Bytes{}, err
	}
	n, err := r.check(ref)
	if err != nil {
		return secret.Bytes{}, err
	}
	value, found, err := r.env.find(n)
	if err == nil && !found {
		value, found, err = r.files.find(ctx, n)
	}
	switch {
	case err != nil:
		return secret.Bytes{}, err
	case !found:
		return secret.Bytes{}, fault.Newf(fault.NotFound,
			"%s is neither in the environment as %s nor among the secret files as %s", n, variable(n), path(n))
	}
	value = chomp(value)
	switch {
	case len(value) == 0:
		return secret.Bytes{}, fault.Newf(fault.Invalid, "%s is empty", n)
	case len(value) > maxValue:
		return secret.Bytes{}, fault.Newf(fault.Invalid, "%s has more than %d bytes", n, maxValue)
	}
	return secret.New(value), nil
}

// Check tells whether ref could be resolved as far as its text goes.
func (r *Resolver) Check(ref string) error {
	_, err := r.check(ref)
	return err
}

func (r *Resolver) check(ref string) (SRN, error) {
	n, err := ParseSRN(ref)
	if err != nil {
		return SRN{}, err
	}
	switch {
	case n.Service != vault || n.Region != global || n.Type != "secret":
		return SRN{}, fault.Newf(fault.Invalid, "%s is not a secret's name: srn:vault::%s:secret:{name}", n, r.organization)
	case n.Organization != r.organization:
		return SRN{}, fault.Newf(fault.Invalid, "%s names the organization %q; it must be %q", n, n.Organization, r.organization)
	case n.Qualifier != "":
		return SRN{}, fault.Newf(fault.Invalid, "%s asks for a version; environment and files have none", n)
	}
	return n, nil
}

// chomp drops the line end that editors and echo leave behind.
func chomp(b []byte) []byte {
	s := strings.TrimSuffix(string(b), "\n")
	if len(s) < len(b) {
		s = strings.TrimSuffix(s, "\r")
	}
	return []byte(s)
}
