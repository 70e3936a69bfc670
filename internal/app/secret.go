package app

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/jose"
	"github.com/carnetproject/carnet/internal/secret"
)

const (
	// secretPrefix makes a secret that leaked into a log or a repository easy to find.
	secretPrefix = "cs_"
	maxSecrets   = 8
)

// Valid tells whether s is good at now: from NotBefore on, until NotAfter.
func (s *Secret) Valid(now time.Time) bool {
	return !now.Before(s.NotBefore) && !s.ended(now)
}

func (s *Secret) ended(now time.Time) bool {
	return !s.NotAfter.IsZero() && !now.Before(s.NotAfter)
}

// RotateOptions are the choices of a rotation. The zero value ends the old secrets at once,
// and the new one never.
type RotateOptions struct {
	Overlap time.Duration // how long the old secrets stay good
	Life    time.Duration // of the new secret, longer than Overlap; 0: no end
	Secret  string        // SRN of the new secret; empty: one is made
}

func (o RotateOptions) validate() error {
	switch {
	case o.Overlap < 0:
		return fault.BadField("overlap", "must not be negative")
	case o.Life < 0 || o.Life > 0 && o.Life <= o.Overlap:
		return fault.BadField("life", "must be 0s (no end) or longer than overlap")
	}
	return nil
}

// end is when a secret that is made at now ends.
func (o RotateOptions) end(now time.Time) time.Time {
	if o.Life == 0 {
		return time.Time{}
	}
	return now.Add(o.Life)
}

// Rotate gives the app a new secret, good at once, and ends the others. The secret is
// returned here and never again, or not at all if it lies with a provider.
func (d *Directory) Rotate(ctx context.Context, id ID, o RotateOptions) (secret.Bytes, error) {
	o, err := d.checked(ctx, id, o)
	if err != nil {
		return secret.Bytes{}, err
	}
	var plain secret.Bytes
	err = d.edit(ctx, id, func(a *App) error {
		now := d.clock()
		if err := a.makeRoom(now, o); err != nil {
			return err
		}
		s, fresh, err := d.newSecret(a, o.Secret, now)
		if err != nil {
			return err
		}
		s.NotAfter, plain = o.end(now), fresh
		a.Secrets = append(a.Secrets, s)
		return nil
	})
	if err != nil {
		return secret.Bytes{}, err
	}
	return plain, nil
}

// Rotation returns the secrets that the app would have after a Rotate, the new one last
// and without an ID. It changes nothing, and refuses what Rotate would refuse.
func (d *Directory) Rotation(ctx context.Context, id ID, o RotateOptions) ([]Secret, error) {
	o, err := d.checked(ctx, id, o)
	if err != nil {
		return nil, err
	}
	a, ok := d.Find(id)
	if !ok {
		return nil, fault.Newf(fault.NotFound, "there is no app %q", id)
	}
	then, now := *a, d.clock()
	then.Secrets = slices.Clone(a.Secrets)
	if err := then.makeRoom(now, o); err != nil {
		return nil, err
	}
	return append(then.Secrets, Secret{Ref: o.Secret, NotBefore: now, NotAfter: o.end(now)}), nil
}

// checked is o with the SRN as it is kept, if there is one. It asks the provider, which no
// change of the store may wait for.
func (d *Directory) checked(ctx context.Context, id ID, o RotateOptions) (RotateOptions, error) {
	a, ok := d.Find(id)
	if o.Secret == "" || !ok {
		return o, nil
	}
	var err error
	o.Secret, err = d.checkRef(ctx, o.Secret, a.SessionAlgorithm)
	return o, err
}

// makeRoom ends the secrets after the overlap, and drops those that have ended, so that there
// is room for another.
func (a *App) makeRoom(now time.Time, o RotateOptions) error {
	if err := o.validate(); err != nil {
		return err
	}
	if a.Public {
		return fault.Newf(fault.Conflict, "app %s is public: it has no secret", a.ID)
	}
	end := now.Add(o.Overlap)
	for i := range a.Secrets {
		if s := &a.Secrets[i]; s.NotAfter.IsZero() || s.NotAfter.After(end) {
			s.NotAfter = end
		}
	}
	a.Secrets = slices.DeleteFunc(a.Secrets, func(s Secret) bool { return s.ended(now) })
	if len(a.Secrets) >= maxSecrets {
		return fault.Newf(fault.Conflict,
			"app %s has %d valid secrets, the most there may be: let one end, or rotate with no overlap", a.ID, maxSecrets)
	}
	return nil
}

// newSecret makes a secret of a from now on. Only one that signs is kept in a
// form that can be read again, and of one that a ref names nothing is.
func (d *Directory) newSecret(a *App, ref string, now time.Time) (Secret, secret.Bytes, error) {
	s := Secret{ID: "sec_" + strings.ToLower(rand.Text()[:12]), Ref: ref, NotBefore: now}
	if ref != "" {
		return s, secret.Bytes{}, nil
	}
	random := make([]byte, secretSize(a.SessionAlgorithm))
	_, _ = rand.Read(random) // never fails (crypto/rand)
	plain := []byte(secretPrefix + base64.RawURLEncoding.EncodeToString(random))
	s.Hash = sha256.Sum256(plain)
	if a.SessionAlgorithm.Symmetric() {
		sealed, err := d.box.Seal(purpose(a.ID, s.ID), plain)
		if err != nil {
			return Secret{}, secret.Bytes{}, fmt.Errorf("seal secret of app %s: %w", a.ID, err)
		}
		s.Sealed = sealed
	}
	return s, secret.New(plain), nil
}

// secretSize is the number of random bytes in a secret: as many as the hash that
// it signs with, so that its text is long enough by RFC 7518 §3.2, and 32 else.
func secretSize(alg jose.Algorithm) int {
	switch alg {
	case jose.HS384:
		return 48
	case jose.HS512:
		return 64
	default:
		return 32
	}
}

// purpose binds a sealed secret to its row.
func purpose(id ID, secretID string) string { return "app:" + string(id) + ":" + secretID }
