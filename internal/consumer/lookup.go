package consumer

import (
	"context"
	"errors"
	"sync"
	"time"
	"unsafe"

	"github.com/carnetproject/carnet/internal/fault"
)

// credentials is the part of the store that has them.
type credentials interface {
	// FindCredential returns the credential of a key with its consumer, as they are at
	// one moment. fault.NotFound if there is none.
	FindCredential(ctx context.Context, key string) (Record, Info, error)
	// Credential returns one by its id or else by its key.
	Credential(ctx context.Context, name string) (Record, error)
	// Credentials lists those of a consumer, or all for "", in the order of their
	// making, and gives the offset of the next page, "" after the last.
	Credentials(ctx context.Context, consumerID string, p Page) ([]Record, string, error)
	// AddCredential returns it with its id. fault.Conflict if the id or the key is taken.
	AddCredential(ctx context.Context, r Record) (Record, error)
	// EditCredential changes it as no other write can change it before this one
	// commits. It returns the key that it had.
	EditCredential(ctx context.Context, name string, edit func(*Record) error) (key string, err error)
	// RemoveCredential returns the key that it had.
	RemoveCredential(ctx context.Context, name string) (key string, err error)
}

const (
	lookupTimeout = 2 * time.Second
	maxLookups    = 4096 // at a time; beyond, callers are asked to come back
	maxReads      = 5    // of a credential whose consumer changes all the while
	absentFor     = 30 * time.Second
)

// lookups are the questions that the store is being asked. Who asks what is already
// asked waits for that answer.
type lookups struct {
	mu   sync.Mutex
	open map[string]*lookup
}

type lookup struct {
	done  chan struct{} // closed when the answer stands
	entry entry         // without a holder if there is none
	err   error
}

// entry is a credential in memory, made for a state of its consumer.
type entry struct {
	cred   *Credential
	state  *state
	holder *holder
}

// changed tells whether its consumer has changed since.
func (e *entry) changed() bool { return e.holder != nil && e.state != e.holder.state.Load() }

// now is the credential, nil if there is none or its consumer is decommissioned.
func (e *entry) now(clock func() time.Time) *Credential {
	if e.holder == nil || e.state.now(clock) == nil {
		return nil
	}
	return e.cred
}

// remembered answers from memory alone; ok is false if that does not know.
func (r *Registry) remembered(key string) (c *Credential, ok bool) {
	if e, ok := r.known.find(key); ok {
		if e.changed() {
			return nil, false
		}
		return e.now(r.clock), true
	}
	until, ok := r.absent.find(key)
	return nil, ok && r.clock().Before(until)
}

// lookUp asks the store for all that ask at the same time. The first of them asks on
// although its own client may go meanwhile.
func (r *Registry) lookUp(ctx context.Context, key string) (*Credential, error) {
	if err := ctx.Err(); err != nil {
		return nil, unavailable(err)
	}
	r.lookups.mu.Lock()
	if l := r.lookups.open[key]; l != nil {
		r.lookups.mu.Unlock()
		select {
		case <-l.done:
			if l.entry.changed() {
				return r.lookUp(ctx, key)
			}
			return l.entry.now(r.clock), l.err
		case <-ctx.Done():
			return nil, unavailable(ctx.Err())
		}
	}
	if len(r.lookups.open) >= maxLookups {
		r.lookups.mu.Unlock()
		return nil, unavailable(errors.New("too many lookups at a time"))
	}
	l := &lookup{done: make(chan struct{}), err: unavailable(errors.New("lookup was given up"))}
	if r.lookups.open == nil {
		r.lookups.open = map[string]*lookup{}
	}
	r.lookups.open[key] = l
	r.lookups.mu.Unlock()
	defer func() {
		r.keep(key, l)
		close(l.done)
	}()
	reading, cancel := context.WithTimeout(context.WithoutCancel(ctx), lookupTimeout)
	defer cancel()
	l.entry, l.err = r.read(reading, key)
	return l.entry.now(r.clock), l.err
}

// keep remembers what a lookup found, unless the credential was changed meanwhile.
func (r *Registry) keep(key string, l *lookup) {
	r.lookups.mu.Lock()
	defer r.lookups.mu.Unlock()
	mine := r.lookups.open[key] == l
	if mine {
		delete(r.lookups.open, key)
	}
	switch e := l.entry; {
	case e.holder != nil && mine:
		r.known.put(key, e, e.cred.bytes())
	case e.holder != nil:
		r.book.release(e.holder)
	case l.err == nil && mine:
		r.absent.put(key, r.clock().Add(absentFor), int64(unsafe.Sizeof(time.Time{})))
	}
}

// read gets a credential out of the store. Its holder is nil if there is none.
func (r *Registry) read(ctx context.Context, key string) (entry, error) {
	if e, ok := r.known.find(key); ok { // its consumer has changed, and perhaps nothing else
		if s := e.holder.state.Load(); s != nil && r.book.again(e.holder) {
			return entry{e.cred.under(s.Consumer), s, e.holder}, nil
		}
	}
	for range maxReads {
		epoch := r.book.now()
		rec, info, err := r.store.FindCredential(ctx, key)
		if fault.KindOf(err) == fault.NotFound {
			return entry{}, nil
		}
		if err != nil {
			return entry{}, unavailable(err)
		}
		h := r.book.hold(&info, epoch)
		if h == nil {
			continue
		}
		s := h.state.Load()
		if s == nil {
			r.book.release(h)
			continue
		}
		c, err := r.open(&rec, h, s.Consumer)
		if err != nil {
			r.book.release(h)
			return entry{}, unavailable(err)
		}
		return entry{c, s, h}, nil
	}
	return entry{}, unavailable(errors.New("consumer changes all the while"))
}

// forget drops what is known of keys, and of lookups that are under way.
func (r *Registry) forget(keys ...string) {
	r.lookups.mu.Lock()
	defer r.lookups.mu.Unlock()
	for _, key := range keys {
		delete(r.lookups.open, key)
		r.known.drop(key)
		r.absent.drop(key)
	}
}

// forgetAbsent drops what is known of keys that nobody had.
func (r *Registry) forgetAbsent() {
	r.lookups.mu.Lock()
	defer r.lookups.mu.Unlock()
	clear(r.lookups.open)
	r.absent.clear()
}

// forgetAll drops everything.
func (r *Registry) forgetAll() {
	r.lookups.mu.Lock()
	clear(r.lookups.open)
	r.known.clear()
	r.absent.clear()
	r.lookups.mu.Unlock()
	r.book.forget()
	r.names.clear()
	r.generation.Add(1)
}

// lookConsumer asks the store for a consumer.
func (r *Registry) lookConsumer(ctx context.Context, name string) (*Consumer, error) {
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	for range maxReads {
		epoch := r.book.now()
		info, err := r.store.Consumer(ctx, name)
		if fault.KindOf(err) == fault.NotFound {
			return nil, nil
		}
		if err != nil {
			return nil, unavailable(err)
		}
		h := r.book.hold(&info, epoch)
		if h == nil {
			continue
		}
		s := h.state.Load()
		r.names.put(name, h, int64(unsafe.Sizeof(h)))
		if s != nil {
			return s.now(r.clock), nil
		}
	}
	return nil, unavailable(errors.New("consumer changes all the while"))
}

// unavailable says that the store cannot answer.
func unavailable(cause error) error {
	return &fault.Error{
		Kind: fault.Unavailable, Msg: "credentials cannot be looked up now",
		RetryAfter: time.Second, Err: cause,
	}
}
