package kong

import (
	"context"
	"fmt"
	"maps"
	"reflect"
	"slices"

	"github.com/google/uuid"

	"github.com/carnetproject/carnet/internal/consumer"
	"github.com/carnetproject/carnet/internal/fault"
)

// Importer brings what a node has to what a kong.yml asks for.
type Importer struct {
	Catalog  *Catalog
	Registry registry
	// Prune removes what the file does not have.
	Prune bool
}

// Step is one change of a plan.
type Step struct {
	Op      string   // "create", "change" or "delete"
	What    string   // such as "route read of service content"
	Changes []string // what of it: "paths: [/a] → [/b]"; never a secret
}

// Plan is how to get there. It holds for the moment at which it was made.
type Plan struct {
	Steps []Step

	people   []func(ctx context.Context) error // consumers, groups and credentials that are made or changed
	partings []func(ctx context.Context) error // those that go
	put      []change
	drop     []string
}

// change is an entity to put.
type change struct {
	kind *kind
	doc  Document
}

func (p *Plan) step(op, what string, changes ...string) {
	p.Steps = append(p.Steps, Step{op, what, changes})
}

// planner makes a plan.
type planner struct {
	Importer
	*Plan
	now   *state
	users map[string]string // id of a consumer by its title
	file  map[string]bool   // ids of consumers of the file
}

// Plan compares. It changes nothing. What the configuration file has must be as it is
// there.
func (i Importer) Plan(ctx context.Context, w *Wanted) (*Plan, error) {
	p := &planner{Importer: i, Plan: &Plan{}, now: i.Catalog.state.Load(), users: map[string]string{}, file: map[string]bool{}}
	seen := map[string]bool{}
	for _, w := range w.wishes {
		if label := w.label(); seen[label] && !w.first {
			return nil, fault.Newf(fault.Invalid, "%s stands twice in the file", label)
		}
		seen[w.label()] = true
	}
	for _, step := range []func(context.Context, []*wish) error{p.consumers, p.groups, p.credentials, p.entities, p.strangers} {
		if err := step(ctx, w.wishes); err != nil {
			return nil, err
		}
	}
	known := maps.Clone(p.now.users)
	if known == nil {
		known = map[string]string{}
	}
	for title, id := range p.users {
		known[id] = title
	}
	_, _, err := i.Catalog.try(ctx, p.now, known, p.edit)
	return p.Plan, err
}

// Apply does what the plan says: consumers and their credentials one by one, then
// services, routes and plugins all or nothing, then what is to go. After an error, the
// same file can be imported again.
func (i Importer) Apply(ctx context.Context, p *Plan) error {
	for _, do := range p.people {
		if err := do(ctx); err != nil {
			return err
		}
	}
	if err := i.Catalog.Edit(ctx, p.edit); err != nil {
		return err
	}
	for _, do := range p.partings {
		if err := do(ctx); err != nil {
			return err
		}
	}
	return nil
}

// edit makes the entities' part of the plan.
func (p *Plan) edit(d *draft) error {
	for _, id := range p.drop {
		d.drop(id)
	}
	for _, c := range p.put {
		if err := d.put(c.kind, clone(c.doc)); err != nil {
			return err
		}
	}
	return nil
}

// title is the title of an entity that the catalog has, and its label.
func (s *state) label(e *entity) string {
	refs := map[string]string{}
	for _, member := range e.kind.parents {
		id := reference(e.doc, member)
		switch owner := s.byID[id]; {
		case owner != nil:
			refs[member] = title(owner.kind, owner.doc)
		case member == "consumer":
			refs[member] = s.users[id]
		}
	}
	return label(e.kind, title(e.kind, e.doc), refs)
}

// entities plans services, routes, plugins, upstreams and targets.
func (p *planner) entities(_ context.Context, wishes []*wish) error {
	there := map[string]*entity{}
	ids := map[string]string{} // by kind and title
	for _, e := range p.now.all {
		there[p.now.label(e)] = e
		ids[e.kind.one+" "+title(e.kind, e.doc)] = e.id()
	}
	for name, id := range p.users {
		ids["consumer "+name] = id
	}
	wanted := map[string]bool{}
	for _, k := range kept {
		for _, w := range wishes {
			if w.kind != k {
				continue
			}
			e := there[w.label()]
			wanted[w.label()] = !w.absent
			if w.absent {
				if e != nil && !e.file {
					p.remove(e)
				}
				continue
			}
			if err := p.entity(w, e, ids); err != nil {
				return err
			}
		}
	}
	for _, e := range p.now.stored {
		if p.Prune && !wanted[p.now.label(e)] {
			p.remove(e)
		}
	}
	return nil
}

func (p *planner) remove(e *entity) {
	p.drop = append(p.drop, e.id())
	p.step("delete", p.now.label(e))
}

// entity plans one, which is e so far; nil if it is new.
func (p *planner) entity(w *wish, e *entity, ids map[string]string) error {
	doc := clone(w.doc)
	for _, member := range w.kind.parents {
		name := w.refs[member]
		if name == "" {
			continue
		}
		id := ids[member+" "+name]
		if id == "" {
			return fault.Newf(fault.Invalid, "%s: there is no %s %q", w.label(), member, name)
		}
		doc[member] = refer(id)
	}
	if e == nil {
		i := p.Catalog
		i.stamp(doc, nil)
		ids[w.kind.one+" "+w.title] = text(doc, "id")
		p.put = append(p.put, change{w.kind, doc})
		p.step("create", w.label())
		return nil
	}
	s := w.kind.schema
	if w.kind == plugins {
		s = configs[text(doc, "name")]
	}
	changes := differences(w.kind.schema, e.doc, doc)
	if w.kind == plugins {
		before, _ := e.doc["config"].(Document)
		after, _ := doc["config"].(Document)
		changes = append(differences(s, before, after), differences(&pluginOutside, e.doc, doc)...)
	}
	switch {
	case len(changes) == 0:
	case e.file:
		return p.inFile(w, changes)
	default:
		p.Catalog.stamp(doc, e.doc)
		p.put = append(p.put, change{w.kind, doc})
		p.step("change", w.label(), changes...)
	}
	return nil
}

// pluginOutside is a plugin without its config.
var pluginOutside = schema{fields: slices.DeleteFunc(slices.Clone(pluginSchema.fields), func(f field) bool { return f.name == "config" })}

func (p *planner) inFile(w *wish, changes []string) error {
	return fault.Newf(fault.Conflict, "%s stands in the configuration file %s and is another one there (%s): change it there, or take it out of what you import",
		w.label(), p.Catalog.c.FileName, changes[0])
}

// differences are the members that are not the same: what they were, and what they are
// to be.
func differences(s *schema, before, after Document) []string {
	var out []string
	for i := range s.fields {
		name := s.fields[i].name
		if name == "id" || name == "created_at" || name == "updated_at" {
			continue
		}
		a, b := orNull(before[name]), orNull(after[name])
		if !reflect.DeepEqual(a, b) {
			out = append(out, fmt.Sprintf("%s: %v → %v", name, shownValue(name, a), shownValue(name, b)))
		}
	}
	return out
}

func orNull(v any) any {
	if list, ok := v.([]any); ok && len(list) == 0 {
		return nil
	}
	return v
}

// shownValue is a value as a plan prints it.
func shownValue(name string, v any) any {
	switch {
	case v == nil:
		return "nothing"
	case name == "secret":
		return "[redacted]"
	case name == "rsa_public_key":
		return "a key"
	default:
		return v
	}
}

// infoOf finds a consumer of the registry, nil if there is none.
func (p *planner) infoOf(ctx context.Context, name string) (*consumer.Info, error) {
	i, err := p.Registry.Consumer(ctx, name)
	if fault.KindOf(err) == fault.NotFound {
		return nil, nil
	}
	return &i, err
}

// consumers plans consumers, but for their groups.
func (p *planner) consumers(ctx context.Context, wishes []*wish) error {
	who := people{p.Registry, p.Catalog}
	for _, w := range wishes {
		if w.kind != consumers {
			continue
		}
		if u := who.ofFile(w.title); u != nil {
			p.users[w.title] = consumerID(u.Username)
			p.file[consumerID(u.Username)] = true
			if w.absent {
				return p.inFile(w, []string{"it is to go"})
			}
			if changes := differences(&consumerSchema, fromFileConsumer(u), w.doc); len(changes) > 0 {
				return p.inFile(w, changes)
			}
			continue
		}
		i, err := p.infoOf(ctx, w.title)
		if err != nil {
			return err
		}
		switch {
		case w.absent && i != nil:
			p.leave(i, w.label())
		case w.absent:
		case i == nil:
			made := consumer.Info{ID: text(w.doc, "id")}
			if made.ID == "" {
				made.ID = uuid.NewString()
			}
			toInfo(w.doc, &made)
			p.users[w.title] = made.ID
			p.step("create", w.label())
			p.people = append(p.people, func(ctx context.Context) error { _, err := p.Registry.AddConsumer(ctx, made); return err })
		default:
			p.users[w.title] = i.ID
			if changes := differences(&consumerSchema, fromInfo(i), w.doc); len(changes) > 0 {
				p.step("change", w.label(), changes...)
				p.people = append(p.people, func(ctx context.Context) error {
					_, err := p.Registry.EditConsumer(ctx, i.ID, func(i *consumer.Info) error { toInfo(w.doc, i); return nil })
					return err
				})
			}
		}
	}
	return nil
}

// leave plans that a consumer goes, with the plugins that are attached to it.
func (p *planner) leave(i *consumer.Info, label string) {
	for _, e := range p.now.stored {
		if reference(e.doc, "consumer") == i.ID && !slices.Contains(p.drop, e.id()) {
			p.remove(e)
		}
	}
	p.step("delete", label)
	p.partings = append(p.partings, func(ctx context.Context) error { return p.Registry.DeleteConsumer(ctx, i.ID) })
}

// owner is the id of the consumer that a wish belongs to.
func (p *planner) owner(ctx context.Context, w *wish) (string, error) {
	name := w.refs["consumer"]
	if id := p.users[name]; id != "" {
		return id, nil
	}
	d, err := people{p.Registry, p.Catalog}.get(ctx, under{}, name)
	if problemOf(err) == errNotFound {
		return "", fault.Newf(fault.Invalid, "%s: there is no consumer %q", w.label(), name)
	}
	p.users[name] = text(d, "id")
	return text(d, "id"), err
}

// groups plans the memberships.
func (p *planner) groups(ctx context.Context, wishes []*wish) error {
	members := memberships{people{p.Registry, p.Catalog}}
	wanted := map[string][]string{} // by consumer id
	for _, w := range wishes {
		if w.kind != groups {
			continue
		}
		owner, err := p.owner(ctx, w)
		if err != nil {
			return err
		}
		wanted[owner] = append(wanted[owner], w.title)
		if _, err := members.get(ctx, under{"consumer", owner}, w.title); err == nil {
			continue
		} else if problemOf(err) != errNotFound {
			return err
		}
		if members.ofFile(owner) != nil {
			return p.inFile(w, []string{"it has no such group"})
		}
		g := consumer.Group{ID: text(w.doc, "id"), Name: w.title, Tags: texts(w.doc, "tags")}
		p.step("create", w.label())
		p.people = append(p.people, func(ctx context.Context) error { _, err := p.Registry.AddGroup(ctx, owner, g); return err })
	}
	for _, w := range wishes {
		id := p.users[w.title]
		if w.kind != consumers || w.absent || !w.whole && !p.Prune || p.file[id] {
			continue
		}
		i, err := p.infoOf(ctx, id)
		if i == nil {
			if err != nil {
				return err
			}
			continue
		}
		for _, g := range i.Groups {
			if !slices.Contains(wanted[id], g.Name) {
				p.step("delete", "acl "+g.Name+" of consumer "+w.title)
				p.partings = append(p.partings, func(ctx context.Context) error { return p.Registry.DeleteGroup(ctx, id, g.ID) })
			}
		}
	}
	return nil
}
