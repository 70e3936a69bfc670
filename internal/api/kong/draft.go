package kong

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/carnetproject/carnet/internal/gateway"
)

// draft is the entities while somebody changes them.
type draft struct {
	base     *state
	fileName string
	byID     map[string]*entity
	changed  []string // ids, in the order of their change
}

func newDraft(s *state, fileName string) *draft {
	d := &draft{base: s, fileName: fileName, byID: make(map[string]*entity, len(s.all)+1)}
	for _, e := range s.all {
		d.byID[e.id()] = e
	}
	return d
}

// find returns the entity of an id, or else of a name, in a parent if one is given; nil
// if there is none.
func (d *draft) find(k *kind, in under, name string) *entity {
	if e := d.byID[name]; e != nil && e.kind == k && in.has(e) {
		return e
	}
	if k.key == "" || name == "" {
		return nil
	}
	var found *entity
	for _, e := range d.byID {
		if e.kind == k && text(e.doc, k.key) == name && in.has(e) && (found == nil || e.file) {
			found = e
		}
	}
	return found
}

// put adds an entity, or replaces the one of its id. Its document is complete but for
// what its foreign members name, which may be a name instead of an id.
func (d *draft) put(k *kind, doc Document) error {
	if err := d.mayChange(d.byID[text(doc, "id")]); err != nil {
		return err
	}
	for _, member := range k.parents {
		if err := d.connect(doc, member); err != nil {
			return err
		}
	}
	if err := d.unique(k, doc); err != nil {
		return err
	}
	e := newEntity(k, doc)
	d.byID[e.id()] = e
	d.changed = append(d.changed, e.id())
	return nil
}

// connect turns what a foreign member names into an id. Consumers are not in the draft.
func (d *draft) connect(doc Document, member string) error {
	to, _ := doc[member].(Document)
	if to == nil || member == "consumer" {
		return nil
	}
	k := parentKind(member)
	e := d.find(k, under{}, cmp.Or(text(to, "id"), text(to, "name")))
	if e == nil {
		return dangling(member, k.name, to)
	}
	doc[member] = refer(e.id())
	return nil
}

// unique refuses a name, or a place for a plugin, that another entity has.
func (d *draft) unique(k *kind, doc Document) error {
	members := Document{}
	if k.key != "" && text(doc, k.key) != "" {
		members[k.key] = doc[k.key]
	}
	if k == plugins || k == targets {
		members[cmp.Or(k.key, "name")] = doc[cmp.Or(k.key, "name")]
		for _, member := range k.parents {
			members[member] = doc[member]
		}
	}
	if len(members) == 0 {
		return nil
	}
	for _, e := range d.byID {
		if e.kind != k || e.id() == text(doc, "id") || !e.has(members) {
			continue
		}
		if e.file {
			return fixed(k.one, e.name(), d.fileName)
		}
		return unique(members)
	}
	return nil
}

func (e *entity) has(members Document) bool {
	for name, v := range members {
		if _, isForeign := v.(Document); isForeign || v == nil {
			if reference(e.doc, name) != reference(members, name) {
				return false
			}
		} else if e.doc[name] != v {
			return false
		}
	}
	return true
}

// remove takes an entity out, with the plugins and targets that belong to it. A service
// with routes stays.
func (d *draft) remove(e *entity) error {
	if err := d.mayChange(e); err != nil {
		return err
	}
	for _, other := range d.byID {
		if e.kind == services && other.kind == routes && reference(other.doc, "service") == e.id() {
			return referenced(services.name, routes.name)
		}
	}
	d.removeWith(e.kind.one, e.id())
	d.drop(e.id())
	return nil
}

func (d *draft) drop(id string) {
	delete(d.byID, id)
	d.changed = append(d.changed, id)
}

// removeWith takes out what does not stay without something else.
func (d *draft) removeWith(member, id string) {
	for _, other := range d.byID {
		if (other.kind == plugins || other.kind == targets) && !other.file && reference(other.doc, member) == id {
			d.drop(other.id())
		}
	}
}

// mayChange refuses to change what the file has.
func (d *draft) mayChange(e *entity) error {
	if e != nil && e.file {
		return fixed(e.kind.one, e.name(), d.fileName)
	}
	return nil
}

// stored are the entities of the store after the change.
func (d *draft) stored() []*entity {
	return slices.DeleteFunc(slices.Collect(maps.Values(d.byID)), func(e *entity) bool { return e.file })
}

// rows are what the store must remove and put.
func (d *draft) rows() (remove []string, put []gateway.Entity, err error) {
	for _, id := range slices.Compact(slices.Sorted(slices.Values(d.changed))) {
		e := d.byID[id]
		if e == nil {
			remove = append(remove, id)
			continue
		}
		row, err := toRow(e)
		if err != nil {
			return nil, nil, err
		}
		put = append(put, row)
	}
	return remove, put, nil
}

// refused says what is wrong with the state that the change would make: with what was
// changed, or with what it broke.
func (d *draft) refused(next *state) error {
	for _, id := range d.changed {
		if f, bad := next.flaws[id]; bad {
			return d.violation(d.byID[id], f)
		}
	}
	for _, e := range next.stored {
		f, bad := next.flaws[e.id()]
		if _, before := d.base.flaws[e.id()]; bad && !before {
			return plain(400, e.kind.one+" "+strconv.Quote(e.name())+" could not be used any more: "+f.msg)
		}
	}
	return nil
}

// violation is a flaw in Kong's form.
func (d *draft) violation(e *entity, f flaw) error {
	path := strings.FieldsFunc(f.member, func(r rune) bool { return r == '.' || r == '[' })
	if e.kind == plugins && len(path) > 0 && path[0] != "config" && pluginSchema.field(path[0]) == nil {
		path = append([]string{"config"}, path...)
	}
	switch {
	case len(path) == 0:
		wrong := fields{}
		wrong.add(f.msg)
		return violation(wrong)
	case path[0] == "config" && len(path) > 1:
		return violation(fields{"config": fields{path[1]: f.msg}})
	default:
		return violation(fields{path[0]: f.msg})
	}
}
