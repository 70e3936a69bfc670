package socket

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/limit"
)

// RetryConnect is when to try again to connect.
const RetryConnect = 5 * time.Second

// Set is the connections of a surface: counted from the moment that they are admitted,
// looked after from the moment that they enter. Safe for concurrent use.
type Set[C comparable] struct {
	total, perAddr int // how many there may be

	mu       sync.Mutex
	entered  map[C]struct{}
	admitted int
	addrs    map[netip.Prefix]int // of those that are admitted
	running  sync.WaitGroup       // likewise
	away     bool                 // none is admitted any more
}

// NewSet returns a set of at most so many connections, and so many of one address (of a
// /64 in IPv6).
func NewSet[C comparable](total, perAddr int) *Set[C] {
	return &Set[C]{
		total: total, perAddr: perAddr,
		entered: map[C]struct{}{}, addrs: map[netip.Prefix]int{},
	}
}

// Admit counts a connection from addr in. One that is admitted leaves. The refusal is
// [fault.Limited] where the address has too many, [fault.Unavailable] where the node has
// no room or is going away.
func (s *Set[C]) Admit(addr netip.Addr) error {
	network := limit.Network(addr)
	s.mu.Lock()
	defer s.mu.Unlock()
	kind, msg := fault.Unavailable, "the server is going away"
	switch {
	case s.away:
	case s.admitted >= s.total:
		msg = "the server has all the connections that it can take"
	case s.addrs[network] >= s.perAddr:
		kind, msg = fault.Limited, "too many connections from this address"
	default:
		s.admitted++
		s.addrs[network]++
		s.running.Add(1)
		return nil
	}
	return &fault.Error{Kind: kind, Msg: msg, RetryAfter: RetryConnect}
}

// Enter puts an admitted connection among those that are looked after. It is false if
// they have all been told to go: then so is this one to be.
func (s *Set[C]) Enter(c C) (stays bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.entered[c] = struct{}{}
	return !s.away
}

// Leave undoes Admit, and Enter if that was called.
func (s *Set[C]) Leave(addr netip.Addr, c C) {
	network := limit.Network(addr)
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.entered, c)
	s.admitted--
	if s.addrs[network]--; s.addrs[network] == 0 {
		delete(s.addrs, network)
	}
	s.running.Done()
}

// While counts a connection from addr in for as long as f runs.
func (s *Set[C]) While(addr netip.Addr, f func() error) error {
	if err := s.Admit(addr); err != nil {
		return err
	}
	var none C
	defer s.Leave(addr, none)
	return f()
}

// Len is how many connections there are.
func (s *Set[C]) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.admitted
}

// Each calls f, which must not block, for the connections that have entered.
func (s *Set[C]) Each(f func(C)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.entered {
		f(c)
	}
}

// Shutdown admits no more connections, calls farewell for those there are, and returns
// when they are gone. For those that are left when ctx ends it calls cut. Neither blocks.
func (s *Set[C]) Shutdown(ctx context.Context, farewell, cut func(C)) {
	s.mu.Lock()
	s.away = true
	s.mu.Unlock()
	s.Each(farewell)
	gone := make(chan struct{})
	go func() {
		s.running.Wait()
		close(gone)
	}()
	select {
	case <-gone:
	case <-ctx.Done():
		s.Each(cut)
		<-gone
	}
}
