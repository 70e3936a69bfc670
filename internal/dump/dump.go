// Package dump reads the consumers and credentials of other systems out of files: CSV,
// and what PostgreSQL's pg_dump makes of Kong's database.
//
// A row that cannot be understood is an entry that says why; only what makes the rest
// unreadable is an error. Memory is bounded whatever the file holds.
package dump

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/carnetproject/carnet/internal/consumer"
	"github.com/carnetproject/carnet/internal/fault"
)

// maxRow is the longest row, in bytes.
const maxRow = 1 << 20

// Reader gives the rows of a file.
type Reader interface {
	// Next returns the next row, and io.EOF after the last. Other errors end the file:
	// faults of kind Invalid that name the line, or the file's own.
	Next() (consumer.Entry, error)
}

// Open finds out what a file is, plain or compressed with gzip.
func Open(file io.Reader) (Reader, error) {
	r, head, err := look(file)
	if err == nil && bytes.HasPrefix(head, []byte{0x1f, 0x8b}) {
		z, zipErr := gzip.NewReader(r)
		if zipErr != nil {
			return nil, fault.Wrap(fault.Invalid, "the file begins like gzip and is not", zipErr)
		}
		r, head, err = look(z)
	}
	if err != nil {
		return nil, broken(err)
	}
	switch {
	case bytes.HasPrefix(head, []byte("PGDMP")):
		return nil, fault.New(fault.Invalid, "this is a dump in pg_dump's own format: make it text with pg_restore --data-only -f dump.sql FILE")
	case isCSV(head):
		return newTable(r)
	case isDump(head):
		return &sections{r: r}, nil
	case len(head) == 0:
		return nil, fault.New(fault.Invalid, "the file is empty")
	default:
		return nil, fault.New(fault.Invalid,
			"the file is neither CSV with a header such as consumer,key,secret nor a dump by pg_dump in plain format")
	}
}

// look reads what a file begins with, and leaves it in the reader.
func look(file io.Reader) (*bufio.Reader, []byte, error) {
	r := bufio.NewReaderSize(file, 64<<10)
	head, err := r.Peek(4096)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return r, head, err
}

// isCSV looks for a header.
func isCSV(head []byte) bool {
	line, _, _ := bytes.Cut(head, []byte("\n"))
	columns := headerOf(strings.Split(string(line), ","))
	return columns.has("consumer") && columns.has("key")
}

// isDump looks for what pg_dump and psql begin with.
func isDump(head []byte) bool {
	for line := range bytes.Lines(head) {
		line = bytes.TrimSpace(line)
		switch first, _, _ := bytes.Cut(line, []byte(" ")); string(first) {
		case "--", "COPY", "SET", "SELECT", `\restrict`, `\connect`, "BEGIN;":
			return true
		case "":
			continue
		default:
			return false
		}
	}
	return false
}

// columns are the places of columns by their names.
type columns map[string]int

func (c columns) has(name string) bool { _, ok := c[name]; return ok }

// headerOf takes names as they are written in any case, with blanks or quotes around.
func headerOf(names []string) columns {
	c := make(columns, len(names))
	for i, n := range names {
		c[strings.ToLower(strings.Trim(n, " \t\r\ufeff\""))] = i
	}
	return c
}

// moment reads a time as databases and scripts write it: seconds or milliseconds since
// 1970, or a date with a clock and perhaps a zone, UTC without.
func moment(text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		const year5138 = 100_000_000_000 // in seconds; in milliseconds it is 1973
		if n < 0 || n >= 1000*year5138 {
			return time.Time{}, fmt.Errorf("time %d is out of range", n)
		}
		if n < year5138 {
			return time.Unix(n, 0).UTC(), nil
		}
		return time.UnixMilli(n).UTC(), nil
	}
	for _, layout := range []string{
		time.RFC3339, "2006-01-02 15:04:05Z07", "2006-01-02 15:04:05Z07:00", time.DateTime, "2006-01-02T15:04:05", time.DateOnly,
	} {
		if t, err := time.Parse(layout, text); err == nil {
			return t.UTC(), nil
		}
	}
	return time.Time{}, fmt.Errorf("time %s is none: write it as in RFC 3339, or in seconds since 1970", strconv.Quote(short(text)))
}

// short bounds what a message repeats of a file.
func short(text string) string {
	const most = 40
	if len(text) > most {
		return text[:most] + "…"
	}
	return text
}

// broken says that the file itself cannot be read.
func broken(err error) error {
	return fault.Wrap(fault.Invalid, "the file cannot be read to its end", err)
}

// bad says what makes the rest of the file unreadable.
func bad(line int, format string, args ...any) error {
	return fault.Newf(fault.Invalid, "line %d: %s", line, fmt.Sprintf(format, args...))
}
