package kong

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/carnetproject/carnet/internal/consumer"
	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/gateway"
)

// registry is the consumers and credentials of the store.
type registry interface {
	usernames
	Consumers(ctx context.Context, p consumer.Page) ([]consumer.Info, string, error)
	AddConsumer(ctx context.Context, i consumer.Info) (consumer.Info, error)
	EditConsumer(ctx context.Context, name string, edit func(*consumer.Info) error) (consumer.Info, error)
	DeleteConsumer(ctx context.Context, name string) error

	AddGroup(ctx context.Context, name string, g consumer.Group) (consumer.Group, error)
	DeleteGroup(ctx context.Context, name, group string) error

	Credentials(ctx context.Context, consumer string, p consumer.Page) ([]consumer.Record, string, error)
	Credential(ctx context.Context, name string) (consumer.Record, error)
	AddCredential(ctx context.Context, r consumer.Record) (consumer.Record, error)
	EditCredential(ctx context.Context, name string, edit func(*consumer.Record) error) (consumer.Record, error)
	DeleteCredential(ctx context.Context, name string) error
}

// people are the consumers: those of the configuration file and those of the registry.
type people struct {
	registry
	catalog *Catalog
}

// ofFile returns the consumer of the file that has an id or a username, nil if none.
func (c people) ofFile(name string) *gateway.Consumer {
	file := c.catalog.state.Load().file.Consumers
	i := slices.IndexFunc(file, func(u gateway.Consumer) bool { return u.Username == name || consumerID(u.Username) == name })
	if i < 0 {
		return nil
	}
	return &file[i]
}

// mayChange refuses to change what the file has.
func (c people) mayChange(name string) error {
	if u := c.ofFile(name); u != nil {
		return fixed(consumers.one, u.Username, c.catalog.c.FileName)
	}
	return nil
}

func fromFileConsumer(u *gateway.Consumer) Document {
	return Document{
		"id": consumerID(u.Username), "username": u.Username, "custom_id": textOrNil(u.CustomID),
		"created_at": int64(0), "updated_at": int64(0), "tags": nil,
	}
}

func fromInfo(i *consumer.Info) Document {
	return Document{
		"id": i.ID, "username": textOrNil(i.Username), "custom_id": textOrNil(i.CustomID),
		"created_at": i.Created.Unix(), "updated_at": i.Created.Unix(), "tags": listOf(i.Tags),
	}
}

func (c people) get(ctx context.Context, _ under, name string) (Document, error) {
	if u := c.ofFile(name); u != nil {
		return fromFileConsumer(u), nil
	}
	i, err := c.Consumer(ctx, name)
	if err != nil {
		return nil, err
	}
	return fromInfo(&i), nil
}

func (c people) list(ctx context.Context, _ under, p page) (listing, error) {
	file := c.catalog.state.Load().file.Consumers
	return twoLists(p, len(file), func(n int) Document { return fromFileConsumer(&file[n]) }, func(p consumer.Page) ([]Document, string, error) {
		all, next, err := c.Consumers(ctx, p)
		out := make([]Document, len(all))
		for n := range all {
			out[n] = fromInfo(&all[n])
		}
		return out, next, err
	})
}

// twoLists is a page of what the file has, followed by what the registry has. Offsets
// are "f" and a position in the first, or "r" and the registry's own.
func twoLists(p page, inFile int, ofFile func(int) Document, rest func(consumer.Page) ([]Document, string, error)) (listing, error) {
	l := listing{data: []Document{}, total: -1}
	from, more := 0, ""
	switch where, at, _ := strings.Cut(p.offset, ":"); {
	case where == "r":
		from, more = inFile, at
	case where == "f":
		n, err := strconv.Atoi(at)
		if err != nil || n < 0 {
			return l, invalidOffset(p.offset)
		}
		from = min(n, inFile)
	case p.offset != "":
		return l, invalidOffset(p.offset)
	}
	for ; from < inFile && len(l.data) < p.size; from++ {
		if d := ofFile(from); p.tagged(d) {
			l.data = append(l.data, d)
		}
	}
	if len(l.data) == p.size {
		l.next = fmt.Sprintf("f:%d", from)
		return l, nil
	}
	found, next, err := rest(consumer.Page{Size: min(p.size-len(l.data), consumer.MaxPage), Offset: more})
	if err != nil {
		return l, err
	}
	for _, d := range found {
		if p.tagged(d) {
			l.data = append(l.data, d)
		}
	}
	if next != "" {
		l.next = "r:" + next
	} else if p.offset == "" {
		l.total = len(l.data)
	}
	return l, nil
}

func (c people) add(ctx context.Context, d Document) (Document, error) {
	d, wrong := consumerSchema.complete(d)
	if wrong != nil {
		return nil, violation(wrong)
	}
	if err := c.mayChange(text(d, "username")); err != nil {
		return nil, err
	}
	i := consumer.Info{ID: text(d, "id")}
	toInfo(d, &i)
	i, err := c.AddConsumer(ctx, i)
	if err != nil {
		return nil, clash(err, d)
	}
	return fromInfo(&i), nil
}

func toInfo(d Document, i *consumer.Info) {
	i.Username, i.CustomID, i.Tags = text(d, "username"), text(d, "custom_id"), texts(d, "tags")
}

func (c people) edit(ctx context.Context, _ under, name string, change func(Document) Document) (Document, error) {
	if err := c.mayChange(name); err != nil {
		return nil, err
	}
	var wanted Document
	i, err := c.EditConsumer(ctx, name, func(i *consumer.Info) error {
		d, wrong := consumerSchema.complete(change(fromInfo(i)))
		if wrong != nil {
			return violation(wrong)
		}
		wanted = d
		toInfo(d, i)
		return c.mayChange(i.Username)
	})
	if err != nil {
		return nil, clash(err, wanted)
	}
	return fromInfo(&i), c.catalog.Follow(ctx)
}

// remove takes the plugins that are attached to the consumer with it.
func (c people) remove(ctx context.Context, _ under, name string) error {
	if err := c.mayChange(name); err != nil {
		return err
	}
	i, err := c.Consumer(ctx, name)
	if err != nil {
		return err
	}
	err = c.catalog.Edit(ctx, func(d *draft) error {
		d.removeWith("consumer", i.ID)
		return nil
	})
	if err != nil {
		return err
	}
	return c.DeleteConsumer(ctx, i.ID)
}

// clash names in Kong's way the member of d that is taken.
func clash(err error, d Document) error {
	public := fault.Public(err)
	if public.Kind == fault.Conflict && public.Field != "" && d[public.Field] != nil {
		return unique(Document{public.Field: d[public.Field]})
	}
	return err
}

func invalidOffset(offset string) error {
	return &problem{400, codeInvalidOffset, "invalid offset", fmt.Sprintf("'%s' is not a valid offset: bad token", offset), nil}
}

// seconds is a time as Kong 3 writes it.
func seconds(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Unix()
}
