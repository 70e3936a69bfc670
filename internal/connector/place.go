package connector

import (
	"errors"
	"fmt"
	"slices"

	"github.com/theory/jsonpath/spec"
)

// maxIndex bounds the lists that are written.
const maxIndex = 1000

// place is where a value is written: a singular path (RFC 9535 section 2.3.5.1).
type place []step

// step is a member's name, or an index of a list.
type step struct {
	name  string
	param bool // the name is that of a parameter
	index int
	list  bool
}

func parsePlace(text string) (place, error) {
	q, err := parseQuery(text)
	if err != nil {
		return nil, err
	}
	if !q.singular {
		return nil, errors.New("must lead to one place: names and indices alone")
	}
	p := make(place, 0, len(q.segments))
	for _, segment := range q.segments {
		switch s := segment.Selectors()[0].(type) {
		case spec.Name:
			name, isParam := paramOf(string(s))
			if !isParam {
				name = string(s)
			}
			p = append(p, step{name: name, param: isParam})
		case spec.Index:
			if s < 0 || s > maxIndex {
				return nil, fmt.Errorf("has an index that is not 0 to %d", maxIndex)
			}
			p = append(p, step{index: int(s), list: true})
		}
	}
	return p, nil
}

func (p place) hasParams() bool {
	return slices.ContainsFunc(p, func(s step) bool { return s.param })
}

// bind puts the document's values in the place of parameters.
func (p place) bind(doc any) (place, error) {
	if !p.hasParams() {
		return p, nil
	}
	out := slices.Clone(p)
	for i, s := range out {
		if !s.param {
			continue
		}
		name, err := param(doc, s.name)
		if err != nil {
			return nil, err
		}
		out[i] = step{name: name}
	}
	return out, nil
}

// overlaps tells whether one of the two places holds the other.
func (p place) overlaps(other place) bool {
	n := min(len(p), len(other))
	return slices.Equal(p[:n], other[:n])
}

// put writes v into doc and returns what doc is then. Parents that are missing, or null,
// are made; a list grows by one at a time.
func (p place) put(doc, v any) (any, error) {
	if len(p) == 0 {
		return v, nil
	}
	s := p[0]
	if s.list {
		return p.putElement(doc, v)
	}
	object, ok := doc.(map[string]any)
	if !ok && doc != nil {
		return nil, errors.New("leads through something that is no object")
	}
	if object == nil {
		object = map[string]any{}
	}
	member, err := p[1:].put(object[s.name], v)
	if err != nil {
		return nil, err
	}
	object[s.name] = member
	return object, nil
}

func (p place) putElement(doc, v any) (any, error) {
	list, ok := doc.([]any)
	if !ok && doc != nil {
		return nil, errors.New("leads through something that is no list")
	}
	i := p[0].index
	if i > len(list) {
		return nil, errors.New("has an index beyond the end of the list")
	}
	if i == len(list) {
		list = append(list, nil)
	}
	element, err := p[1:].put(list[i], v)
	if err != nil {
		return nil, err
	}
	list[i] = element
	return list, nil
}
