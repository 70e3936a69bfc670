package kong

import (
	"fmt"
	"reflect"
	"strings"
	"time"
)

// The gateway's configuration has Kong's names in its yaml tags. So documents and its
// structs are turned into each other member by member; Kong's milliseconds are our
// durations.

// bind sets the members of a struct, by their yaml names, from a complete document.
// What is null stays as it is.
func bind(d Document, into any) error {
	v := reflect.ValueOf(into).Elem()
	for name, given := range d {
		if given == nil {
			continue
		}
		f := member(v, name)
		if !f.IsValid() {
			return fmt.Errorf("%s: unknown field", name)
		}
		if !assign(f, given) {
			return fmt.Errorf("%s: cannot be %T", name, given)
		}
	}
	return nil
}

// member is the field of a struct that has this yaml name, the zero Value if none has.
func member(v reflect.Value, name string) reflect.Value {
	for i := range v.NumField() {
		if tagName(v.Type().Field(i)) == name {
			return v.Field(i)
		}
	}
	return reflect.Value{}
}

func tagName(f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
	return name
}

var durationType = reflect.TypeFor[time.Duration]()

// assign sets v from a value of a document. It reports whether that fits.
func assign(v reflect.Value, given any) bool {
	switch v.Kind() {
	case reflect.Pointer:
		p := reflect.New(v.Type().Elem())
		v.Set(p)
		return assign(p.Elem(), given)
	case reflect.Slice:
		list, ok := given.([]any)
		v.Set(reflect.MakeSlice(v.Type(), len(list), len(list)))
		for i := range list {
			ok = ok && assign(v.Index(i), list[i])
		}
		return ok
	case reflect.Map:
		d, ok := given.(Document)
		v.Set(reflect.MakeMapWithSize(v.Type(), len(d)))
		for name := range d {
			e := reflect.New(v.Type().Elem()).Elem()
			ok = ok && assign(e, d[name])
			v.SetMapIndex(reflect.ValueOf(name), e)
		}
		return ok
	case reflect.Int, reflect.Int64:
		n, ok := given.(int64)
		if v.Type() == durationType {
			n *= int64(time.Millisecond)
		}
		v.SetInt(n)
		return ok
	case reflect.Float64:
		switch n := given.(type) {
		case int64:
			v.SetFloat(float64(n))
		case float64:
			v.SetFloat(n)
		default:
			return false
		}
		return true
	default:
		g := reflect.ValueOf(given)
		if g.Kind() != v.Kind() {
			return false
		}
		v.Set(g.Convert(v.Type()))
		return true
	}
}

// unbind is the document of a struct: its members by their yaml names, without those
// that are zero, which stand for a default, and without structs in it.
func unbind(from any) Document {
	v := reflect.Indirect(reflect.ValueOf(from))
	d := Document{}
	for i := range v.NumField() {
		name, f := tagName(v.Type().Field(i)), v.Field(i)
		if f.IsZero() || name == "" {
			continue
		}
		if plain, ok := unassign(f); ok {
			d[name] = plain
		}
	}
	return d
}

func unassign(v reflect.Value) (any, bool) {
	switch v.Kind() {
	case reflect.Pointer:
		return unassign(v.Elem())
	case reflect.String:
		return v.String(), true
	case reflect.Bool:
		return v.Bool(), true
	case reflect.Int, reflect.Int64:
		if v.Type() == durationType {
			return v.Int() / int64(time.Millisecond), true
		}
		return v.Int(), true
	case reflect.Float64:
		return normal(v.Float()), true
	case reflect.Slice:
		list := make([]any, v.Len())
		for i := range list {
			e, ok := unassign(v.Index(i))
			if !ok {
				return nil, false
			}
			list[i] = e
		}
		return list, true
	case reflect.Map:
		d := Document{}
		for each := v.MapRange(); each.Next(); {
			e, ok := unassign(each.Value())
			if !ok {
				return nil, false
			}
			d[each.Key().String()] = e
		}
		return d, true
	default:
		return nil, false
	}
}
