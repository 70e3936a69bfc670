package config

import (
	"bytes"
	"encoding/json"
	"reflect"
	"regexp"
	"testing"

	"github.com/goccy/go-yaml"
)

func TestSchemaGolden(t *testing.T) {
	t.Parallel()
	golden(t, "testdata/schema.json", string(Schema()))
}

// Every member says what it is for, unless its name and values do, or those of
// the members in it.
func TestSchemaDescribes(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	var walk func(path string, typ reflect.Type)
	walk = func(path string, typ reflect.Type) {
		for _, m := range members(typ) {
			seen[typ.Name()+"."+m.name] = true
			f := typ.Field(m.index).Type
			for !isScalar(f) && f.Kind() != reflect.Struct {
				f = f.Elem()
			}
			at := join(path, m.name)
			if !isScalar(f) {
				walk(at, f)
			} else if m.doc == "" && m.enum == nil {
				t.Errorf("%s has neither a description nor an enum", at)
			}
		}
	}
	walk("", reflect.TypeFor[Config]())
	for name := range gatewayDocs {
		if !seen[name] {
			t.Errorf("%s is described and does not exist", name)
		}
	}
}

// What Load accepts, an editor with the schema accepts.
func TestSchemaAcceptsWhatLoadAccepts(t *testing.T) {
	t.Parallel()
	var s schemaDoc
	if err := json.Unmarshal(Schema(), &s); err != nil {
		t.Fatal(err)
	}
	var printed bytes.Buffer
	if err := mustLoad(t, whole, Options{}).Print(&printed, false); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"written": whole, "printed": printed.String()} {
		var doc any
		if err := yaml.Unmarshal([]byte(text), &doc); err != nil {
			t.Fatal(err)
		}
		s.check(t, name, doc)
	}
}

// schemaDoc is a schema as its readers see it.
type schemaDoc struct {
	Type                 json.RawMessage
	Enum                 []string
	Pattern              string
	Items                *schemaDoc
	Properties           map[string]*schemaDoc
	AdditionalProperties json.RawMessage
}

func (s *schemaDoc) check(t *testing.T, path string, v any) {
	t.Helper()
	kind := ""
	switch v := v.(type) {
	case map[string]any:
		kind = "object"
		for name, each := range v {
			s.member(t, path+"."+name, name, each)
		}
	case []any:
		kind = "array"
		for _, each := range v {
			s.Items.check(t, path+"[]", each)
		}
	case string:
		kind = "string"
		if s.Pattern != "" && !regexp.MustCompile(s.Pattern).MatchString(v) {
			t.Errorf("%s: %q does not match %s", path, v, s.Pattern)
		}
		if s.Enum != nil && !contains(s.Enum, v) {
			t.Errorf("%s: %q is not in %v", path, v, s.Enum)
		}
	case bool:
		kind = "boolean"
	default:
		kind = "integer"
		if bytes.Contains(s.Type, []byte(`"number"`)) { // which every integer is
			kind = "number"
		}
	}
	if !bytes.Contains(s.Type, []byte(`"`+kind+`"`)) {
		t.Errorf("%s: %s, want %s", path, kind, s.Type)
	}
}

func (s *schemaDoc) member(t *testing.T, path, name string, v any) {
	t.Helper()
	if p := s.Properties[name]; p != nil {
		p.check(t, path, v)
		return
	}
	var rest *schemaDoc
	if err := json.Unmarshal(s.AdditionalProperties, &rest); err != nil {
		t.Errorf("%s: not a property", path)
		return
	}
	rest.check(t, path, v)
}

func contains(list []string, s string) bool {
	for _, each := range list {
		if each == s {
			return true
		}
	}
	return false
}
