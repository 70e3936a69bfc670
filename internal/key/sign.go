package key

import (
	"context"
	"errors"
	"fmt"

	"github.com/carnetproject/carnet/internal/jose"
)

// Sign returns claims, a JSON object, as a compact JWS of the set's newest active
// key of the algorithm, or of a random one of the newest if several sign at a time.
// An empty alg is the set's first. The header names the kid, and typ unless it is
// empty. A fault of kind Unavailable says that too many
// signatures wait, or that what keeps the key is out of reach.
func (r *Ring) Sign(ctx context.Context, name SetName, alg jose.Algorithm, typ string, claims []byte) (string, error) {
	if r.keeper == nil {
		return "", fmt.Errorf("sign with set %s: this node has no signing master key", name)
	}
	current := r.current.Load()
	spec, from := r.spec(name), current.sets[name]
	if spec == nil {
		return "", fmt.Errorf("no key set %s", name)
	}
	if alg == "" {
		alg = spec.Algorithms[0]
	}
	if from != nil {
		if signer := from.draw(alg, spec.Active, r.clock()); signer != nil {
			return signer.sign(ctx, typ, claims)
		}
	}
	if current.unopened != nil {
		return "", fmt.Errorf("key set %s has no active %s key: %w", name, alg, current.unopened)
	}
	return "", fmt.Errorf("key set %s has no active %s key", name, alg)
}

// openSigners gives s the signers of the keys that sign or will. Those that old
// has are taken over: opening an RSA key takes milliseconds. Its error names every key
// that has none.
func (r *Ring) openSigners(ctx context.Context, s, old *snapshot) error {
	if r.keeper == nil {
		return nil
	}
	now := r.clock()
	var failed []error
	for i := range s.keys {
		k := &s.keys[i]
		if k.State(now) > Active {
			continue
		}
		into := s.sets[k.Set].signers
		if was := old.sets[k.Set]; was != nil && was.signers[k.Public.ID()] != nil {
			into[k.Public.ID()] = was.signers[k.Public.ID()]
			continue
		}
		opened, err := r.keeper.open(ctx, k)
		if err != nil {
			failed = append(failed, fmt.Errorf("key %s of set %s: %w", k.Public.ID(), k.Set, err))
			continue
		}
		into[k.Public.ID()] = opened
	}
	return errors.Join(failed...)
}
