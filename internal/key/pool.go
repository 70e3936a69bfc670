package key

import (
	"context"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/jose"
)

// queuePerSlot bounds the wait: at about a millisecond a signature, the last in
// the queue waits a quarter of a second.
const queuePerSlot = 256

// slow reports whether a signature takes long enough (0.2 ms and up) to be
// rationed. ES256 and EdDSA take some 0.04 ms.
func slow(alg jose.Algorithm) bool { return alg != jose.ES256 && alg != jose.EdDSA }

// pool lets as many slow signatures run at once as there are processors: more
// would only take turns, and starve what is quick.
type pool struct {
	slots  chan struct{}
	inside atomic.Int64 // running and waiting
	limit  int64
}

func newPool() *pool {
	n := runtime.GOMAXPROCS(0)
	return &pool{slots: make(chan struct{}, n), limit: int64(n) * (1 + queuePerSlot)}
}

// enter waits for a slot until ctx ends. When the queue is full it refuses at once.
// After nil the caller must leave.
func (p *pool) enter(ctx context.Context) error {
	if p.inside.Add(1) > p.limit {
		p.inside.Add(-1)
		return &fault.Error{Kind: fault.Unavailable, Msg: "too many signatures wait", RetryAfter: time.Second}
	}
	select {
	case p.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		p.inside.Add(-1)
		return ctx.Err()
	}
}

func (p *pool) leave() {
	<-p.slots
	p.inside.Add(-1)
}
