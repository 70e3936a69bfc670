package connector

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/carnetproject/carnet/internal/fault"
)

// maxDepth bounds how deep a document is nested.
const maxDepth = 64

// decode reads one JSON value, strictly: numbers stay the text that they are
// ([json.Number]), a member that stands twice in an object is refused, since another
// parser may take the other one, and so is what is not UTF-8. The error has a JSON
// pointer and nothing that stands in the document but names of members.
func decode(doc []byte) (any, error) {
	if !utf8.Valid(doc) {
		return nil, fault.New(fault.Invalid, "is not UTF-8")
	}
	d := decoder{doc: doc}
	v, err := d.value(0)
	if err != nil {
		return nil, err
	}
	if d.next() != 0 {
		return nil, fault.New(fault.Invalid, "must be one JSON value")
	}
	return v, nil
}

// decoder reads RFC 8259 from doc, which is UTF-8.
type decoder struct {
	doc []byte
	at  int
}

func errNotJSON() *fault.Error { return fault.New(fault.Invalid, "is not JSON") }

// next is the byte that follows white space; 0 at the end, and for what no value has.
func (d *decoder) next() byte {
	for ; d.at < len(d.doc); d.at++ {
		switch c := d.doc[d.at]; c {
		case ' ', '\t', '\r', '\n':
		case 0:
			return 1
		default:
			return c
		}
	}
	return 0
}

// take reads on if c is next.
func (d *decoder) take(c byte) bool {
	if d.next() != c {
		return false
	}
	d.at++
	return true
}

func (d *decoder) value(depth int) (any, *fault.Error) {
	if depth > maxDepth {
		return nil, fault.Newf(fault.Invalid, "is nested more than %d deep", maxDepth)
	}
	switch c := d.next(); {
	case c == '{':
		return d.object(depth)
	case c == '[':
		return d.list(depth)
	case c == '"':
		return d.text()
	case c == '-' || c >= '0' && c <= '9':
		return d.number()
	}
	for word, v := range words {
		if bytes.HasPrefix(d.doc[d.at:], []byte(word)) {
			d.at += len(word)
			return v, nil
		}
	}
	return nil, errNotJSON()
}

var words = map[string]any{"true": true, "false": false, "null": nil}

func (d *decoder) list(depth int) (any, *fault.Error) {
	d.at++
	list := []any{}
	if d.take(']') {
		return list, nil
	}
	for {
		v, err := d.value(depth + 1)
		if err != nil {
			return nil, inside(strconv.Itoa(len(list)), err)
		}
		list = append(list, v)
		switch {
		case d.take(']'):
			return list, nil
		case !d.take(','):
			return nil, errNotJSON()
		}
	}
}

func (d *decoder) object(depth int) (any, *fault.Error) {
	d.at++
	object := map[string]any{}
	if d.take('}') {
		return object, nil
	}
	for {
		if d.next() != '"' {
			return nil, errNotJSON()
		}
		name, err := d.text()
		if err != nil || !d.take(':') {
			return nil, errNotJSON()
		}
		if _, twice := object[name]; twice {
			return nil, inside(name, fault.New(fault.Invalid, "stands twice"))
		}
		if object[name], err = d.value(depth + 1); err != nil {
			return nil, inside(name, err)
		}
		switch {
		case d.take('}'):
			return object, nil
		case !d.take(','):
			return nil, errNotJSON()
		}
	}
}

// text reads a string, which is next.
func (d *decoder) text() (string, *fault.Error) {
	start, plain := d.at, true
	for d.at++; d.at < len(d.doc); d.at++ {
		switch c := d.doc[d.at]; {
		case c == '"':
			d.at++
			if plain {
				return string(d.doc[start+1 : d.at-1]), nil
			}
			var s string
			if err := json.Unmarshal(d.doc[start:d.at], &s); err != nil {
				return "", errNotJSON()
			}
			return s, nil
		case c == '\\':
			plain = false
			d.at++
		case c < ' ':
			return "", errNotJSON()
		}
	}
	return "", errNotJSON()
}

// number reads one, which is next.
func (d *decoder) number() (any, *fault.Error) {
	start := d.at
	digits := func() bool {
		from := d.at
		for d.at < len(d.doc) && d.doc[d.at] >= '0' && d.doc[d.at] <= '9' {
			d.at++
		}
		return d.at > from
	}
	is := func(set string) bool {
		ok := d.at < len(d.doc) && strings.IndexByte(set, d.doc[d.at]) >= 0
		if ok {
			d.at++
		}
		return ok
	}
	is("-")
	if !is("0") && !digits() || is(".") && !digits() {
		return nil, errNotJSON()
	}
	if is("eE") {
		is("+-")
		if !digits() {
			return nil, errNotJSON()
		}
	}
	return json.Number(d.doc[start:d.at]), nil
}

// inside puts the member's name before the pointer of what is wrong in it.
func inside(name string, err *fault.Error) *fault.Error {
	err.Field = pointer("", name) + err.Field
	return err
}

// pointer is that of a member (RFC 6901).
func pointer(at, name string) string {
	return at + "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(name)
}

// clone copies v as deep as it can be changed.
func clone(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for name, member := range v {
			out[name] = clone(member)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, element := range v {
			out[i] = clone(element)
		}
		return out
	}
	return v
}

// textOf is a scalar as it stands in a URL, a header or a form.
func textOf(v any) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case json.Number:
		return v.String(), true
	case bool:
		return strconv.FormatBool(v), true
	}
	return "", false
}
