package gateway

import (
	"context"
	"crypto/sha256"
	"fmt"
	"sync/atomic"

	"github.com/carnetproject/carnet"
	"github.com/carnetproject/carnet/internal/consumer"
)

// registry knows the consumers and credentials that are not of the configuration.
// Both of its questions are answered with nil if there is none, and with an error
// only if it cannot say.
type registry interface {
	Find(ctx context.Context, key string) (*consumer.Credential, error)
	FindConsumer(ctx context.Context, nameOrID string) (*consumer.Consumer, error)
	// Generation changes when an answer of Find was taken back.
	Generation() uint64
}

// keyring holds the credentials in force, which all dialects share: those of the
// configuration and, where it has none, those of the registry.
type keyring struct {
	current  atomic.Pointer[snapshot]
	registry registry // nil: none
}

type snapshot struct {
	set        *consumer.Set
	remotes    []*carnet.Remote
	print      [sha256.Size]byte // of all that the set was made of
	generation uint64
}

// replace puts next in force. If it was made of the same things as what is, that
// stays, and with it every token verified so far. One call at a time.
func (k *keyring) replace(next *snapshot) {
	if now := k.current.Load(); now != nil {
		if now.print == next.print {
			return
		}
		next.generation = now.generation + 1
	}
	k.current.Store(next)
}

// generation changes when a credential of any origin may have.
func (k *keyring) generation() uint64 {
	s := k.current.Load()
	g := s.generation
	if k.registry != nil {
		g = mixed(g, k.registry.Generation())
	}
	for _, r := range s.remotes {
		g = mixed(g, r.Generation())
	}
	return g
}

// mixed depends on both numbers. A sum would not do: one may fall as the other rises.
func mixed(a, b uint64) uint64 {
	const odd = 0x9e3779b97f4a7c15 // 2^64 divided by the golden ratio
	return (a^b>>32)*odd + b
}

// credential returns the one of that key, nil if there is none. An error is
// [carnet.ErrKeysUnavailable].
func (k *keyring) credential(ctx context.Context, key string) (*consumer.Credential, error) {
	if c := k.current.Load().set.Find(key); c != nil || k.registry == nil {
		return c, nil
	}
	c, err := k.registry.Find(ctx, key)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", carnet.ErrKeysUnavailable, err)
	}
	return c, nil
}

// signer returns the asymmetric credential that a kid names: by its key, or as one of
// the keys that a key set publishes. Nil if there is none.
func (k *keyring) signer(ctx context.Context, kid string) (*consumer.Credential, error) {
	set := k.current.Load().set
	c := set.Find(kid)
	if c == nil {
		c = set.Signer(kid)
	}
	if c == nil {
		var err error
		if c, err = k.credential(ctx, kid); err != nil {
			return nil, err
		}
	}
	if c == nil || c.Symmetric() {
		return nil, nil
	}
	return c, nil
}

// consumer returns the one of that username or id, as credential does.
func (k *keyring) consumer(ctx context.Context, name string) (*consumer.Consumer, error) {
	if c := k.current.Load().set.Consumer(name); c != nil || k.registry == nil {
		return c, nil
	}
	c, err := k.registry.FindConsumer(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", carnet.ErrKeysUnavailable, err)
	}
	return c, nil
}
