package connector

import (
	"encoding/json"
	"errors"
	"fmt"
	"iter"

	"github.com/carnetproject/carnet/internal/secret"
	"github.com/carnetproject/carnet/internal/wire"
)

// mapping is an entry of a document's RequestMapping: a value of the input, and where it
// goes.
type mapping struct {
	name     string
	kind     string // requestBody, requestURL, requestHeader or requestBasicAuth
	from     *query
	optional bool
	fallback any // if the input has no value
	hasElse  bool
	pick     string // one, first or all
	as       string // "", string, number or json

	to        place  // of requestBody
	encoded   bool   // likewise: the value is the URL of a file
	parameter string // of requestURL and requestHeader
	secret    ref    // of requestBasicAuth
}

// The types of entries.
const (
	toBody   = "requestBody"
	toURL    = "requestURL"
	toHeader = "requestHeader"
	toBasic  = "requestBasicAuth"

	fromBody   = "responseBody"
	fromHeader = "responseHeader"
)

func (k *checker) requestMapping(at string, v any) []mapping {
	var out []mapping
	for name, o := range k.entries(at, v) {
		m := mapping{name: name, kind: o.need("type")}
		switch m.kind {
		case toBody:
			m.to = o.place("requestBodyPath")
			m.encoded = o.encoding(k.files)
		case toURL, toHeader:
			if m.parameter = o.need("requestParameter"); m.parameter != "" && !isName(m.parameter) {
				k.bad(pointer(o.at, "requestParameter"), "must be a letter or _, and then up to 127 letters, digits, _ or -")
			}
		case toBasic:
			if s := o.need("secret"); s != "" {
				m.secret = k.secret(pointer(o.at, "secret"), s, secret.ForDocument)
			}
			o.done()
			out = append(out, m)
			continue
		default:
			if m.kind != "" {
				k.bad(pointer(o.at, "type"), "must be %s, %s, %s or %s", toBody, toURL, toHeader, toBasic)
			}
			continue
		}
		m.from = o.query("inputPath")
		m.optional = o.flag("optional")
		_, m.hasElse = o.members["default"]
		m.fallback, _ = o.take("default")
		m.pick = o.choice("select", "all", "first", "one")
		if o.has("as") {
			m.as = o.choice("as", "string", "number", "json")
		}
		o.done()
		out = append(out, m)
	}
	k.clashes(at, out)
	return out
}

// entries are the objects that v, which is one, has as its members, by their names.
func (k *checker) entries(at string, v any) iter.Seq2[string, *object] {
	all := k.object(at, v).members
	return func(yield func(string, *object) bool) {
		for _, name := range sortedNames(all) {
			if !yield(name, k.object(pointer(at, name), all[name])) {
				return
			}
		}
	}
}

// clashes are entries of which one would undo the other.
func (k *checker) clashes(at string, list []mapping) {
	for i, m := range list {
		for _, other := range list[:i] {
			here := pointer(at, m.name)
			switch {
			case m.kind != other.kind:
			case m.kind == toBody && m.to != nil && other.to != nil && m.to.overlaps(other.to):
				k.bad(pointer(here, "requestBodyPath"), "writes where %q writes, too", other.name)
			case m.kind == toBasic:
				k.bad(here, "is a second requestBasicAuth, besides %q", other.name)
			case m.kind != toBody && m.parameter == other.parameter:
				k.bad(pointer(here, "requestParameter"), "is that of %q, too", other.name)
			}
		}
	}
}

func (o *object) query(name string) *query {
	text := o.need(name)
	if text == "" {
		return nil
	}
	q, err := parseQuery(text)
	if err != nil {
		o.bad(pointer(o.at, name), "%s", err)
		return nil
	}
	return q
}

func (o *object) place(name string) place {
	text := o.need(name)
	if text == "" {
		return nil
	}
	p, err := parsePlace(text)
	if err != nil {
		o.bad(pointer(o.at, name), "%s", err)
		return nil
	}
	return p
}

var (
	errMissing = errors.New("has no value in the input")
	errMany    = errors.New("has more than one value in the input")
)

// values is what q finds, one at least: where nothing is, the error is errMissing.
func (q *query) values(doc any) ([]any, error) {
	found, err := q.find(doc)
	if errors.Is(err, errNoParam) || err == nil && len(found) == 0 {
		return nil, errMissing
	}
	return found, err
}

// raw is what the input has for m, without its default.
func (m *mapping) raw(input any) (v any, err error) {
	found, err := m.from.values(input)
	switch {
	case err != nil:
		return nil, err
	case m.from.singular, m.pick == "first":
		return found[0], nil
	case m.pick == "one" && len(found) > 1:
		return nil, errMany
	case m.pick == "one":
		return found[0], nil
	}
	return found, nil
}

// value is what m sends. ok is false if it sends nothing.
func (m *mapping) value(in Input) (v any, ok bool, err error) {
	v, err = m.raw(in.root)
	if err == nil && v == nil && in.bare {
		err = errMissing
	}
	switch {
	case errors.Is(err, errMissing) && m.hasElse:
		v = m.fallback
	case errors.Is(err, errMissing) && m.optional:
		return nil, false, nil
	case err != nil:
		return nil, false, err
	}
	v, err = convert(v, m.as)
	return v, err == nil, err
}

// convert makes v what a mapping says that it is.
func convert(v any, as string) (any, error) {
	text, scalar := textOf(v)
	switch as {
	case "string":
		if !scalar {
			return nil, errors.New("cannot be a string")
		}
		return text, nil
	case "number":
		var n json.Number
		if _, isBool := v.(bool); isBool || !scalar || json.Unmarshal([]byte(text), &n) != nil || text[0] == '"' {
			return nil, errors.New("cannot be a number")
		}
		return n, nil
	case "json":
		b, err := wire.JSON(v)
		if err != nil {
			return nil, fmt.Errorf("cannot be written as JSON: %w", err)
		}
		return string(b), nil
	}
	return v, nil
}
