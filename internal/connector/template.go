package connector

import (
	"errors"
	"strings"
)

// template is a text with holes. It is filled once: what is put in is never looked
// through again.
//
//	template = *( literal / "$${" / "${" name "}" )      ; "$${" stands for "${"
//	name     = (ALPHA / "_") *127(ALPHA / DIGIT / "_" / "-")
type template []piece

// piece is a literal, or a hole if it has a name.
type piece struct{ text, name string }

const maxName = 128

func parseTemplate(s string) (template, error) {
	var t template
	literal := func(text string) {
		switch {
		case text == "":
		case len(t) > 0 && t[len(t)-1].name == "":
			t[len(t)-1].text += text
		default:
			t = append(t, piece{text: text})
		}
	}
	for {
		i := strings.Index(s, "${")
		if i < 0 {
			literal(s)
			return t, nil
		}
		if i > 0 && s[i-1] == '$' {
			literal(s[:i-1] + "${")
			s = s[i+2:]
			continue
		}
		literal(s[:i])
		name, rest, closed := strings.Cut(s[i+2:], "}")
		if !closed || !isName(name) {
			return nil, errors.New("has a ${ that is no ${name}; write $${ for the text ${")
		}
		t, s = append(t, piece{name: name}), rest
	}
}

// isName tells whether s can name a parameter.
func isName(s string) bool {
	if s == "" || len(s) > maxName {
		return false
	}
	for i, c := range []byte(s) {
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_'
		if !letter && (i == 0 || c != '-' && (c < '0' || c > '9')) {
			return false
		}
	}
	return true
}

// names are those of the holes, each as often as it stands there.
func (t template) names() []string {
	var out []string
	for _, p := range t {
		if p.name != "" {
			out = append(out, p.name)
		}
	}
	return out
}

// fill puts values in, as encode writes them. A value that is not there leaves nothing.
func (t template) fill(values map[string]string, encode func(string) string) string {
	var s strings.Builder
	for _, p := range t {
		s.WriteString(p.text)
		if p.name != "" {
			s.WriteString(encode(values[p.name]))
		}
	}
	return s.String()
}

func asIs(s string) string { return s }
