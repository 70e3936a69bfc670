package connector

import (
	"fmt"
	"slices"
	"strings"

	"github.com/theory/jsonpath/spec"
)

// search is one run of a query.
type search struct {
	root any
	left int // nodes that may still be looked at
	size int // nodes of the whole document; 0: not counted yet
}

var errCostly = fmt.Errorf("costs too much: more than %d nodes or %d results", maxVisits, maxResults)

func (s *search) segment(segment *spec.Segment, node any, found []any) (_ []any, err error) {
	for _, selector := range segment.Selectors() {
		if found, err = s.selector(selector, node, found); err != nil {
			return nil, err
		}
	}
	if !segment.IsDescendant() {
		return found, nil
	}
	for child := range children(node) {
		if found, err = s.segment(segment, child, found); err != nil {
			return nil, err
		}
	}
	return found, nil
}

func (s *search) selector(selector spec.Selector, node any, found []any) ([]any, error) {
	cost := 1
	switch selector := selector.(type) {
	case spec.WildcardSelector:
		for child := range children(node) {
			found = append(found, child)
			cost++
		}
	case *spec.FilterSelector:
		factor, whole := spreads(selector.String())
		for child := range children(node) {
			if s.left -= s.test(child, factor, whole); s.left < 0 {
				return nil, errCostly
			}
			if selector.Eval(child, s.root) {
				found = append(found, child)
			}
		}
	case spec.Name:
		if name, ok := paramOf(string(selector)); ok {
			value, err := param(s.root, name)
			if err != nil {
				return nil, err
			}
			selector = spec.Name(value)
		}
		found = append(found, selector.Select(node, s.root)...)
	default: // an index or a slice
		hits := selector.Select(node, s.root)
		found, cost = append(found, hits...), 1+len(hits)
	}
	if s.left -= cost; s.left < 0 || len(found) > maxResults {
		return nil, errCostly
	}
	return found, nil
}

// test is what one test of a filter costs at most.
func (s *search) test(node any, factor int, whole bool) int {
	switch {
	case factor == 0:
		return 1
	case !whole:
		return power(countNodes(node), factor, s.left)
	}
	if s.size == 0 {
		s.size = countNodes(s.root)
	}
	return power(s.size, factor, s.left)
}

// children yields the elements of a list, or the members of an object by their names.
func children(node any) func(yield func(any) bool) {
	return func(yield func(any) bool) {
		switch node := node.(type) {
		case []any:
			for _, v := range node {
				if !yield(v) {
					return
				}
			}
		case map[string]any:
			for _, name := range sortedNames(node) {
				if !yield(node[name]) {
					return
				}
			}
		}
	}
}

func sortedNames[V any](m map[string]V) []string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func countNodes(v any) int {
	n := 1
	for child := range children(v) {
		n += countNodes(child)
	}
	return n
}

// spreads counts what in the text of a filter leads to many nodes, and tells whether the
// filter starts at the root. The cost of one test is at most the number of nodes to the
// power of that count.
func spreads(filter string) (n int, whole bool) {
	quote := byte(0)
	filter = strings.TrimPrefix(filter, "?")
	for i := 0; i < len(filter); i++ {
		c := filter[i]
		switch {
		case quote != 0 && c == '\\':
			i++
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '\'' || c == '"':
			quote = c
		case c == '$':
			whole = true
		case c == '*', c == '?', c == ':', c == '.' && strings.HasPrefix(filter[i+1:], "."):
			n++
		}
	}
	return n, whole
}

// power is base to the exponent, or a little more than most.
func power(base, exponent, most int) int {
	out := 1
	for range exponent {
		if out *= base; out > most {
			return most + 1
		}
	}
	return out
}
