// Package wire has what is written alike at every door: JSON, times, and the names of
// scopes.
package wire

import (
	"bytes"
	"encoding/json"
	"strings"
	"time"
)

// JSON is v as JSON. Strings stay as they are, without escapes for HTML, which json.Marshal
// makes: what is all < would take six times the room, and be refused by a bound that what
// was sent is within.
func JSON(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// Time is t in RFC 3339 with milliseconds, in UTC.
func Time(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// ScopeToken tells whether s is one (RFC 6749 §3.3).
func ScopeToken(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool { return r < 0x21 || r > 0x7e || r == '"' || r == '\\' })
}
