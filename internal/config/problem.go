package config

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/carnetproject/carnet/internal/fault"
)

// Problem is one mistake in a configuration.
type Problem struct {
	Source       string // the file as it was named, the variable, or the flag; empty: a default
	Line, Column int    // in the file, from 1; zero elsewhere
	Path         string // of the member, such as gateway.services[0].url; empty: the whole file
	Msg          string // what would be right
}

// Error is "carnet.yaml:12:5: gateway.services[0].urll: unknown key".
func (p *Problem) Error() string {
	var s strings.Builder
	s.WriteString(p.Source)
	if p.Line > 0 {
		fmt.Fprintf(&s, ":%d:%d", p.Line, p.Column)
	}
	for _, part := range []string{p.Path, p.Msg} {
		if part != "" && s.Len() > 0 {
			s.WriteString(": ")
		}
		s.WriteString(part)
	}
	return s.String()
}

// Unwrap makes a Problem a [fault.Invalid].
func (p *Problem) Unwrap() error { return fault.BadField(p.Path, p.Msg) }

// joinProblems puts problems in the order of the file; those of variables and
// flags come first, since they outrank it.
func joinProblems(list []*Problem) error {
	slices.SortStableFunc(list, func(a, b *Problem) int {
		return cmp.Or(cmp.Compare(min(a.Line, 1), min(b.Line, 1)), cmp.Compare(a.Line, b.Line),
			cmp.Compare(a.Column, b.Column), cmp.Compare(a.Source, b.Source),
			cmp.Compare(a.Path, b.Path), cmp.Compare(a.Msg, b.Msg))
	})
	errs := make([]error, len(list))
	for i, p := range list {
		errs[i] = p
	}
	return errors.Join(errs...)
}

// parent is the path of what holds the member at path, "" for the top.
func parent(path string) string {
	return path[:max(0, strings.LastIndexAny(path, ".["))]
}

// flatten lists the errors that err joins.
func flatten(err error) []error {
	if err == nil {
		return nil
	}
	joined, ok := err.(interface{ Unwrap() []error }) //nolint:errorlint // the join itself is meant, not what it wraps
	if !ok {
		return []error{err}
	}
	var out []error
	for _, e := range joined.Unwrap() {
		out = append(out, flatten(e)...)
	}
	return out
}
