package table

import (
	"database/sql/driver"
	"encoding/json"
	"fmt"
	"time"

	"github.com/carnetproject/carnet/internal/jose"
)

// Stamp is a time as a column: milliseconds since 1970, NULL for the zero time.
type Stamp time.Time

// Value implements [driver.Valuer].
func (t Stamp) Value() (driver.Value, error) { return timeValue(t, time.Time.UnixMilli), nil }

// Scan implements [sql.Scanner].
func (t *Stamp) Scan(v any) error { return scanTime(t, v, time.UnixMilli) }

// second is a time as a column: seconds since 1970, NULL for the zero time.
type second time.Time

func (t second) Value() (driver.Value, error) { return timeValue(t, time.Time.Unix), nil }

func (t *second) Scan(v any) error {
	return scanTime(t, v, func(n int64) time.Time { return time.Unix(n, 0) })
}

// instant is a time as a column: nanoseconds since 1970, NULL for the zero time.
type instant time.Time

func (t instant) Value() (driver.Value, error) { return timeValue(t, time.Time.UnixNano), nil }

func (t *instant) Scan(v any) error {
	return scanTime(t, v, func(n int64) time.Time { return time.Unix(0, n) })
}

type timeColumn interface{ Stamp | second | instant }

func timeValue[T timeColumn](t T, number func(time.Time) int64) driver.Value {
	if time.Time(t).IsZero() {
		return nil
	}
	return number(time.Time(t))
}

func scanTime[T timeColumn](t *T, v any, of func(int64) time.Time) error {
	switch v := v.(type) {
	case nil:
		*t = T{}
	case int64:
		*t = T(of(v).UTC())
	default:
		return fmt.Errorf("time column holds %T", v)
	}
	return nil
}

// List is a slice as a column: a JSON array.
type List[T any] []T

// Value implements [driver.Valuer].
func (l List[T]) Value() (driver.Value, error) {
	if len(l) == 0 {
		return "[]", nil
	}
	b, err := json.Marshal([]T(l))
	return string(b), err
}

// Scan implements [sql.Scanner].
func (l *List[T]) Scan(v any) error {
	text, ok := v.(string)
	if !ok {
		return fmt.Errorf("list column holds %T", v)
	}
	var items []T
	if err := json.Unmarshal([]byte(text), &items); err != nil {
		return err
	}
	if len(items) == 0 {
		items = nil // as a list that was never set
	}
	*l = items
	return nil
}

// tags are a list that most rows do not have: NULL if it is empty.
type tags []string

func (t tags) Value() (driver.Value, error) {
	if len(t) == 0 {
		return nil, nil
	}
	return List[string](t).Value()
}

func (t *tags) Scan(v any) error {
	if v == nil {
		*t = nil
		return nil
	}
	return (*List[string])(t).Scan(v)
}

// optional is a text as a column: NULL for "".
type optional string

func (o optional) Value() (driver.Value, error) {
	if o == "" {
		return nil, nil
	}
	return string(o), nil
}

func (o *optional) Scan(v any) error {
	switch v := v.(type) {
	case nil:
		*o = ""
	case string:
		*o = optional(v)
	default:
		return fmt.Errorf("text column holds %T", v)
	}
	return nil
}

// Document is JSON as a column: nil is empty, and so is NULL.
type Document json.RawMessage

// Scan implements [sql.Scanner].
func (d *Document) Scan(v any) error {
	switch v := v.(type) {
	case nil:
		*d = nil
	case string:
		*d = nil
		if v != "" {
			*d = Document(v)
		}
	default:
		return fmt.Errorf("JSON column holds %T", v)
	}
	return nil
}

// digest is a SHA-256 as a column.
type digest [32]byte

func (d digest) Value() (driver.Value, error) { return d[:], nil }

func (d *digest) Scan(v any) error {
	b, ok := v.([]byte)
	if !ok || len(b) != len(d) {
		return fmt.Errorf("digest column holds %T of %d bytes", v, len(b))
	}
	copy(d[:], b)
	return nil
}

// jwk is a public key as a column.
type jwk struct{ key **jose.Key }

func (j jwk) Scan(v any) error {
	text, ok := v.(string)
	if !ok {
		return fmt.Errorf("key column holds %T", v)
	}
	k, err := jose.ParseJWK([]byte(text))
	if err != nil {
		return err
	}
	*j.key = k
	return nil
}
