package chat

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/carnetproject/carnet/internal/fault"
)

// members are the members of a frame that some type of frame has, as they were
// written. The first error of a reader stays in err, and the readers after it
// return zero values.
type members struct {
	raw  map[string][]byte
	deep bool // the frame has more than maxDepth levels
	err  error
}

// known are the names of all members that a client's frame may have.
var known = map[string]bool{
	"type": true, "token": true, "bot": true, "conversation": true, "after": true, "session": true,
	"context": true, "merge": true, "id": true, "body": true, "seq": true, "set": true,
}

const (
	required = true
	optional = false
)

// split takes a frame apart. Its members are parts of text.
func split(text []byte) (*members, error) {
	switch {
	case !utf8.Valid(text):
		return nil, fault.New(fault.Invalid, "a frame must be UTF-8")
	case !json.Valid(text) || bytes.TrimLeft(text, " \t\r\n")[0] != '{':
		return nil, fault.New(fault.Invalid, "a frame must be one JSON object")
	}
	s := scanner{text: text}
	m := &members{raw: make(map[string][]byte, 4)}
	s.next() // the opening brace
	for s.peek() != '}' {
		name := unquote(s.value())
		s.next() // the colon
		value := s.value()
		if s.peek() == ',' {
			s.next()
		}
		if !known[name] {
			continue
		}
		if _, twice := m.raw[name]; twice {
			return nil, fault.BadField(name, "is given twice")
		}
		m.raw[name] = value
	}
	m.deep = s.deepest >= maxDepth
	return m, nil
}

// scanner finds the ends of values in text that [json.Valid] has accepted.
type scanner struct {
	text    []byte
	at      int
	deepest int // levels of the deepest value seen
}

// peek is the next byte that is no white space.
func (s *scanner) peek() byte {
	for {
		switch c := s.text[s.at]; c {
		case ' ', '\t', '\r', '\n':
			s.at++
		default:
			return c
		}
	}
}

// next takes that byte.
func (s *scanner) next() byte {
	c := s.peek()
	s.at++
	return c
}

// value takes the next value whole.
func (s *scanner) value() []byte {
	first, begin := s.peek(), s.at
	switch first {
	case '"':
		s.skipString()
	case '{', '[':
		s.skipNested()
	default:
		for !strings.ContainsRune(",}] \t\r\n", rune(s.text[s.at])) {
			s.at++
		}
	}
	return s.text[begin:s.at]
}

// skipString moves behind the string that begins here.
func (s *scanner) skipString() {
	for s.at++; s.text[s.at] != '"'; s.at++ {
		if s.text[s.at] == '\\' {
			s.at++
		}
	}
	s.at++
}

// skipNested moves behind the object or list that begins here.
func (s *scanner) skipNested() {
	for depth := 0; ; {
		switch s.text[s.at] {
		case '"':
			s.skipString()
			continue
		case '{', '[':
			depth++
			s.deepest = max(s.deepest, depth)
		case '}', ']':
			depth--
		}
		s.at++
		if depth == 0 {
			return
		}
	}
}

// unquote is the text of a JSON string.
func unquote(quoted []byte) string {
	var s string
	_ = json.Unmarshal(quoted, &s) // it is a valid one
	return s
}

// take returns the member of that name, nil if it is not there or after an error.
func (m *members) take(name string, need bool) []byte {
	raw, ok := m.raw[name]
	if !ok && need {
		m.refuse(name, "is required")
	}
	if m.err != nil {
		return nil
	}
	return raw
}

func (m *members) refuse(name, msg string) {
	if m.err == nil {
		m.err = fault.BadField(name, msg)
	}
}

// text is a member that is a string of 1 to most allowed bytes.
func (m *members) text(name string, need bool, most int, allowed func(byte) bool) string {
	raw := m.take(name, need)
	if raw == nil {
		return ""
	}
	if raw[0] != '"' {
		m.refuse(name, "must be a string")
		return ""
	}
	s := unquote(raw)
	if s == "" || len(s) > most {
		m.refuse(name, fmt.Sprintf("must be a string of 1 to %d bytes", most))
	}
	for i := range len(s) {
		if !allowed(s[i]) {
			m.refuse(name, "must be of the characters A-Z a-z 0-9 _ -")
		}
	}
	return s
}

// count is a member that is a whole number from 0, written in digits alone.
func (m *members) count(name string, need bool, missing int64) int64 {
	raw := m.take(name, need)
	if raw == nil {
		return missing
	}
	n, err := strconv.ParseUint(string(raw), 10, 53)
	if err != nil {
		m.refuse(name, fmt.Sprintf("must be a whole number from 0 to %d", maxCount))
	}
	return int64(n)
}

// object is a member that is an object of at most so many bytes.
func (m *members) object(name string, need bool, most int) json.RawMessage {
	raw := m.take(name, need)
	if raw == nil {
		return nil
	}
	if raw[0] != '{' || len(raw) > most {
		m.refuse(name, fmt.Sprintf("must be an object of at most %d bytes", most))
		return nil
	}
	return compact(raw)
}

// value is a member that may be anything but null.
func (m *members) value(name string) json.RawMessage {
	raw := m.take(name, required)
	if raw == nil {
		return nil
	}
	if raw[0] == 'n' {
		m.refuse(name, "must not be null")
		return nil
	}
	return compact(raw)
}

// compact is a copy of a valid value without white space.
func compact(raw []byte) json.RawMessage {
	b := bytes.NewBuffer(make([]byte, 0, len(raw)))
	_ = json.Compact(b, raw)
	return b.Bytes()
}
