package observe

import (
	"context"
	"log/slog"
	"time"

	sdk "go.opentelemetry.io/otel/sdk/trace"
)

const (
	maxWaiting   = 4096 // spans that wait for a delivery, of some 2 KB
	maxDelivered = 512  // spans of one delivery
	deliverEvery = 2 * time.Second
	deliverIn    = 5 * time.Second // one delivery, and at a stop all that are left
	firstAgain   = time.Second     // after which a delivery is tried again, then twice that, and so on
	lastAgain    = 8 * time.Second
	sayAgain     = 5 * time.Minute // between two lines in the log
)

// Run delivers what was recorded until ctx ends, and then what is left. It returns nil
// within 10 seconds of that.
func (t *Traces) Run(ctx context.Context) error {
	if t == nil {
		return nil
	}
	tick := time.NewTicker(deliverEvery)
	defer tick.Stop()
	d := delivery{Traces: t}
	for ctx.Err() == nil {
		select {
		case s := <-t.spans:
			if d.batch = append(d.batch, s); len(d.batch) < maxDelivered {
				continue
			}
		case <-tick.C:
		case <-ctx.Done():
			continue
		}
		if len(d.batch) > 0 {
			d.settle(d.deliver(ctx))
		}
	}
	d.last(context.WithoutCancel(ctx))
	return nil
}

// delivery is what Run has in its hands.
type delivery struct {
	*Traces
	batch []sdk.ReadOnlySpan
	said  time.Time // when the log was told of a failure
}

// deliver posts the batch, again while that may help and ctx has not ended.
func (d *delivery) deliver(ctx context.Context) error {
	for wait := firstAgain; ; wait *= 2 {
		err := d.try(context.WithoutCancel(ctx))
		if err == nil || final(err) || wait > lastAgain {
			return err
		}
		again := time.NewTimer(wait)
		select {
		case <-again.C:
		case <-ctx.Done():
			again.Stop()
			return err
		}
	}
}

func (d *delivery) try(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, deliverIn)
	defer cancel()
	err := d.post(ctx, d.batch)
	if now := time.Now(); err != nil && (d.said.IsZero() || now.Sub(d.said) >= sayAgain) {
		d.said = now
		d.c.Log.LogAttrs(ctx, slog.LevelWarn, "traces cannot be delivered, what is too much is dropped",
			slog.String("endpoint", d.c.Endpoint), slog.Any("err", err), slog.Int64("dropped", d.dropped.Load()))
	}
	return err
}

// settle counts what became of the batch, and begins another.
func (d *delivery) settle(err error) {
	if n := int64(len(d.batch)); err == nil {
		d.sent.Add(n)
	} else {
		d.dropped.Add(n)
	}
	clear(d.batch)
	d.batch = d.batch[:0]
}

// last tries once to deliver all that waits.
func (d *delivery) last(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, deliverIn)
	defer cancel()
	for {
		for len(d.batch) < maxDelivered && len(d.spans) > 0 {
			d.batch = append(d.batch, <-d.spans)
		}
		if len(d.batch) == 0 {
			return
		}
		d.settle(d.try(ctx))
	}
}
