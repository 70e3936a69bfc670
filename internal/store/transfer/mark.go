package transfer

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/store/table"
)

// mark is how far the copy of a table is.
type mark struct {
	rows  int64
	after []any // the key of the last row; nil: there is none
	whole bool
}

// origin is in the place of a table's name for what the copy is of.
const origin = ""

// begin makes the table of marks.
func (c *Copy) begin(ctx context.Context) error {
	of, err := identity(ctx, c.From)
	if err != nil {
		return err
	}
	return commit(ctx, c.To, func() error {
		if err := exec(ctx, c.To, `CREATE TABLE `+table.Unfinished+
			` (name TEXT PRIMARY KEY, copied BIGINT NOT NULL, last TEXT NOT NULL, whole BIGINT NOT NULL)`); err != nil {
			return err
		}
		return exec(ctx, c.To, `INSERT INTO `+table.Unfinished+` (name, copied, last, whole) VALUES (?, 0, ?, 0)`, origin, of)
	})
}

// identity tells stores apart: no two make their ids with the same key, but a copy.
func identity(ctx context.Context, q table.Querier) (string, error) {
	var key []byte
	if err := q.QueryRowContext(ctx, `SELECT key FROM row_ids`).Scan(&key); err != nil {
		return "", fmt.Errorf("read which store it is: %w", err)
	}
	sum := sha256.Sum256(key)
	return hex.EncodeToString(sum[:16]), nil
}

// marks are those that an earlier run has left, nil if there was none. It is a conflict if
// that copied another store.
func (c *Copy) marks(ctx context.Context) (map[string]mark, error) {
	if c.To == nil {
		return nil, nil
	}
	begun, err := c.To.Begun(ctx)
	if err != nil || !begun {
		return nil, err
	}
	of, err := identity(ctx, c.From)
	if err != nil {
		return nil, err
	}
	found, err := c.To.QueryContext(ctx, `SELECT name, copied, last, whole FROM `+table.Unfinished)
	if err != nil {
		return nil, err
	}
	defer found.Close() //nolint:errcheck // after the last row there is nothing left to fail
	marks := map[string]mark{}
	for found.Next() {
		var name, last string
		var m mark
		if err := found.Scan(&name, &m.rows, &last, &m.whole); err != nil {
			return nil, err
		}
		if name == origin {
			if last != of {
				return nil, fault.New(fault.Conflict, "the destination holds an unfinished copy of another store")
			}
			continue
		}
		if m.after, err = parseKey(last); err != nil {
			return nil, fmt.Errorf("mark of table %s: %w", name, err)
		}
		marks[name] = m
	}
	return marks, found.Err()
}

// put notes how far the copy of a table is.
func (c *Copy) put(ctx context.Context, name string, m mark) error {
	last, err := formatKey(m.after)
	if err != nil {
		return err
	}
	whole := int64(0)
	if m.whole {
		whole = 1
	}
	return exec(ctx, c.To, `INSERT INTO `+table.Unfinished+` (name, copied, last, whole) VALUES (?, ?, ?, ?)
		ON CONFLICT (name) DO UPDATE SET copied = excluded.copied, last = excluded.last, whole = excluded.whole`,
		name, m.rows, last, whole)
}

// keyOf are a row's values of the key.
func keyOf(s table.Shape, row []any) []any {
	key := make([]any, 0, len(s.Key))
	for _, name := range s.Key {
		for i, column := range s.Columns {
			if column == name {
				key = append(key, row[i])
			}
		}
	}
	return key
}

// formatKey writes a key as a JSON array of texts that tell their types.
func formatKey(key []any) (string, error) {
	texts := make([]string, len(key))
	for i, v := range key {
		switch v := v.(type) {
		case int64:
			texts[i] = "i" + strconv.FormatInt(v, 10)
		case string:
			texts[i] = "s" + hex.EncodeToString([]byte(v))
		case []byte:
			texts[i] = "b" + hex.EncodeToString(v)
		default:
			return "", fmt.Errorf("a key holds %T", v)
		}
	}
	text, err := json.Marshal(texts)
	return string(text), err
}

func parseKey(text string) ([]any, error) {
	var texts []string
	if err := json.Unmarshal([]byte(text), &texts); err != nil {
		return nil, err
	}
	var key []any
	for _, t := range texts {
		if t == "" {
			return nil, fmt.Errorf("a value of the key %s has no type", text)
		}
		if t[0] == 'i' {
			n, err := strconv.ParseInt(t[1:], 10, 64)
			if err != nil {
				return nil, err
			}
			key = append(key, n)
			continue
		}
		b, err := hex.DecodeString(t[1:])
		if err != nil {
			return nil, err
		}
		if t[0] == 's' {
			key = append(key, string(b))
		} else {
			key = append(key, b)
		}
	}
	return key, nil
}
