package jose

import (
	"bytes"
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"unicode/utf8"
	"unsafe"
)

// Kind is the type of a JSON value.
type Kind uint8

// The kinds of JSON values. The zero Kind is of a [Value] that is not there.
const (
	Absent Kind = iota
	Null
	Bool
	Number
	String
	Array
	Nested // an object inside
)

// Object is one JSON object, checked whole: valid UTF-8, no lone surrogate, no
// name twice at any level, at most [maxDepth] levels, nothing after it but blanks.
// It keeps positions, not copies, and its memory is reused by the next Parse.
type Object struct {
	src     []byte
	members []member
	open    []uint64 // hashes of the names of the objects being scanned; scratch
}

type member struct {
	name, nameEnd   uint32 // without the quotes
	value, valueEnd uint32 // a string with its quotes
	kind            Kind
	escaped         bool // the name has a backslash
}

// Parse reads src, which must be one object and must not change while o is in use.
// After an error o is empty.
func (o *Object) Parse(src []byte) error {
	o.src, o.members = src, o.members[:0]
	s := scanner{src: src, open: o.open[:0]}
	reason := s.document(o)
	o.open = s.open
	if reason != "" {
		o.members = o.members[:0]
		return malformed("JSON", reason)
	}
	return nil
}

// Clone returns a copy that shares nothing with o.
func (o *Object) Clone() Object {
	return Object{src: bytes.Clone(o.src), members: slices.Clone(o.members)}
}

// Bytes is the text that was parsed.
func (o *Object) Bytes() []byte { return o.src }

// Lookup returns the member called name. Names are compared as they stand.
func (o *Object) Lookup(name string) Value {
	for i := range o.members {
		m := &o.members[i]
		if string(o.name(m)) == name {
			return Value{m.kind, o.src[m.value:m.valueEnd]}
		}
	}
	return Value{}
}

func (o *Object) name(m *member) []byte {
	raw := o.src[m.name:m.nameEnd]
	if m.escaped {
		raw, _ = unescape(nil, raw) // scanned before: cannot fail
	}
	return raw
}

// lookAlike reports whether a member's name differs only in case from one of names,
// which are in lower case. Who reads such a token with a case-insensitive parser would
// see another claim than we do.
func (o *Object) lookAlike(names []string) bool {
	for i := range o.members {
		got := o.name(&o.members[i])
		if lower(got) {
			continue // it is one of names or differs in more than case
		}
		for _, want := range names {
			if bytes.EqualFold(got, []byte(want)) {
				return true
			}
		}
	}
	return false
}

// lower reports whether b is ASCII without capital letters. Some letters outside of
// ASCII are capitals of ones in it, like the Kelvin sign.
func lower(b []byte) bool {
	for _, c := range b {
		if c >= utf8.RuneSelf || c-'A' < 26 {
			return false
		}
	}
	return true
}

// Value is one JSON value inside an [Object]. The zero Value is an absent one.
type Value struct {
	Kind Kind
	Raw  []byte // its JSON text, within the object's memory
}

// Text returns a JSON string's value, false for any other kind.
func (v Value) Text() (string, bool) {
	if v.Kind != String {
		return "", false
	}
	raw := v.Raw[1 : len(v.Raw)-1]
	if bytes.IndexByte(raw, '\\') < 0 {
		return string(raw), true
	}
	text, ok := unescape(nil, raw)
	return string(text), ok
}

// Texts returns the strings of an array that holds only strings.
func (v Value) Texts() ([]string, bool) {
	if v.Kind != Array {
		return nil, false
	}
	var texts []string
	for e := range v.Elements() {
		t, ok := e.Text()
		if !ok {
			return nil, false
		}
		texts = append(texts, t)
	}
	return texts, true
}

// Elements yields the values of an array, none for any other kind.
func (v Value) Elements() func(yield func(Value) bool) {
	return func(yield func(Value) bool) {
		if v.Kind != Array {
			return
		}
		s := scanner{src: v.Raw, pos: 1}
		for {
			s.blanks()
			if s.pos >= len(s.src) || s.src[s.pos] == ']' {
				return
			}
			start := s.pos
			kind, reason := s.value(1)
			if reason != "" || !yield(Value{kind, s.src[start:s.pos]}) {
				return
			}
			s.blanks()
			if s.pos < len(s.src) && s.src[s.pos] == ',' {
				s.pos++
			}
		}
	}
}

// Decode unmarshals the value with encoding/json.
func (v Value) Decode(into any) error { return json.Unmarshal(v.Raw, into) }

// maxDate is the last second of the year 9999.
const maxDate = 253402300799

// Date returns a NumericDate (RFC 7519 §2) in milliseconds since the epoch:
// a finite number of seconds from 1970 to 9999, which may have a fraction.
func (v Value) Date() (ms int64, ok bool) {
	if v.Kind != Number {
		return 0, false
	}
	if len(v.Raw) <= 12 { // the common case: a plain integer, without allocation
		n, plain := int64(0), true
		for _, c := range v.Raw {
			plain = plain && c >= '0' && c <= '9'
			n = n*10 + int64(c) - '0'
		}
		if plain {
			return n * 1000, n <= maxDate
		}
	}
	f, err := strconv.ParseFloat(string(v.Raw), 64)
	if err != nil || f < 0 || f > maxDate {
		return 0, false
	}
	return int64(math.Floor(f * 1000)), true
}

// unescape appends the text of a JSON string without quotes to dst.
func unescape(dst, raw []byte) ([]byte, bool) {
	for i := 0; i < len(raw); i++ {
		if raw[i] != '\\' {
			dst = append(dst, raw[i])
			continue
		}
		i++
		if i >= len(raw) {
			return dst, false
		}
		switch c := raw[i]; c {
		case '"', '\\', '/':
			dst = append(dst, c)
		case 'b':
			dst = append(dst, '\b')
		case 'f':
			dst = append(dst, '\f')
		case 'n':
			dst = append(dst, '\n')
		case 'r':
			dst = append(dst, '\r')
		case 't':
			dst = append(dst, '\t')
		case 'u':
			r, size := escapedRune(raw[i-1:])
			if size == 0 {
				return dst, false
			}
			dst = utf8.AppendRune(dst, r)
			i += size - 2
		default:
			return dst, false
		}
	}
	return dst, true
}

// Size is the memory that o's text and positions take, in bytes.
func (o *Object) Size() int { return len(o.src) + cap(o.members)*int(unsafe.Sizeof(member{})) }
