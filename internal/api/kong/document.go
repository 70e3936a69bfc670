package kong

import (
	"encoding/json"
	"maps"
	"slices"
)

// Document is an entity, or a part of one, as Kong writes it: JSON values by the names
// of their members. Whole numbers are int64, others float64, lists []any.
type Document = map[string]any

// text is a member that is a string, "" if it is not.
func text(d Document, name string) string {
	s, _ := d[name].(string)
	return s
}

// texts is a member that is a list of strings.
func texts(d Document, name string) []string {
	list, _ := d[name].([]any)
	var out []string
	for _, v := range list {
		if s, ok := v.(string); ok {
			out = append(out, s)
		}
	}
	return out
}

// listOf is texts the other way round: nil for an empty list.
func listOf(texts []string) any {
	if len(texts) == 0 {
		return nil
	}
	list := make([]any, len(texts))
	for i, s := range texts {
		list[i] = s
	}
	return list
}

// textOrNil is nil for "".
func textOrNil(s string) any {
	if s == "" {
		return nil
	}
	return s
}

// reference is the id that a foreign member names, "" if it names none.
func reference(d Document, name string) string {
	to, _ := d[name].(Document)
	return text(to, "id")
}

// refer is a foreign member that names id.
func refer(id string) any {
	if id == "" {
		return nil
	}
	return Document{"id": id}
}

// clone copies d and all that is in it.
func clone(d Document) Document {
	out := make(Document, len(d))
	for name, v := range d {
		out[name] = cloneValue(v)
	}
	return out
}

func cloneValue(v any) any {
	switch v := v.(type) {
	case Document:
		return clone(v)
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = cloneValue(v[i])
		}
		return out
	default:
		return v
	}
}

// merge lays edit over d, record by record, as PATCH does. A list replaces a list.
func merge(d, edit Document) Document {
	out := maps.Clone(d)
	if out == nil {
		out = Document{}
	}
	for name, v := range edit {
		if inner, ok := v.(Document); ok && name != "service" && name != "route" && name != "consumer" {
			if before, ok := out[name].(Document); ok {
				out[name] = merge(before, inner)
				continue
			}
		}
		out[name] = v
	}
	return out
}

// normal makes a Document of what a decoder gave: numbers as Document has them.
func normal(v any) any {
	switch v := v.(type) {
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return n
		}
		f, err := v.Float64()
		if err != nil {
			return v.String()
		}
		return normal(f)
	case uint64:
		if v < 1<<63 {
			return int64(v)
		}
		return float64(v)
	case float64:
		if n := int64(v); float64(n) == v && n > -1<<53 && n < 1<<53 {
			return n
		}
		return v
	case []any:
		for i := range v {
			v[i] = normal(v[i])
		}
		return v
	case Document:
		for name := range v {
			v[name] = normal(v[name])
		}
		return v
	default:
		return v
	}
}

// names are the members of d in order.
func names(d Document) []string { return slices.Sorted(maps.Keys(d)) }
