package sqlite

import (
	"database/sql/driver"
	"encoding/json"
	"fmt"
	"time"

	"github.com/carnetproject/carnet/internal/jose"
)

// stamp is a time as a column: milliseconds since 1970, NULL for the zero time.
type stamp time.Time

func (t stamp) Value() (driver.Value, error) {
	if time.Time(t).IsZero() {
		return nil, nil
	}
	return time.Time(t).UnixMilli(), nil
}

func (t *stamp) Scan(v any) error {
	switch v := v.(type) {
	case nil:
		*t = stamp{}
	case int64:
		*t = stamp(time.UnixMilli(v).UTC())
	default:
		return fmt.Errorf("time column holds %T", v)
	}
	return nil
}

// list is a slice as a column: a JSON array.
type list[T any] []T

func (l list[T]) Value() (driver.Value, error) {
	if len(l) == 0 {
		return "[]", nil
	}
	b, err := json.Marshal([]T(l))
	return string(b), err
}

func (l *list[T]) Scan(v any) error {
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

// document is JSON as a column: nil is empty, and so is NULL.
type document json.RawMessage

func (d *document) Scan(v any) error {
	switch v := v.(type) {
	case nil:
		*d = nil
	case string:
		*d = nil
		if v != "" {
			*d = document(v)
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

// rows is what is common to sql.Row and sql.Rows.
type rows interface{ Scan(into ...any) error }
