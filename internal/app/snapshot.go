package app

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/jose"
)

// snapshot is all apps at one moment. Only the opened keys are filled in later.
type snapshot struct {
	entries map[ID]*entry
	origins map[string]bool // of the enabled apps
	cookied map[string]bool // of those that look at cookies
}

type entry struct {
	App
	keys sync.Map // Secret.ID → func() (*jose.Key, error), which opens it once
}

func newSnapshot(apps []App) *snapshot {
	s := &snapshot{entries: make(map[ID]*entry, len(apps)), origins: map[string]bool{}, cookied: map[string]bool{}}
	for _, a := range apps {
		s.entries[a.ID] = &entry{App: a}
		for _, o := range a.Origins {
			s.origins[o] = s.origins[o] || !a.Disabled
			s.cookied[o] = s.cookied[o] || !a.Disabled && len(a.Cookies) > 0
		}
	}
	return s
}

// SigningKey is the key that signs a's session tokens at now when its
// SessionAlgorithm is symmetric: its newest valid secret. It is [fault.Unavailable] if a
// provider has that and does not answer.
func (d *Directory) SigningKey(ctx context.Context, a *App, now time.Time) (*jose.Key, error) {
	newest := a.newest(now)
	if newest == nil {
		return nil, fault.Newf(fault.Denied, "app %s has no valid secret to sign with: rotate its secret", a.ID)
	}
	keys, err := d.keysOf(ctx, a, newest, "", now)
	if err != nil {
		return nil, err
	}
	return keys[0], nil
}

// VerificationKeys are the keys that may have signed a session token of a that is still
// good at now: all valid secrets, so that a rotation refuses no token. kid is the token's,
// if it has one. It is [fault.Unavailable] if a provider does not answer, unless the kid is
// of a key that is known.
func (d *Directory) VerificationKeys(ctx context.Context, a *App, kid string, now time.Time) ([]*jose.Key, error) {
	var all []*jose.Key
	var failed error
	for i := range a.Secrets {
		s := &a.Secrets[i]
		if !s.signs() || !s.Valid(now) {
			continue
		}
		keys, err := d.keysOf(ctx, a, s, kid, now)
		if err != nil {
			failed = err
		}
		all = append(all, keys...)
	}
	if failed != nil && !slices.ContainsFunc(all, func(k *jose.Key) bool { return k.ID() == kid }) {
		return nil, failed
	}
	return all, nil
}

// Unseal opens every secret of a that is sealed, to tell whether it can be.
func (d *Directory) Unseal(a *App) error {
	for i := range a.Secrets {
		if s := &a.Secrets[i]; s.Sealed != "" {
			if _, err := d.opened(a, s); err != nil {
				return err
			}
		}
	}
	return nil
}

// keysOf are those of a secret that signs, the newest first.
func (d *Directory) keysOf(ctx context.Context, a *App, s *Secret, kid string, now time.Time) ([]*jose.Key, error) {
	if s.Ref != "" {
		return d.providedKeys(ctx, a, s, kid, now)
	}
	k, err := d.opened(a, s)
	if err != nil {
		return nil, err
	}
	return []*jose.Key{k}, nil
}

// opened opens a secret, once per snapshot.
func (d *Directory) opened(a *App, s *Secret) (*jose.Key, error) {
	open := sync.OnceValues(func() (*jose.Key, error) { return d.open(a, s) })
	if e, ok := d.latest.Load().entries[a.ID]; ok {
		kept, _ := e.keys.LoadOrStore(s.ID, open)
		open = kept.(func() (*jose.Key, error))
	}
	return open()
}

func (d *Directory) open(a *App, s *Secret) (*jose.Key, error) {
	plain, err := d.box.Open(purpose(a.ID, s.ID), s.Sealed)
	if err != nil {
		return nil, fmt.Errorf("open secret %s of app %s: %w", s.ID, a.ID, err)
	}
	key, err := jose.NewSecretKey(a.SessionAlgorithm, s.ID, plain)
	if err != nil {
		return nil, fmt.Errorf("secret %s of app %s: %w", s.ID, a.ID, err)
	}
	return key, nil
}

// signs tells whether s can: its value can be read again.
func (s *Secret) signs() bool { return s.Sealed != "" || s.Ref != "" }

// newest is the youngest secret that is valid at now and can sign, nil if none is.
func (a *App) newest(now time.Time) *Secret {
	var newest *Secret
	for i := range a.Secrets {
		s := &a.Secrets[i]
		if !s.signs() || !s.Valid(now) {
			continue
		}
		if newest == nil || s.NotBefore.After(newest.NotBefore) {
			newest = s
		}
	}
	return newest
}
