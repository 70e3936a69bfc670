package key

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/jose"
	"github.com/carnetproject/carnet/internal/seal"
)

// store is what keeps the keys.
type store interface {
	// Keys returns the keys of all sets.
	Keys(ctx context.Context) ([]Key, error)
	// SaveKeys adds or updates keys, all or none, if the store still has what Keys has
	// returned as seen, in any order: else it is a conflict, as it is to put another key
	// under a kid. It never takes back a revocation.
	SaveKeys(ctx context.Context, seen []Key, keys ...Key) error
}

// Config requires Store. Its Specs are all sets that this node knows.
type Config struct {
	Specs []Spec
	Store store
	Box   *seal.Box        // the signing master key; nil: this node never opens a private key
	Clock func() time.Time // nil: time.Now
	// Decided is called with what this node's [Ring.Ensure] and [Ring.RotateDue] have made
	// and changed, in order: a key that begins at Active, or one that ends at Retire. The
	// first keys of a store are not told. nil: nobody listens.
	Decided func(ctx context.Context, changed []Key)
}

// Ring holds the key sets of this node. Reading and signing work on a snapshot and
// never wait for a change or for the store. Safe for concurrent use.
type Ring struct {
	specs   []Spec
	store   store
	clock   func() time.Time
	decided func(ctx context.Context, changed []Key)

	keeper keeper // nil on a node without the signing master key

	changing sync.Mutex // held from reading the store to replacing the snapshot
	seen     []Key      // what the store had at the last look
	current  atomic.Pointer[snapshot]
}

// New returns a ring without keys: [Ring.Load] or [Ring.Ensure] fills it.
func New(c Config) (*Ring, error) {
	if c.Store == nil {
		return nil, errors.New("key ring without a store")
	}
	if err := validateAll(c.Specs); err != nil {
		return nil, err
	}
	r := &Ring{specs: slices.Clone(c.Specs), store: c.Store, clock: c.Clock, decided: c.Decided}
	if c.Box != nil {
		r.keeper = &safe{box: c.Box, slow: newPool()}
	}
	if r.clock == nil {
		r.clock = time.Now
	}
	if r.decided == nil {
		r.decided = func(context.Context, []Key) {}
	}
	r.current.Store(newSnapshot(nil))
	return r, nil
}

// Load takes over what the store holds, if it changed. If that cannot be read, the last
// snapshot stays in force. A private key that cannot be opened is an error too, but one
// that keeps nothing else from being taken over: it does not sign, and is tried again.
func (r *Ring) Load(ctx context.Context) error {
	r.changing.Lock()
	defer r.changing.Unlock()
	if err := r.load(ctx); err != nil {
		return err
	}
	return r.current.Load().unopened
}

func (r *Ring) load(ctx context.Context) error {
	stored, err := r.store.Keys(ctx)
	if err != nil {
		return fmt.Errorf("load keys: %w", err)
	}
	r.seen = slices.Clone(stored)
	stored = slices.DeleteFunc(stored, func(k Key) bool { return r.spec(k.Set) == nil })
	slices.SortFunc(stored, inOrder)
	old := r.current.Load()
	same := slices.EqualFunc(old.keys, stored, Key.Equal)
	if same && old.unopened == nil {
		return nil
	}
	next := newSnapshot(stored)
	next.base = old.base
	if !same {
		next.base += uint64(len(old.ends)) + 1
	}
	next.unopened = r.openSigners(ctx, next, old)
	r.current.Store(next)
	return nil
}

// Generation changes whenever what [Ring.Published] answers may have changed: when
// Load found something new, and when the clock takes a key out of a set. That a
// pending key begins to sign changes nothing for those who verify.
func (r *Ring) Generation() uint64 {
	s := r.current.Load()
	return s.base + uint64(s.ended(r.clock()))
}

// List returns all keys of a set, the oldest first, nil for an unknown set.
func (r *Ring) List(name SetName) []Key {
	if s := r.current.Load().sets[name]; s != nil {
		return slices.Clone(s.keys)
	}
	return nil
}

// Published returns the public keys of a set that verify at now or will:
// pending, active and retiring ones, the oldest first.
func (r *Ring) Published(name SetName, now time.Time) []*jose.Key {
	s := r.current.Load().sets[name]
	if s == nil {
		return nil
	}
	return s.published(now)
}

// JWKS returns the published keys of a set as a JWK Set document (RFC 7517 §5).
// The caller must not change it. An unknown set is a fault of kind NotFound.
func (r *Ring) JWKS(name SetName, now time.Time) ([]byte, error) {
	if r.spec(name) == nil {
		return nil, fault.Newf(fault.NotFound, "no key set %s", name)
	}
	return r.current.Load().jwks(name, now)
}

func (r *Ring) spec(name SetName) *Spec {
	for i := range r.specs {
		if r.specs[i].Name == name {
			return &r.specs[i]
		}
	}
	return nil
}
