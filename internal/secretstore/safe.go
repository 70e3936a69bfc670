package secretstore

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/seal"
	"github.com/carnetproject/carnet/internal/secret"
)

// sealedRows is the part of the store that a safe needs.
type sealedRows interface {
	// AddSecret adds the next version of a name, which seal gives its value once the
	// version is known. It is a conflict if the name has another type.
	AddSecret(ctx context.Context, s secret.Sealed, seal func(version int64) ([]byte, error)) (version int64, err error)
	// Secret returns a version, 0 for the latest, or a fault of kind NotFound.
	Secret(ctx context.Context, organization, name string, version int64) (secret.Sealed, error)
	// Secrets returns all versions without their values, ordered by name, the latest first.
	Secrets(ctx context.Context, organization string) ([]secret.Sealed, error)
	// DeleteSecret deletes a version, 0 for all, or returns a fault of kind NotFound.
	DeleteSecret(ctx context.Context, organization, name string, version int64) error
}

// Safe is the built-in vault: what is put into it is sealed under the data master key,
// and is never shown again. Each value of a name is a version, which counts from 1 and is
// not used twice while the name is there. Safe for concurrent use.
type Safe struct {
	organization string
	rows         sealedRows
	box          *seal.Box
	clock        func() time.Time
}

// NewSafe returns the safe of an organization in a store. A nil clock is time.Now.
func NewSafe(organization string, rows sealedRows, box *seal.Box, clock func() time.Time) *Safe {
	if clock == nil {
		clock = time.Now
	}
	return &Safe{organization, rows, box, clock}
}

// Put adds a value to a name, which is from now on the latest, and returns its SRN with
// the version. The value must be what the type says: see [Fit].
func (s *Safe) Put(ctx context.Context, name, typ string, value secret.Bytes) (secret.SRN, error) {
	n, err := s.name(name, typ)
	if err != nil {
		return secret.SRN{}, err
	}
	fit, err := Fit(typ, value.Reveal())
	if err != nil {
		return secret.SRN{}, fault.BadField("value", fault.Public(err).Msg)
	}
	version, err := s.rows.AddSecret(ctx, secret.Sealed{
		Organization: n.Organization, Type: n.Type, Name: n.Resource, Created: s.clock(),
	}, func(version int64) ([]byte, error) {
		return s.box.SealBytes(purpose(n, version), fit.Reveal())
	})
	if err != nil {
		return secret.SRN{}, err
	}
	n.Qualifier = strconv.FormatInt(version, 10)
	return n, nil
}

// List returns all that is in the safe but the values, ordered by name, the latest
// version of each first.
func (s *Safe) List(ctx context.Context) ([]secret.Sealed, error) {
	return s.rows.Secrets(ctx, s.organization)
}

// Delete forgets a version, or with 0 all of a name. Of those, nothing is kept.
func (s *Safe) Delete(ctx context.Context, name string, version int64) error {
	return s.rows.DeleteSecret(ctx, s.organization, strings.ToLower(name), version)
}

// name refuses what no SRN could name.
func (s *Safe) name(name, typ string) (secret.SRN, error) {
	if !slices.Contains(secret.Types, typ) {
		return secret.SRN{}, fault.BadField("type", "must be "+strings.Join(secret.Types, ", "))
	}
	n := secret.NewSRN(s.organization, typ, name)
	if again, err := secret.ParseSRN(n.String()); err != nil || again != n {
		return secret.SRN{}, fault.BadField("name", "must be 1 to 128 letters, digits, or _ - $")
	}
	return n, nil
}

func (s *Safe) find(ctx context.Context, n secret.SRN) (v value, found bool, err error) {
	version := int64(0)
	if n.Qualifier != "" {
		if version, err = strconv.ParseInt(n.Qualifier, 10, 64); err != nil {
			return value{}, false, err
		}
	}
	row, err := s.rows.Secret(ctx, n.Organization, n.Resource, version)
	switch {
	case fault.KindOf(err) == fault.NotFound:
		return value{}, false, nil
	case err != nil:
		return value{}, false, err
	case row.Type != n.Type:
		return value{}, false, fault.Newf(fault.Invalid, "%s is a %s in the built-in vault", n, row.Type)
	}
	text, err := s.box.OpenBytes(purpose(n, row.Version), row.Value)
	if err != nil {
		return value{}, false, fault.Wrap(fault.Unavailable, n.String()+" does not open: it was sealed under another data master key", err)
	}
	return value{text, strconv.FormatInt(row.Version, 10)}, true, nil
}

func (s *Safe) place(secret.SRN) string { return "in the built-in vault" }

// purpose binds a sealed value to its place in the store.
func purpose(n secret.SRN, version int64) string {
	return fmt.Sprintf("secret|%s|%s|%s|%d", n.Organization, n.Type, n.Resource, version)
}
