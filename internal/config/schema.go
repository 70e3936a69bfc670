package config

import (
	"encoding/json"
	"reflect"
)

// schema is the part of JSON Schema (draft 2020-12) that a configuration needs.
type schema struct {
	Schema               string             `json:"$schema,omitempty"`
	Title                string             `json:"title,omitempty"`
	Description          string             `json:"description,omitempty"`
	Type                 any                `json:"type,omitempty"` // a name or a list of names
	Enum                 []string           `json:"enum,omitempty"`
	Pattern              string             `json:"pattern,omitempty"`
	Default              any                `json:"default,omitempty"`
	Items                *schema            `json:"items,omitempty"`
	Properties           map[string]*schema `json:"properties,omitempty"`
	PropertyNames        *schema            `json:"propertyNames,omitempty"`
	AdditionalProperties any                `json:"additionalProperties,omitempty"` // false, or a schema
}

// Schema is the JSON Schema of the configuration file, for editors. It knows
// names, types and defaults; what members say of each other, only Load does.
func Schema() []byte {
	s := schemaOf(reflect.ValueOf(Default()).Elem(), member{})
	s.Schema, s.Title = "https://json-schema.org/draft/2020-12/schema", "Carnet configuration"
	out, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return []byte("{}") // the types above always encode
	}
	return append(out, '\n')
}

// schemaOf describes a member of v's type, whose default is v.
func schemaOf(v reflect.Value, m member) *schema {
	t := v.Type()
	s := &schema{Description: m.doc}
	switch {
	case isScalar(t):
		s.Type, s.Enum = scalarType(t), m.enum
		s.Pattern = scalars[t].pattern
		if !v.IsZero() {
			s.Default = formatScalar(v)
		}
		if !v.IsZero() && s.Type != "string" && s.Pattern == "" {
			s.Default = v.Interface()
		}
	case t.Kind() == reflect.Pointer && !v.IsNil():
		return schemaOf(v.Elem(), m)
	case t.Kind() == reflect.Pointer:
		return schemaOf(reflect.Zero(t.Elem()), m)
	case t.Kind() == reflect.Slice:
		s.Type, s.Items = "array", schemaOf(reflect.Zero(t.Elem()), member{enum: m.enum})
		for i := range v.Len() {
			list, _ := s.Default.([]string)
			s.Default = append(list, formatScalar(v.Index(i)))
		}
	case t.Kind() == reflect.Map && t.Elem().Kind() != reflect.Pointer:
		s.Type, s.AdditionalProperties = "object", schemaOf(reflect.Zero(t.Elem()), member{})
	case t.Kind() == reflect.Map:
		s.Type = "object"
		s.PropertyNames = &schema{Pattern: "^[a-z0-9_-]{1,64}$"}
		s.AdditionalProperties = schemaOf(reflect.ValueOf(fresh(t)), member{})
		if isListed(t) {
			s.Type, s.Items = []string{"object", "array"}, &schema{Type: "string"}
		}
	default:
		s.Type, s.AdditionalProperties = "object", false
		if hasShort(t) {
			s.Type = []string{"string", "object"}
		}
		s.Properties = map[string]*schema{}
		for _, f := range members(t) {
			s.Properties[f.name] = schemaOf(v.Field(f.index), f)
		}
	}
	return s
}

func scalarType(t reflect.Type) any {
	_, inTable := scalars[t]
	switch {
	case t == secretType || t.Kind() == reflect.String:
		return "string"
	case inTable:
		return []string{"string", "integer"} // 0 needs no unit
	case t.Kind() == reflect.Bool:
		return "boolean"
	case t.Kind() == reflect.Float64:
		return "number"
	default:
		return "integer"
	}
}
