package connector

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/theory/jsonpath"

	"github.com/carnetproject/carnet/internal/wire"
)

func mustDecode(t testing.TB, doc string) any {
	t.Helper()
	v, err := decode([]byte(doc))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestParseQuery(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`$`: ``, `$.a`: ``, `$.a.${b}`: `b`, `$.a['${b}'].${c}`: `b c`, `$..${b}`: `b`, `$["${b}"]`: `b`, `$.${a}.${b}[0]`: `a b`,
		`$['a.${b}']`: `!only a part`, `$['\'${b}']`: `!only a part`, `$.a${b}`: `!not a JSONPath`, `$.${1}`: `!no ${name}`, `$.${a`: `!no ${name}`,
		`$[?@.${a}==1]`: `!not a JSONPath`, `$[?@['${a}']==1]`: `!in a filter`, ``: `!not a JSONPath`, `a`: `!not a JSONPath`, `$.`: `!not a JSONPath`,
		`$.a b`: `!not a JSONPath`, `$ .a`: ``, `$[?match(@.a, 'x')]`: ``, `$[?nope(@.a)]`: `!not a JSONPath`,
		"$." + strings.Repeat("a", maxPath):                                     `!more than 4096 bytes`,
		"$[?" + strings.Repeat("(", 70) + "@.a" + strings.Repeat(")", 70) + "]": `!nested more than 64`,
	} {
		q, err := parseQuery(text)
		part, refused := strings.CutPrefix(want, "!")
		switch {
		case refused && (err == nil || !strings.Contains(err.Error(), part)):
			t.Errorf("parseQuery(%.40s) error = %v, want %q", text, err, part)
		case !refused && (err != nil || strings.Join(q.params, " ") != want):
			t.Errorf("parseQuery(%.40s) = %v, %v, want the parameters %q", text, q, err, want)
		}
	}
}

func TestFind(t *testing.T) {
	t.Parallel()
	const doc = `{"a":{"z":1,"y":[1,2,3],"x":{"k":"v"}},"id":"x","n":5,"list":[{"p":1,"q":[1]},{"p":2},{"p":2.0,"r":{"s":1}}]}`
	for path, want := range map[string]string{
		`$.a.*`: `[{"k":"v"},[1,2,3],1]`, `$.a.${id}.k`: `["v"]`, `$.a.y[-1]`: `[3]`, `$.a.y[::-1]`: `[3,2,1]`, `$.a.y[0,0]`: `[1,1]`,
		`$.nope`: `[]`, `$.a.${n}`: `[]`, `$..k`: `["v"]`, `$..p`: `[1,2,2.0]`, `$.list[?@.p==2].p`: `[2,2.0]`, `$.list[?@.q].p`: `[1]`,
		`$.list[?@.p==$.list[1].p].p`: `[2,2.0]`, `$.list[?count(@.*)>1].p`: `[1,2.0]`, `$.a[?@>0]`: `[1]`, `$.list[?@..s].p`: `[2.0]`,
		`$.list[?@.a==@.b].p`: `[1,2,2.0]`, `$[?match(@, 'x|y')]`: `["x"]`,
	} {
		q, err := parseQuery(path)
		if err != nil {
			t.Fatal(err)
		}
		found, err := q.find(mustDecode(t, doc))
		if err != nil {
			t.Errorf("%s: %v", path, err)
		}
		if got, _ := wire.JSON(append([]any{}, found...)); string(got) != want {
			t.Errorf("%s finds %s, want %s", path, got, want)
		}
	}
}

func TestFindParams(t *testing.T) {
	t.Parallel()
	q, err := parseQuery(`$.a.${id}`)
	if err != nil {
		t.Fatal(err)
	}
	for _, doc := range []string{`{"a":{}}`, `{"a":{},"id":null}`} {
		if _, err := q.find(mustDecode(t, doc)); !errors.Is(err, errNoParam) {
			t.Errorf("%s: error %v", doc, err)
		}
	}
	for _, doc := range []string{`{"a":{},"id":[]}`, `{"a":{},"id":true}`} {
		if _, err := q.find(mustDecode(t, doc)); err == nil || errors.Is(err, errNoParam) {
			t.Errorf("%s: error %v", doc, err)
		}
	}
}

// TestBudget has searches that would take hours, and documents that are large.
func TestBudget(t *testing.T) {
	t.Parallel()
	wide := `{"l":[` + strings.Repeat(`0,`, 60_000) + `0]}`
	objects := `{"l":[` + strings.Repeat(`{"a":[1]},`, 3000) + `{}]}`
	deep := strings.Repeat(`{"a":`, 60) + `[1,2,3]` + strings.Repeat(`}`, 60)
	for name, tc := range map[string]struct {
		path, doc string
		ok        bool
	}{
		"one of many":         {`$.l[59999]`, wide, true},
		"too many results":    {`$.l[*]`, wide, false},
		"one result too many": {`$.l[*]`, `{"l":[` + strings.Repeat(`0,`, maxResults) + `0]}`, false},
		"as many as may be":   {`$.l[*]`, `{"l":[` + strings.Repeat(`0,`, maxResults-1) + `0]}`, true},
		"many, few are found": {`$.l[?@==1]`, wide, true},
		"twice the whole":     {`$..*..*`, wide, false},
		"root in a filter":    {`$.l[?count($.l[*])>1]`, objects, false},
		"nested filters":      {`$..[?@..[?@..[?@..a]]]`, deep, false},
		"filter":              {`$.l[?@.a[0]==1].a`, objects, true},
		"everything":          {`$..*`, objects, true},
		"the same many times": {`$.l['` + strings.Repeat(`x','`, 100) + `x',0:3000]..a`, objects, true},
		"large results":       {`$` + `['l','l','l','l','l','l','l','l','l','l','l','l','l','l','l','l','l']`, objects, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			q, err := parseQuery(tc.path)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := q.find(mustDecode(t, tc.doc)); (err == nil) != tc.ok || err != nil && !errors.Is(err, errCostly) {
				t.Errorf("find() error = %v, want found: %t", err, tc.ok)
			}
		})
	}
}

func TestSpreads(t *testing.T) {
	t.Parallel()
	for filter, want := range map[string]int{
		`?@["a"] == 1`: 0, `?@["a*?:.."] == 'x..*'`: 0, `?@[*]`: 1, `?@..["a"]`: 1, `?@[?@["a"]]`: 1, `?@[1:2]`: 1, `?count(@..[*]) > 1`: 2,
		`?@["\"*"]`: 0,
	} {
		if n, _ := spreads(filter); n != want {
			t.Errorf("spreads(%s) = %d, want %d", filter, n, want)
		}
	}
	if _, whole := spreads(`?@["a"] == $["b"]`); !whole {
		t.Error("a filter that starts at the root is not seen")
	}
}

// FuzzQuery has any path on any document: it finds what the library finds by itself.
func FuzzQuery(f *testing.F) {
	const doc = `{"a":{"z":1,"y":[1,2,3]},"b":[{"p":1},{"p":"x"},[[]]]}`
	for _, p := range []string{`$`, `$.a.*`, `$..p`, `$.b[?@.p==1]`, `$..[?@.p || @[0]]`, `$.b[0:2]`, `$.a['y','z']`, `$..[*]`, `$.b[?@.*]`} {
		f.Add(p, doc)
	}
	f.Fuzz(func(t *testing.T, path, doc string) {
		if len(doc) > 2<<10 || len(path) > 100 {
			return
		}
		v, err := decode([]byte(doc))
		if err != nil {
			return
		}
		q, err := parseQuery(path)
		if err != nil || strings.Contains(path, "${") {
			return
		}
		got, err := q.find(v)
		if err != nil {
			return
		}
		again, err := q.find(v)
		if err != nil || !slices.Equal(texts(t, got), texts(t, again)) {
			t.Errorf("%s finds another list the second time", path)
		}
		want := texts(t, jsonpath.MustParse(path).Select(v))
		have := texts(t, got)
		slices.Sort(want)
		slices.Sort(have)
		if !slices.Equal(want, have) {
			t.Errorf("%s in %s finds %v, want %v", path, doc, have, want)
		}
	})
}

func texts(t *testing.T, nodes []any) []string {
	t.Helper()
	out := []string{}
	for _, n := range nodes {
		b, err := json.Marshal(n)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, string(b))
	}
	return out
}

// FuzzPlace has any place and value: what was put there is found there, and nowhere else
// is anything changed.
func FuzzPlace(f *testing.F) {
	f.Add(`$.a.b[0]`, `{"a":{"b":[1]},"c":2}`)
	f.Add(`$`, `{}`)
	f.Add(`$['x y'][1].z`, `{"x y":[0]}`)
	f.Fuzz(func(t *testing.T, path, doc string) {
		p, err := parsePlace(path)
		if err != nil || p.hasParams() {
			return
		}
		v, err := decode([]byte(doc))
		if err != nil {
			return
		}
		before, err := wire.JSON(v)
		if err != nil {
			t.Fatal(err)
		}
		out, err := p.put(clone(v), "here")
		if err != nil {
			return
		}
		q, err := parseQuery(path)
		if err != nil {
			t.Fatal(err)
		}
		if found, err := q.find(out); err != nil || len(found) != 1 || found[0] != "here" {
			t.Errorf("put at %s in %s, found %v, %v", path, doc, found, err)
		}
		if after, _ := wire.JSON(v); string(after) != string(before) {
			t.Errorf("the document itself changed from %s to %s", before, after)
		}
	})
}
