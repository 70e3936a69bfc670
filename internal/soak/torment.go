package soak

import (
	"context"
	"fmt"
	"time"
)

// torment does one thing after the other to nodes and connections until the time of
// faults is over. What it does follows from the seed; what comes of that does not.
func (r *Run) torment(ctx context.Context) error {
	start := time.Now()
	kill, still, out := r.about(r.c.Kills), r.between(1, 3), r.between(0.5, 1.5)
	turns := r.rand.Perm(len(r.c.Outages))
	for {
		if err := pause(ctx, r.between(0.1, 0.4)); err != nil {
			return err
		}
		at := time.Since(start)
		var err error
		switch {
		case at > r.c.Faults:
			return nil
		case at > kill && at < r.c.Faults-r.c.Calm:
			err = r.kill()
			kill = at + r.about(r.c.Kills)
		case at > out && len(turns) > 0:
			err = r.out(ctx, r.c.Outages[turns[0]])
			turns = append(turns[1:], turns[0])
			out = time.Since(start) + r.between(0.5, 1.5)
		case at > still:
			err = r.still(ctx)
			still = at + r.between(4, 12)
		default:
			r.disturb()
		}
		if err != nil {
			return err
		}
	}
}

// between is a time between two numbers of seconds.
func (r *Run) between(least, most float64) time.Duration {
	return time.Duration((least + r.rand.Float64()*(most-least)) * float64(time.Second))
}

// about is a time from half to one and a half of d.
func (r *Run) about(d time.Duration) time.Duration { return r.between(d.Seconds()/2, d.Seconds()*1.5) }

// kill ends a node without warning, and starts it again.
func (r *Run) kill() error {
	n := r.c.Nodes[r.rand.IntN(len(r.c.Nodes))]
	if err := n.Kill(); err != nil {
		return err
	}
	r.counts.kills.Add(1)
	return n.Start()
}

// still stops a node for some seconds.
func (r *Run) still(ctx context.Context) error {
	n := r.c.Nodes[r.rand.IntN(len(r.c.Nodes))]
	if err := n.Pause(); err != nil {
		return err
	}
	r.counts.pauses.Add(1)
	r.while(ctx)
	return n.Resume()
}

// out has what nodes share be away for some seconds.
func (r *Run) out(ctx context.Context, o Outage) error {
	r.c.Log("outage: %s", o.Name)
	if err := o.Begin(); err != nil {
		return fmt.Errorf("%s: %w", o.Name, err)
	}
	r.counts.outages.Add(1)
	r.while(ctx)
	if err := o.End(); err != nil {
		return fmt.Errorf("end of %s: %w", o.Name, err)
	}
	return nil
}

// while goes on to disturb connections for some seconds.
func (r *Run) while(ctx context.Context) {
	for until := time.Now().Add(r.between(0.5, 3)); time.Now().Before(until); {
		r.disturb()
		if pause(ctx, 300*time.Millisecond) != nil {
			return
		}
	}
}

// disturb breaks a few connections.
func (r *Run) disturb() {
	p, few := r.front, 1+r.rand.IntN(4)
	if r.rand.IntN(4) == 0 {
		p, few = r.back, 1+r.rand.IntN(2)
	}
	switch n := r.rand.IntN(20); {
	case n < 8:
		r.counts.cuts.Add(int64(p.hit(closing, few, 0, r.rand)))
	case n < 12:
		r.counts.cuts.Add(int64(p.hit(reset, few, 0, r.rand)))
	case n < 16:
		r.counts.freezes.Add(int64(p.hit(freezing, few, r.between(1, 6), r.rand)))
	case n < 19:
		r.counts.slows.Add(int64(p.hit(slowing, few, r.between(1, 5), r.rand)))
	default: // a balancer that goes away takes many with it
		r.counts.cuts.Add(int64(p.hit(reset, len(r.clients)/4, 0, r.rand)))
	}
}
