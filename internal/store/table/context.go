package table

import (
	"context"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// HasConversations tells whether there is any.
func (t *Tables) HasConversations(ctx context.Context) (there bool, err error) {
	err = t.db.Reader().QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM conversations)`).Scan(&there)
	return there, t.db.Explain("read conversations", err)
}

// TryContext is nil if the box opens a sealed context, or there is none among the newest
// conversations.
func (t *Tables) TryContext(ctx context.Context, b Box) error {
	var id, column string
	err := t.db.Reader().QueryRowContext(ctx, `
		SELECT id, context FROM (SELECT id, context FROM conversations ORDER BY key DESC LIMIT 1000) AS newest
		WHERE context LIKE '`+sealedMark+`%' LIMIT 1`).Scan(&id, &column)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return t.db.Explain("read context", err)
	}
	_, err = Contexts{Box: b}.Open(id, column)
	return err
}

// Box seals under a key that the database does not hold.
type Box interface {
	SealBytes(purpose string, plain []byte) ([]byte, error)
	OpenBytes(purpose string, sealed []byte) ([]byte, error)
}

// Contexts keep conversations' contexts as columns: sealed, since pages put tokens into
// them. The zero value keeps them in the clear.
type Contexts struct{ Box Box }

// sealedMark is what a sealed context begins with, and JSON never.
const sealedMark = "~"

func contextPurpose(of string) string { return "context:" + of }

// Seal is the column for the context of a conversation. One that has nothing in it stays
// as it is.
func (c Contexts) Seal(of string, plain json.RawMessage) (string, error) {
	if c.Box == nil || len(plain) <= len("{}") {
		return string(plain), nil
	}
	sealed, err := c.Box.SealBytes(contextPurpose(of), plain)
	if err != nil {
		return "", fmt.Errorf("seal context: %w", err)
	}
	return sealedMark + base64.RawStdEncoding.EncodeToString(sealed), nil
}

// Open is the context that a column holds: nil for an empty one. What was written before
// contexts were sealed is taken as it is.
func (c Contexts) Open(of, column string) (json.RawMessage, error) {
	text, sealed := strings.CutPrefix(column, sealedMark)
	switch {
	case column == "":
		return nil, nil
	case !sealed:
		return json.RawMessage(column), nil
	case c.Box == nil:
		return nil, fmt.Errorf("context of %s is sealed", of)
	}
	b, err := base64.RawStdEncoding.DecodeString(text)
	if err != nil {
		return nil, fmt.Errorf("context of %s: %w", of, err)
	}
	plain, err := c.Box.OpenBytes(contextPurpose(of), b)
	if err != nil {
		return nil, fmt.Errorf("context of %s: %w", of, err)
	}
	return plain, nil
}

// Column reads a context into a variable. of is the conversation's id, which may be one
// that the same Scan reads before.
func (c Contexts) Column(of *string, into *json.RawMessage) sql.Scanner { return column{c, of, into} }

type column struct {
	contexts Contexts
	of       *string
	into     *json.RawMessage
}

// Scan implements [sql.Scanner].
func (c column) Scan(v any) (err error) {
	text, ok := v.(string)
	if !ok {
		return fmt.Errorf("context column holds %T", v)
	}
	*c.into, err = c.contexts.Open(*c.of, text)
	return err
}
