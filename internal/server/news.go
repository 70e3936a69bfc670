package server

import (
	"context"
	"time"
)

// newsSubject has an event whenever a node has written what all must notice. It says no
// more than that: nodes read the store then, and would a little later without it.
const newsSubject = "news"

const (
	// newsEvery bounds how often a node tells others to look, and how often it looks
	// because others tell it to.
	newsEvery = 100 * time.Millisecond
	// lastNews is how long a process that ends tries to tell of its last write.
	lastNews = time.Second
)

// news is that there is something to tell, however much it is.
type news chan struct{}

func newNews() news { return make(news, 1) }

// note never blocks.
func (n news) note() {
	select {
	case n <- struct{}{}:
	default: // it is known already
	}
}

// spread publishes until ctx ends, and then once more if something is left to tell. What
// cannot be published is given up: others find out by themselves.
func (n news) spread(ctx context.Context, publish func() error) error {
	for {
		select {
		case <-ctx.Done():
			return n.last(context.WithoutCancel(ctx), publish)
		case <-n:
		}
		if publish() != nil {
			n.note() // the bus may be about to come
		}
		pause(ctx, newsEvery)
	}
}

// last tells what is left. A command of a second has hardly reached the bus when it is
// done.
func (n news) last(ctx context.Context, publish func() error) error {
	if len(n) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, lastNews)
	defer cancel()
	for ctx.Err() == nil && publish() != nil {
		pause(ctx, 10*time.Millisecond)
	}
	return nil
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
