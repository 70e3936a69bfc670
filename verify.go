package carnet

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/carnetproject/carnet/internal/jose"
)

// VerifierConfig requires Keys and a Policy; every other zero value is safe.
type VerifierConfig struct {
	Keys        KeySource
	Policy      Policy
	Cache       *Cache      // remembers verified tokens; nil: each token is verified each time
	Revocations Revocations // nil: none
	// Observe is called once for each token, before [Verifier.Verify] returns: for
	// counters and histograms. It must be quick, and safe for concurrent use. nil: nobody looks.
	Observe func(Verification)
	Clock   func() time.Time
}

// Verification is how one token has fared. It holds nothing of the token.
type Verification struct {
	Err    error // why it is refused, an error of this package; nil: it is good
	Cached bool  // its signature was checked before
	Took   time.Duration
}

// Revocations tells which tokens were taken back before they expire. Safe for
// concurrent use.
type Revocations interface {
	// Epoch changes with every revocation. It is called on each verification.
	Epoch() uint64
	// Revoked reports whether t was taken back. It is called when the epoch changed.
	Revoked(t *Verified) bool
}

// Verifier checks tokens. It is safe for concurrent use.
type Verifier struct {
	keys        KeySource
	policy      Policy
	cache       *Cache
	revocations Revocations
	observe     func(Verification)
	now         func() time.Time
	scratch     sync.Pool // of *scratch
}

// scratch is the memory in which one token is taken apart.
type scratch struct {
	token  jose.Unverified
	claims jose.Object
}

// maxCandidates bounds how many signatures one token can make us check.
const maxCandidates = 4

// NewVerifier checks the configuration and returns a verifier. It starts nothing.
func NewVerifier(c VerifierConfig) (*Verifier, error) {
	if c.Keys == nil {
		return nil, errors.New("verifier needs Keys")
	}
	if err := c.Policy.Validate(); err != nil {
		return nil, err
	}
	if c.Clock == nil {
		c.Clock = time.Now
	}
	return &Verifier{
		keys: c.Keys, policy: c.Policy, cache: c.Cache, revocations: c.Revocations, observe: c.Observe, now: c.Clock,
		scratch: sync.Pool{New: func() any { return new(scratch) }},
	}, nil
}

// Verify returns the token as verified, or why it is refused: an error of this
// package that [errors.Is] can tell apart. ctx ends a fetch of keys.
//
// A token that was verified before is found in the cache, and only what may have
// changed since is checked: exp and nbf, the keys' generation and the revocations'
// epoch. That path does not allocate.
func (v *Verifier) Verify(ctx context.Context, token string) (*Verified, error) {
	if v.observe == nil {
		t, _, err := v.look(ctx, token)
		return t, err
	}
	began := time.Now()
	t, cached, err := v.look(ctx, token)
	v.observe(Verification{err, cached, time.Since(began)})
	return t, err
}

// look finds the token in the cache, or verifies it.
func (v *Verifier) look(ctx context.Context, token string) (t *Verified, cached bool, err error) {
	if len(token) > jose.MaxToken {
		return nil, false, errTokenSize
	}
	// Both are read before what they guard, so that a change in between shows.
	generation, epoch := v.keys.Generation(), v.epoch()
	e := v.cache.find(v, token)
	if e == nil {
		var err error
		if e, err = v.verify(ctx, token); err != nil {
			return nil, false, err
		}
		if err := v.checkRevoked(e, epoch); err != nil {
			return nil, false, err
		}
		e.generation.Store(generation)
		v.cache.put(e)
		return &e.Verified, false, nil
	}
	if e.generation.Load() != generation {
		var err error
		if e, err = v.refresh(ctx, e, generation); err != nil {
			return nil, false, err
		}
	}
	if err := v.policy.checkTimes(&e.Verified, v.now().UnixMilli()); err != nil {
		return nil, false, err
	}
	if err := v.checkRevoked(e, epoch); err != nil {
		return nil, false, err
	}
	return &e.Verified, true, nil
}

// Known reports whether token was verified before and is still in the cache, so that
// [Verifier.Verify] need not check its signature again while the keys stay. It does
// not say that the token is still good. Use it to tell a caller that has shown a good
// token from one that makes tokens up, before either costs anything.
func (v *Verifier) Known(token string) bool {
	return len(token) <= jose.MaxToken && v.cache.look(v, token) != nil
}

// checkRevoked asks about each entry once an epoch.
func (v *Verifier) checkRevoked(e *entry, epoch uint64) error {
	if v.revocations == nil || e.asked.Load() && e.epoch.Load() == epoch {
		return nil
	}
	if v.revocations.Revoked(&e.Verified) {
		v.cache.drop(e)
		return ErrRevoked
	}
	e.epoch.Store(epoch)
	e.asked.Store(true)
	return nil
}

func (v *Verifier) epoch() uint64 {
	if v.revocations == nil {
		return 0
	}
	return v.revocations.Epoch()
}

// verify takes the token apart, checks its signature, and all of the policy.
func (v *Verifier) verify(ctx context.Context, token string) (*entry, error) {
	s := v.scratch.Get().(*scratch)
	defer v.scratch.Put(s)
	if err := s.token.Parse(token); err != nil {
		return nil, malformed(err)
	}
	if err := s.token.Claims(&s.claims); err != nil {
		return nil, malformed(err)
	}
	iss, _ := s.claims.Lookup("iss").Text()
	candidates, err := v.keys.Find(ctx, Hint{string(s.token.Algorithm), s.token.KeyID, iss, token})
	if err != nil {
		return nil, err
	}
	key, err := signer(&s.token, candidates)
	if err != nil {
		return nil, err
	}
	t, err := newVerified(&s.token, &s.claims, key)
	if err != nil {
		return nil, err
	}
	if err := v.policy.check(&t, v.now()); err != nil {
		return nil, err
	}
	e := newEntry(v, token, t)
	e.kid = s.token.KeyID
	return e, nil
}

// signer returns the candidate that verifies u.
func signer(u *jose.Unverified, candidates []*Key) (*Key, error) {
	if len(candidates) == 0 {
		return nil, ErrUnknownKey
	}
	refusal := ErrAlgorithm
	for _, k := range candidates[:min(len(candidates), maxCandidates)] {
		if k == nil || k.key == nil { // the zero Key verifies nothing
			continue
		}
		err := u.Verify(k.key)
		if err == nil {
			return k, nil
		}
		if errors.Is(err, ErrSignature) {
			refusal = err
		}
	}
	return nil, refusal
}

// refresh asks the key source about an entry of an older generation. If the same key
// would still be found, the signature is still good, and an entry with the key's
// present owner takes the old one's place; else the token is verified afresh.
func (v *Verifier) refresh(ctx context.Context, old *entry, generation uint64) (*entry, error) {
	v.cache.drop(old)
	hint := Hint{old.key.Algorithm(), old.kid, old.issuer, old.token}
	candidates, err := v.keys.Find(ctx, hint)
	if err != nil {
		return nil, err
	}
	for _, k := range candidates[:min(len(candidates), maxCandidates)] {
		if k != nil && k.key.Equal(old.key.key) {
			t := old.Verified
			t.key = k
			e := newEntry(v, old.token, t)
			e.kid = old.kid
			e.generation.Store(generation)
			v.cache.put(e)
			return e, nil
		}
	}
	e, err := v.verify(ctx, old.token)
	if err != nil {
		return nil, err
	}
	e.generation.Store(generation)
	v.cache.put(e)
	return e, nil
}
