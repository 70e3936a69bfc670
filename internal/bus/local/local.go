// Package local is a bus inside one process: every node that a single binary is.
package local

import (
	"context"
	"slices"
	"sync"
)

// Bus carries events to those who subscribe to their subject. It keeps none: who
// subscribes later does not hear of it. Safe for concurrent use; it runs nothing of
// its own, and needs no closing.
type Bus struct {
	mu       sync.RWMutex
	subjects map[string][]*subscription // only with subscribers; a list never changes, another takes its place
}

// New returns a bus without subscribers.
func New() *Bus { return &Bus{subjects: map[string][]*subscription{}} }

// Publish calls all that subscribe to subject, one after the other in the order of
// their subscriptions, and returns. Events of one publisher arrive in their order.
// They share data: nobody may change it any more.
func (b *Bus) Publish(ctx context.Context, subject string, data []byte) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	b.mu.RLock()
	list := b.subjects[subject]
	b.mu.RUnlock()
	for _, s := range list {
		s.call(data)
	}
	return nil
}

// Subscribe calls f for each event of subject, from several goroutines at once if
// several publish. f must not block, since the publisher waits for it; it may publish,
// subscribe, and cancel other subscriptions.
//
// After cancel has returned, no call of f is running and none comes. So f itself must
// not cancel its own subscription. To cancel again does nothing.
func (b *Bus) Subscribe(subject string, f func(data []byte)) (cancel func()) {
	s := &subscription{f: f}
	s.idle.L = &s.mu
	b.mu.Lock()
	defer b.mu.Unlock()
	b.subjects[subject] = append(slices.Clip(b.subjects[subject]), s)
	return func() {
		b.remove(subject, s)
		s.end()
	}
}

func (b *Bus) remove(subject string, s *subscription) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var rest []*subscription
	for _, other := range b.subjects[subject] {
		if other != s {
			rest = append(rest, other)
		}
	}
	if len(rest) == 0 {
		delete(b.subjects, subject)
		return
	}
	b.subjects[subject] = rest
}

// subscription counts its calls, so that its end can wait for them. It holds no lock
// during a call.
type subscription struct {
	f func([]byte)

	mu      sync.Mutex
	running int
	ended   bool
	idle    sync.Cond // ended and nothing running
}

func (s *subscription) call(data []byte) {
	s.mu.Lock()
	if s.ended {
		s.mu.Unlock()
		return
	}
	s.running++
	s.mu.Unlock()
	defer s.done()
	s.f(data)
}

func (s *subscription) done() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.running--
	if s.ended && s.running == 0 {
		s.idle.Broadcast()
	}
}

func (s *subscription) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = true
	for s.running > 0 {
		s.idle.Wait()
	}
}
