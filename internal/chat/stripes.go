package chat

import (
	"context"
	"hash/maphash"
)

// stripes are locks by name in fixed memory, for who waits on the store meanwhile.
// Two names may share one, so nobody who holds a lock may ask for another.
type stripes struct {
	seed  maphash.Seed
	locks [64]chan struct{}
}

func newStripes() *stripes {
	s := &stripes{seed: maphash.MakeSeed()}
	for i := range s.locks {
		s.locks[i] = make(chan struct{}, 1)
	}
	return s
}

// lock waits no longer than ctx lasts.
func (s *stripes) lock(ctx context.Context, name string) (unlock func(), err error) {
	l := s.locks[maphash.String(s.seed, name)%uint64(len(s.locks))]
	select {
	case l <- struct{}{}:
		return func() { <-l }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
