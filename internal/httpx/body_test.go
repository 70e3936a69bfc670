package httpx

import (
	"encoding/json"
	"errors"
	"io"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"github.com/carnetproject/carnet/internal/fault"
)

type body struct {
	Name  string   `json:"name"`
	Count int      `json:"count"`
	On    bool     `json:"on"`
	List  []string `json:"list"`
	Inner struct {
		Deep string `json:"deep"`
	} `json:"inner"`
}

func TestDecodeJSONRefuses(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		data  string
		field string
		msg   string
	}{
		"empty":               {``, "", "the body must be one JSON value"},
		"half":                {`{"name":"a"`, "", "the body must be one JSON value"},
		"trailing value":      {`{"name":"a"} {}`, "", "the body must be one JSON value"},
		"invalid UTF-8":       {"{\"name\":\"\xff\"}", "", "the body must be UTF-8"},
		"member twice":        {`{"name":"a","name":"b"}`, "name", "is given twice"},
		"member in two cases": {`{"name":"a","Name":"b"}`, "Name", "is given twice"},
		"escaped twin":        {`{"name":"a","n\u0061me":"b"}`, "name", "is given twice"},
		"Kelvin sign":         {`{"k":1,"` + "\u212a" + `":2}`, "\u212a", "is given twice"},
		"twice, deep":         {`{"list":[{"x":1,"x":2}]}`, "x", "is given twice"},
		"number for text":     {`{"name":1}`, "name", "must be a string, not a number"},
		"text for number":     {`{"count":"1"}`, "count", "must be a number in range, not a string"},
		"text for truth":      {`{"on":"yes"}`, "on", "must be true or false, not a string"},
		"text for list":       {`{"list":"a"}`, "list", "must be a list, not a string"},
		"text for object":     {`{"inner":"a"}`, "inner", "must be an object, not a string"},
		"deep type":           {`{"inner":{"deep":[]}}`, "inner.deep", "must be a string, not a array"},
		"list for all":        {`[]`, "", "the body must be an object, not a array"},
		"too deep":            {strings.Repeat("[", 34) + strings.Repeat("]", 34), "", "the body nests deeper than 32 levels"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var into body
			got := fault.Public(DecodeJSON([]byte(tc.data), &into))
			if want := (fault.Error{Kind: fault.Invalid, Field: tc.field, Msg: tc.msg}); got != want {
				t.Errorf("DecodeJSON() = %+v, want %+v", got, want)
			}
		})
	}
}

func TestDecodeJSONUnknownMembers(t *testing.T) {
	t.Parallel()
	data := []byte(` {"name":"a","list":["x"],"other":{"x":1}} `)
	var got body
	if err := DecodeJSON(data, &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(body{Name: "a", List: []string{"x"}}, got); diff != "" {
		t.Errorf("DecodeJSON() (-want +got):\n%s", diff)
	}
	strict := fault.Public(DecodeStrictJSON(data, &got))
	if strict.Field != "other" || strict.Kind != fault.Invalid {
		t.Errorf("DecodeStrictJSON() = %+v, want the field named", strict)
	}
}

func TestReadJSON(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		media string
		body  io.Reader
		want  fault.Kind // Internal: none
	}{
		"json":           {"application/json; charset=utf-8", strings.NewReader(`{"name":"a"}`), fault.Internal},
		"json of a kind": {"application/vnd.x+json", strings.NewReader(`{"name":"a"}`), fault.Internal},
		"form":           {"application/x-www-form-urlencoded", strings.NewReader(`name=a`), fault.UnsupportedMedia},
		"no type":        {"", strings.NewReader(`{}`), fault.UnsupportedMedia},
		"bad type":       {"application/json; =", strings.NewReader(`{}`), fault.UnsupportedMedia},
		"too long":       {"application/json", strings.NewReader(`{"name":"` + strings.Repeat("a", 99) + `"}`), fault.TooLarge},
		"broken off":     {"application/json", iotest.ErrReader(io.ErrUnexpectedEOF), fault.Invalid},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := httptest.NewRequest("POST", "/", tc.body)
			r.Header.Set("Content-Type", tc.media)
			var into body
			err := ReadJSON(httptest.NewRecorder(), r, 64, &into)
			if (err == nil) != (tc.want == fault.Internal) || err != nil && fault.KindOf(err) != tc.want {
				t.Errorf("ReadJSON() error = %v, want kind %v", err, tc.want)
			}
		})
	}
}

// What DecodeJSON takes, a decoder that keeps the first of two members and one
// that keeps the last read alike: re-encoding loses nothing and is taken again.
func FuzzDecodeJSON(f *testing.F) {
	for _, seed := range []string{`{"name":"a"}`, `[1,{"a":null}]`, `{"a":1,"A":2}`, `"x" "y"`, `{"a":[{"b":{}}]}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var v any
		if err := DecodeJSON(data, &v); err != nil {
			if _, ok := errors.AsType[*fault.Error](err); !ok {
				t.Fatalf("DecodeJSON() error %v is not for the caller", err)
			}
			return
		}
		again, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		var w any
		if err := DecodeJSON(again, &w); err != nil {
			t.Fatalf("DecodeJSON(%s) error = %v after a round trip", again, err)
		}
		if diff := cmp.Diff(v, w); diff != "" {
			t.Errorf("round trip (-want +got):\n%s", diff)
		}
	})
}
