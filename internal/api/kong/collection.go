package kong

import (
	"context"
	"encoding/base64"
	"slices"
	"strings"

	"github.com/google/uuid"
)

// under is the parent whose entities are asked for: a service's routes, a consumer's
// credentials. The zero value is all.
type under struct {
	member string // "service", "route", "consumer"
	id     string
}

// has tells whether an entity is under the parent.
func (u under) has(e *entity) bool { return u.member == "" || reference(e.doc, u.member) == u.id }

// page is a part of a list.
type page struct {
	size   int
	offset string
	tags   []string
	any    bool // one of the tags is enough
}

// listing is a page of a list. next is the offset of the one that follows, "" after
// the last. total is how many there are on all pages, -1 if nobody knows.
type listing struct {
	data  []Document
	next  string
	total int
}

// collection is the entities of a kind as the API reads and changes them. Whoever is
// named in it is so by id, or by the kind's key. errNotFound says that there is none.
type collection interface {
	get(ctx context.Context, in under, name string) (Document, error)
	list(ctx context.Context, in under, p page) (listing, error)
	// add completes d and adds it.
	add(ctx context.Context, d Document) (Document, error)
	// edit completes what change makes of the entity.
	edit(ctx context.Context, in under, name string, change func(Document) Document) (Document, error)
	remove(ctx context.Context, in under, name string) error
}

// entities are those of a kind in a catalog.
type entities struct {
	*Catalog
	kind *kind
}

func (c entities) get(_ context.Context, in under, name string) (Document, error) {
	e := newDraft(c.state.Load(), c.c.FileName).find(c.kind, in, name)
	if e == nil {
		return nil, errNotFound
	}
	return e.doc, nil
}

func (c entities) list(_ context.Context, in under, p page) (listing, error) {
	l := listing{data: []Document{}}
	for _, e := range c.state.Load().all {
		if e.kind != c.kind || !in.has(e) || !p.tagged(e.doc) {
			continue
		}
		l.total++
		switch {
		case e.id() <= p.offset:
		case len(l.data) < p.size:
			l.data = append(l.data, e.doc)
		case l.next == "":
			l.next = text(l.data[len(l.data)-1], "id")
		}
	}
	return l, nil
}

// tagged tells whether an entity has the tags that are asked for.
func (p *page) tagged(d Document) bool {
	if len(p.tags) == 0 {
		return true
	}
	has := texts(d, "tags")
	n := 0
	for _, tag := range p.tags {
		if slices.Contains(has, tag) {
			n++
		}
	}
	return n == len(p.tags) || p.any && n > 0
}

func (c entities) add(ctx context.Context, d Document) (Document, error) {
	doc, err := c.complete(ctx, d, nil)
	if err != nil {
		return nil, err
	}
	err = c.Edit(ctx, func(draft *draft) error {
		if draft.byID[text(doc, "id")] != nil {
			return unique(Document{"id": doc["id"]})
		}
		return draft.put(c.kind, doc)
	})
	return doc, err
}

func (c entities) edit(ctx context.Context, in under, name string, change func(Document) Document) (Document, error) {
	var doc Document
	err := c.Edit(ctx, func(draft *draft) (err error) {
		e := draft.find(c.kind, in, name)
		if e == nil {
			return errNotFound
		}
		if err := draft.mayChange(e); err != nil {
			return err
		}
		if doc, err = c.complete(ctx, change(e.doc), e.doc); err != nil {
			return err
		}
		return draft.put(c.kind, doc)
	})
	return doc, err
}

func (c entities) remove(ctx context.Context, in under, name string) error {
	return c.Edit(ctx, func(draft *draft) error {
		e := draft.find(c.kind, in, name)
		if e == nil {
			return errNotFound
		}
		return draft.remove(e)
	})
}

// complete checks a document and stamps it, over an older one if there is.
func (c entities) complete(ctx context.Context, d, old Document) (Document, error) {
	doc, wrong := checkOf(c.kind)(d)
	if wrong != nil {
		return nil, violation(wrong)
	}
	if to, _ := doc["consumer"].(Document); to != nil {
		id, err := c.consumer(ctx, to)
		if err != nil {
			return nil, err
		}
		doc["consumer"] = refer(id)
	}
	c.stamp(doc, old)
	return doc, nil
}

// consumer is the id of the consumer that a foreign member names.
func (c *Catalog) consumer(ctx context.Context, to Document) (string, error) {
	name := text(to, names(to)[0])
	for id, username := range c.state.Load().users {
		if id == name || username == name {
			return id, nil
		}
	}
	info, err := c.c.Consumers.Consumer(ctx, name)
	if problemOf(err) == errNotFound {
		return "", dangling("consumer", consumers.name, to)
	}
	return info.ID, err
}

// stamp sets what an entity's author does not.
func (c *Catalog) stamp(doc, old Document) {
	now := c.c.Clock().Unix()
	doc["created_at"], doc["updated_at"] = now, now
	if old != nil {
		doc["id"], doc["created_at"] = old["id"], old["created_at"]
	}
	if doc["id"] == nil {
		doc["id"] = uuid.NewString()
	}
}

// checkOf is how the documents of a kind are checked and completed. A service may state
// a url in place of its parts.
func checkOf(k *kind) func(Document) (Document, fields) {
	switch k {
	case plugins:
		return completePlugin
	case services:
		return completeService
	default:
		return k.schema.complete
	}
}

func completeService(d Document) (Document, fields) {
	if url, given := d["url"]; given {
		d = clone(d)
		delete(d, "url")
		s, wrong := str(url)
		if wrong == "" {
			text, _ := s.(string)
			wrong = splitURL(text, d)
		}
		if wrong != "" {
			return nil, fields{"url": wrong}
		}
	}
	return serviceSchema.complete(d)
}

// token is an offset as clients see it: they are not to read anything in it.
func token(offset string) string { return base64.RawURLEncoding.EncodeToString([]byte(offset)) }

func untoken(s string) (string, bool) {
	b, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(s, "="))
	return string(b), err == nil
}
