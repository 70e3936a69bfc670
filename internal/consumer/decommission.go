package consumer

import (
	"context"
	"errors"
	"time"
)

// endings is the part of the store that takes away what has ended, in short steps that
// do not keep other writes waiting.
type endings interface {
	// RemoveEnded removes, as RemoveConsumer does, the consumers that ended before a time,
	// and returns their ids.
	RemoveEnded(ctx context.Context, before time.Time) ([]string, error)
	// Purge deletes at most that many credentials of removed consumers, and those that
	// have none left; done is false if there may be more.
	Purge(ctx context.Context, most int) (done bool, err error)
}

const (
	// UndoFor is how long after its end a consumer can be brought back.
	UndoFor     = 24 * time.Hour
	keepChanges = 10 * time.Minute // a node that pauses for longer begins anew
	purgeBatch  = 1000             // credentials
)

// Decommission has all credentials of a consumer refused from a time on. Until
// [UndoFor] after that it can be undone: by the zero time. Then the consumer goes with
// all that it has.
func (r *Registry) Decommission(ctx context.Context, name string, at time.Time) (Info, error) {
	if !at.IsZero() {
		at = at.UTC().Truncate(time.Second)
	}
	i, err := r.editConsumer(ctx, name, func(i *Info) error { i.Ends = at; return nil })
	if err != nil {
		return Info{}, err
	}
	r.following.Lock()
	defer r.following.Unlock()
	if !at.IsZero() {
		r.ends = insert(r.ends, at)
		r.passEnds()
	}
	return i, nil
}

// insert puts at into times, which are in order.
func insert(times []time.Time, at time.Time) []time.Time {
	n := len(times)
	for n > 0 && times[n-1].After(at) {
		n--
	}
	return append(times[:n:n], append([]time.Time{at}, times[n:]...)...)
}

// Run gives the store the use of consumers once a minute, and takes away what has
// ended, until ctx ends. report gets what fails; it is tried again.
func (r *Registry) Run(ctx context.Context, report func(error)) error {
	tick := time.NewTicker(flushEvery)
	defer tick.Stop()
	for {
		if err := errors.Join(r.flush(ctx), r.tidy(ctx)); err != nil && ctx.Err() == nil {
			report(err)
		}
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lookupTimeout)
			defer cancel()
			if err := r.flush(last); err != nil {
				report(err)
			}
			return nil
		case <-tick.C:
		}
	}
}

// tidy takes away what nothing needs any longer.
func (r *Registry) tidy(ctx context.Context) error {
	now := r.clock()
	gone, err := r.store.RemoveEnded(ctx, now.Add(-UndoFor))
	if err != nil {
		return wrap("remove ended consumers", err)
	}
	if len(gone) > 0 {
		r.refresh(ctx, gone...)
	}
	for done := false; !done; {
		if done, err = r.store.Purge(ctx, purgeBatch); err != nil {
			return wrap("delete credentials of removed consumers", err)
		}
	}
	return errors.Join(
		wrap("prune changes", r.store.PruneChanges(ctx, now.Add(-keepChanges))),
		wrap("prune use of consumers", r.store.PruneUses(ctx, now.Add(-keepUses))),
	)
}
