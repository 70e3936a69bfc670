package connector

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"

	"github.com/carnetproject/carnet/internal/fault"
)

func TestDecode(t *testing.T) {
	t.Parallel()
	for doc, want := range map[string]string{
		` {"a" : [1 , -0.50e+10, "x\n\u00e9" ,true,false,null], "": {} } `: ``,
		`[]`: ``, `"\u0000"`: ``, `0`: ``, "\"\u2028\"": ``,
		``: `is not JSON`, `{`: `is not JSON`, `[1,]`: `is not JSON`, `[1 2]`: `is not JSON`, `{"a":1,}`: `is not JSON`, `{a:1}`: `is not JSON`,
		`{"a"}`: `is not JSON`, `01`: `must be one JSON value`, `1.`: `is not JSON`, `.5`: `is not JSON`, `1e`: `is not JSON`, `-`: `is not JSON`, `+1`: `is not JSON`,
		`nul`: `is not JSON`, `NaN`: `is not JSON`, `truefalse`: `must be one JSON value`, `"a`: `is not JSON`, `"\x"`: `is not JSON`, "\"\n\"": `is not JSON`,
		"1\x00": `must be one JSON value`, "\x00": `is not JSON`, "\"\xff\"": `is not UTF-8`, `1 1`: `must be one JSON value`, `"\`: `is not JSON`,
		`{"a":{"b/~":[0,{"c":1,"c":1}]}}`: `/a/b~1~0/1/c: stands twice`,
		`{"a":1,"\u0061":1}`:              `/a: stands twice`,
		`[[],{"x":nope}]`:                 `/1/x: is not JSON`,
		strings.Repeat("[", maxDepth) + "1" + strings.Repeat("]", maxDepth):     ``,
		strings.Repeat("[", maxDepth+1) + "1" + strings.Repeat("]", maxDepth+1): `nested more than 64 deep`,
	} {
		_, err := decode([]byte(doc))
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want) || fault.KindOf(err) != fault.Invalid) {
			t.Errorf("decode(%.40q) error = %v, want %q", doc, err, want)
		}
	}
}

// FuzzDecode has any text: what is read is what the standard library reads, and what is
// refused is what it refuses, or stands twice, or is too deep.
func FuzzDecode(f *testing.F) {
	for _, s := range []string{`{"a":[1,-2.5e3,"x\u00e9",true,null],"b":{}}`, `[1,]`, `"\ud800"`, `{"a":1,"a":2}`, `1e5 `, "\"\x7f\"", `-0`, `[[[]]]`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		d := json.NewDecoder(bytes.NewReader(doc))
		d.UseNumber()
		var want any
		wrong := d.Decode(&want)
		if _, err := d.Token(); wrong == nil && !errors.Is(err, io.EOF) {
			wrong = errors.New("more than one value")
		}
		got, err := decode(doc)
		switch {
		case err == nil && (wrong != nil || !reflect.DeepEqual(got, want)):
			t.Errorf("decode(%q) = %v, want %v, %v", doc, got, want, wrong)
		case err != nil && wrong == nil:
			if s := err.Error(); !strings.Contains(s, "twice") && !strings.Contains(s, "deep") && !strings.Contains(s, "UTF-8") {
				t.Errorf("decode(%q) error = %v", doc, err)
			}
		}
	})
}
