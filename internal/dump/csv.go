package dump

import (
	"bufio"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/carnetproject/carnet/internal/consumer"
	"github.com/carnetproject/carnet/internal/jose"
	"github.com/carnetproject/carnet/internal/secret"
)

// table is a CSV file (RFC 4180) of credentials. Its header names the columns: consumer
// and key, and any of secret, algorithm, rsa_public_key, tags and created_at.
type table struct {
	limit *limited
	csv   *csv.Reader
	at    columns
	width int
}

var tableColumns = []string{"consumer", "key", "secret", "algorithm", "rsa_public_key", "tags", "created_at"}

func newTable(r *bufio.Reader) (*table, error) {
	t := &table{limit: &limited{r: r, left: maxRow}}
	t.csv = csv.NewReader(t.limit)
	t.csv.ReuseRecord, t.csv.FieldsPerRecord = true, -1
	header, err := t.csv.Read()
	if err != nil {
		return nil, t.explain(err)
	}
	t.at, t.width = headerOf(header), len(header)
	known := 0
	for _, name := range tableColumns {
		if t.at.has(name) {
			known++
		}
	}
	if known != len(header) {
		return nil, bad(1, "the columns must be of %s, each once", strings.Join(tableColumns, ", "))
	}
	return t, nil
}

// Next returns the next credential.
func (t *table) Next() (consumer.Entry, error) {
	t.limit.left = maxRow
	row, err := t.csv.Read()
	if err != nil {
		return consumer.Entry{}, t.explain(err)
	}
	line, _ := t.csv.FieldPos(0)
	e := consumer.Entry{Line: line}
	if len(row) != t.width {
		e.Bad = fmt.Sprintf("has %d columns, not %d as the header", len(row), t.width)
		return e, nil
	}
	get := func(name string) string {
		if i, ok := t.at[name]; ok {
			return strings.Clone(row[i]) // the row's memory is the next one's
		}
		return ""
	}
	e.Owner, e.Key, e.PublicKey = get("consumer"), get("key"), get("rsa_public_key")
	e.Secret = secret.FromString(get("secret"))
	e.Algorithm = algorithm(get("algorithm"))
	if tags := get("tags"); tags != "" {
		e.Tags = strings.Split(tags, ",")
	}
	if e.Created, err = moment(get("created_at")); err != nil {
		return consumer.Entry{Line: line, Bad: "created_at: " + err.Error()}, nil
	}
	return e, nil
}

func (t *table) explain(err error) error {
	if e, ok := errors.AsType[*csv.ParseError](err); ok {
		return bad(e.Line, "%v", e.Err)
	}
	if errors.Is(err, io.EOF) {
		return io.EOF
	}
	return broken(err)
}

// algorithm has Kong's default.
func algorithm(name string) jose.Algorithm {
	if name == "" {
		return jose.HS256
	}
	return jose.Algorithm(name)
}

// limited gives so many bytes, then an error: a quote that nobody closes does not take
// the rest of the file into memory.
type limited struct {
	r    io.Reader
	left int
}

var errRow = fmt.Errorf("a row is longer than %d bytes", maxRow)

func (l *limited) Read(p []byte) (int, error) {
	if l.left <= 0 {
		return 0, errRow
	}
	n, err := l.r.Read(p)
	l.left -= n
	return n, err
}
