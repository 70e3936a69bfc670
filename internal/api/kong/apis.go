package kong

import (
	"context"
	"slices"
	"strings"

	"github.com/google/uuid"
)

// apis are what Kong 0.14 has besides services and routes: both in one. Here an API is a
// service with one route, both of the API's name; its id is that of the service.
var apis = &kind{name: "apis", one: "api", key: "name", schema: &apiSchema}

var apiSchema = schema{
	fields: []field{
		{name: "id", value: id},
		{name: "created_at", value: integer},
		{name: "name", value: str, required: true},
		{name: "uris", value: textList},
		{name: "hosts", value: textList},
		{name: "methods", value: textList},
		{name: "upstream_url", value: str, required: true},
		{name: "strip_uri", value: boolean, def: true},
		{name: "preserve_host", value: boolean, def: false},
		{name: "retries", value: between(0, 32767), def: int64(5)},
		{name: "upstream_connect_timeout", value: between(1, maxMillis), def: int64(60000)},
		{name: "upstream_send_timeout", value: between(1, maxMillis), def: int64(60000)},
		{name: "upstream_read_timeout", value: between(1, maxMillis), def: int64(60000)},
		{name: "https_only", value: boolean, def: false, only: "set require_https in the configuration file"},
		{name: "http_if_terminated", value: boolean, def: false},
	},
}

// textList is a set of texts, which may stand in one text with commas.
func textList(v any) (any, string) {
	switch s := v.(type) {
	case string:
		v = commaList(s)
	case raw:
		v = commaList(string(s))
	}
	return set(str)(v)
}

// modernPaths marks the paths that a Kong before 3.0 takes for regular expressions, as
// Kong 3 wants them marked.
func modernPaths(paths any) any {
	list, ok := paths.([]any)
	if !ok {
		return paths
	}
	out := slices.Clone(list)
	for i, v := range out {
		p, _ := v.(string)
		literal := strings.Trim(p, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-_~/%") == ""
		if !literal && !strings.HasPrefix(p, "~") {
			out[i] = "~" + p
		}
	}
	return out
}

// oldPaths is modernPaths the other way round.
func oldPaths(paths any) any {
	list, ok := paths.([]any)
	if !ok {
		return paths
	}
	out := slices.Clone(list)
	for i, v := range out {
		if p, isText := v.(string); isText {
			out[i] = strings.TrimPrefix(p, "~")
		}
	}
	return out
}

// apiObjects are the APIs of a catalog.
type apiObjects struct{ *Catalog }

// api is the service and the route that make one.
type api struct{ service, route *entity }

// find returns the API of an id or a name, and whether there is one.
func (c apiObjects) find(d *draft, name string) (api, bool) {
	s := d.find(services, under{}, name)
	if s == nil {
		return api{}, false
	}
	for _, a := range c.among(d.byID, s) {
		return a, true
	}
	return api{}, false
}

// among returns the APIs whose service is only, or all for nil.
func (apiObjects) among(all map[string]*entity, only *entity) []api {
	ways := map[string][]*entity{}
	for _, e := range all {
		if to := reference(e.doc, "service"); e.kind == routes && (only == nil || to == only.id()) {
			ways[to] = append(ways[to], e)
		}
	}
	var out []api
	for id, r := range ways {
		if s := all[id]; s != nil && len(r) == 1 && r[0].name() == s.name() {
			out = append(out, api{s, r[0]})
		}
	}
	return out
}

// document is the API as 0.14 writes it, but for its time.
func (a *api) document() Document {
	s, r := a.service.doc, a.route.doc
	return Document{
		"id": s["id"], "created_at": s["created_at"], "name": s["name"], "upstream_url": serviceURL(s),
		"uris": oldPaths(r["paths"]), "hosts": r["hosts"], "methods": r["methods"],
		"strip_uri": r["strip_path"], "preserve_host": r["preserve_host"], "retries": s["retries"],
		"upstream_connect_timeout": s["connect_timeout"], "upstream_send_timeout": s["write_timeout"],
		"upstream_read_timeout": s["read_timeout"], "https_only": false, "http_if_terminated": false,
	}
}

// put makes or changes the two.
func (c apiObjects) put(d *draft, doc Document, old api) (api, error) {
	doc, wrong := apiSchema.complete(doc)
	if wrong != nil {
		return api{}, violation(wrong)
	}
	s := Document{
		"id": doc["id"], "name": doc["name"], "retries": doc["retries"], "connect_timeout": doc["upstream_connect_timeout"],
		"write_timeout": doc["upstream_send_timeout"], "read_timeout": doc["upstream_read_timeout"],
	}
	if wrong := splitURL(text(doc, "upstream_url"), s); wrong != "" {
		return api{}, violation(fields{"upstream_url": wrong})
	}
	r := Document{
		"name": doc["name"], "paths": modernPaths(doc["uris"]), "hosts": doc["hosts"], "methods": doc["methods"],
		"strip_path": doc["strip_uri"], "preserve_host": doc["preserve_host"],
	}
	made, err := c.half(d, services, s, old.service)
	if err != nil {
		return api{}, err
	}
	r["service"] = refer(made.id())
	way, err := c.half(d, routes, r, old.route)
	return api{made, way}, err
}

func (c apiObjects) half(d *draft, k *kind, doc Document, old *entity) (*entity, error) {
	full, wrong := k.schema.complete(doc)
	if wrong != nil {
		return nil, violation(wrong)
	}
	var before Document
	if old != nil {
		before = old.doc
	}
	c.stamp(full, before)
	if err := d.put(k, full); err != nil {
		return nil, err
	}
	return d.byID[text(full, "id")], nil
}

func (c apiObjects) get(_ context.Context, _ under, name string) (Document, error) {
	a, ok := c.find(newDraft(c.state.Load(), c.c.FileName), name)
	if !ok {
		return nil, errNotFound
	}
	return a.document(), nil
}

func (c apiObjects) list(_ context.Context, _ under, p page) (listing, error) {
	now := c.state.Load()
	byService := map[string]api{}
	for _, a := range c.among(newDraft(now, "").byID, nil) {
		byService[a.service.id()] = a
	}
	l := listing{data: []Document{}, total: len(byService)}
	for _, e := range now.all {
		a, ok := byService[e.id()]
		switch {
		case !ok || e.id() <= p.offset:
		case len(l.data) < p.size:
			l.data = append(l.data, a.document())
		case l.next == "":
			l.next = text(l.data[len(l.data)-1], "id")
		}
	}
	return l, nil
}

func (c apiObjects) add(ctx context.Context, d Document) (Document, error) {
	var made api
	err := c.Edit(ctx, func(draft *draft) (err error) {
		d := clone(d)
		if d["id"] == nil {
			d["id"] = uuid.NewString()
		}
		made, err = c.put(draft, d, api{})
		return err
	})
	if err != nil {
		return nil, err
	}
	return made.document(), nil
}

func (c apiObjects) edit(ctx context.Context, _ under, name string, change func(Document) Document) (Document, error) {
	var made api
	err := c.Edit(ctx, func(draft *draft) (err error) {
		old, ok := c.find(draft, name)
		if !ok {
			return errNotFound
		}
		made, err = c.put(draft, change(old.document()), old)
		return err
	})
	if err != nil {
		return nil, err
	}
	return made.document(), nil
}

func (c apiObjects) remove(ctx context.Context, _ under, name string) error {
	return c.Edit(ctx, func(draft *draft) error {
		a, ok := c.find(draft, name)
		if !ok {
			return errNotFound
		}
		if err := draft.remove(a.route); err != nil {
			return err
		}
		return draft.remove(a.service)
	})
}
