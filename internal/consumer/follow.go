package consumer

import (
	"context"
	"fmt"
	"time"
)

// Change is one entry of the store's log, which all nodes follow.
type Change struct {
	Seq   int64
	Kind  Kind
	Key   string // Record.Key or Info.ID; "": many of that kind were added at once
	Added bool   // and nothing was changed or removed
}

// Kind is what a [Change] is about.
type Kind string

// The kinds. Entities are services, routes and plugins.
const (
	OfConsumer   Kind = "consumer"
	OfCredential Kind = "credential"
	OfEntity     Kind = "entity"
)

// changes is the part of the store that logs them.
type changes interface {
	// Changes returns at most that many entries after a seq, oldest first. The first
	// one's seq is larger than after+1 only if older ones were deleted meanwhile.
	Changes(ctx context.Context, after int64, most int) ([]Change, error)
	// NewestChange is the seq of the newest entry, 0 if there never was one.
	NewestChange(ctx context.Context) (int64, error)
	// PruneChanges deletes entries made before a time, but never the newest.
	PruneChanges(ctx context.Context, before time.Time) error
}

// maxChanges are read at a time.
const maxChanges = 1000

// Follow puts in force what others have written since the last call, and what the
// clock has: the ends of decommissioned consumers. Call it once before the registry is
// used, and then at least once every poll interval, whether or not the store answers:
// after an error what is known stays in force.
func (r *Registry) Follow(ctx context.Context) error {
	r.following.Lock()
	defer r.following.Unlock()
	r.passEnds()
	if r.last < 0 {
		return r.restart(ctx)
	}
	for {
		all, err := r.store.Changes(ctx, r.last, maxChanges)
		if err != nil {
			return fmt.Errorf("follow consumers: %w", err)
		}
		if len(all) > 0 && all[0].Seq != r.last+1 {
			return r.restart(ctx)
		}
		if err := r.apply(ctx, all); err != nil {
			return err
		}
		if len(all) < maxChanges {
			return nil
		}
	}
}

// restart forgets everything and follows from now on.
func (r *Registry) restart(ctx context.Context) error {
	newest, err := r.store.NewestChange(ctx)
	if err != nil {
		return fmt.Errorf("follow consumers: %w", err)
	}
	r.forgetAll()
	if err := r.readEnds(ctx); err != nil {
		return err
	}
	r.last = newest
	return nil
}

// apply puts a part of the log in force.
func (r *Registry) apply(ctx context.Context, all []Change) error {
	var keys, consumers []string
	changed, many := false, false
	for _, c := range all {
		switch {
		case c.Kind == OfConsumer && !c.Added:
			consumers = append(consumers, c.Key)
		case c.Kind == OfCredential && c.Key == "":
			many = true
		case c.Kind == OfCredential:
			keys = append(keys, c.Key)
			changed = changed || !c.Added
		}
	}
	if many {
		r.forgetAbsent()
	}
	r.forget(keys...)
	if changed {
		r.generation.Add(1)
	}
	if len(consumers) > 0 {
		r.refresh(ctx, consumers...)
		if err := r.readEnds(ctx); err != nil {
			return err
		}
	}
	if len(all) > 0 {
		r.last = all[len(all)-1].Seq
	}
	return nil
}

// refresh reads consumers again that were added, changed or removed. One that cannot be
// read is out of force until it can.
func (r *Registry) refresh(ctx context.Context, ids ...string) {
	r.refreshing.Lock() // an older answer of the store must not replace a newer one
	defer r.refreshing.Unlock()
	for _, id := range ids {
		if !r.book.changed(id) {
			continue
		}
		var s *state
		if info, err := r.store.Consumer(ctx, id); err == nil {
			s = newState(&info)
		}
		r.book.replace(id, s)
	}
	r.names.clear()
	r.generation.Add(1)
}

// readEnds reads when consumers end.
func (r *Registry) readEnds(ctx context.Context) error {
	ends, err := r.store.Ends(ctx)
	if err != nil {
		return fmt.Errorf("read ends of consumers: %w", err)
	}
	r.ends = ends
	r.passEnds()
	return nil
}

// passEnds moves the generation when a consumer has ended: tokens that were verified
// before are to be looked at again.
func (r *Registry) passEnds() {
	passed := 0
	for passed < len(r.ends) && !r.clock().Before(r.ends[passed]) {
		passed++
	}
	if passed > 0 {
		r.ends = r.ends[passed:]
		r.generation.Add(1)
	}
}
