package app

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"time"

	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/jose"
)

const (
	maxKeys    = 8
	maxKeySize = 16 << 10 // bytes of a key as it is given
	maxKeysURL = 512
)

// Key is a public key of an app, or where the app publishes its keys. Several may be
// valid at once, so that a rotation refuses nobody.
type Key struct {
	ID        string    `json:"id"`            // the kid; of a URL one that is made up
	JWK       string    `json:"jwk,omitempty"` // public half alone; empty: see URL
	URL       string    `json:"url,omitempty"` // of a JWKS document
	NotBefore time.Time `json:"not_before"`
	NotAfter  time.Time `json:"not_after,omitzero"` // zero: no end
}

// Valid tells whether k is good at now: from NotBefore on, until NotAfter.
func (k *Key) Valid(now time.Time) bool { return !now.Before(k.NotBefore) && !k.ended(now) }

func (k *Key) ended(now time.Time) bool { return !k.NotAfter.IsZero() && !now.Before(k.NotAfter) }

// NewKey reads a public key, as a JWK or, if alg is given, in PEM. Of a private key it
// keeps the public half alone.
func NewKey(alg jose.Algorithm, id string, data []byte) (Key, error) {
	if len(data) > maxKeySize {
		return Key{}, fault.BadField("key", fmt.Sprintf("must be at most %d bytes", maxKeySize))
	}
	k, err := readKey(alg, id, data)
	if err != nil {
		return Key{}, fault.BadField("key", err.Error())
	}
	public := k.Public()
	if public == nil {
		return Key{}, fault.BadField("key", "must be a public key: a secret that both sides know proves nothing to others")
	}
	text, err := public.MarshalJWK()
	if err != nil {
		return Key{}, err
	}
	return Key{ID: public.ID(), JWK: string(text)}, nil
}

func readKey(alg jose.Algorithm, id string, data []byte) (*jose.Key, error) {
	switch {
	case alg != "":
		return jose.ParsePEM(alg, id, data)
	case !bytes.HasPrefix(bytes.TrimSpace(data), []byte("{")):
		return nil, errors.New("must be a JWK, or PEM with alg, such as ES256")
	}
	k, err := jose.ParseJWK(data)
	if err != nil || id == "" {
		return k, err
	}
	return k.WithID(id)
}

// AddKey adds a key, valid from now on unless it says otherwise, and returns it with its
// ID. Those that have ended make room.
func (d *Directory) AddKey(ctx context.Context, id ID, k Key) (Key, error) {
	if err := k.validate(d.clock()); err != nil {
		return Key{}, err
	}
	err := d.edit(ctx, id, func(a *App) error {
		if a.Public {
			return fault.Newf(fault.Conflict, "app %s is public: it cannot keep a key", id)
		}
		now := d.clock()
		if k.NotBefore.IsZero() {
			k.NotBefore = now
		}
		keys := slices.DeleteFunc(slices.Clone(a.Keys), func(k Key) bool { return k.ended(now) })
		if slices.ContainsFunc(keys, func(o Key) bool { return o.ID == k.ID }) {
			return fault.Newf(fault.Conflict, "app %s has a key %q already", id, k.ID)
		}
		if len(keys) >= maxKeys {
			return fault.Newf(fault.Conflict, "app %s has %d keys, the most there may be: remove one", id, maxKeys)
		}
		a.Keys = append(keys, k)
		return nil
	})
	if err != nil {
		return Key{}, err
	}
	return k, nil
}

// RemoveKey takes a key away: what it signed is refused from now on.
func (d *Directory) RemoveKey(ctx context.Context, id ID, keyID string) error {
	return d.edit(ctx, id, func(a *App) error {
		n := len(a.Keys)
		a.Keys = slices.DeleteFunc(slices.Clone(a.Keys), func(k Key) bool { return k.ID == keyID })
		if len(a.Keys) == n {
			return fault.Newf(fault.NotFound, "app %s has no key %q", id, keyID)
		}
		return nil
	})
}

// validate gives a key of a URL its ID.
func (k *Key) validate(now time.Time) error {
	switch {
	case (k.JWK == "") == (k.URL == ""):
		return fault.BadField("key", "must be a public key, or the URL of a JWKS document")
	case k.ended(now):
		return fault.BadField("not_after", "must lie in the future")
	case !k.NotAfter.IsZero() && !k.NotBefore.Before(k.NotAfter):
		return fault.BadField("not_after", "must lie after not_before")
	case k.URL == "":
		return nil
	}
	u, err := url.Parse(k.URL)
	if err != nil || len(k.URL) > maxKeysURL || !printable(k.URL) || u.Host == "" || u.User != nil || u.Fragment != "" ||
		u.Scheme != "https" && (u.Scheme != "http" || !loopback(u.Hostname())) {
		return fault.BadField("url", "must be an https URL, or an http one of this machine, without user and fragment")
	}
	k.ID = k.URL
	return nil
}
