package connector

import (
	"errors"

	"github.com/carnetproject/carnet/internal/wire"
)

// Value is one thing that a connector reads from an input.
type Value struct {
	Name string // the entry of the mapping, or ${name} for a parameter of a path
	JSON []byte // nil: the input does not have it
	Err  error  // it cannot be mapped; JSON is nil, too
}

// Reads lists what a call would take from the input, always in the same order: two inputs
// with the same list make the same request. Missing names the entries that the call needs
// and the input does not have, or has as null.
func (c *Connector) Reads(in Input) (values []Value, missing []string) {
	params := map[string]bool{}
	for i := range c.request {
		m := &c.request[i]
		if m.kind == toBasic {
			continue
		}
		for _, name := range m.from.params {
			params[name] = true
		}
		for _, s := range m.to {
			if s.param {
				params[s.name] = true
			}
		}
		v, err := m.raw(in.root)
		values = append(values, read(m.name, v, err))
		if (errors.Is(err, errMissing) || err == nil && v == nil) && !m.optional && !m.hasElse {
			missing = append(missing, m.name)
		}
	}
	for _, name := range sortedNames(params) {
		object, _ := in.root.(map[string]any)
		v, ok := object[name]
		var err error
		if !ok {
			err = errMissing
		}
		values = append(values, read("${"+name+"}", v, err))
	}
	return values, missing
}

func read(name string, v any, err error) Value {
	if errors.Is(err, errMissing) {
		return Value{Name: name}
	}
	var text []byte
	if err == nil {
		text, err = wire.JSON(v)
	}
	return Value{name, text, err}
}
