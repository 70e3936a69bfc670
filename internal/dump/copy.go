package dump

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/carnetproject/carnet/internal/consumer"
	"github.com/carnetproject/carnet/internal/secret"
)

// sections is a dump of Kong's database by pg_dump in plain format: SQL, in which the
// rows of a table stand between COPY … FROM stdin; and \. in text format (PostgreSQL's
// documentation of COPY, "Text Format"). Tables other than consumers and jwt_secrets
// are passed over.
type sections struct {
	r     *bufio.Reader
	buf   []byte // the line, if the reader's own memory does not hold it
	line  int
	table string // whose rows stand here; "": SQL, or rows of another table
	at    columns
	width int
	other bool // rows of another table stand here
	seen  bool // a table that we know
}

// Next returns the next consumer or credential.
func (s *sections) Next() (consumer.Entry, error) {
	for {
		text, err := s.readLine()
		if errors.Is(err, io.EOF) {
			return consumer.Entry{}, s.end()
		}
		if err != nil {
			return consumer.Entry{}, err
		}
		switch {
		case (s.table != "" || s.other) && string(text) == `\.`:
			s.table, s.other = "", false
		case s.other:
		case s.table != "":
			return s.row(text), nil
		case bytes.HasPrefix(text, []byte("COPY ")):
			if err := s.begin(string(text)); err != nil {
				return consumer.Entry{}, err
			}
		case bytes.HasPrefix(text, []byte("INSERT INTO ")):
			return consumer.Entry{}, bad(s.line, "rows stand in INSERT statements: dump without --inserts")
		}
	}
}

func (s *sections) end() error {
	switch {
	case s.table != "" || s.other:
		return bad(s.line, `the dump ends amid a table: \. is missing`)
	case !s.seen:
		return bad(s.line, "the dump has no COPY of consumers or jwt_secrets")
	default:
		return io.EOF
	}
}

// readLine returns a line without its end. It is valid until the next call.
func (s *sections) readLine() ([]byte, error) {
	s.buf = s.buf[:0]
	s.line++
	for {
		part, err := s.r.ReadSlice('\n')
		switch {
		case err == nil && len(s.buf) == 0:
			return chomp(part), nil
		case len(s.buf)+len(part) > maxRow:
			return nil, bad(s.line, "is longer than %d bytes", maxRow)
		}
		s.buf = append(s.buf, part...)
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
		case errors.Is(err, io.EOF) && len(s.buf) > 0, err == nil:
			return chomp(s.buf), nil
		case errors.Is(err, io.EOF):
			return nil, io.EOF
		default:
			return nil, broken(err)
		}
	}
}

func chomp(line []byte) []byte {
	return bytes.TrimSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte("\r"))
}

// begin reads COPY [schema.]table (column, …) FROM stdin;
func (s *sections) begin(text string) error {
	rest := strings.TrimPrefix(text, "COPY ")
	name, rest, ok := strings.Cut(rest, " (")
	list, rest, closed := strings.Cut(rest, ") ")
	if !ok || !closed || !strings.EqualFold(strings.TrimSpace(rest), "FROM stdin;") {
		return bad(s.line, "expected COPY table (columns) FROM stdin;")
	}
	if i := strings.LastIndexByte(name, '.'); i >= 0 {
		name = name[i+1:]
	}
	names := strings.Split(list, ",")
	s.at, s.width = headerOf(names), len(names)
	var need []string
	switch s.table = strings.Trim(name, `"`); s.table {
	case "consumers":
		need = []string{"id", "username"}
	case "jwt_secrets":
		need = []string{"consumer_id", "key", "secret"}
	default:
		s.table, s.other = "", true
		return nil
	}
	for _, n := range need {
		if !s.at.has(n) {
			return bad(s.line, "the table %s has no column %s", s.table, n)
		}
	}
	s.seen = true
	return nil
}

// row is a row of a table that we know.
func (s *sections) row(text []byte) consumer.Entry {
	e := consumer.Entry{Line: s.line}
	fields := bytes.Split(text, []byte("\t"))
	if len(fields) != s.width {
		e.Bad = fmt.Sprintf("has %d columns, not %d", len(fields), s.width)
		return e
	}
	get := func(name string) (value string) {
		if i, ok := s.at[name]; ok && e.Bad == "" {
			var fine bool
			if value, fine = unescape(fields[i]); !fine {
				e.Bad = name + ": ends in a backslash"
			}
		}
		return value
	}
	created, err := moment(get("created_at"))
	if err != nil {
		e.Bad = "created_at: " + err.Error()
	}
	tags, ok := array(get("tags"))
	if !ok {
		e.Bad = "tags: expected an array such as {a,b}"
	}
	if s.table == "consumers" {
		e.Consumer = &consumer.Info{
			ID: get("id"), Username: get("username"), CustomID: get("custom_id"), Tags: tags, Created: created,
		}
	} else {
		e.Owner, e.Key, e.PublicKey = get("consumer_id"), get("key"), get("rsa_public_key")
		e.Secret = secret.FromString(get("secret"))
		e.Algorithm, e.Tags, e.Created = algorithm(get("algorithm")), tags, created
	}
	if e.Bad != "" {
		return consumer.Entry{Line: e.Line, Bad: e.Bad}
	}
	return e
}

// unescape reads a value; NULL is "".
func unescape(field []byte) (string, bool) {
	if bytes.IndexByte(field, '\\') < 0 {
		return string(field), true
	}
	if string(field) == `\N` {
		return "", true
	}
	out := make([]byte, 0, len(field))
	for i := 0; i < len(field); i++ {
		c := field[i]
		if c != '\\' {
			out = append(out, c)
			continue
		}
		if i++; i == len(field) {
			return "", false
		}
		n, value := escape(field[i:])
		out = append(out, value)
		i += n - 1
	}
	return string(out), true
}

// escape reads what follows a backslash: how many bytes it is, and which byte it means.
func escape(s []byte) (n int, value byte) {
	switch c := s[0]; c {
	case 'b':
		return 1, '\b'
	case 'f':
		return 1, '\f'
	case 'n':
		return 1, '\n'
	case 'r':
		return 1, '\r'
	case 't':
		return 1, '\t'
	case 'v':
		return 1, '\v'
	case 'x':
		if n := digits(s[1:], 2, 16); n > 0 {
			return 1 + n, number(s[1:1+n], 16)
		}
		return 1, c
	default:
		if n := digits(s, 3, 8); n > 0 {
			return n, number(s[:n], 8)
		}
		return 1, c
	}
}

// digits is how many of the first bytes, at most so many, are digits of a base.
func digits(s []byte, most, base int) int {
	n := 0
	for n < min(most, len(s)) && digit(s[n]) < base {
		n++
	}
	return n
}

func digit(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c|0x20 >= 'a' && c|0x20 <= 'f':
		return int(c|0x20-'a') + 10
	default:
		return 99
	}
}

// number is what digits say, in one byte as PostgreSQL has it.
func number(s []byte, base int) (value byte) {
	for _, c := range s {
		value = byte(int(value)*base + digit(c))
	}
	return value
}

// array reads an array of texts as PostgreSQL prints it: {a,"b c",NULL}.
func array(text string) (items []string, ok bool) {
	if text == "" || text == "{}" {
		return nil, true
	}
	inner, opened := strings.CutPrefix(text, "{")
	inner, closed := strings.CutSuffix(inner, "}")
	if !opened || !closed {
		return nil, false
	}
	for {
		item, rest, more := element(inner)
		if item != "" && item != "NULL" {
			items = append(items, item)
		}
		if !more {
			return items, rest == ""
		}
		inner = rest
	}
}

// element reads the first item of an array; more tells whether a comma follows it.
func element(s string) (item, rest string, more bool) {
	if !strings.HasPrefix(s, `"`) {
		return strings.Cut(s, ",")
	}
	var out strings.Builder
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			if i++; i < len(s) {
				out.WriteByte(s[i])
			}
		case '"':
			rest, more = strings.CutPrefix(s[i+1:], ",")
			return out.String(), rest, more
		default:
			out.WriteByte(s[i])
		}
	}
	return "", s, false
}
