// Package crew has the goroutines of a service do one piece of work after the other.
package crew

import (
	"context"
	"sync"
)

// maxIdle is how many goroutines without work stay.
const maxIdle = 256

// Crew starts work on goroutines that have done some before. The stack of a new one is
// small, and to grow it costs more than most work does. The zero Crew does none until
// [Crew.Enlist]. Safe for concurrent use.
type Crew struct {
	wg   sync.WaitGroup
	mu   sync.Mutex
	ctx  context.Context //nolint:containedctx // of who enlists: the work outlives the call that gave cause to it
	idle []chan Work     // of those without work, the last to have had some at the end
}

// Work ends soon after its context.
type Work func(context.Context)

// Enlist lets work start until ctx ends.
func (c *Crew) Enlist(ctx context.Context) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ctx = ctx
}

// Start has work done, with the context of [Crew.Enlist], and returns at once. It is
// false, and nothing is done, where that has not been called yet or the context has ended.
func (c *Crew) Start(w Work) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	ctx := c.ctx
	if ctx == nil || ctx.Err() != nil {
		return false
	}
	if last := len(c.idle) - 1; last >= 0 {
		c.idle[last] <- w
		c.idle = c.idle[:last]
		return true
	}
	c.wg.Go(func() { c.serve(ctx, w) })
	return true
}

// serve does work, and then what it is given, until there are enough others to do that.
func (c *Crew) serve(ctx context.Context, w Work) {
	next := make(chan Work, 1)
	for w != nil {
		w(ctx)
		if !c.rest(next) {
			return
		}
		w = <-next
	}
}

// rest puts a goroutine among the idle ones, unless it is to end.
func (c *Crew) rest(next chan Work) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ctx == nil || len(c.idle) == maxIdle {
		return false
	}
	c.idle = append(c.idle, next)
	return true
}

// Dismiss has no more work start, and returns when all has ended. It does not end the
// context of [Crew.Enlist].
func (c *Crew) Dismiss() {
	c.mu.Lock()
	c.ctx = nil
	for _, next := range c.idle {
		close(next)
	}
	c.idle = nil
	c.mu.Unlock()
	c.wg.Wait()
}
