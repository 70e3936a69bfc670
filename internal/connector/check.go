package connector

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/carnetproject/carnet/internal/fault"
)

// Warning is something in a document that works, and may not be what was meant.
type Warning struct {
	Pointer string // RFC 6901, into the document
	Msg     string
	Unknown bool // it is a member that is not known, and a fault where documents are read strictly
}

// String is "/Type: is written so in one of the documents".
func (w Warning) String() string { return w.Pointer + ": " + w.Msg }

// checker reads a document and collects what is wrong with it.
type checker struct {
	strict       bool
	organization string
	files        []string // hosts that have files
	faults       []error
	warnings     []Warning
}

func (k *checker) bad(at, format string, args ...any) {
	k.faults = append(k.faults, fault.BadField(at, fmt.Sprintf(format, args...)))
}

func (k *checker) warn(at, format string, args ...any) {
	k.warnings = append(k.warnings, Warning{Pointer: at, Msg: fmt.Sprintf(format, args...)})
}

func (k *checker) err() error { return errors.Join(k.faults...) }

// object is one whose members are read by name.
type object struct {
	*checker
	at      string
	members map[string]any
	read    []string
}

// object takes v as an object; what is none is a fault, and an empty one.
func (k *checker) object(at string, v any) *object {
	members, ok := v.(map[string]any)
	if !ok && v != nil {
		k.bad(at, "must be an object")
	}
	return &object{k, at, members, nil}
}

// take is the value of a member; nil if it is not there, or null.
func (o *object) take(name string) (v any, at string) {
	o.read = append(o.read, name)
	return o.members[name], pointer(o.at, name)
}

func (o *object) has(name string) bool { return o.members[name] != nil }

// text is a member that must be a string, "" if it is not there.
func (o *object) text(name string) string {
	v, at := o.take(name)
	s, ok := v.(string)
	if !ok && v != nil {
		o.bad(at, "must be a string")
	}
	return s
}

// need is text that must be there.
func (o *object) need(name string) string {
	s := o.text(name)
	if v, at := o.take(name); v == nil || v == "" {
		o.bad(at, "is needed")
	}
	return s
}

func (o *object) flag(name string) bool {
	v, at := o.take(name)
	b, ok := v.(bool)
	if !ok && v != nil {
		o.bad(at, "must be true or false")
	}
	return b
}

// number is a whole number from least to most, or def if it is not there. As in other
// documents of the kind, it may be a string of digits.
func (o *object) number(name string, def, least, most int) int {
	v, at := o.take(name)
	text := ""
	switch v := v.(type) {
	case nil:
		return def
	case json.Number:
		text = v.String()
	case string:
		text = v
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < least || n > most {
		o.bad(at, "must be a whole number, %d to %d", least, most)
		return def
	}
	return n
}

// choice is a member that is one of some words, the first if it is not there.
func (o *object) choice(name string, words ...string) string {
	s := o.text(name)
	if s == "" {
		return words[0]
	}
	if !slices.Contains(words, s) {
		_, at := o.take(name)
		o.bad(at, "must be one of %q", words)
		return words[0]
	}
	return s
}

// list is a member that must be a list.
func (o *object) list(name string) (elements []any, at string) {
	v, at := o.take(name)
	elements, ok := v.([]any)
	if !ok && v != nil {
		o.bad(at, "must be a list")
	}
	return elements, at
}

// done tells of members that nobody has read.
func (o *object) done() {
	for _, name := range sortedNames(o.members) {
		switch at := pointer(o.at, name); {
		case slices.Contains(o.read, name):
		case o.strict:
			o.bad(at, "is not known")
		default:
			o.warnings = append(o.warnings, Warning{at, "is not known, and does nothing", true})
		}
	}
}
