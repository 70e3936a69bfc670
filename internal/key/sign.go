package key

import (
	"context"
	"fmt"

	"github.com/carnetproject/carnet/internal/jose"
)

// signer makes signatures with one private key. One whose key lies elsewhere (a
// KMS) would wait for it: hence the context.
type signer interface {
	sign(ctx context.Context, typ string, claims []byte) (token string, err error)
}

// Sign returns claims, a JSON object, as a compact JWS of the set's newest active
// key of the algorithm, or of a random one of the newest if several sign at a time.
// An empty alg is the set's first. The header names the kid, and typ unless it is
// empty. A fault of kind Unavailable says that too many signatures wait.
func (r *Ring) Sign(ctx context.Context, name SetName, alg jose.Algorithm, typ string, claims []byte) (string, error) {
	if r.box == nil {
		return "", fmt.Errorf("sign with set %s: this node has no signing master key", name)
	}
	spec, from := r.spec(name), r.current.Load().sets[name]
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
	return "", fmt.Errorf("key set %s has no active %s key", name, alg)
}

// openSigners gives s the signers of the keys that sign or will. Those that old
// has are taken over: opening an RSA key takes milliseconds.
func (r *Ring) openSigners(s, old *snapshot) error {
	if r.box == nil {
		return nil
	}
	now := r.clock()
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
		opened, err := r.open(k)
		if err != nil {
			return fmt.Errorf("key %s of set %s: %w", k.Public.ID(), k.Set, err)
		}
		into[k.Public.ID()] = opened
	}
	return nil
}

// local signs in this process.
type local struct {
	key  *jose.Key
	pool *pool // nil: at once
}

func (l *local) sign(ctx context.Context, typ string, claims []byte) (string, error) {
	if l.pool != nil {
		if err := l.pool.enter(ctx); err != nil {
			return "", err
		}
		defer l.pool.leave()
	}
	return l.key.Sign(typ, claims)
}

func (r *Ring) open(k *Key) (signer, error) {
	plain, err := r.box.Open(purpose(k.Set, k.Public.ID()), k.Sealed)
	if err != nil {
		return nil, fmt.Errorf("under this signing master key: %w", err)
	}
	private, err := jose.ParseJWK(plain)
	if err != nil {
		return nil, err
	}
	if !private.CanSign() || private.ID() != k.Public.ID() || !private.Public().Equal(k.Public) {
		return nil, fmt.Errorf("the sealed key is not the published one")
	}
	l := &local{key: private}
	if slow(private.Algorithm()) {
		l.pool = r.slow
	}
	return l, nil
}

// purpose binds a sealed private key to its row.
func purpose(set SetName, kid string) string { return fmt.Sprintf("key:%s:%s", set, kid) }
