package connector

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"

	"github.com/carnetproject/carnet/internal/wire"
)

// Without returns a document without the members that are not known, as warnings of its
// parser name them. A document that has none comes back as it is.
func Without(doc []byte, warnings []Warning) ([]byte, error) {
	v, err := decode(doc)
	if err != nil {
		return nil, err
	}
	changed := false
	for _, w := range warnings {
		if w.Unknown {
			remove(v, strings.Split(strings.TrimPrefix(w.Pointer, "/"), "/"))
			changed = true
		}
	}
	if !changed {
		return doc, nil
	}
	text, err := wire.JSON(v)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	if err := json.Indent(&out, text, "", "  "); err != nil {
		return nil, err
	}
	out.WriteByte('\n')
	return out.Bytes(), nil
}

// remove deletes the member at a path of a pointer's tokens (RFC 6901 §4).
func remove(v any, path []string) {
	name := strings.NewReplacer("~1", "/", "~0", "~").Replace(path[0])
	switch v := v.(type) {
	case map[string]any:
		if len(path) == 1 {
			delete(v, name)
			return
		}
		remove(v[name], path[1:])
	case []any:
		if i, err := strconv.Atoi(name); err == nil && i >= 0 && i < len(v) && len(path) > 1 {
			remove(v[i], path[1:])
		}
	}
}
