package app

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/jose"
	"github.com/carnetproject/carnet/internal/secret"
)

// vault finds what an SRN names. It keeps that for a while, so that not each call is I/O,
// and for longer while the provider does not answer.
type vault interface {
	Resolve(ctx context.Context, ref string) (secret.Bytes, error)
	// Refresh looks at once, but only so often, whether there is another value than used.
	Refresh(ctx context.Context, ref string, used secret.Bytes) (newer bool, err error)
}

const (
	// overlap is how long a value stays good once its provider has another one: as long
	// as a rotation on the command line gives.
	overlap    = 24 * time.Hour
	watchEvery = time.Minute      // an app that nobody asks for is not behind by more
	retryAfter = 10 * time.Second // when no provider has answered
)

// values are what was found for the secrets that lie with a provider, by their IDs, the
// newest first. They are in memory alone. Safe for concurrent use.
type values struct {
	mu  sync.Mutex
	all map[string][]value // a list is not changed once it is in here
}

type value struct {
	plain secret.Bytes
	kid   string    // tells it from the values before and after
	end   time.Time // zero: it is the one that the provider has
}

// see notes that plain is what the provider has at now, and returns the good values.
func (v *values) see(id string, plain secret.Bytes, now time.Time) []value {
	v.mu.Lock()
	defer v.mu.Unlock()
	list := v.all[id]
	if len(list) == 0 || !list[0].plain.Equal(plain) {
		next := []value{{plain: plain, kid: kidOf(id, plain)}}
		for _, old := range list[:min(len(list), maxSecrets-1)] {
			if old.end.IsZero() {
				old.end = now.Add(overlap)
			}
			if !old.plain.Equal(plain) { // else it has come back
				next = append(next, old)
			}
		}
		list = next
	}
	for last := len(list) - 1; last > 0 && !now.Before(list[last].end); last-- { // the oldest end first
		list = list[:last]
	}
	v.all[id] = list
	return list
}

// forget lets go of the values of the secrets that are gone.
func (v *values) forget(gone func(id string) bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for id := range v.all {
		if gone(id) {
			delete(v.all, id)
		}
	}
}

// kidOf names a value of a secret, on all nodes alike. It tells no more of it than the
// signature beside it does.
func kidOf(id string, plain secret.Bytes) string {
	mac := hmac.New(sha256.New, plain.Reveal())
	mac.Write([]byte("kid of " + id))
	return id + "." + hex.EncodeToString(mac.Sum(nil)[:8])
}

// provided returns the good values of a secret that lies with a provider, the newest
// first. It is [fault.Unavailable] if they cannot be told, or the newest cannot be used.
func (d *Directory) provided(ctx context.Context, a *App, s *Secret, now time.Time) ([]value, error) {
	plain, err := d.secrets.Resolve(ctx, s.Ref)
	if err == nil {
		err = longEnough(plain, a.SessionAlgorithm)
	}
	if err == nil {
		return d.values.see(s.ID, plain, now), nil
	}
	if fault.KindOf(err) == fault.NotFound { // who deletes a secret wants its values gone
		d.values.forget(func(id string) bool { return id == s.ID })
	}
	return nil, unreadable(a, s, err)
}

// renewed is provided if there is another value than the newest of known, else nil.
func (d *Directory) renewed(ctx context.Context, a *App, s *Secret, known []value, now time.Time) ([]value, error) {
	newer, err := d.secrets.Refresh(ctx, s.Ref, known[0].plain)
	switch {
	case err != nil:
		return nil, unreadable(a, s, err)
	case !newer:
		return nil, nil
	}
	return d.provided(ctx, a, s, now)
}

func unreadable(a *App, s *Secret, cause error) error {
	return &fault.Error{
		Kind: fault.Unavailable, Msg: "the app's secret cannot be read right now: try again", RetryAfter: retryAfter,
		Err: fmt.Errorf("secret %s of app %s, %s: %w", s.ID, a.ID, s.Ref, cause),
	}
}

// matches tells whether given is a value of one of the app's secrets that lie with a
// provider. One that is none may be newer than what is known.
func (d *Directory) matches(ctx context.Context, a *App, given secret.Bytes, now time.Time) (bool, error) {
	is := func(v value) bool { return v.plain.Equal(given) }
	var unknown error
	for i := range a.Secrets {
		s := &a.Secrets[i]
		if s.Ref == "" || !s.Valid(now) {
			continue
		}
		known, err := d.provided(ctx, a, s, now)
		if err == nil && !slices.ContainsFunc(known, is) {
			known, err = d.renewed(ctx, a, s, known, now)
		}
		if slices.ContainsFunc(known, is) {
			return true, nil
		}
		if err != nil {
			unknown = err
		}
	}
	return false, unknown
}

// providedKeys are the keys of a secret that lies with a provider, the newest first. A kid
// that is of another value has the provider asked anew: another node may be ahead.
func (d *Directory) providedKeys(ctx context.Context, a *App, s *Secret, kid string, now time.Time) ([]*jose.Key, error) {
	known, err := d.provided(ctx, a, s, now)
	if err != nil {
		return nil, err
	}
	if strings.HasPrefix(kid, s.ID+".") && !slices.ContainsFunc(known, func(v value) bool { return v.kid == kid }) {
		newer, err := d.renewed(ctx, a, s, known, now)
		if err != nil {
			return nil, err
		}
		if newer != nil {
			known = newer
		}
	}
	keys := make([]*jose.Key, len(known))
	for i, v := range known {
		if keys[i], err = jose.NewSecretKey(a.SessionAlgorithm, v.kid, v.plain.Reveal()); err != nil {
			return nil, unreadable(a, s, err)
		}
	}
	return keys, nil
}

// checkRef returns the canonical text of an SRN whose value can be a secret of an app.
func (d *Directory) checkRef(ctx context.Context, ref string, alg jose.Algorithm) (string, error) {
	n, err := secret.ParseRef(ref)
	if err == nil {
		err = n.Fits(n.Organization, secret.ForText)
	}
	var plain secret.Bytes
	if err == nil {
		plain, err = d.secrets.Resolve(ctx, n.String())
	}
	if err == nil {
		err = longEnough(plain, alg)
	}
	switch fault.KindOf(err) {
	case fault.Invalid, fault.NotFound:
		return "", fault.BadField("secret", fault.Public(err).Msg)
	}
	return n.String(), err
}

// longEnough refuses what is shorter than the secrets that are made here, of random bytes.
func longEnough(plain secret.Bytes, alg jose.Algorithm) error {
	if least := secretSize(alg); plain.Len() < least {
		return fault.Newf(fault.Invalid, "must name a secret of at least %d bytes: openssl rand -hex %d makes one", least, least)
	}
	return nil
}

// SecretRefs are the SRNs of all apps' secrets that have not ended.
func (d *Directory) SecretRefs() []string {
	var refs []string
	for _, a := range d.All() {
		for i := range a.Secrets {
			if s := &a.Secrets[i]; s.Ref != "" && !s.ended(d.clock()) {
				refs = append(refs, s.Ref)
			}
		}
	}
	return refs
}

// Run looks for the secrets that lie with a provider, so that a node knows the value
// before the newest, and since when it is that, whoever asks for the app or not. It
// returns nil when ctx ends. What cannot be read, the next who needs it is told.
func (d *Directory) Run(ctx context.Context) error {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		for _, a := range d.All() {
			for i := range a.Secrets {
				if s := &a.Secrets[i]; s.Ref != "" && !a.Disabled && s.Valid(d.clock()) {
					_, _ = d.provided(ctx, a, s, d.clock())
				}
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}
