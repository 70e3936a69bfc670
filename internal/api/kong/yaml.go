package kong

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"github.com/carnetproject/carnet/internal/fault"
)

// What a kong.yml may be.
const (
	MaxFile  = 64 << 20
	maxNest  = 32
	maxNodes = 4 << 20
	maxOpen  = 1000 // brackets and dashes: what the parser's memory grows with the square of
)

// placeholder is how decK names a variable of the environment. What it pipes a value
// through only says what type it is, which is known here.
var placeholder = regexp.MustCompile(`\$\{\{\s*env\s+['"]?(DECK_[A-Za-z0-9_]+)['"]?\s*(?:\|\s*to(?:Int|Bool|Float)\s*)?\}\}`)

// expand puts the values of the environment in the place of their names.
func expand(data []byte, env func(string) (string, bool)) ([]byte, error) {
	var missing []string
	out := placeholder.ReplaceAllFunc(data, func(match []byte) []byte {
		name := string(placeholder.FindSubmatch(match)[1])
		value, ok := env(name)
		if !ok {
			missing = append(missing, name)
		}
		return []byte(value)
	})
	switch {
	case len(missing) > 0:
		return nil, fault.Newf(fault.Invalid, "the file names variables that are not set: %s", strings.Join(missing, ", "))
	case len(out) > MaxFile:
		return nil, fault.Newf(fault.TooLarge, "the file must be at most %d bytes", MaxFile)
	case bytes.Contains(out, []byte("${{")):
		return nil, fault.New(fault.Invalid, `the file has a placeholder that is not read: write ${{ env "DECK_NAME" }}`)
	}
	return out, nil
}

// parseYAML reads one document of YAML, or of JSON. Its errors say where, and nothing of
// what stands there, which may be a secret.
func parseYAML(data []byte) (Document, error) {
	if trimmed := bytes.TrimSpace(data); len(trimmed) > 0 && trimmed[0] == '{' {
		if d, err := parseJSON(trimmed); err == nil {
			return d, nil
		}
	}
	if opensTooMuch(data) {
		return nil, fault.Newf(fault.Invalid, "the file nests lists and mappings more than %d deep", maxNest)
	}
	tree, err := parse(data)
	if err != nil {
		return nil, syntaxError(err)
	}
	if len(tree.Docs) != 1 || tree.Docs[0].Body == nil {
		return nil, fault.New(fault.Invalid, "the file must be one YAML document")
	}
	w := &walker{}
	v, err := w.value(tree.Docs[0].Body, 0)
	if err != nil {
		return nil, err
	}
	d, ok := v.(Document)
	if !ok {
		return nil, fault.New(fault.Invalid, "the file must be a mapping of keys to values")
	}
	return d, nil
}

// opensTooMuch tells whether data might nest deeper than the parser has memory for. It
// knows no quotes, so that a file may have no more than [maxOpen] brackets in its texts
// that nothing closes.
func opensTooMuch(data []byte) bool {
	open := 0
	for line := range bytes.Lines(data) {
		lead := bytes.TrimLeft(line, " \t-?")
		open += len(line) - len(lead)
		most := open
		for _, c := range lead {
			switch c {
			case '[', '{':
				open++
			case ']', '}':
				open = max(open-1, 0)
			}
			most = max(most, open)
		}
		if most > maxOpen {
			return true
		}
		open = max(open-(len(line)-len(lead)), 0)
	}
	return false
}

// parse takes a panic of the parser, which is not ours, for a malformed file.
func parse(data []byte) (tree *ast.File, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = errors.New("not valid YAML")
		}
	}()
	return parser.ParseBytes(data, 0)
}

func syntaxError(err error) error {
	if e, ok := errors.AsType[yaml.Error](err); ok && e.GetToken() != nil && e.GetToken().Position != nil {
		return fault.Newf(fault.Invalid, "line %d: not valid YAML", e.GetToken().Position.Line)
	}
	return fault.New(fault.Invalid, "not valid YAML")
}

// walker turns a syntax tree into values.
type walker struct{ nodes int }

func (w *walker) bad(n ast.Node, msg string) error {
	if t := n.GetToken(); t != nil && t.Position != nil {
		msg = fmt.Sprintf("line %d: %s", t.Position.Line, msg)
	}
	return fault.New(fault.Invalid, msg)
}

func (w *walker) value(n ast.Node, depth int) (any, error) {
	if w.nodes++; w.nodes > maxNodes || depth > maxNest {
		return nil, fault.New(fault.TooLarge, "the file has too many values, or nests too deep")
	}
	switch n := n.(type) {
	case *ast.NullNode:
		return nil, nil
	case *ast.StringNode:
		return n.Value, nil
	case *ast.LiteralNode:
		return n.Value.Value, nil
	case *ast.BoolNode:
		return n.Value, nil
	case *ast.IntegerNode:
		return normal(n.Value), nil
	case *ast.FloatNode:
		return normal(n.Value), nil
	case *ast.SequenceNode:
		list := make([]any, len(n.Values))
		for i, e := range n.Values {
			v, err := w.value(e, depth+1)
			if err != nil {
				return nil, err
			}
			list[i] = v
		}
		return list, nil
	case ast.MapNode:
		return w.mapping(n, depth)
	default:
		return nil, w.bad(n, "anchors, aliases, tags and numbers without a value are not read")
	}
}

func (w *walker) mapping(n ast.MapNode, depth int) (any, error) {
	d := Document{}
	for each := n.MapRange(); each.Next(); {
		key, ok := each.Key().(*ast.StringNode)
		if !ok {
			return nil, w.bad(each.Key(), "keys must be plain text")
		}
		if _, twice := d[key.Value]; twice {
			return nil, w.bad(key, "the key stands twice")
		}
		v, err := w.value(each.Value(), depth+1)
		if err != nil {
			return nil, err
		}
		d[key.Value] = v
	}
	return d, nil
}
