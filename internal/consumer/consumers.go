package consumer

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/carnetproject/carnet/internal/fault"
)

// consumers is the part of the store that has them.
type consumers interface {
	// Consumer returns one by its id or else by its username. fault.NotFound if there is none.
	Consumer(ctx context.Context, name string) (Info, error)
	// Consumers lists them in the order of their making, and gives the offset of the
	// next page, "" after the last.
	Consumers(ctx context.Context, p Page) ([]Info, string, error)
	// AddConsumer adds one with its groups. fault.Conflict names the member that is taken.
	AddConsumer(ctx context.Context, i Info) error
	// EditConsumer changes all but the id of the consumer of an id, as no other write can
	// change it before this one commits.
	EditConsumer(ctx context.Context, id string, edit func(*Info) error) error
	// RemoveConsumer removes the consumer of an id at once, and its credentials in effect:
	// their rows go later.
	RemoveConsumer(ctx context.Context, id string) error
	// Ends lists when consumers end, in order of time.
	Ends(ctx context.Context) ([]time.Time, error)
}

// Consumers lists the consumers in the order of their making. next is the offset of
// the page that follows, "" after the last.
func (r *Registry) Consumers(ctx context.Context, p Page) (all []Info, next string, err error) {
	if p, err = p.valid(); err != nil {
		return nil, "", err
	}
	all, next, err = r.store.Consumers(ctx, p)
	return all, next, wrap("list consumers", err)
}

// Consumer returns the consumer of that id or else username, fault.NotFound if there
// is none.
func (r *Registry) Consumer(ctx context.Context, name string) (Info, error) {
	i, err := r.store.Consumer(ctx, name)
	return i, wrap("find consumer", err)
}

// AddConsumer adds a consumer, with its groups if it has any, and returns it with what
// was left out: an id, the time.
func (r *Registry) AddConsumer(ctx context.Context, i Info) (Info, error) {
	i.ID = orNewID(i.ID)
	i.Created = r.orNow(i.Created)
	i.Groups = slices.Clone(i.Groups)
	for n := range i.Groups {
		i.Groups[n] = r.newGroup(i.Groups[n])
	}
	if err := i.validate(r.reserved.Load()); err != nil {
		return Info{}, err
	}
	return i, wrap("add consumer", r.store.AddConsumer(ctx, i))
}

// EditConsumer changes the username, the custom id and the tags of a consumer.
func (r *Registry) EditConsumer(ctx context.Context, name string, edit func(*Info) error) (Info, error) {
	return r.editConsumer(ctx, name, func(i *Info) error {
		before := *i
		if err := edit(i); err != nil {
			return err
		}
		i.ID, i.Groups, i.Created, i.Ends = before.ID, before.Groups, before.Created, before.Ends
		return i.validate(r.reserved.Load())
	})
}

func (r *Registry) editConsumer(ctx context.Context, name string, edit func(*Info) error) (after Info, err error) {
	i, err := r.Consumer(ctx, name)
	if err != nil {
		return Info{}, err
	}
	err = r.store.EditConsumer(ctx, i.ID, func(i *Info) error {
		err := edit(i)
		after = *i
		return err
	})
	if err != nil {
		return Info{}, wrap("change consumer", err)
	}
	r.refresh(ctx, i.ID)
	return after, nil
}

// DeleteConsumer removes a consumer with its groups and credentials.
func (r *Registry) DeleteConsumer(ctx context.Context, name string) error {
	i, err := r.Consumer(ctx, name)
	if err != nil {
		return err
	}
	if err := r.store.RemoveConsumer(ctx, i.ID); err != nil {
		return wrap("remove consumer", err)
	}
	r.refresh(ctx, i.ID)
	return nil
}

// AddGroup puts a consumer into a group, and returns the membership with what was left
// out. fault.Conflict if the consumer is in the group.
func (r *Registry) AddGroup(ctx context.Context, name string, g Group) (Group, error) {
	g = r.newGroup(g)
	if err := g.validate("group"); err != nil {
		return Group{}, err
	}
	_, err := r.editConsumer(ctx, name, func(i *Info) error {
		switch {
		case slices.ContainsFunc(i.Groups, func(have Group) bool { return have.Name == g.Name }):
			return taken("group", "the consumer is in this group")
		case slices.ContainsFunc(i.Groups, func(have Group) bool { return have.ID == g.ID }):
			return taken("id", "another membership has this id")
		case len(i.Groups) == maxGroups:
			return fault.BadField("group", fmt.Sprintf("the consumer is in %d groups, the most there may be", maxGroups))
		}
		i.Groups = append(i.Groups, g)
		return nil
	})
	return g, err
}

// DeleteGroup takes a consumer out of a group, which is named by the membership's id
// or by the group's name. fault.NotFound if it is in none of that name.
func (r *Registry) DeleteGroup(ctx context.Context, name, group string) error {
	_, err := r.editConsumer(ctx, name, func(i *Info) error {
		n := slices.IndexFunc(i.Groups, func(g Group) bool { return g.ID == group || g.Name == group })
		if n < 0 {
			return fault.New(fault.NotFound, "the consumer is not in this group")
		}
		i.Groups = slices.Delete(i.Groups, n, n+1)
		return nil
	})
	return err
}

func (r *Registry) newGroup(g Group) Group {
	g.ID = orNewID(g.ID)
	g.Created = r.orNow(g.Created)
	return g
}

func (r *Registry) orNow(t time.Time) time.Time {
	if t.IsZero() {
		t = r.clock()
	}
	return t.UTC().Truncate(time.Second)
}

func orNewID(id string) string {
	if id == "" {
		return uuid.NewString()
	}
	return id
}

func wrap(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", what, err)
}
