package kong

import (
	"context"

	"github.com/carnetproject/carnet/internal/consumer"
	"github.com/carnetproject/carnet/internal/fault"
)

// memberships are the groups of consumers.
type memberships struct{ people }

// of returns the groups of a consumer.
func (c memberships) of(ctx context.Context, owner string) ([]Document, error) {
	if u := c.ofFile(owner); u != nil {
		id := consumerID(u.Username)
		var all []Document
		for _, g := range u.Groups {
			all = append(all, Document{
				"id": fileID(groups, u.Username+" "+g), "group": g, "consumer": refer(id), "tags": nil, "created_at": int64(0),
			})
		}
		return all, nil
	}
	i, err := c.Consumer(ctx, owner)
	if err != nil {
		return nil, err
	}
	return fromGroups(&i), nil
}

func fromGroups(i *consumer.Info) []Document {
	var all []Document
	for _, g := range i.Groups {
		all = append(all, fromGroup(i.ID, &g))
	}
	return all
}

func fromGroup(owner string, g *consumer.Group) Document {
	return Document{"id": g.ID, "group": g.Name, "consumer": refer(owner), "tags": listOf(g.Tags), "created_at": seconds(g.Created)}
}

func (c memberships) get(ctx context.Context, in under, name string) (Document, error) {
	if in.member == "" {
		return nil, errNotFound // a group's name says nothing without its consumer
	}
	all, err := c.of(ctx, in.id)
	if err != nil {
		return nil, err
	}
	for _, d := range all {
		if text(d, "id") == name || text(d, "group") == name {
			return d, nil
		}
	}
	return nil, errNotFound
}

// list pages over consumers: a page of all groups has those of size consumers.
func (c memberships) list(ctx context.Context, in under, p page) (listing, error) {
	l := listing{data: []Document{}}
	take := func(all []Document) {
		for _, d := range all {
			if p.tagged(d) {
				l.data = append(l.data, d)
			}
		}
	}
	if in.member != "" {
		all, err := c.of(ctx, in.id)
		take(all)
		l.total = len(l.data)
		return l, err
	}
	owners, err := c.people.list(ctx, under{}, page{size: p.size, offset: p.offset})
	if err != nil {
		return l, err
	}
	for _, owner := range owners.data {
		all, err := c.of(ctx, text(owner, "id"))
		if err != nil && problemOf(err) != errNotFound {
			return l, err
		}
		take(all)
	}
	l.next, l.total = owners.next, -1
	return l, nil
}

func (c memberships) add(ctx context.Context, d Document) (Document, error) {
	d, wrong := groupSchema.complete(d)
	if wrong != nil {
		return nil, violation(wrong)
	}
	to, _ := d["consumer"].(Document)
	owner, err := c.catalog.consumer(ctx, to)
	if err != nil {
		return nil, err
	}
	if err := c.mayChange(owner); err != nil {
		return nil, err
	}
	g, err := c.AddGroup(ctx, owner, consumer.Group{ID: text(d, "id"), Name: text(d, "group"), Tags: texts(d, "tags")})
	if err != nil {
		if fault.KindOf(err) == fault.Conflict {
			return nil, unique(Document{"consumer": refer(owner), "group": d["group"]})
		}
		return nil, err
	}
	return fromGroup(owner, &g), nil
}

func (c memberships) edit(context.Context, under, string, func(Document) Document) (Document, error) {
	return nil, errMethod // delete it and add another
}

func (c memberships) remove(ctx context.Context, in under, name string) error {
	if in.member == "" {
		return errNotFound
	}
	if err := c.mayChange(in.id); err != nil {
		return err
	}
	return c.DeleteGroup(ctx, in.id, name)
}
