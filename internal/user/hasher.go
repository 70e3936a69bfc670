package user

import (
	"context"
	"fmt"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/secret"
)

// waitingPerSlot is how many callers may wait for each running hash.
const waitingPerSlot = 32

// hasher runs one hash per core at once: more would only take memory. A bounded
// number of callers waits; the rest is refused as [fault.Unavailable].
type hasher struct {
	cost    Cost
	nobody  hash // what a password is checked against when there is no user
	slots   chan struct{}
	waiting atomic.Int64
}

func newHasher(c Cost) *hasher {
	return &hasher{
		cost:   c,
		nobody: hash{Cost: c, salt: make([]byte, newSalt), digest: make([]byte, newDigest)},
		slots:  make(chan struct{}, runtime.NumCPU()),
	}
}

// hash makes the PHC string of p.
func (h *hasher) hash(ctx context.Context, p secret.Bytes) (string, error) {
	var text string
	err := h.run(ctx, func() { text = newHash(h.cost, p).String() })
	return text, err
}

// matches checks p against stored.
func (h *hasher) matches(ctx context.Context, stored hash, p secret.Bytes) (ok bool, err error) {
	err = h.run(ctx, func() { ok = stored.matches(p) })
	return ok, err
}

func (h *hasher) run(ctx context.Context, work func()) error {
	defer h.waiting.Add(-1)
	if h.waiting.Add(1) > int64(cap(h.slots)*(1+waitingPerSlot)) {
		return &fault.Error{Kind: fault.Unavailable, Msg: "too many sign-ins at once: try again", RetryAfter: time.Second}
	}
	select {
	case h.slots <- struct{}{}:
	case <-ctx.Done():
		return fmt.Errorf("wait for a password check: %w", ctx.Err())
	}
	defer func() { <-h.slots }()
	work()
	return nil
}
