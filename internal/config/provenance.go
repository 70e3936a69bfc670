package config

import (
	"errors"
	"fmt"

	"github.com/goccy/go-yaml/token"

	"github.com/carnetproject/carnet/internal/fault"
)

// provenance is where the members of a configuration, named by their paths, were set.
type provenance struct {
	file    string // as the operator named it
	places  map[string]*token.Position
	sources map[string]string // who set a member; not there: the default
}

// problem is a mistake about the member at path, placed where that was set, or what
// holds it.
func (o *provenance) problem(path, msg string) *Problem {
	p := &Problem{Path: path, Msg: msg}
	for ; ; path = parent(path) {
		if at := o.places[path]; at != nil {
			p.Source, p.Line, p.Column = o.file, at.Line, at.Column
			return p
		}
		if p.Source = o.sources[path]; p.Source != "" || path == "" {
			return p
		}
	}
}

// Locate places what turned out to be wrong when the member of c at path was put to
// use. A [fault.Error] about a member of that member becomes a [Problem], which tells
// the operator the cause, too; any other error gets the path. Nil stays nil.
func (c *Config) Locate(path string, err error) error {
	var located []error
	for _, err := range flatten(err) {
		e, ok := errors.AsType[*fault.Error](err)
		if !ok || e.Field == "" {
			located = append(located, fmt.Errorf("%s: %w", path, err))
			continue
		}
		msg := e.Msg
		if e.Err != nil {
			msg += ": " + e.Err.Error()
		}
		located = append(located, c.from.problem(join(path, e.Field), msg))
	}
	return errors.Join(located...)
}
