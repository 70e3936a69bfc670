package app

import (
	"fmt"
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
// SessionAlgorithm is symmetric: its newest valid secret.
func (d *Directory) SigningKey(a *App, now time.Time) (*jose.Key, error) {
	newest := a.newest(now)
	if newest == nil {
		return nil, fault.Newf(fault.Denied, "app %s has no valid secret to sign with: rotate its secret", a.ID)
	}
	return d.opened(a, newest)
}

// VerificationKeys are the keys that may have signed a session token of a that is still
// good at now: all valid secrets, so that a rotation refuses no token.
func (d *Directory) VerificationKeys(a *App, now time.Time) ([]*jose.Key, error) {
	var keys []*jose.Key
	for i := range a.Secrets {
		s := &a.Secrets[i]
		if s.Sealed == "" || !s.Valid(now) {
			continue
		}
		k, err := d.opened(a, s)
		if err != nil {
			return nil, err
		}
		keys = append(keys, k)
	}
	return keys, nil
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

// newest is the youngest secret that is valid at now and can sign, nil if none is.
func (a *App) newest(now time.Time) *Secret {
	var newest *Secret
	for i := range a.Secrets {
		s := &a.Secrets[i]
		if s.Sealed == "" || !s.Valid(now) {
			continue
		}
		if newest == nil || s.NotBefore.After(newest.NotBefore) {
			newest = s
		}
	}
	return newest
}
