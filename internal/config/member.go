package config

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// member is one field of a configuration struct.
type member struct {
	name  string // its key in the file
	index int
	doc   string
	enum  []string // its values, or those of its list
}

// members lists the fields of a struct that the file may set, in their order.
func members(t reflect.Type) []member {
	var out []member
	for i := range t.NumField() {
		f := t.Field(i)
		name := f.Tag.Get("yaml")
		if !f.IsExported() || name == "" {
			continue
		}
		m := member{name: name, index: i, doc: f.Tag.Get("doc")}
		if m.doc == "" {
			m.doc = gatewayDocs[t.Name()+"."+name]
		}
		if list := f.Tag.Get("enum"); list != "" {
			m.enum = strings.Split(list, ",")
		}
		out = append(out, m)
	}
	return out
}

// check tells whether v, or each element of the list v, is one of m's values.
func (m member) check(v reflect.Value) error {
	if m.enum == nil {
		return nil
	}
	if v.Kind() == reflect.Slice {
		for i := range v.Len() {
			if err := m.check(v.Index(i)); err != nil {
				return err
			}
		}
		return nil
	}
	if !slices.Contains(m.enum, v.String()) {
		return fmt.Errorf("must be %s%s", oneOf(m.enum), suggest(v.String(), m.enum))
	}
	return nil
}

func oneOf(list []string) string {
	if len(list) == 1 {
		return list[0]
	}
	return strings.Join(list[:len(list)-1], ", ") + " or " + list[len(list)-1]
}

// leaf is a member that one word, or a list of words, can set.
type leaf struct {
	path  string
	field member
	value reflect.Value
}

// leaves lists what flags and environment can set: everything but what is in
// lists of mappings, and bots beyond their names, in the order of the structs.
func leaves(path string, v reflect.Value) []leaf {
	var out []leaf
	for _, m := range members(v.Type()) {
		at, f := join(path, m.name), v.Field(m.index)
		switch {
		case isScalar(f.Type()), f.Kind() == reflect.Slice && (isScalar(f.Type().Elem()) || hasShort(f.Type().Elem())):
			out = append(out, leaf{at, m, f})
		case isListed(f.Type()):
			out = append(out, leaf{at, m, f})
		case f.Kind() == reflect.Struct:
			out = append(out, leaves(at, f)...)
		case f.Kind() == reflect.Map && f.Type().Elem().Kind() == reflect.Pointer:
			for _, k := range sortedKeys(f) {
				out = append(out, leaves(join(at, k.String()), f.MapIndex(k).Elem())...)
			}
		}
	}
	return out
}

// set reads text as the whole value: a list is separated by commas.
func (l leaf) set(text string) error {
	fresh := reflect.New(l.value.Type()).Elem()
	if fresh.Kind() != reflect.Slice || isScalar(fresh.Type()) {
		if err := parseScalar(fresh, text); err != nil {
			return err
		}
	} else if text != "" {
		for word := range strings.SplitSeq(text, ",") {
			element := reflect.New(fresh.Type().Elem()).Elem()
			if err := parseScalar(element, strings.TrimSpace(word)); err != nil {
				return fmt.Errorf("each of the list, separated by commas, %w", err)
			}
			fresh = reflect.Append(fresh, element)
		}
	}
	if err := l.field.check(fresh); err != nil {
		return err
	}
	l.value.Set(fresh)
	return nil
}

func sortedKeys(v reflect.Value) []reflect.Value {
	keys := v.MapKeys()
	slices.SortFunc(keys, func(a, b reflect.Value) int { return strings.Compare(a.String(), b.String()) })
	return keys
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}
