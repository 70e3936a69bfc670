package app

import (
	"context"
	"errors"
	"net/url"
	"sync"
	"time"

	"github.com/carnetproject/carnet"
)

// keySource finds the keys of apps, for tokens that say by iss which app signed them.
type keySource struct {
	d *Directory

	mu     sync.Mutex
	remote map[location]*carnet.Remote
}

// location is where an app publishes its keys.
type location struct {
	App ID
	URL string
}

// Keys is the keys of all enabled apps that are valid, by iss: what an app signs for this
// server is verified by it. Those that an app publishes are fetched when they are needed.
func (d *Directory) Keys() carnet.KeySource { return d.keys }

// Generation does not tell when a key's time begins or ends: who keeps what was verified
// must ask anew.
func (s *keySource) Generation() uint64 { return 0 }

// Find returns the app's keys of that kid and algorithm, or all of the algorithm if the
// token names no kid.
func (s *keySource) Find(ctx context.Context, h carnet.Hint) ([]*carnet.Key, error) {
	a, ok := s.d.Find(ID(h.Issuer))
	if !ok || a.Disabled {
		return nil, carnet.ErrUnknownKey
	}
	var found []*carnet.Key
	unavailable := error(carnet.ErrUnknownKey)
	for now, i := s.d.clock(), 0; i < len(a.Keys); i++ {
		k := &a.Keys[i]
		if !k.Valid(now) {
			continue
		}
		keys, err := s.keys(ctx, a, k, h)
		if errors.Is(err, carnet.ErrKeysUnavailable) {
			unavailable = err
		}
		found = append(found, keys...)
	}
	if len(found) == 0 {
		return nil, unavailable
	}
	return found, nil
}

func (s *keySource) keys(ctx context.Context, a *App, k *Key, h carnet.Hint) ([]*carnet.Key, error) {
	if k.URL != "" {
		r, err := s.at(location{a.ID, k.URL})
		if err != nil {
			return nil, err
		}
		return r.Find(ctx, h)
	}
	if h.KeyID != "" && h.KeyID != k.ID {
		return nil, carnet.ErrUnknownKey
	}
	own, err := carnet.ParseJWK([]byte(k.JWK))
	if err != nil || own.Algorithm() != h.Algorithm {
		return nil, carnet.ErrUnknownKey
	}
	return []*carnet.Key{own}, nil
}

// at is the keys that are published at a place. They outlive snapshots.
func (s *keySource) at(l location) (*carnet.Remote, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r, ok := s.remote[l]; ok {
		return r, nil
	}
	u, err := url.Parse(l.URL)
	if err != nil {
		return nil, carnet.ErrUnknownKey
	}
	r, err := carnet.RemoteKeys(carnet.RemoteConfig{
		Issuer: string(l.App), URL: l.URL, Client: s.d.fetch(u.Hostname()), Clock: s.d.clock, Timeout: fetchTime,
	})
	if err != nil {
		return nil, err
	}
	s.forget()
	s.remote[l] = r
	return r, nil
}

// fetchTime is how long an app's server may take to say its keys.
const fetchTime = 5 * time.Second

// forget lets go of the places that no app names any more.
func (s *keySource) forget() {
	named := map[location]bool{}
	for _, a := range s.d.All() {
		for _, k := range a.Keys {
			named[location{a.ID, k.URL}] = true
		}
	}
	for l := range s.remote {
		if !named[l] {
			delete(s.remote, l)
		}
	}
}
