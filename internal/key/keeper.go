package key

import (
	"context"
	"errors"
	"fmt"

	"github.com/carnetproject/carnet/internal/jose"
	"github.com/carnetproject/carnet/internal/seal"
)

// keeper is where private keys lie. It is the one seam that a KMS or an HSM needs:
// what rotates, publishes and asks for signatures knows no private key. One that is
// elsewhere waits until ctx ends at most, and says that it cannot be reached by a
// fault of kind Unavailable with a RetryAfter. The key that signs then goes on
// signing while its successor cannot be made.
type keeper interface {
	// create makes a private key of the set's kind under kid, or under its thumbprint if
	// kid is empty. kept is all that the store keeps of it, for open.
	create(ctx context.Context, spec *Spec, alg jose.Algorithm, kid string) (public *jose.Key, kept string, err error)
	// adopt takes a private key of another installation over.
	adopt(ctx context.Context, set SetName, private *jose.Key) (kept string, err error)
	// open returns the signer of a key that is kept. It is called once for each key that
	// signs or will.
	open(ctx context.Context, k *Key) (signer, error)
}

// signer makes signatures with one private key, as keeper says of waiting. Safe for
// concurrent use.
type signer interface {
	sign(ctx context.Context, typ string, claims []byte) (token string, err error)
}

// safe keeps private keys in the store, sealed under the signing master key, and signs
// in this process.
type safe struct {
	box  *seal.Box
	slow *pool
}

func (s *safe) create(ctx context.Context, spec *Spec, alg jose.Algorithm, kid string) (*jose.Key, string, error) {
	private, err := spec.newKey(alg, kid)
	if err != nil {
		return nil, "", err
	}
	sealed, err := s.adopt(ctx, spec.Name, private)
	return private.Public(), sealed, err
}

// newKey makes a private key of the set's kind.
func (s *Spec) newKey(alg jose.Algorithm, kid string) (*jose.Key, error) {
	if s.RSABits != 0 && alg.RSA() {
		return jose.GenerateRSA(alg, kid, s.RSABits)
	}
	return jose.Generate(alg, kid)
}

func (s *safe) adopt(_ context.Context, set SetName, private *jose.Key) (string, error) {
	plain, err := private.MarshalPrivateJWK()
	if err != nil {
		return "", fmt.Errorf("write a key: %w", err)
	}
	sealed, err := s.box.Seal(purpose(set, private.ID()), plain)
	if err != nil {
		return "", fmt.Errorf("seal a key: %w", err)
	}
	return sealed, nil
}

func (s *safe) open(_ context.Context, k *Key) (signer, error) {
	plain, err := s.box.Open(purpose(k.Set, k.Public.ID()), k.Sealed)
	if err != nil {
		return nil, fmt.Errorf("under this signing master key: %w", err)
	}
	private, err := jose.ParseJWK(plain)
	if err != nil {
		return nil, err
	}
	if !private.CanSign() || private.ID() != k.Public.ID() || !private.Public().Equal(k.Public) {
		return nil, errors.New("the sealed key is not the published one")
	}
	l := &local{key: private}
	if slow(private.Algorithm()) {
		l.pool = s.slow
	}
	return l, nil
}

// purpose binds a sealed private key to its row.
func purpose(set SetName, kid string) string { return fmt.Sprintf("key:%s:%s", set, kid) }

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
