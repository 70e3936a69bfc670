package bot

import (
	"context"
	"sync"
	"time"

	"github.com/carnetproject/carnet/internal/crew"
)

// Worker waits for a turn that is about to be committed, so that the commit can lease
// it too. A nil Worker is that nobody is free.
type Worker struct {
	until time.Time
	turn  chan *Turn // takes one
}

// Until is when the lease of the worker's turn is to end; zero if nobody is free.
func (w *Worker) Until() time.Time {
	if w == nil {
		return time.Time{}
	}
	return w.until
}

// Answer gives the worker its turn, or lets it go if there is none. It returns at
// once. Who hired the worker calls it once, however the commit ended: until then
// [Runner.Run] does not return.
func (w *Worker) Answer(t *Turn) {
	if w != nil {
		w.turn <- t
	}
}

// staff are the workers of one bot: none before Run begins and none after it ends.
type staff struct {
	crew crew.Crew
	mu   sync.Mutex
	free int
}

// enlist makes n workers free until ctx ends.
func (s *staff) enlist(ctx context.Context, n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.crew.Enlist(ctx)
	s.free = n
}

// dismiss has nobody free any more, and waits for all work to end.
func (s *staff) dismiss() { s.crew.Dismiss() }

// half takes half of the free workers, or the last one: the others stay free for
// turns that come with their messages.
func (s *staff) half() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := (s.free + 1) / 2
	s.free -= n
	return n
}

func (s *staff) release(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.free += n
}

// start has one free worker do the work, and is false if there is none.
func (s *staff) start(work crew.Work) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.free == 0 || !s.crew.Start(work) {
		return false
	}
	s.free--
	return true
}
