package revocation

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/carnetproject/carnet/internal/fault"
)

var noon = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)

// memory is a store that several lists share, as the nodes of a deployment do.
type memory struct {
	mu      sync.Mutex
	entries []Entry // by id
	last    int64
	reads   int
	fail    error
}

func (m *memory) AddRevocation(_ context.Context, e Entry) (Entry, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fail != nil {
		return Entry{}, m.fail
	}
	if i := slices.IndexFunc(m.entries, func(o Entry) bool { return o.Target == e.Target }); i >= 0 {
		e = e.Over(m.entries[i])
	}
	return m.replace(e), nil
}

func (m *memory) RemoveRevocation(_ context.Context, id int64, until time.Time) (Entry, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	i := slices.IndexFunc(m.entries, func(o Entry) bool { return o.ID == id && !o.Removed })
	if i < 0 {
		return Entry{}, fault.New(fault.NotFound, "no such revocation")
	}
	e := m.entries[i]
	e.Removed, e.Expires = true, until
	return m.replace(e), nil
}

func (m *memory) replace(e Entry) Entry {
	m.entries = slices.DeleteFunc(m.entries, func(o Entry) bool { return o.Target == e.Target })
	m.last++
	e.ID = m.last
	m.entries = append(m.entries, e)
	return e
}

func (m *memory) Revocations(_ context.Context, k Kind, after int64, limit int) ([]Entry, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.reads++
	if m.fail != nil {
		return nil, m.fail
	}
	i, _ := slices.BinarySearchFunc(m.entries, after+1, func(e Entry, id int64) int { return cmp.Compare(e.ID, id) })
	var page []Entry
	for _, e := range m.entries[i:] {
		if len(page) < limit && (k == 0 || e.Kind == k) {
			page = append(page, e)
		}
	}
	return page, nil
}

// forget is what housekeeping does.
func (m *memory) forget(before time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.entries = slices.DeleteFunc(m.entries, func(e Entry) bool { return !e.Expires.IsZero() && e.Expires.Before(before) })
}

func (m *memory) breaks(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fail = err
}

// clock is a time that a test moves.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) read() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// fixture is one node.
type fixture struct {
	*List
	clock *clock
	store *memory
}

func open(t testing.TB) *fixture {
	t.Helper()
	f := &fixture{clock: &clock{now: noon}, store: &memory{}}
	f.List = f.beside()
	return f
}

// beside is another node on the same store.
func (f *fixture) beside() *List {
	return New(Config{Store: f.store, Clock: f.clock.read, Life: func(g Target) time.Duration {
		if g.Kind == ByToken {
			return 15 * time.Minute
		}
		return 0
	}})
}

func (f *fixture) add(t testing.TB, d Draft) Entry {
	t.Helper()
	e, err := f.Add(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func follow(t testing.TB, l *List) {
	t.Helper()
	if err := l.Follow(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// sample is a token that has every member, issued a minute before noon.
func sample() Token {
	return Token{
		ID: "jti-1", Issuer: "mobilev2-dev-1-1780315140000", Subject: "ann", App: "shop", Prefix: "mobilev2", Device: "dev-1",
		Credential: "cred-1", KeyID: "kid-1", IssuedAt: noon.Add(-time.Minute),
	}
}
