package kong

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/google/uuid"
)

// raw is a value from a form, which knows no types: it becomes what its member wants.
type raw string

// value reads what a member may be: it returns it in the type that it has, or what is
// wrong with it in Kong's words. It is never asked about null.
type value func(v any) (any, string)

// maxText bounds every string of an entity; a public key is the longest.
const maxText = 64 << 10

func str(v any) (any, string) {
	s, ok := v.(string)
	if r, form := v.(raw); form {
		s, ok = string(r), true
	}
	switch {
	case !ok:
		return nil, "expected a string"
	case s == "":
		return nil, "length must be at least 1"
	case len(s) > maxText:
		return nil, fmt.Sprintf("length must be at most %d", maxText)
	case !utf8.ValidString(s):
		return nil, "must be UTF-8"
	}
	return s, ""
}

func boolean(v any) (any, string) {
	switch v {
	case true, raw("true"):
		return true, ""
	case false, raw("false"):
		return false, ""
	}
	return nil, "expected a boolean"
}

func integer(v any) (any, string) {
	if r, form := v.(raw); form {
		if n, err := strconv.ParseInt(string(r), 10, 64); err == nil {
			return n, ""
		}
	}
	if n, ok := v.(int64); ok {
		return n, ""
	}
	return nil, "expected an integer"
}

// number is an integer, or what has a fraction.
func number(v any) (any, string) {
	if r, form := v.(raw); form {
		if n, err := strconv.ParseFloat(string(r), 64); err == nil {
			v = normal(n)
		}
	}
	switch v.(type) {
	case int64, float64:
		return v, ""
	}
	return nil, "expected a number"
}

// between is an integer with bounds, both included.
func between(low, high int64) value {
	return func(v any) (any, string) {
		out, wrong := integer(v)
		if n, _ := out.(int64); wrong == "" && (n < low || n > high) {
			return nil, fmt.Sprintf("value should be between %d and %d", low, high)
		}
		return out, wrong
	}
}

// oneOf is one of some strings.
func oneOf(all ...string) value {
	return func(v any) (any, string) {
		out, wrong := str(v)
		if s, _ := out.(string); wrong == "" && !slices.Contains(all, s) {
			return nil, "expected one of: " + strings.Join(all, ", ")
		}
		return out, wrong
	}
}

// set is a list of what each of its elements must be. A form may give a single one.
func set(each value) value {
	return func(v any) (any, string) {
		if _, single := v.(raw); single {
			v = []any{v}
		}
		list, ok := v.([]any)
		if !ok {
			return nil, "expected a set"
		}
		out := []any{}
		for _, e := range list {
			if e == nil {
				return nil, "required field missing"
			}
			one, wrong := each(e)
			if wrong != "" {
				return nil, wrong
			}
			if !slices.Contains(out, one) {
				out = append(out, one)
			}
		}
		return out, ""
	}
}

// tag is a label: printable, without the characters that separate several.
func tag(v any) (any, string) {
	out, wrong := str(v)
	if s, _ := out.(string); wrong == "" && strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f || r == ',' || r == '/' }) {
		return nil, "invalid tag '" + s + "': expected printable ascii (except `,` and `/`) or valid utf-8 sequences"
	}
	return out, wrong
}

// id is a UUID.
func id(v any) (any, string) {
	out, wrong := str(v)
	if s, _ := out.(string); wrong == "" && !isUUID(s) {
		return nil, "expected a valid UUID"
	}
	return out, wrong
}

func isUUID(s string) bool { return len(s) == 36 && uuid.Validate(s) == nil }

// foreign names another entity: {"id": UUID}, or what the caller calls it, which is
// looked up later.
func foreign(v any) (any, string) {
	to, ok := v.(Document)
	if !ok {
		return nil, "expected a record"
	}
	for _, name := range names(to) {
		if name != "id" && name != "name" && name != "username" {
			return nil, name + ": unknown field"
		}
	}
	for _, name := range []string{"id", "name", "username"} {
		if to[name] == nil {
			continue
		}
		out, wrong := str(to[name])
		if wrong != "" {
			return nil, name + ": " + wrong
		}
		return Document{name: out}, ""
	}
	return nil, "id: required field missing"
}
