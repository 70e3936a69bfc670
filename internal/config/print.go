package config

import (
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"regexp"
	"strings"
)

// Print writes the effective configuration as YAML that Load reads again, apart
// from secrets: SRNs are shown, literal ones are "[redacted]". With sources, a
// comment behind each value says who set it; those without are defaults.
func (c *Config) Print(w io.Writer, sources bool) error {
	p := printer{sources: map[string]string{}}
	if sources {
		p.sources = c.from.sources
	}
	shown := *c
	shown.Store, shown.Bus = WithoutPassword(c.Store), WithoutPassword(c.Bus)
	p.mapping("", "", reflect.ValueOf(&shown).Elem())
	_, err := io.WriteString(w, p.out.String())
	return err
}

type printer struct {
	out     strings.Builder
	sources map[string]string
	sparse  bool // leave out what is not set, which is how elements of lists state a default
}

func (p *printer) mapping(indent, path string, v reflect.Value) {
	if v.Kind() == reflect.Map {
		sparse := p.sparse
		p.sparse = isListed(v.Type()) // what another map names is set, whatever its value
		for _, k := range sortedKeys(v) {
			p.entry(indent, join(path, k.String()), yamlScalar(k), v.MapIndex(k))
		}
		p.sparse = sparse
		return
	}
	for _, m := range members(v.Type()) {
		p.entry(indent, join(path, m.name), m.name, v.Field(m.index))
	}
}

func (p *printer) entry(indent, path, name string, v reflect.Value) {
	given := v.Kind() == reflect.Pointer
	for v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return // not given: nothing is what it means
		}
		v = v.Elem()
	}
	if p.sparse && !given && (v.IsZero() || v.Kind() == reflect.Slice && v.Len() == 0) {
		return
	}
	fmt.Fprintf(&p.out, "%s%s:", indent, name)
	switch {
	case isScalar(v.Type()):
		p.out.WriteString(" " + yamlScalar(v))
		p.end(path)
	case v.Kind() == reflect.Slice && isScalar(v.Type().Elem()):
		words := make([]string, v.Len())
		for i := range words {
			words[i] = yamlScalar(v.Index(i))
		}
		p.out.WriteString(" [" + strings.Join(words, ", ") + "]")
		p.end(path)
	case v.Kind() == reflect.Slice:
		p.list(indent, path, v)
	default:
		if empty(v) {
			p.out.WriteString(" {}")
			p.end(path)
			return
		}
		p.end(path)
		p.mapping(indent+"  ", path, v)
	}
}

func (p *printer) list(indent, path string, v reflect.Value) {
	if v.Len() == 0 {
		p.out.WriteString(" []")
		p.end(path)
		return
	}
	p.end(path)
	for i := range v.Len() {
		element := printer{sources: p.sources, sparse: true}
		element.mapping(indent+"  ", fmt.Sprintf("%s[%d]", path, i), v.Index(i))
		if element.out.Len() == 0 {
			p.out.WriteString(indent + "- {}\n")
			continue
		}
		// The first line of the element carries the dash, in place of its indent.
		p.out.WriteString(indent + "- " + strings.TrimPrefix(element.out.String(), indent+"  "))
	}
}

func (p *printer) end(path string) {
	if source := p.sources[path]; source != "" {
		p.out.WriteString(" # " + source)
	}
	p.out.WriteByte('\n')
}

// empty tells whether mapping would write nothing.
func empty(v reflect.Value) bool {
	if v.Kind() == reflect.Map {
		return v.Len() == 0
	}
	for _, m := range members(v.Type()) {
		if f := v.Field(m.index); f.Kind() != reflect.Pointer || !f.IsNil() {
			return false
		}
	}
	return true
}

// unquoted matches text that YAML takes for a string without quotes, whatever
// its neighbours.
var unquoted = regexp.MustCompile(`^(\./)?[A-Za-z/][A-Za-z0-9_./=@+-]*(:[A-Za-z0-9_./@+-]+)*$`)

// yamlScalar writes v so that it is read as v again. JSON's strings are YAML's.
func yamlScalar(v reflect.Value) string {
	text := formatScalar(v)
	_, inTable := scalars[v.Type()]
	if v.Kind() != reflect.String && v.Type() != secretType {
		if !inTable || !strings.ContainsAny(text, ": ") {
			return text
		}
	}
	switch strings.ToLower(text) {
	case "true", "false", "yes", "no", "on", "off", "null", "y", "n":
	default:
		if unquoted.MatchString(text) {
			return text
		}
	}
	quoted, err := json.Marshal(text)
	if err != nil {
		return `""`
	}
	return string(quoted)
}
