package revocation

import (
	"context"
	"fmt"
	"math"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/carnetproject/carnet"
)

// store is where the entries are kept.
type store interface {
	// AddRevocation saves e, over the entry of the same target if there is one, under
	// an id of its own, and returns what is in force now.
	AddRevocation(ctx context.Context, e Entry) (Entry, error)
	// RemoveRevocation takes an entry back, which from then on stands as removed, under
	// an id of its own, until the time given. It returns what it then is; fault.NotFound.
	RemoveRevocation(ctx context.Context, id int64, until time.Time) (Entry, error)
	// Revocations returns entries of a kind (0: of all) whose id is greater than after,
	// removed and expired ones too, by growing id. None of a lower id appears later.
	Revocations(ctx context.Context, k Kind, after int64, limit int) ([]Entry, error)
}

// Config requires Store.
type Config struct {
	Store store
	// Life is how long a token of the target lives at the most, by the configuration;
	// 0 if that is not known. nil: it never is.
	Life  func(Target) time.Duration
	Clock func() time.Time // nil: time.Now
}

// List answers whether a token was taken back. It is empty until [List.Follow]. Safe
// for concurrent use; a check takes no lock that a check could wait for, asks nobody,
// and does not allocate.
type List struct {
	store store
	life  func(Target) time.Duration
	clock func() time.Time

	table atomic.Pointer[table]
	epoch atomic.Uint64

	change sync.Mutex // held from a read or write of the store to the table's change
	last   int64      // id that was read from the store
	read   time.Time  // when it was read last; zero: never
	hand   int        // part that is looked through next for what has expired
}

const (
	pageSize = 5000 // entries read at a time
	// removedLife is how long the store tells that an entry was removed. A node that
	// has not read for half as long reads all entries again.
	removedLife = 24 * time.Hour
)

// New returns an empty list.
func New(c Config) *List {
	l := &List{store: c.Store, life: c.Life, clock: c.Clock}
	if l.life == nil {
		l.life = func(Target) time.Duration { return 0 }
	}
	if l.clock == nil {
		l.clock = time.Now
	}
	l.table.Store(newTable())
	return l
}

// Epoch moves when an entry was added, changed or removed, not when one expires.
func (l *List) Epoch() uint64 { return l.epoch.Load() }

// Len is how many entries are in force.
func (l *List) Len() int { return l.table.Load().size() }

// Revoked tells whether an entry in force names the token.
func (l *List) Revoked(t Token) bool {
	c := check{list: l, table: l.table.Load(), issued: math.MinInt64}
	if !t.IssuedAt.IsZero() {
		c.issued = t.IssuedAt.UnixMilli()
	}
	return c.hits(ByToken, "", t.ID) ||
		c.hits(ByToken, "", t.SignIn) ||
		c.origin(t.ID, len(t.SignIn)) ||
		c.hits(BySubject, t.Issuer, t.Subject) ||
		c.hits(ByApp, "", t.App) ||
		c.hits(ByIssuer, "", t.Issuer) ||
		c.hits(ByIssuer, "", t.Prefix) ||
		c.hits(ByDevice, t.Prefix, t.Device) ||
		c.hits(ByCredential, "", t.Credential) ||
		c.hits(ByKey, "", t.KeyID)
}

// check is the look at one token.
type check struct {
	list   *List
	table  *table
	issued int64 // milliseconds since 1970
}

func (c *check) hits(k Kind, issuer, name string) bool {
	m, ok := c.table.find(k, issuer, name)
	return ok && c.issued < m.before && c.list.clock().UnixMilli() < m.expires
}

// maxOrigins is how many tokens are looked at of which one comes: somebody else's ids may
// have any number of dots.
const maxOrigins = 8

// origin tells whether an entry names a token that the one of this id was exchanged for,
// whose own id stands before a dot. What ends within the first bytes is the sign-in's name.
func (c *check) origin(id string, signIn int) bool {
	for range maxOrigins {
		dot := strings.LastIndexByte(id, '.')
		if dot <= signIn {
			return false
		}
		if id = id[:dot]; c.hits(ByToken, "", id) {
			return true
		}
	}
	return false
}

// Add puts a draft in force: on this node when it returns, on the others when they
// follow. If the target has an entry in force, the new one takes its place and refuses
// what either would.
func (l *List) Add(ctx context.Context, d Draft) (Entry, error) {
	now := l.clock()
	if err := d.validate(now); err != nil {
		return Entry{}, err
	}
	e := Entry{
		Target: d.Target, Before: wholeMillis(d.Before), Expires: wholeMillis(l.expiry(&d, now)),
		Created: wholeMillis(now), Reason: d.Reason, By: d.By,
	}
	if e.Kind.Dated() && e.Before.IsZero() {
		e.Before = wholeMillis(now)
	}
	l.change.Lock()
	defer l.change.Unlock()
	e, err := l.store.AddRevocation(ctx, e)
	if err != nil {
		return Entry{}, fmt.Errorf("add revocation: %w", err)
	}
	l.show(&e, now)
	return e, nil
}

// expiry is when no token that the draft means can be good any more: its longest life
// from now, since nobody has one that was issued later, and the difference of clocks.
func (l *List) expiry(d *Draft, now time.Time) time.Time {
	if d.Forever || !d.Expires.IsZero() {
		return d.Expires
	}
	life := l.life(d.Target)
	if life <= 0 {
		return time.Time{}
	}
	return now.Add(life + carnet.MaxLeeway)
}

// Remove takes an entry back: the tokens that it named are good again. An id that is
// not in force is [fault.NotFound].
func (l *List) Remove(ctx context.Context, id int64) (Entry, error) {
	now := l.clock()
	l.change.Lock()
	defer l.change.Unlock()
	e, err := l.store.RemoveRevocation(ctx, id, wholeMillis(now.Add(removedLife)))
	if err != nil {
		return Entry{}, fmt.Errorf("remove revocation %d: %w", id, err)
	}
	l.show(&e, now)
	return e, nil
}

func (l *List) show(e *Entry, now time.Time) {
	l.table.Load().apply(e, now)
	l.epoch.Add(1)
}

// Entries returns up to limit entries in force of a kind (0: of all) whose id is greater
// than after, by growing id.
func (l *List) Entries(ctx context.Context, k Kind, after int64, limit int) ([]Entry, error) {
	var found []Entry
	for now := l.clock(); ; {
		page, err := l.store.Revocations(ctx, k, after, pageSize)
		if err != nil {
			return nil, fmt.Errorf("read revocations: %w", err)
		}
		for _, e := range page {
			if len(found) < limit && e.InForce(now) {
				found = append(found, e)
			}
			after = e.ID
		}
		if len(found) == limit || len(page) < pageSize {
			return found, nil
		}
	}
}

// Follow reads what has changed in the store since the last time: the first time, and
// after a long time without, all entries. After an error those known so far stay. It
// also lets go, bit by bit, of what has expired; it is meant to be called each second.
func (l *List) Follow(ctx context.Context) error {
	l.change.Lock()
	defer l.change.Unlock()
	now := l.clock()
	l.table.Load().expire(l.hand, now)
	l.hand++
	if l.read.IsZero() || now.Sub(l.read) > removedLife/2 {
		fresh := newTable()
		last, err := l.readInto(ctx, fresh, 0, now)
		if err != nil {
			return err
		}
		l.table.Store(fresh)
		l.epoch.Add(1)
		l.last, l.read = last, now
		return nil
	}
	last, err := l.readInto(ctx, l.table.Load(), l.last, now)
	if last != l.last {
		l.last = last
		l.epoch.Add(1)
	}
	if err == nil {
		l.read = now
	}
	return err
}

// readInto brings t up to the store and returns the last id that it has read.
func (l *List) readInto(ctx context.Context, t *table, after int64, now time.Time) (int64, error) {
	for {
		page, err := l.store.Revocations(ctx, 0, after, pageSize)
		if err != nil {
			return after, fmt.Errorf("follow revocations: %w", err)
		}
		for i := range page {
			t.apply(&page[i], now)
			after = page[i].ID
		}
		if len(page) < pageSize {
			return after, nil
		}
	}
}
