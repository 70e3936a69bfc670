package connector

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/theory/jsonpath"
	"github.com/theory/jsonpath/spec"
)

// What a JSONPath may cost.
const (
	maxPath    = 4 << 10 // bytes of the expression
	maxVisits  = 100_000 // nodes of the document that one search looks at
	maxResults = 10_000
)

// query is a JSONPath (RFC 9535) with one thing more: a member name that is ${name} as a
// whole, as in $.a.${id}.b or $.a['${id}'].b, is the text that stands at $.id of the
// document that is searched. It is a name whatever it has in it.
//
// A search goes in one order, members of objects by their names, so that the same
// document always gives the same list.
type query struct {
	segments []*spec.Segment
	params   []string
	singular bool // at most one node, always
}

// errNoParam is of a ${name} that the document does not have.
var errNoParam = errors.New("has no value for a ${name} of the path")

func parseQuery(text string) (*query, error) {
	plain, err := quoteParams(text)
	if err != nil {
		return nil, err
	}
	path, err := jsonpath.Parse(plain)
	if err != nil {
		return nil, fmt.Errorf("is not a JSONPath (RFC 9535): %s", strings.TrimPrefix(err.Error(), "jsonpath: "))
	}
	q := &query{segments: path.Query().Segments(), singular: path.Query().Singular() != nil}
	for _, segment := range q.segments {
		for _, selector := range segment.Selectors() {
			name, isText := selector.(spec.Name)
			param, whole := paramOf(string(name))
			_, isFilter := selector.(*spec.FilterSelector)
			switch {
			case isText && whole:
				q.params = append(q.params, param)
			case isText && strings.Contains(string(name), "${"):
				return nil, errors.New("has a ${name} that is only a part of a member name: it must be the whole")
			case isFilter && strings.Contains(segment.String(), "${"):
				return nil, errors.New("has a ${name} in a filter: it must be a member name of the path itself")
			}
		}
	}
	return q, nil
}

func paramOf(name string) (param string, ok bool) {
	inner, ok := strings.CutPrefix(name, "${")
	inner, closed := strings.CutSuffix(inner, "}")
	return inner, ok && closed && isName(inner)
}

// quoteParams writes .${name} as ['${name}'], which RFC 9535 can read.
func quoteParams(text string) (string, error) {
	if len(text) > maxPath {
		return "", fmt.Errorf("has more than %d bytes", maxPath)
	}
	var out strings.Builder
	depth, quote := 0, byte(0)
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case quote != 0 && c == '\\' && i+1 < len(text):
			out.WriteByte(c)
			i++
			c = text[i]
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '\'' || c == '"':
			quote = c
		case c == '[' || c == '(':
			if depth++; depth > maxDepth {
				return "", fmt.Errorf("is nested more than %d deep", maxDepth)
			}
		case c == ']' || c == ')':
			depth--
		case c == '.' && depth == 0 && strings.HasPrefix(text[i+1:], "${"):
			name, _, closed := strings.Cut(text[i+3:], "}")
			if !closed || !isName(name) {
				return "", errors.New("has a ${ that is no ${name}")
			}
			if strings.HasSuffix(text[:i], ".") { // a descendant: ..['${name}']
				out.WriteByte(c)
			}
			out.WriteString("['${" + name + "}']")
			i += len("${") + len(name) + len("}")
			continue
		}
		out.WriteByte(c)
	}
	return out.String(), nil
}

// param is the text at $.name of the document.
func param(doc any, name string) (string, error) {
	object, _ := doc.(map[string]any)
	v, ok := object[name]
	if !ok || v == nil {
		return "", errNoParam
	}
	switch v := v.(type) {
	case string:
		return v, nil
	case json.Number:
		return v.String(), nil
	}
	return "", errors.New("has a value for a ${name} of the path that is neither a string nor a number")
}

// find lists the nodes of the document that the path leads to.
func (q *query) find(doc any) (found []any, err error) {
	defer func() {
		if p := recover(); p != nil { // of the library, on a document that is not ours
			found, err = nil, errors.New("cannot be searched")
		}
	}()
	s := &search{root: doc, left: maxVisits}
	found = []any{doc}
	for _, segment := range q.segments {
		var next []any
		for _, node := range found {
			if next, err = s.segment(segment, node, next); err != nil {
				return nil, err
			}
		}
		found = next
	}
	for _, node := range found { // the whole of which may be written
		if s.left -= countNodes(node); !q.singular && s.left < 0 {
			return nil, errCostly
		}
	}
	return found, nil
}
