package config

import (
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// maxFile bounds the configuration file.
const maxFile = 1 << 20

// reader sets a Config from a YAML file. It reads the syntax tree itself, so
// that it can go on after a mistake and remembers where each member stands.
type reader struct {
	provenance
	problems []*Problem
}

// read decodes data into c, over what c has.
func (r *reader) read(data []byte, c *Config) {
	if len(data) > maxFile {
		r.problems = append(r.problems, &Problem{Source: r.file, Msg: fmt.Sprintf("must be at most %d bytes", maxFile)})
		return
	}
	tree, err := parse(data)
	if err != nil {
		r.syntax(err)
		return
	}
	for i, doc := range tree.Docs {
		switch {
		case doc.Body == nil:
		case i > 0:
			r.bad(doc.Body.GetToken(), "", "the file must be one document")
		default:
			r.value("", doc.Body, reflect.ValueOf(c).Elem(), member{})
		}
	}
}

// parse takes a panic of the parser, which is not ours, for a malformed file.
func parse(data []byte) (tree *ast.File, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = errors.New("not valid YAML")
		}
	}()
	return parser.ParseBytes(data, 0, parser.AllowDuplicateMapKey()) // value reports those
}

func (r *reader) syntax(err error) {
	p := &Problem{Source: r.file, Msg: "not valid YAML"}
	if e, ok := errors.AsType[yaml.Error](err); ok {
		p.Msg += ": " + e.GetMessage()
		if t := e.GetToken(); t != nil && t.Position != nil {
			p.Line, p.Column = t.Position.Line, t.Position.Column
		}
	}
	r.problems = append(r.problems, p)
}

func (r *reader) bad(at *token.Token, path, msg string) {
	p := &Problem{Source: r.file, Path: path, Msg: msg}
	if at != nil && at.Position != nil {
		p.Line, p.Column = at.Position.Line, at.Position.Column
	}
	r.problems = append(r.problems, p)
}

// value sets v, which stands at path, from n. A value that is left empty is as
// good as not there.
func (r *reader) value(path string, n ast.Node, v reflect.Value, m member) {
	at := start(n)
	if at != nil {
		r.places[path] = at.Position
	}
	if n.Type() == ast.NullType {
		return
	}
	t := v.Type()
	switch {
	case isScalar(t):
		r.word(path, n, v, m)
	case hasShort(t) && n.Type() == ast.StringType:
		r.word(path, n, v, m)
	case t.Kind() == reflect.Pointer:
		if v.IsNil() {
			v.Set(reflect.New(t.Elem()))
		}
		r.value(path, n, v.Elem(), m)
	case t.Kind() == reflect.Slice:
		list, ok := n.(*ast.SequenceNode)
		if !ok {
			r.mismatch(path, n, t)
			return
		}
		r.list(path, list, v, m)
	case isListed(t):
		r.listed(path, n, v)
	default:
		node, ok := n.(ast.MapNode)
		if !ok {
			r.mismatch(path, n, t)
			return
		}
		r.mapping(path, node, v)
	}
}

func (r *reader) mismatch(path string, n ast.Node, t reflect.Type) {
	msg := "must be " + want(t)
	switch n.Type() {
	case ast.AnchorType, ast.AliasType, ast.TagType, ast.MergeKeyType:
		msg += ": anchors, aliases and tags are not read"
	case ast.IntegerType, ast.FloatType, ast.BoolType, ast.InfinityType, ast.NanType:
		if t.Kind() == reflect.String || want(t) == scalars[secretType].want {
			msg += ": put it in quotes"
		}
	default:
	}
	r.bad(start(n), path, msg)
}

// word sets a scalar. A string must be one in YAML, too: 007 and yes would
// come out as something else.
func (r *reader) word(path string, n ast.Node, v reflect.Value, m member) {
	var text string
	_, inTable := scalars[v.Type()]
	isString := v.Kind() == reflect.String || v.Type() == secretType
	switch n := n.(type) {
	case *ast.StringNode:
		if !isString && !inTable && !hasShort(v.Type()) {
			r.mismatch(path, n, v.Type())
			return
		}
		text = n.Value
	case *ast.LiteralNode:
		if !isString {
			r.mismatch(path, n, v.Type())
			return
		}
		text = n.Value.Value
	case *ast.IntegerNode, *ast.BoolNode:
		if isString || (n.Type() == ast.BoolType) != (v.Kind() == reflect.Bool) {
			r.mismatch(path, n, v.Type())
			return
		}
		text = n.GetToken().Value
	case *ast.FloatNode:
		if v.Kind() != reflect.Float64 {
			r.mismatch(path, n, v.Type())
			return
		}
		text = n.GetToken().Value
	default:
		r.mismatch(path, n, v.Type())
		return
	}
	fresh := reflect.New(v.Type()).Elem()
	if err := parseScalar(fresh, text); err != nil {
		r.bad(start(n), path, err.Error())
		return
	}
	if v.Kind() == reflect.String {
		if err := m.check(fresh); err != nil {
			r.bad(start(n), path, err.Error())
			return
		}
	}
	v.Set(fresh)
	r.note(path)
}

func (r *reader) list(path string, n *ast.SequenceNode, v reflect.Value, m member) {
	v.Set(reflect.MakeSlice(v.Type(), len(n.Values), len(n.Values)))
	for i, element := range n.Values {
		r.value(path+"["+strconv.Itoa(i)+"]", element, v.Index(i), m)
	}
	r.note(path)
}

// mapping sets a struct or a map.
func (r *reader) mapping(path string, n ast.MapNode, v reflect.Value) {
	var known []member
	if v.Kind() == reflect.Struct {
		known = members(v.Type())
	}
	first := map[string]int{} // key → line
	for each := n.MapRange(); each.Next(); {
		key := each.Key()
		name, at := keyText(key), key.GetToken()
		here := join(path, name)
		if line, twice := first[name]; twice {
			r.bad(at, here, fmt.Sprintf("is already set in line %d", line))
			continue
		}
		first[name] = at.Position.Line
		if v.Kind() == reflect.Map {
			r.entry(here, name, at, each.Value(), v)
			continue
		}
		i := indexOf(known, name)
		if i < 0 {
			r.bad(at, here, "unknown key"+suggest(name, names(known)))
			continue
		}
		r.value(here, each.Value(), v.Field(known[i].index), known[i])
	}
}

// listed sets a map of which a list of names will do.
func (r *reader) listed(path string, n ast.Node, v reflect.Value) {
	v.Set(reflect.MakeMap(v.Type()))
	switch node := n.(type) {
	case ast.MapNode:
		r.mapping(path, node, v)
	case *ast.SequenceNode:
		var names []string
		r.list(path, node, reflect.ValueOf(&names).Elem(), member{})
		if err := parseScalar(v, strings.Join(names, ",")); err != nil && len(r.problems) == 0 {
			r.bad(start(n), path, err.Error())
		}
	default:
		r.mismatch(path, n, v.Type())
	}
}

// entry sets one value of a map: a key set, over the default that is there, a bot, or
// a word or list of words.
func (r *reader) entry(path, name string, at *token.Token, n ast.Node, v reflect.Value) {
	set := v.Type().Elem().Kind() == reflect.Pointer
	if set && !plain(name) {
		r.bad(at, path, "a name is 1 to 64 of a-z, 0-9, _ and -")
		return
	}
	if v.IsNil() {
		v.Set(reflect.MakeMap(v.Type()))
	}
	k := reflect.ValueOf(name).Convert(v.Type().Key())
	e := v.MapIndex(k)
	switch {
	case !set:
		e = reflect.New(v.Type().Elem()).Elem()
	case !e.IsValid():
		e = reflect.ValueOf(fresh(v.Type()))
	}
	r.value(path, n, e, member{})
	v.SetMapIndex(k, e)
}

func (r *reader) note(path string) {
	if p := r.places[path]; p != nil {
		r.sources[path] = fmt.Sprintf("%s:%d", r.file, p.Line)
	}
}

// start is the token that a reader would point at: for a mapping, its first key.
func start(n ast.Node) *token.Token {
	if m, ok := n.(ast.MapNode); ok {
		if each := m.MapRange(); each.Next() {
			return each.Key().GetToken()
		}
	}
	return n.GetToken()
}

func keyText(k ast.MapKeyNode) string {
	if s, ok := k.(*ast.StringNode); ok {
		return s.Value
	}
	return strings.TrimSpace(k.GetToken().Value)
}

func indexOf(list []member, name string) int {
	for i, m := range list {
		if m.name == name {
			return i
		}
	}
	return -1
}

func names(list []member) []string {
	out := make([]string, len(list))
	for i, m := range list {
		out[i] = m.name
	}
	return out
}

// plain tells whether s can name a key set, in a path and in a variable.
func plain(s string) bool {
	return s != "" && len(s) <= 64 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789_-") == ""
}
