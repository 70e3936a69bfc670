// Package signintest is a store of sign-ins for tests.
package signintest

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/carnetproject/carnet/internal/app"
	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/signin"
	"github.com/carnetproject/carnet/internal/token"
)

// Store is a store in memory: of sessions, codes and consents, and of refresh families.
// The zero Store is empty. Safe for concurrent use.
type Store struct {
	mu       sync.Mutex
	sessions map[string]signin.Session
	codes    map[[32]byte]signin.Code
	consents map[consentKey]signin.Consent
	families map[token.FamilyID]token.Family
	err      error
}

type consentKey struct {
	subject string
	app     app.ID
}

// Fail has every call fail with err from now on; nil: none.
func (s *Store) Fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

// put keeps a row in a table, which it makes if it has to.
func put[K comparable, V any](s *Store, table *map[K]V, k K, v V) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return s.err
	}
	if *table == nil {
		*table = map[K]V{}
	}
	(*table)[k] = v
	return nil
}

func find[K comparable, V any](s *Store, table *map[K]V, k K) (V, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v, ok := (*table)[k]
	if s.err == nil && !ok {
		return v, fault.New(fault.NotFound, "no such row")
	}
	return v, s.err
}

// all are the rows of a table that match.
func all[K comparable, V any](s *Store, table *map[K]V, match func(V) bool) (found []V, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, v := range *table {
		if match(v) {
			found = append(found, v)
		}
	}
	return found, s.err
}

// PutSession implements the store of [signin.Book], as all methods below.
func (s *Store) PutSession(_ context.Context, one signin.Session) error {
	return put(s, &s.sessions, one.ID, one)
}

// Session finds a session by the hash of its cookie.
func (s *Store) Session(_ context.Context, hash [32]byte, now time.Time) (signin.Session, error) {
	found, err := all(s, &s.sessions, func(one signin.Session) bool { return one.Hash == hash && now.Before(one.Expires) })
	if err == nil && len(found) == 0 {
		return signin.Session{}, fault.New(fault.NotFound, "no such session")
	}
	if err != nil {
		return signin.Session{}, err
	}
	return found[0], nil
}

// Sessions lists those of a subject.
func (s *Store) Sessions(_ context.Context, subject string, now time.Time) ([]signin.Session, error) {
	found, err := all(s, &s.sessions, func(one signin.Session) bool { return one.Subject == subject && now.Before(one.Expires) })
	slices.SortFunc(found, func(a, b signin.Session) int {
		return cmp.Or(b.Created.Compare(a.Created), cmp.Compare(a.ID, b.ID))
	})
	return found, err
}

// DeleteSession removes a session with its codes.
func (s *Store) DeleteSession(_ context.Context, id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.sessions, id)
	for hash, c := range s.codes {
		if c.Session == id {
			delete(s.codes, hash)
		}
	}
	return s.err
}

// AddCode adds a code of a session that there is.
func (s *Store) AddCode(_ context.Context, c signin.Code) error {
	if _, err := find(s, &s.sessions, c.Session); err != nil {
		return err
	}
	return put(s, &s.codes, c.Hash, c)
}

// Code finds a code.
func (s *Store) Code(_ context.Context, hash [32]byte) (signin.Code, error) {
	return find(s, &s.codes, hash)
}

// UseCode uses a code once.
func (s *Store) UseCode(_ context.Context, hash [32]byte, given string, f *token.Family, now time.Time) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, ok := s.codes[hash]
	if s.err != nil || !ok || !c.Used.IsZero() || !now.Before(c.Expires) {
		return false, s.err
	}
	c.Used, c.Given = now, given
	if f != nil {
		if s.families == nil {
			s.families = map[token.FamilyID]token.Family{}
		}
		c.Family, s.families[f.ID] = f.ID, *f
	}
	s.codes[hash] = c
	return true, nil
}

// Consent finds what a person lets an app do.
func (s *Store) Consent(_ context.Context, subject string, a app.ID) (signin.Consent, error) {
	return find(s, &s.consents, consentKey{subject, a})
}

// Consents lists those of a subject.
func (s *Store) Consents(_ context.Context, subject string) ([]signin.Consent, error) {
	found, err := all(s, &s.consents, func(c signin.Consent) bool { return c.Subject == subject })
	slices.SortFunc(found, func(a, b signin.Consent) int {
		return cmp.Or(b.Given.Compare(a.Given), cmp.Compare(a.App, b.App))
	})
	return found, err
}

// PutConsent keeps it.
func (s *Store) PutConsent(_ context.Context, c signin.Consent) error {
	return put(s, &s.consents, consentKey{c.Subject, c.App}, c)
}

// DeleteConsent forgets it.
func (s *Store) DeleteConsent(_ context.Context, subject string, a app.ID) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.consents, consentKey{subject, a})
	return s.err
}

// Families lists the good ones of a subject.
func (s *Store) Families(_ context.Context, subject string, now time.Time, limit int) ([]token.Family, error) {
	found, err := all(s, &s.families, func(f token.Family) bool {
		return f.Subject == subject && f.Revoked.IsZero() && now.Before(f.Expires)
	})
	slices.SortFunc(found, func(a, b token.Family) int {
		return cmp.Or(b.Expires.Compare(a.Expires), cmp.Compare(a.ID, b.ID))
	})
	return found[:min(len(found), limit)], err
}

// AddFamily implements the store of [token.Issuer], as all methods below.
func (s *Store) AddFamily(_ context.Context, f token.Family) error {
	return put(s, &s.families, f.ID, f)
}

// Family finds a family.
func (s *Store) Family(_ context.Context, id token.FamilyID) (token.Family, error) {
	return find(s, &s.families, id)
}

// RotateFamily puts the next hash in the place of old.
func (s *Store) RotateFamily(_ context.Context, id token.FamilyID, old, next [32]byte, expires, now time.Time) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f, ok := s.families[id]
	if s.err != nil || !ok || f.Hash != old || !f.Revoked.IsZero() || !now.Before(f.Expires) {
		return false, s.err
	}
	f.Hash, f.Expires, f.Rotated = next, expires, now
	s.families[id] = f
	return true, nil
}

// RevokeFamily ends a family.
func (s *Store) RevokeFamily(_ context.Context, id token.FamilyID, now time.Time) error {
	return s.revoke(now, func(f token.Family) bool { return f.ID == id })
}

// RevokeFamiliesOf ends all of a subject but those of a session.
func (s *Store) RevokeFamiliesOf(_ context.Context, subject, but string, now time.Time) error {
	return s.revoke(now, func(f token.Family) bool { return f.Subject == subject && (f.Session == "" || f.Session != but) })
}

func (s *Store) revoke(now time.Time, match func(token.Family) bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, f := range s.families {
		if match(f) && f.Revoked.IsZero() {
			f.Revoked = now
			s.families[id] = f
		}
	}
	return s.err
}
