package jose

import (
	"encoding/binary"
	"math/bits"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

const (
	maxDepth   = 32  // levels of nesting
	maxMembers = 256 // names of one object: bounds the search for duplicates
)

// scanner checks JSON text (RFC 8259) in one pass. Its methods return the reason
// of a refusal, "" if there is none.
type scanner struct {
	src  []byte
	pos  int
	open []uint64
}

// document scans one object that is all of the text, and notes its members in o.
func (s *scanner) document(o *Object) (reason string) {
	if uint64(len(s.src)) > 1<<31 || !utf8.Valid(s.src) {
		return "not valid UTF-8"
	}
	s.blanks()
	if s.pos >= len(s.src) || s.src[s.pos] != '{' {
		return "not an object"
	}
	if reason := s.object(1, o); reason != "" {
		return reason
	}
	s.blanks()
	if s.pos != len(s.src) {
		return "bytes after the object"
	}
	return ""
}

// object scans from '{' to behind '}'. Members go to o if it is not nil.
func (s *scanner) object(depth int, o *Object) (reason string) {
	if depth > maxDepth {
		return "nested too deeply"
	}
	s.pos++ // {
	mine := len(s.open)
	defer func() { s.open = s.open[:mine] }()
	for first := true; ; first = false {
		s.blanks()
		switch {
		case s.peek() == '}':
			s.pos++
			if !first {
				return "comma before a closing brace"
			}
			return ""
		case s.peek() != '"':
			return "member without a name"
		}
		name, nameEnd, escaped, reason := s.text()
		if reason != "" {
			return reason
		}
		hash := s.nameHash(name, nameEnd, escaped)
		for _, seen := range s.open[mine:] {
			if seen == hash {
				return "member name twice"
			}
		}
		if len(s.open)-mine == maxMembers {
			return "too many members"
		}
		s.open = append(s.open, hash)
		s.blanks()
		if s.peek() != ':' {
			return "member without a value"
		}
		s.pos++
		s.blanks()
		value := s.pos
		kind, reason := s.value(depth)
		if reason != "" {
			return reason
		}
		if o != nil {
			o.members = append(o.members, member{
				uint32(name), uint32(nameEnd), uint32(value), uint32(s.pos), kind, escaped,
			})
		}
		s.blanks()
		switch s.peek() {
		case ',':
			s.pos++
		case '}':
			s.pos++
			return ""
		default:
			return "object without an end"
		}
	}
}

// nameHash hashes the name's text, eight bytes at a time. Equal names have equal
// hashes; that two others collide refuses a token that only its maker can have made.
func (s *scanner) nameHash(start, end int, escaped bool) uint64 {
	name := s.src[start:end]
	if escaped {
		name, _ = unescape(nil, name)
	}
	const prime = 0x9e3779b97f4a7c15
	h := uint64(len(name)) * prime
	for ; len(name) >= 8; name = name[8:] {
		h = bits.RotateLeft64((h^binary.LittleEndian.Uint64(name))*prime, 31)
	}
	tail := uint64(0)
	for _, c := range name {
		tail = tail<<8 | uint64(c)
	}
	return (h ^ tail) * prime
}

// value scans any value at the given depth and tells its kind.
func (s *scanner) value(depth int) (Kind, string) {
	switch c := s.peek(); {
	case c == '"':
		_, _, _, reason := s.text()
		return String, reason
	case c == '{':
		return Nested, s.object(depth+1, nil)
	case c == '[':
		return Array, s.array(depth + 1)
	case c == '-' || c >= '0' && c <= '9':
		return Number, s.number()
	case c == 't':
		return Bool, s.literal("true")
	case c == 'f':
		return Bool, s.literal("false")
	case c == 'n':
		return Null, s.literal("null")
	default:
		return Absent, "not a value"
	}
}

func (s *scanner) array(depth int) (reason string) {
	if depth > maxDepth {
		return "nested too deeply"
	}
	s.pos++ // [
	s.blanks()
	if s.peek() == ']' {
		s.pos++
		return ""
	}
	for {
		s.blanks()
		if _, reason := s.value(depth); reason != "" {
			return reason
		}
		s.blanks()
		switch s.peek() {
		case ',':
			s.pos++
		case ']':
			s.pos++
			return ""
		default:
			return "array without an end"
		}
	}
}

// text scans a string and returns where its text stands, without the quotes.
func (s *scanner) text() (start, end int, escaped bool, reason string) {
	src, pos := s.src, s.pos+1 // behind the quote
	start = pos
	for pos < len(src) {
		if len(src)-pos >= 8 {
			n := plain(binary.LittleEndian.Uint64(src[pos:]))
			if pos += n; n == 8 {
				continue
			}
		}
		switch c := src[pos]; {
		case c >= 0x20 && c != '"' && c != '\\':
			pos++
		case c == '"':
			s.pos = pos + 1
			return start, pos, escaped, ""
		case c < 0x20:
			return 0, 0, false, "control character in a string"
		default:
			size := escapeSize(src[pos:])
			if size == 0 {
				return 0, 0, false, "unknown escape or lone surrogate"
			}
			escaped = true
			pos += size
		}
	}
	return 0, 0, false, "string without an end"
}

// plain is how many bytes of w, the first one lowest, come before a quote, a backslash
// or a control character. A byte b is under n if b-n borrows and b has no high bit.
func plain(w uint64) int {
	const ones, highs = 0x0101010101010101, 0x8080808080808080
	quote, backslash := w^ones*'"', w^ones*'\\'
	found := (w-ones*0x20)&^w | (quote-ones)&^quote | (backslash-ones)&^backslash
	return bits.TrailingZeros64(found&highs) / 8
}

// escapeSize is the length of the escape at the start of b, 0 if it is none.
func escapeSize(b []byte) int {
	if len(b) < 2 {
		return 0
	}
	switch b[1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2
	default:
		_, size := escapedRune(b)
		return size
	}
}

// number scans the grammar of RFC 8259 §6. It refuses what a double cannot hold
// (RFC 7493 §2.2), since readers make of it what they like.
func (s *scanner) number() (reason string) {
	start := s.pos
	if s.peek() == '-' {
		s.pos++
	}
	switch {
	case s.peek() == '0':
		s.pos++
	case !s.digits():
		return "bad number"
	}
	if s.peek() == '.' {
		s.pos++
		if !s.digits() {
			return "bad number"
		}
	}
	exponent := s.peek() == 'e' || s.peek() == 'E'
	if exponent {
		s.pos++
		if c := s.peek(); c == '+' || c == '-' {
			s.pos++
		}
		if !s.digits() {
			return "bad number"
		}
	}
	if exponent || s.pos-start > 300 { // shorter ones without an exponent are under 1e300
		if _, err := strconv.ParseFloat(string(s.src[start:s.pos]), 64); err != nil {
			return "number out of range"
		}
	}
	return ""
}

func (s *scanner) digits() bool {
	start, pos := s.pos, s.pos
	for pos < len(s.src) && s.src[pos]-'0' <= 9 {
		pos++
	}
	s.pos = pos
	return pos > start
}

func (s *scanner) literal(word string) (reason string) {
	if len(s.src)-s.pos < len(word) || string(s.src[s.pos:s.pos+len(word)]) != word {
		return "not a value"
	}
	s.pos += len(word)
	return ""
}

// peek is the byte at the position, 0 at the end (which stands for no token).
func (s *scanner) peek() byte {
	if s.pos < len(s.src) {
		return s.src[s.pos]
	}
	return 0
}

// blanks skips them. Where there is none, which is the rule, it is inlined.
func (s *scanner) blanks() {
	if s.pos < len(s.src) && s.src[s.pos] <= ' ' {
		s.skipBlanks()
	}
}

func (s *scanner) skipBlanks() {
	for s.pos < len(s.src) {
		switch s.src[s.pos] {
		case ' ', '\t', '\n', '\r':
			s.pos++
		default:
			return
		}
	}
}

// escapedRune reads a \uXXXX escape, or two that are a surrogate pair, at the
// start of b. A size of 0 means that there is none or a lone surrogate.
func escapedRune(b []byte) (r rune, size int) {
	high, ok := hex4(b)
	if !ok {
		return 0, 0
	}
	if !utf16.IsSurrogate(high) {
		return high, 6
	}
	low, ok := hex4(b[6:])
	if !ok {
		return 0, 0
	}
	if r := utf16.DecodeRune(high, low); r != utf8.RuneError {
		return r, 12
	}
	return 0, 0
}

func hex4(b []byte) (r rune, ok bool) {
	if len(b) < 6 || b[0] != '\\' || b[1] != 'u' {
		return 0, false
	}
	for _, c := range b[2:6] {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		case c >= 'A' && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}
