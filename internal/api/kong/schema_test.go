package kong

import (
	"encoding/json"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/carnetproject/carnet/internal/fault"
)

func TestValues(t *testing.T) {
	t.Parallel()
	const uuid = "0b3a1f5e-1c7d-4c7e-9b0a-2f6f3b1c9d11"
	for name, tc := range map[string]struct {
		value value
		given any
		want  any
		wrong string
	}{
		"text":                     {str, "a", "a", ""},
		"text of a form":           {str, raw("5"), "5", ""},
		"no text":                  {str, int64(5), nil, "expected a string"},
		"empty text":               {str, "", nil, "length must be at least 1"},
		"long text":                {str, strings.Repeat("x", maxText+1), nil, "length must be at most 65536"},
		"text that is not UTF-8":   {str, "\xff", nil, "must be UTF-8"},
		"truth":                    {boolean, true, true, ""},
		"truth of a form":          {boolean, raw("false"), false, ""},
		"truth in words":           {boolean, "true", nil, "expected a boolean"},
		"truth of another word":    {boolean, raw("yes"), nil, "expected a boolean"},
		"integer":                  {integer, int64(5), int64(5), ""},
		"integer of a form":        {integer, raw("-5"), int64(-5), ""},
		"fraction":                 {integer, 1.5, nil, "expected an integer"},
		"integer in quotes":        {integer, "5", nil, "expected an integer"},
		"too low":                  {between(1, 5), int64(0), nil, "value should be between 1 and 5"},
		"too high":                 {between(1, 5), raw("6"), nil, "value should be between 1 and 5"},
		"within":                   {between(1, 5), int64(5), int64(5), ""},
		"one of some":              {oneOf("a", "b"), "b", "b", ""},
		"none of them":             {oneOf("a", "b"), "c", nil, "expected one of: a, b"},
		"set":                      {set(str), []any{"a", "b", "a"}, []any{"a", "b"}, ""},
		"set of one, from a form":  {set(str), raw("a"), []any{"a"}, ""},
		"set of one, not in a set": {set(str), "a", nil, "expected a set"},
		"set with null":            {set(str), []any{nil}, nil, "required field missing"},
		"set with another type":    {set(str), []any{"a", true}, nil, "expected a string"},
		"empty set":                {set(str), []any{}, []any{}, ""},
		"tag":                      {tag, "a b-ü", "a b-ü", ""},
		"tag with a slash":         {tag, "a/b", nil, "invalid tag 'a/b': expected printable ascii (except `,` and `/`) or valid utf-8 sequences"},
		"id":                       {id, uuid, uuid, ""},
		"no id":                    {id, "x", nil, "expected a valid UUID"},
		"id in braces":             {id, "{" + uuid + "}", nil, "expected a valid UUID"},
		"foreign by id":            {foreign, Document{"id": uuid}, Document{"id": uuid}, ""},
		"foreign by name":          {foreign, Document{"name": "n"}, Document{"name": "n"}, ""},
		"foreign of a form":        {foreign, Document{"id": raw(uuid)}, Document{"id": uuid}, ""},
		"foreign by nothing":       {foreign, Document{}, nil, "id: required field missing"},
		"foreign by null":          {foreign, Document{"id": nil}, nil, "id: required field missing"},
		"foreign by something":     {foreign, Document{"color": "red"}, nil, "color: unknown field"},
		"foreign as text":          {foreign, "x", nil, "expected a record"},
		"headers":                  {headerLists, Document{"X-A": []any{"1"}}, Document{"X-A": []any{"1"}}, ""},
		"headers of one value":     {headerLists, Document{"X-A": "1"}, nil, "X-A: expected a set"},
		"texts by name":            {textMap, Document{"a": "b"}, Document{"a": "b"}, ""},
		"texts by name, but one":   {textMap, Document{"a": int64(1)}, nil, "a: expected a string"},
		"old list":                 {textList, "a, b,", []any{"a", "b"}, ""},
		"no active checks":         {passive, Document{"active": Document{"healthy": Document{"interval": int64(0)}}}, Document{"active": Document{"healthy": Document{"interval": int64(0)}}}, ""},
		"active checks":            {passive, Document{"active": Document{"unhealthy": Document{"interval": int64(5)}}}, nil, "active.unhealthy.interval: is not supported: Carnet takes a target out when requests to it fail"},
	} {
		got, wrong := tc.value(tc.given)
		if wrong != tc.wrong || wrong == "" && !cmp.Equal(got, tc.want) {
			t.Errorf("%s: %v, %q; want %v, %q", name, got, wrong, tc.want, tc.wrong)
		}
	}
}

func TestComplete(t *testing.T) {
	t.Parallel()
	s := &schema{
		fields: []field{
			{name: "name", value: str, required: true},
			{name: "size", value: integer, def: int64(5)},
			{name: "list", value: set(str), def: []any{"x"}},
			{name: "mode", value: str, def: "a", required: true},
			{name: "never", value: boolean, only: "there is none"},
			{name: "inner", record: &schema{fields: []field{{name: "n", value: integer, def: int64(1)}, {name: "m", value: str}}}},
		},
		check: func(d Document, wrong fields) {
			if d["size"] == int64(13) {
				wrong.add("13 brings bad luck")
			}
		},
	}
	whole := Document{"name": "n", "size": int64(5), "list": []any{"x"}, "mode": "a", "never": nil, "inner": Document{"n": int64(1), "m": nil}}
	with := func(edit func(Document)) Document {
		d := clone(whole)
		edit(d)
		return d
	}
	for name, tc := range map[string]struct {
		given Document
		want  Document
		wrong []string
	}{
		"defaults":             {Document{"name": "n"}, whole, nil},
		"again":                {whole, whole, nil},
		"null is the default":  {Document{"name": "n", "size": nil}, whole, nil},
		"empty text of a form": {Document{"name": "n", "size": raw("")}, whole, nil},
		"what is asked for":    {Document{"name": "n", "size": int64(7), "inner": Document{"m": "x"}}, with(func(d Document) { d["size"], d["inner"] = int64(7), Document{"n": int64(1), "m": "x"} }), nil},
		"asks for nothing":     {Document{"name": "n", "never": false}, with(func(d Document) { d["never"] = false }), nil},
		"required":             {Document{}, nil, []string{"name: required field missing"}},
		"required, and null":   {Document{"name": "n", "mode": nil}, nil, []string{"mode: required field missing"}},
		"unknown":              {Document{"name": "n", "b": 1, "a": 1}, nil, []string{"a: unknown field", "b: unknown field"}},
		"of a record":          {Document{"name": "n", "inner": Document{"n": "x", "o": 1}}, nil, []string{"inner.n: expected an integer", "inner.o: unknown field"}},
		"no record":            {Document{"name": "n", "inner": "x"}, nil, []string{"inner: expected a record"}},
		"not supported":        {Document{"name": "n", "never": true}, nil, []string{"never: is not supported: there is none"}},
		"of the whole":         {Document{"name": "n", "size": int64(13)}, nil, []string{"13 brings bad luck"}},
	} {
		before := clone(tc.given)
		got, wrong := s.complete(tc.given)
		if !cmp.Equal(got, tc.want) || !slices.Equal(wrong.list(), tc.wrong) {
			t.Errorf("%s: %v, %q; want %v, %q", name, got, wrong.list(), tc.want, tc.wrong)
		}
		if !cmp.Equal(before, tc.given) {
			t.Errorf("%s: what was given is changed: %v", name, tc.given)
		}
	}
	short := s.trim(with(func(d Document) { d["size"], d["inner"] = int64(7), Document{"n": int64(2), "m": nil} }))
	if want := (Document{"name": "n", "size": int64(7), "inner": Document{"n": int64(2)}}); !cmp.Equal(short, want) {
		t.Errorf("trim = %v, want %v", short, want)
	}
	if got, wrong := s.complete(s.trim(whole)); wrong != nil || !cmp.Equal(got, whole) {
		t.Errorf("what was trimmed is completed to %v", got)
	}
}

func TestProblems(t *testing.T) {
	t.Parallel()
	two := fields{"b": "no", "a": fields{"c": "no"}}
	two.add("all wrong")
	for name, tc := range map[string]struct {
		err    error
		status int
		text   string
	}{
		"one violation":  {violation(fields{"foo": "unknown field"}), 400, `{"code":2,"fields":{"foo":"unknown field"},"message":"schema violation (foo: unknown field)","name":"schema violation"}`},
		"several":        {violation(two), 400, `{"code":2,"fields":{"@entity":["all wrong"],"a":{"c":"no"},"b":"no"},"message":"3 schema violations (all wrong; a.c: no; b: no)","name":"schema violation"}`},
		"taken":          {unique(Document{"group": "g", "consumer": Document{"id": "x"}}), 409, `{"code":5,"fields":{"consumer":{"id":"x"},"group":"g"},"message":"UNIQUE violation detected on '{consumer={id=\"x\"},group=\"g\"}'","name":"unique constraint violation"}`},
		"taken nowhere":  {unique(Document{"name": "jwt", "route": nil}), 409, `{"code":5,"fields":{"name":"jwt","route":null},"message":"UNIQUE violation detected on '{name=\"jwt\",route=null}'","name":"unique constraint violation"}`},
		"dangling":       {dangling("service", "services", Document{"id": "x"}), 400, `{"code":4,"fields":{"service":{"id":"x"}},"message":"the foreign key '{id=\"x\"}' does not reference an existing 'services' entity.","name":"foreign key violation"}`},
		"not there":      {fault.New(fault.NotFound, "no such consumer"), 404, `{"message":"Not found"}`},
		"a bad field":    {fault.BadField("username", "is bad"), 400, `{"code":2,"fields":{"username":"is bad"},"message":"schema violation (username: is bad)","name":"schema violation"}`},
		"store is down":  {fault.New(fault.Unavailable, "the store is not available"), 503, `{"message":"the store is not available"}`},
		"too large":      {fault.New(fault.TooLarge, "the body must be at most 5 bytes"), 413, `{"message":"the body must be at most 5 bytes"}`},
		"of no kind":     {errors.New("secret cause"), 500, `{"message":"An unexpected error occurred"}`},
		"with its cause": {fault.Wrap(fault.Unavailable, "try again", errors.New("secret cause")), 503, `{"message":"try again"}`},
	} {
		p := problemOf(tc.err)
		text, err := json.Marshal(kong3{}.refuse(p))
		if err != nil {
			t.Fatal(err)
		}
		var got, want any
		_ = json.Unmarshal(text, &got)
		if err := json.Unmarshal([]byte(tc.text), &want); err != nil {
			t.Fatal(err)
		}
		if p.status != tc.status || !cmp.Equal(got, want) {
			t.Errorf("%s: %d %s, want %d %s", name, p.status, text, tc.status, tc.text)
		}
	}
}

func TestDocuments(t *testing.T) {
	t.Parallel()
	for given, want := range map[any]any{
		json.Number("5"): int64(5), json.Number("1.5"): 1.5, json.Number("1e3"): int64(1000), json.Number("1e999"): "1e999",
		uint64(7): int64(7), uint64(math.MaxUint64): float64(math.MaxUint64), 2.0: int64(2), 2.5: 2.5, 1e300: 1e300, "x": "x", true: true, nil: nil,
	} {
		if got := normal(given); got != want {
			t.Errorf("normal(%v) = %v (%T), want %v", given, got, got, want)
		}
	}
	old := Document{"a": int64(1), "config": Document{"x": int64(1), "y": []any{"1"}}, "service": Document{"id": "s"}}
	before := clone(old)
	got := merge(old, Document{"a": nil, "config": Document{"y": []any{"2"}}, "service": Document{"name": "t"}})
	if want := (Document{"a": nil, "config": Document{"x": int64(1), "y": []any{"2"}}, "service": Document{"name": "t"}}); !cmp.Equal(got, want) {
		t.Errorf("merge = %v, want %v", got, want)
	}
	copied := clone(old)
	copied["config"].(Document)["x"] = int64(9) //nolint:forcetypeassert // a panic fails the test as well
	if !cmp.Equal(old, before) {
		t.Errorf("the old document was changed: %v", old)
	}
}
