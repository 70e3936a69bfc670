package revocation

import (
	"hash/maphash"
	"math"
	"sync"
	"sync/atomic"
	"time"
)

// table is the entries as checks need them: 45 to 90 bytes each, whatever they name.
// A target stands in it as 128 bits of a hash that is seeded afresh in each process,
// so that nobody can make two that are alike. Safe for concurrent use.
type table struct {
	seeds  [2]maphash.Seed
	counts [numKinds]atomic.Int64
	shards [numKinds][numShards]shard
}

// numShards is how many parts a kind has: a writer holds up the readers of one.
const numShards = 64

type shard struct {
	mu    sync.RWMutex
	marks map[digest]mark
	most  int // that there were since marks was made
}

type digest [2]uint64

// mark is an entry, in milliseconds since 1970.
type mark struct{ before, expires int64 }

func newTable() *table {
	return &table{seeds: [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}}
}

// apply brings the table up to an entry of the store.
func (t *table) apply(e *Entry, now time.Time) {
	if !e.InForce(now) {
		t.remove(e.Target)
		return
	}
	m := mark{before: math.MaxInt64, expires: math.MaxInt64}
	if e.Kind.Dated() {
		m.before = e.Before.UnixMilli()
	}
	if !e.Expires.IsZero() {
		m.expires = e.Expires.UnixMilli()
	}
	d, s := t.place(e.Kind, e.Issuer, e.Name)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.marks == nil {
		s.marks = map[digest]mark{}
	}
	n := len(s.marks)
	s.marks[d] = m
	s.most = max(s.most, len(s.marks))
	t.counts[e.Kind].Add(int64(len(s.marks) - n))
}

func (t *table) remove(g Target) {
	d, s := t.place(g.Kind, g.Issuer, g.Name)
	s.mu.Lock()
	defer s.mu.Unlock()
	n := len(s.marks)
	delete(s.marks, d)
	t.counts[g.Kind].Add(int64(len(s.marks) - n))
}

// find returns the entry of a target. A target without a name has none.
func (t *table) find(k Kind, issuer, name string) (mark, bool) {
	if name == "" || t.counts[k].Load() == 0 {
		return mark{}, false
	}
	d, s := t.place(k, issuer, name)
	s.mu.RLock()
	m, ok := s.marks[d]
	s.mu.RUnlock()
	return m, ok
}

func (t *table) place(k Kind, issuer, name string) (digest, *shard) {
	target := [2]string{issuer, name}
	d := digest{maphash.Comparable(t.seeds[0], target), maphash.Comparable(t.seeds[1], target)}
	return d, &t.shards[k][d[0]%numShards]
}

// size is how many entries there are.
func (t *table) size() (n int) {
	for i := range t.counts {
		n += int(t.counts[i].Load())
	}
	return n
}

// expire takes out of the i-th part of each kind what has expired.
func (t *table) expire(i int, now time.Time) {
	for k := range t.shards {
		s := &t.shards[k][i%numShards]
		t.counts[k].Add(-s.expire(now.UnixMilli()))
	}
}

func (s *shard) expire(now int64) (gone int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for d, m := range s.marks {
		if m.expires <= now {
			delete(s.marks, d)
			gone++
		}
	}
	if len(s.marks) < s.most/4 { // a map does not shrink by itself
		kept := make(map[digest]mark, len(s.marks))
		for d, m := range s.marks {
			kept[d] = m
		}
		s.marks, s.most = kept, len(kept)
	}
	return gone
}
