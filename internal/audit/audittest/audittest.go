// Package audittest keeps an audit log in memory, for tests of those who write it.
package audittest

import (
	"context"
	"strings"
	"sync"
	"testing"

	"github.com/carnetproject/carnet/internal/audit"
)

// Store keeps entries. Its zero value is empty. Safe for concurrent use.
type Store struct {
	mu  sync.Mutex
	all []audit.Entry
	err error
}

// AddEntries implements the store of [audit.Config].
func (s *Store) AddEntries(_ context.Context, entries []audit.Entry) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return s.err
	}
	s.all = append(s.all, entries...)
	return nil
}

// Fail has writes fail from now on; nil: no more.
func (s *Store) Fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

// Entries are those that were written.
func (s *Store) Entries() []audit.Entry {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]audit.Entry(nil), s.all...)
}

// New returns a log that writes into s, and a function that has written what was noted and
// returns all entries as lines: actor, action, object, outcome, and address and details if
// there are any. It is called once.
func New(t *testing.T, s *Store, c audit.Config) (l *audit.Log, lines func() []string) {
	t.Helper()
	c.Store = s
	l = audit.New(c)
	return l, func() (lines []string) {
		over, stop := context.WithCancel(context.Background())
		stop() // what waits is written all the same
		if err := l.Run(over); err != nil {
			t.Error(err)
		}
		for _, e := range s.Entries() {
			words := []string{e.Actor.String(), string(e.Action), e.Object, string(e.Outcome), e.Address, e.String()}
			lines = append(lines, strings.Join(strings.Fields(strings.Join(words, " ")), " "))
		}
		return lines
	}
}
