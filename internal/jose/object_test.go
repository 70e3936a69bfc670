package jose

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// nested is an object whose innermost value stands at the given depth.
func nested(opener, closer string, depth int) string {
	return `{"a":` + strings.Repeat(opener, depth-1) + `1` + strings.Repeat(closer, depth-1) + `}`
}

func memberList(n int) string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf(`"m%d":%d`, i, i)
	}
	return "{" + strings.Join(names, ",") + "}"
}

func TestObjectAccepts(t *testing.T) {
	t.Parallel()
	for name, src := range map[string]string{
		"empty":                    `{}`,
		"blanks":                   " \t\r\n{ \"a\" : 1 , \"b\" : [ 1 , 2 ] } \n",
		"every kind":               `{"n":null,"t":true,"f":false,"x":-1.5e+3,"s":"x","a":[],"o":{}}`,
		"every escape":             `{"s":"\"\\\/\b\f\n\r\t\u0041"}`,
		"surrogate pair":           `{"s":"\ud83d\ude00"}`,
		"pair in capitals":         `{"s":"\uD83D\uDE00"}`,
		"delete character":         "{\"s\":\"\x7f\"}",
		"beyond ASCII":             `{"é":"日本語"}`,
		"depth 32, arrays":         nested("[", "]", 32),
		"depth 32, objects":        nested(`{"a":`, "}", 32),
		"256 members":              memberList(256),
		"same name in two objects": `{"a":{"x":1},"b":{"x":1},"x":1}`,
		"same name after a child":  `{"a":{"b":1},"b":{"a":2}}`,
		"names of one hash size":   `{"abcdefgh":1,"abcdefgi":1,"abcdefghi":1,"":1}`,
		"large numbers":            `{"a":1.7e308,"b":-1e308,"c":1e-999,"d":` + strings.Repeat("9", 308) + `}`,
		"zero":                     `{"a":0,"b":-0,"c":0.0,"d":0e0,"e":0E-0}`,
		"name with NUL":            `{"a":1,"a\u0000":2}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var o Object
			if err := o.Parse([]byte(src)); err != nil {
				t.Fatalf("Parse() error = %v", err)
			}
			if !json.Valid([]byte(src)) {
				t.Error("encoding/json does not accept it")
			}
		})
	}
}

func TestObjectRefuses(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ src, reason string }{
		"nothing":                     {``, "not an object"},
		"blanks":                      {"  ", "not an object"},
		"array":                       {`[]`, "not an object"},
		"string":                      {`"{}"`, "not an object"},
		"null":                        {`null`, "not an object"},
		"byte order mark":             {"\ufeff{}", "not an object"},
		"no-break space":              {"\u00a0{}", "not an object"},
		"form feed":                   {"\f{}", "not an object"},
		"vertical tab inside":         {"{\v}", "member without a name"},
		"comment":                     {`{/**/}`, "member without a name"},
		"trailing bytes":              {`{}x`, "bytes after the object"},
		"second object":               {`{}{}`, "bytes after the object"},
		"trailing NUL":                {"{}\x00", "bytes after the object"},
		"trailing comma":              {`{"a":1,}`, "comma before a closing brace"},
		"leading comma":               {`{,"a":1}`, "member without a name"},
		"two commas":                  {`{"a":1,,"b":2}`, "member without a name"},
		"no comma":                    {`{"a":1 "b":2}`, "object without an end"},
		"unquoted name":               {`{a:1}`, "member without a name"},
		"single quotes":               {`{'a':1}`, "member without a name"},
		"number as name":              {`{1:1}`, "member without a name"},
		"no colon":                    {`{"a" 1}`, "member without a value"},
		"no value":                    {`{"a":}`, "not a value"},
		"open":                        {`{`, "member without a name"},
		"open after a value":          {`{"a":1`, "object without an end"},
		"open array":                  {`{"a":[1`, "array without an end"},
		"open array after comma":      {`{"a":[1,`, "not a value"},
		"array with trailing comma":   {`{"a":[1,]}`, "not a value"},
		"array closed by brace":       {`{"a":[1}}`, "array without an end"},
		"object closed by bracket":    {`{"a":{"b":1]}`, "object without an end"},
		"open string":                 {`{"a":"x`, "string without an end"},
		"open long string":            {`{"a":"xxxxxxxxxxxxxxxxxxxxxxxx`, "string without an end"},
		"open name":                   {`{"a`, "string without an end"},
		"backslash at the end":        {`{"a":"\`, "unknown escape or lone surrogate"},
		"quote escaped at the end":    {`{"a":"\"`, "string without an end"},
		"duplicate":                   {`{"a":1,"a":1}`, "member name twice"},
		"duplicate of two values":     {`{"exp":1,"exp":2}`, "member name twice"},
		"duplicate far apart":         {`{"a":1,"b":{"x":[{}]},"c":2,"a":1}`, "member name twice"},
		"duplicate by escape":         {`{"exp":1,"\u0065xp":2}`, "member name twice"},
		"duplicate by escape first":   {`{"\u0065xp":1,"exp":2}`, "member name twice"},
		"duplicate by solidus":        {`{"a/b":1,"a\/b":2}`, "member name twice"},
		"duplicate by surrogates":     {`{"😀":1,"\ud83d\ude00":2}`, "member name twice"},
		"duplicate empty name":        {`{"":1,"":2}`, "member name twice"},
		"duplicate long name":         {`{"client_identifier":1,"client_identifier":2}`, "member name twice"},
		"duplicate in a child":        {`{"a":{"b":1,"b":2}}`, "member name twice"},
		"duplicate in an array":       {`{"a":[{"b":1},{"b":1,"b":2}]}`, "member name twice"},
		"duplicate at depth 32":       {nested(`{"a":`, "}", 31)[:len(nested(`{"a":`, "}", 31))-32] + `{"b":1,"b":1}` + strings.Repeat("}", 31), "member name twice"},
		"depth 33, arrays":            {nested("[", "]", 33), "nested too deeply"},
		"depth 33, objects":           {nested(`{"a":`, "}", 33), "nested too deeply"},
		"depth 33, mixed":             {nested(`[{"a":`, "}]", 17), "nested too deeply"},
		"257 members":                 {memberList(257), "too many members"},
		"257 members in a child":      {`{"a":` + memberList(257) + `}`, "too many members"},
		"invalid UTF-8":               {"{\"a\":\"\xff\"}", "not valid UTF-8"},
		"invalid UTF-8 name":          {"{\"\xc3\":1}", "not valid UTF-8"},
		"overlong UTF-8":              {"{\"a\":\"\xc0\xaf\"}", "not valid UTF-8"},
		"surrogate in UTF-8":          {"{\"a\":\"\xed\xa0\x80\"}", "not valid UTF-8"},
		"invalid UTF-8 behind":        {"{}\xff", "not valid UTF-8"},
		"UTF-16":                      {"{\x00\"\x00", "member without a name"},
		"high surrogate":              {`{"a":"\ud83d"}`, "unknown escape or lone surrogate"},
		"low surrogate":               {`{"a":"\ude00"}`, "unknown escape or lone surrogate"},
		"surrogates in wrong order":   {`{"a":"\ude00\ud83d"}`, "unknown escape or lone surrogate"},
		"two high surrogates":         {`{"a":"\ud83d\ud83d"}`, "unknown escape or lone surrogate"},
		"high surrogate and a letter": {`{"a":"\ud83dx"}`, "unknown escape or lone surrogate"},
		"high and plain escape":       {`{"a":"\ud83d\u0041"}`, "unknown escape or lone surrogate"},
		"high and other escape":       {`{"a":"\ud83d\nabcd"}`, "unknown escape or lone surrogate"},
		"lone surrogate in a name":    {`{"\ud800":1}`, "unknown escape or lone surrogate"},
		"lone surrogate deep down":    {`{"a":[{"b":"\udfff"}]}`, "unknown escape or lone surrogate"},
		"short escape":                {`{"a":"\u004"}`, "unknown escape or lone surrogate"},
		"escape not hexadecimal":      {`{"a":"\u00g0"}`, "unknown escape or lone surrogate"},
		"escape in capital U":         {`{"a":"\U0041"}`, "unknown escape or lone surrogate"},
		"unknown escape":              {`{"a":"\x41"}`, "unknown escape or lone surrogate"},
		"escaped quote of JavaScript": {`{"a":"\'"}`, "unknown escape or lone surrogate"},
		"line feed in a string":       {"{\"a\":\"\n\"}", "control character in a string"},
		"tab in a string":             {"{\"a\":\"\t\"}", "control character in a string"},
		"NUL in a long string":        {"{\"a\":\"xxxxxxxxxxxx\x00xxxxxxxxxxxx\"}", "control character in a string"},
		"last control character":      {"{\"a\":\"xxxxxxx\x1fxxxxxxxxx\"}", "control character in a string"},
		"control character in a name": {"{\"a\x01\":1}", "control character in a string"},
		"plus":                        {`{"a":+1}`, "not a value"},
		"leading zero":                {`{"a":01}`, "object without an end"},
		"negative leading zero":       {`{"a":-01}`, "object without an end"},
		"point first":                 {`{"a":.5}`, "not a value"},
		"point last":                  {`{"a":5.}`, "bad number"},
		"minus alone":                 {`{"a":-}`, "bad number"},
		"minus at the end":            {`{"a":-`, "bad number"},
		"exponent alone":              {`{"a":1e}`, "bad number"},
		"exponent sign alone":         {`{"a":1e+}`, "bad number"},
		"out of range":                {`{"a":1e309}`, "number out of range"},
		"out of range below":          {`{"a":-1E+400}`, "number out of range"},
		"out of range by digits":      {`{"a":` + strings.Repeat("9", 310) + `}`, "number out of range"},
		"out of range deep down":      {`{"a":[{"b":1e999}]}`, "number out of range"},
		"hexadecimal":                 {`{"a":0x10}`, "object without an end"},
		"underscore":                  {`{"a":1_000}`, "object without an end"},
		"NaN":                         {`{"a":NaN}`, "not a value"},
		"Infinity":                    {`{"a":Infinity}`, "not a value"},
		"negative infinity":           {`{"a":-Infinity}`, "bad number"},
		"undefined":                   {`{"a":undefined}`, "not a value"},
		"capital literal":             {`{"a":True}`, "not a value"},
		"cut literal":                 {`{"a":tru}`, "not a value"},
		"cut literal at the end":      {`{"a":nul`, "not a value"},
		"long literal":                {`{"a":nulll}`, "object without an end"},
		"digits of another script":    {`{"a":１}`, "not a value"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var o Object
			if err := o.Parse([]byte(`{"before":1}`)); err != nil {
				t.Fatal(err)
			}
			err := o.Parse([]byte(tc.src))
			form, ok := errors.AsType[*FormError](err)
			if !ok || form.Reason != tc.reason {
				t.Errorf("Parse() error = %v, want %s", err, tc.reason)
			}
			if o.Lookup("before").Kind != Absent || o.Lookup("a").Kind != Absent {
				t.Error("a refused object has members")
			}
		})
	}
}

func TestObjectLookup(t *testing.T) {
	t.Parallel()
	var o Object
	src := `{"n":null,"b":false,"i":-1.5e2,"s":"x\u00e9\n","l":["a",2],"o":{"s":1},"k\u0065y":"escaped name"}`
	if err := o.Parse([]byte(src)); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]Value{
		"n":       {Null, []byte(`null`)},
		"b":       {Bool, []byte(`false`)},
		"i":       {Number, []byte(`-1.5e2`)},
		"s":       {String, []byte(`"x\u00e9\n"`)},
		"l":       {Array, []byte(`["a",2]`)},
		"o":       {Nested, []byte(`{"s":1}`)},
		"key":     {String, []byte(`"escaped name"`)},
		"S":       {},
		"k\u0065": {},
		"":        {},
	} {
		if diff := cmp.Diff(want, o.Lookup(name)); diff != "" {
			t.Errorf("Lookup(%q): -want +got\n%s", name, diff)
		}
	}
	c := o.Clone()
	if err := o.Parse([]byte(`{"other":1}`)); err != nil {
		t.Fatal(err)
	}
	if text, ok := c.Lookup("s").Text(); !ok || text != "xé\n" || c.Lookup("other").Kind != Absent {
		t.Errorf("the clone changed with its origin: %q, %v", text, ok)
	}
	if string(c.Bytes()) != src || c.Size() < len(src) {
		t.Errorf("Bytes() = %q, Size() = %d", c.Bytes(), c.Size())
	}
}

// TestObjectText compares each string with encoding/json's reading of it.
func TestObjectText(t *testing.T) {
	t.Parallel()
	for _, raw := range []string{
		`""`, `"a"`, `"\"\\\/\b\f\n\r\t"`, `"\u0000"`, `"\u00e9\u65e5"`, `"\ud83d\ude00x"`, `"\uFFFD"`, `"日本"`,
		`"seven77\n"`, `"eight888\\"`, `"a longer text with one \u0065scape in it"`,
	} {
		var o Object
		if err := o.Parse([]byte(`{"s":` + raw + `}`)); err != nil {
			t.Fatalf("%s: %v", raw, err)
		}
		var want string
		if err := json.Unmarshal([]byte(raw), &want); err != nil {
			t.Fatal(err)
		}
		if got, ok := o.Lookup("s").Text(); !ok || got != want {
			t.Errorf("Text() of %s = %q, %v, want %q", raw, got, ok, want)
		}
	}
	for _, raw := range []string{`null`, `1`, `["a"]`, `{"a":1}`, `true`} {
		var o Object
		if err := o.Parse([]byte(`{"s":` + raw + `}`)); err != nil {
			t.Fatal(err)
		}
		if got, ok := o.Lookup("s").Text(); ok || got != "" {
			t.Errorf("Text() of %s = %q, %v", raw, got, ok)
		}
	}
}

func TestObjectTexts(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string][]string{
		`[]`:                        {},
		`["a"]`:                     {"a"},
		"[ \"a\"\t,\n\"b\\u0063\"]": {"a", "bc"},
		`["a","a"]`:                 {"a", "a"},
		`["a",1]`:                   nil,
		`["a",null]`:                nil,
		`[["a"]]`:                   nil,
		`"a"`:                       nil,
		`null`:                      nil,
		`{"0":"a"}`:                 nil,
	} {
		var o Object
		if err := o.Parse([]byte(`{"l":` + raw + `}`)); err != nil {
			t.Fatalf("%s: %v", raw, err)
		}
		got, ok := o.Lookup("l").Texts()
		if ok != (want != nil) || ok && len(got)+len(want) > 0 && !cmp.Equal(got, want) {
			t.Errorf("Texts() of %s = %q, %v, want %q", raw, got, ok, want)
		}
	}
}

func TestObjectElements(t *testing.T) {
	t.Parallel()
	var o Object
	if err := o.Parse([]byte(`{"l":[1, "a" ,null,[2],{"b":3}]}`)); err != nil {
		t.Fatal(err)
	}
	var got []string
	for v := range o.Lookup("l").Elements() {
		got = append(got, fmt.Sprintf("%d %s", v.Kind, v.Raw))
	}
	want := []string{"3 1", `4 "a"`, "1 null", "5 [2]", `6 {"b":3}`}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	for range o.Lookup("absent").Elements() {
		t.Error("an absent value has elements")
	}
	for v := range o.Lookup("l").Elements() {
		if string(v.Raw) != "1" {
			t.Error("Elements goes on after a break")
		}
		break
	}
}

func TestDate(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]int64{
		"0":                0,
		"-0":               0,
		"0.0":              0,
		"1":                1000,
		"1700000000":       1700000000000,
		"1700000000.5":     1700000000500,
		"1700000000.9999":  1700000000999,
		"1.7e9":            1700000000000,
		"17E+8":            1700000000000,
		"0.001":            1,
		"0.0009":           0,
		"253402300799":     253402300799000,
		"253402300799.000": 253402300799000,
		"253402300800":     -1,
		"253402300799.001": -1,
		"999999999999":     -1,
		"1000000000000":    -1,
		"1e11":             100000000000000,
		"1e12":             -1,
		"1e-400":           0,
		"-1":               -1,
		"-0.001":           -1,
		`"1700000000"`:     -1,
		"null":             -1,
		"true":             -1,
		"[1700000000]":     -1,
		`{"a":1700000000}`: -1,
		"99999999999999999999999999999999999999999999": -1,
	} {
		var o Object
		if err := o.Parse([]byte(`{"exp":` + raw + `}`)); err != nil {
			t.Fatalf("%s: %v", raw, err)
		}
		got, ok := o.Lookup("exp").Date()
		if ok != (want >= 0) || ok && got != want {
			t.Errorf("Date() of %s = %d, %v, want %d", raw, got, ok, want)
		}
	}
	if _, ok := (Value{}).Date(); ok {
		t.Error("an absent value is a date")
	}
}

func TestLookAlike(t *testing.T) {
	t.Parallel()
	names := []string{"kid", "sub", "scope", "client_id"}
	for name, want := range map[string]bool{
		"kid": false, "sub": false, "client_id": false, // themselves
		"kidd": false, "ki": false, "": false, "x": false, "KIDD": false, "日本": false, "Client-ID": false,
		"Kid": true, "KID": true, "kiD": true, "Client_ID": true,
		"\u212aid":        true, // Kelvin sign
		"\u017fub":        true, // long s
		"\u017fco\u0050e": true,
		"sub\u0301":       false, // a combining accent makes another name
		"ｋid":             false, // full width does not fold
	} {
		var o Object
		if err := o.Parse(text(t, map[string]any{name: 1, "other": 2})); err != nil {
			t.Fatal(err)
		}
		if got := o.lookAlike(names); got != want {
			t.Errorf("lookAlike(%q) = %v, want %v", name, got, want)
		}
	}
	var o Object
	if err := o.Parse([]byte(`{"\u004bid":1}`)); err != nil {
		t.Fatal(err)
	}
	if !o.lookAlike(names) {
		t.Error("an escaped capital is overlooked")
	}
	for _, list := range [][]string{headerNames, claimNames, jwkNames} {
		for _, name := range list {
			if !lower([]byte(name)) {
				t.Errorf("%q: lookAlike takes names in lower case", name)
			}
		}
	}
}

// TestPlain walks a special byte through all places of a word.
func TestPlain(t *testing.T) {
	t.Parallel()
	for _, special := range []byte{0, 1, 0x1f, '"', '\\'} {
		for _, filler := range []byte{0x20, '!', '#', '[', ']', 0x7f, 0x80, 0xff, 'a'} {
			for at := range 9 {
				src := make([]byte, 8)
				for i := range src {
					src[i] = filler
					if i == at {
						src[i] = special
					}
				}
				var w uint64
				for i, c := range src {
					w |= uint64(c) << (8 * i)
				}
				if got := plain(w); got != at {
					t.Errorf("plain(%q) = %d, want %d", src, got, at)
				}
			}
		}
	}
}

// FuzzObject: what we accept, encoding/json accepts with the same members.
func FuzzObject(f *testing.F) {
	for _, seed := range []string{
		`{}`, `{"a":1,"b":[true,null,{"c":"\ud83d\ude00"}]}`, `{"exp":1,"\u0065xp":2}`, claims, `{"a":-0.1e+5}`, `{"a":"\ud800"}`,
		" { \"a\" : \"\\\\\" } ", `{"long enough to scan by words":"and \"quotes\" inside"}`, `{"a":1}x`, "{\"a\":\"\xff\"}",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		var o Object
		if o.Parse(src) != nil {
			return
		}
		var want map[string]json.RawMessage
		if err := json.Unmarshal(src, &want); err != nil {
			t.Fatalf("encoding/json refuses %q: %v", src, err)
		}
		if len(want) != len(o.members) {
			t.Fatalf("%d members, encoding/json has %d", len(o.members), len(want))
		}
		for name, raw := range want {
			v := o.Lookup(name)
			if string(v.Raw) != string(raw) {
				t.Fatalf("Lookup(%q) = %s, want %s", name, v.Raw, raw)
			}
			var s string
			if text, ok := v.Text(); ok && (json.Unmarshal(raw, &s) != nil || s != text) {
				t.Fatalf("Text() of %s = %q, want %q", raw, text, s)
			}
			var list []json.RawMessage
			if v.Kind == Array && json.Unmarshal(raw, &list) == nil {
				for e := range v.Elements() {
					if len(list) == 0 || string(e.Raw) != string(list[0]) {
						t.Fatalf("Elements() of %s yields %s", raw, e.Raw)
					}
					list = list[1:]
				}
				if len(list) != 0 {
					t.Fatalf("Elements() of %s leaves %s", raw, list)
				}
			}
		}
	})
}
