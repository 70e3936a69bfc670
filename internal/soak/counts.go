package soak

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"
)

// counts are what a run has done so far.
type counts struct {
	talks, connects, sends, acks, nacks, expiries, refreshes, calls atomic.Int64
	cuts, freezes, slows, kills, pauses, outages                    atomic.Int64
}

// String is a line of progress.
func (c *counts) String() string {
	return fmt.Sprintf("%d clients in a conversation, %d connects, %d sends, %d acks, %d nacks, %d calls of the bot; "+
		"%d cuts, %d freezes, %d slow, %d kills, %d pauses, %d outages, %d tokens expired, %d refreshed",
		c.talks.Load(), c.connects.Load(), c.sends.Load(), c.acks.Load(), c.nacks.Load(), c.calls.Load(),
		c.cuts.Load(), c.freezes.Load(), c.slows.Load(), c.kills.Load(), c.pauses.Load(), c.outages.Load(), c.expiries.Load(), c.refreshes.Load())
}

// report tells of the progress until ctx ends.
func (r *Run) report(ctx context.Context) {
	start := time.Now()
	for pause(ctx, 10*time.Second) == nil {
		r.c.Log("%s: %s", time.Since(start).Round(time.Second), &r.counts)
	}
}
