package consumer

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/carnetproject/carnet/internal/fault"
)

// store is where the credentials lie. What it is given and gives is sealed: see
// [Record]. Errors that are no fault, and those of kind Unavailable, mean that it
// cannot say.
type store interface {
	consumers
	credentials
	changes
	endings
	uses
	imports
}

// box seals under the data master key; what was sealed for one purpose does not
// open for another.
type box interface {
	SealBytes(purpose string, plain []byte) ([]byte, error)
	OpenBytes(purpose string, sealed []byte) ([]byte, error)
}

// RegistryConfig requires Store and Box.
type RegistryConfig struct {
	Store      store
	Box        box
	CacheBytes int64            // memory for what was looked up; 0: DefaultCache
	Clock      func() time.Time // nil: time.Now
}

// DefaultCache holds about 50,000 credentials with a secret.
const DefaultCache = 64 << 20

// MaxName is the longest name of a consumer, a group or a credential, in bytes.
const MaxName = 255

// Registry is the consumers and credentials of the store, of which there may be
// millions: what tokens ask for is looked up one by one and kept in bounded memory.
// While the store is down, what is known goes on. Safe for concurrent use.
//
// What one of its methods writes is in force on this node when the method returns,
// and on others after their next [Registry.Follow].
type Registry struct {
	store store
	box   box
	clock func() time.Time

	reserved   atomic.Pointer[Reserved]
	generation atomic.Uint64

	book   book
	known  *cache[entry]
	absent *cache[time.Time] // keys that no credential has, until when that is believed
	names  *cache[*holder]

	lookups lookups

	refreshing sync.Mutex // held from a read of consumers to the book of it
	following  sync.Mutex
	last       int64       // the newest change that was followed; -1: none yet
	ends       []time.Time // of decommissioned consumers, in order, that are to come

	tracing tracing
}

// The parts of the memory that go to keys nobody has and to consumers' names.
const (
	absentShare = 16
	namesShare  = 16
)

// NewRegistry starts nothing: [Registry.Run] and [Registry.Follow] are the caller's to call.
func NewRegistry(c RegistryConfig) (*Registry, error) {
	if c.Store == nil || c.Box == nil {
		return nil, errors.New("registry needs Store and Box")
	}
	if c.CacheBytes < 0 {
		return nil, fault.BadField("credential_cache", "must not be negative")
	}
	if c.CacheBytes == 0 {
		c.CacheBytes = DefaultCache
	}
	if c.Clock == nil {
		c.Clock = time.Now
	}
	r := &Registry{store: c.Store, box: c.Box, clock: c.Clock, last: -1}
	absent, names := c.CacheBytes/absentShare, c.CacheBytes/namesShare
	r.known = newCache(c.CacheBytes-absent-names, func(e entry) { r.book.release(e.holder) })
	r.absent = newCache(absent, func(time.Time) {})
	r.names = newCache(names, r.book.release)
	r.book.grow = r.known.charge
	r.reserved.Store(&Reserved{})
	return r, nil
}

// Generation moves when a credential or its consumer was changed or removed, after
// which [Registry.Find] may answer otherwise than before, and not when one was added.
func (r *Registry) Generation() uint64 { return r.generation.Load() }

// Find returns the credential for tokens whose issuer is key, nil if there is none. An
// error is a [fault.Unavailable]: the store cannot say. What is in memory is found
// without allocation or I/O.
func (r *Registry) Find(ctx context.Context, key string) (*Credential, error) {
	if key == "" || len(key) > MaxName {
		return nil, nil
	}
	if c, ok := r.remembered(key); ok {
		return c, nil
	}
	return r.lookUp(ctx, key)
}

// FindConsumer returns the consumer of that username or id, nil if there is none, and
// errors as [Registry.Find] does.
func (r *Registry) FindConsumer(ctx context.Context, name string) (*Consumer, error) {
	if name == "" || len(name) > MaxName {
		return nil, nil
	}
	if h, ok := r.names.find(name); ok {
		if s := h.state.Load(); s != nil && (s.Username == name || s.ID == name) {
			return s.now(r.clock), nil
		}
	}
	return r.lookConsumer(ctx, name)
}
