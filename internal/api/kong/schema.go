package kong

import (
	"fmt"
	"maps"
	"reflect"
)

// schema is the members that a kind of entity has, with Kong's names, defaults and
// messages.
type schema struct {
	fields []field
	// check looks at several members at once. What it says stands in the answer under
	// the member's name, or under "@entity".
	check func(d Document, wrong fields)
}

type field struct {
	name     string
	value    value   // nil for a record
	record   *schema // nil for a value
	def      any     // what it is if nobody says otherwise
	required bool
	only     string // why it must be its default; "" if it may be anything
}

// fields is what is wrong with an entity, by member: a message, or fields again for
// the members of a record. Under "@entity" stands a list of messages.
type fields map[string]any

// entityWide is for what is wrong with no single member.
const entityWide = "@entity"

func (f fields) add(msg string) {
	list, _ := f[entityWide].([]any)
	f[entityWide] = append(list, msg)
}

// complete checks d and fills in what it leaves out. It does not change d.
func (s *schema) complete(d Document) (Document, fields) {
	out, wrong := make(Document, len(s.fields)), fields{}
	rest := maps.Clone(d)
	for i := range s.fields {
		f := &s.fields[i]
		given, there := rest[f.name]
		delete(rest, f.name)
		if s, isText := given.(raw); isText && s == "" {
			given = nil
		}
		f.complete(given, there, out, wrong)
	}
	for name := range rest {
		wrong[name] = "unknown field"
	}
	if len(wrong) == 0 && s.check != nil {
		s.check(out, wrong)
	}
	if len(wrong) > 0 {
		return nil, wrong
	}
	return out, nil
}

func (f *field) complete(given any, there bool, out Document, wrong fields) {
	switch {
	case f.record != nil:
		inner, ok := given.(Document)
		if !ok && given != nil {
			wrong[f.name] = "expected a record"
			return
		}
		d, bad := f.record.complete(inner)
		if bad != nil {
			wrong[f.name] = bad
			return
		}
		out[f.name] = d
		return
	case given == nil && f.required && (there || f.def == nil):
		wrong[f.name] = "required field missing"
		return
	case given == nil:
		out[f.name] = cloneValue(f.def)
		return
	}
	v, bad := f.value(given)
	if bad == "" && f.only != "" && !reflect.DeepEqual(v, f.def) && !isZero(v) {
		bad = "is not supported: " + f.only
	}
	if bad != "" {
		wrong[f.name] = bad
		return
	}
	out[f.name] = v
}

// isZero tells whether v asks for nothing.
func isZero(v any) bool {
	list, ok := v.([]any)
	return ok && len(list) == 0 || v == false
}

// field returns the member of a name, nil if there is none.
func (s *schema) field(name string) *field {
	for i := range s.fields {
		if s.fields[i].name == name {
			return &s.fields[i]
		}
	}
	return nil
}

// trim leaves out of a complete d what is as it would be without being said.
func (s *schema) trim(d Document) Document {
	out := Document{}
	for i := range s.fields {
		f := &s.fields[i]
		v, there := d[f.name]
		inner, isRecord := v.(Document)
		switch {
		case !there || v == nil || f.record == nil && reflect.DeepEqual(v, f.def):
		case f.record != nil && isRecord:
			if short := f.record.trim(inner); len(short) > 0 {
				out[f.name] = short
			}
		default:
			out[f.name] = v
		}
	}
	return out
}

// list is the messages of f as Kong joins them: those of the entity first, then
// members by name.
func (f fields) list() []string {
	var out []string
	wide, _ := f[entityWide].([]any)
	for _, msg := range wide {
		out = append(out, fmt.Sprint(msg))
	}
	for _, name := range names(Document(f)) {
		switch v := f[name].(type) {
		case fields:
			for _, msg := range v.list() {
				out = append(out, name+"."+msg)
			}
		case string:
			out = append(out, name+": "+v)
		}
	}
	return out
}
