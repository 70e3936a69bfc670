package securesession

import (
	"context"
	"sync"
)

// crew has the goroutines of a gate: none before Run begins and none after it ends.
type crew struct {
	wg  sync.WaitGroup
	mu  sync.Mutex
	ctx context.Context //nolint:containedctx // of Run: a question outlives the message that gave cause to it
}

// enlist lets work start until ctx ends.
func (c *crew) enlist(ctx context.Context) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ctx = ctx
}

// start is false, and work is not done, when Run does not run.
func (c *crew) start(work func(context.Context)) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	ctx := c.ctx
	if ctx == nil || ctx.Err() != nil {
		return false
	}
	c.wg.Go(func() { work(ctx) })
	return true
}

// dismiss waits for all work to end. The context that it runs under has ended.
func (c *crew) dismiss() {
	c.mu.Lock()
	c.ctx = nil
	c.mu.Unlock()
	c.wg.Wait()
}
