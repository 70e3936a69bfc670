package kong

import (
	"bytes"
	"encoding/json"
	"mime/multipart"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// FuzzForm holds the form decoder to never more than what was sent: each value that comes
// out went in, and to be good for JSON.
func FuzzForm(f *testing.F) {
	for _, s := range []string{
		"", "a=1", "a=1&a=2", "a[]=1&a[3]=2", "config.minute=5&config.hour=6", "a.b.c.d=1", "a..b=1", ".=", "a=1&a.b=2", "[]=1", "a[1=2",
		"%zz=1", "a=%00", strings.Repeat("a.", 20) + "b=1", "tags[65536]=x",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, body string) {
		d, err := parseForm(body)
		if err != nil {
			return
		}
		sent := map[string]bool{}
		for pair := range strings.SplitSeq(body, "&") {
			_, value, _ := strings.Cut(pair, "=")
			value, _ = url.QueryUnescape(value)
			sent[value] = true
		}
		count := 0
		var walk func(v any, depth int)
		walk = func(v any, depth int) {
			if depth > maxDepth+1 {
				t.Fatalf("%q nests %d deep", body, depth)
			}
			switch v := v.(type) {
			case raw:
				if count++; !sent[string(v)] {
					t.Fatalf("%q gives %q", body, v)
				}
			case []any:
				for _, e := range v {
					walk(e, depth+1)
				}
			case Document:
				for _, e := range v {
					walk(e, depth+1)
				}
			default:
				t.Fatalf("%q gives a %T", body, v)
			}
		}
		walk(d, 0)
		if count > maxMembers {
			t.Fatalf("%d values", count)
		}
		for _, k := range []*kind{services, routes, consumers, credentials, groups, upstreams, targets} {
			if full, wrong := checkOf(k)(d); wrong == nil {
				if _, err := json.Marshal(full); err != nil {
					t.Fatal(err)
				}
			}
		}
	})
}

// FuzzParts compares the decoder of parts with that of forms.
func FuzzParts(f *testing.F) {
	f.Add("key", "value", "tags[]", "x")
	f.Add("config.minute", "5", "config.minute", "6")
	f.Add("", "", "a", "\r\n--b")
	f.Fuzz(func(t *testing.T, name1, value1, name2, value2 string) {
		var body bytes.Buffer
		w := multipart.NewWriter(&body)
		form := url.Values{}
		for _, pair := range [][2]string{{name1, value1}, {name2, value2}} {
			odd := strings.ContainsFunc(pair[0], func(r rune) bool { return r < ' ' || r > '~' }) || strings.ContainsAny(pair[0], `"\%`)
			if odd || w.WriteField(pair[0], pair[1]) != nil {
				return
			}
			form.Add(pair[0], pair[1])
		}
		if w.Close() != nil {
			return
		}
		got, err := parseParts(multipart.NewReader(&body, w.Boundary()))
		sent := url.QueryEscape(name1) + "=" + url.QueryEscape(value1) + "&" + url.QueryEscape(name2) + "=" + url.QueryEscape(value2)
		want, wantErr := parseForm(sent)
		if (err != nil) != (wantErr != nil) || err == nil && !cmp.Equal(got, want) {
			t.Errorf("parts of %q: %v, %v; the form says %v, %v", sent, got, err, want, wantErr)
		}
	})
}

// FuzzReadYAML holds the reader to sound output: what it takes is complete, names only
// what it knows, and what it exports is read as the same again.
func FuzzReadYAML(f *testing.F) {
	f.Add([]byte(everything))
	f.Add([]byte(`{"_format_version":"3.0","services":[{"name":"a","host":"h"}]}`))
	f.Add([]byte("_format_version: \"1.1\"\nservices:\n- url: http://a\n  routes: [{paths: [\"/(x)\"]}]"))
	f.Add([]byte("_format_version: \"3.0\"\na: &a [*a]"))
	f.Add([]byte("_format_version: \"3.0\"\nplugins: [{name: x, route: y}, {name: jwt, config: {a: {b: {c: 1}}}}]"))
	f.Add([]byte("_format_version: \"3.0\"\nconsumers: [{username: ${{ env \"DECK_A\" }}}]"))
	f.Fuzz(func(t *testing.T, data []byte) {
		w, err := ReadYAML(data, func(string) (string, bool) { return "value", true })
		if err != nil {
			return
		}
		for _, w := range w.wishes {
			again, wrong := checkOf(w.kind)(w.doc)
			if wrong != nil || !cmp.Equal(again, w.doc) {
				t.Fatalf("%s is not complete: %v %v", w.label(), wrong, cmp.Diff(w.doc, again))
			}
			if _, err := json.Marshal(w.doc); err != nil {
				t.Fatal(err)
			}
		}
		for _, u := range w.Unsupported {
			if u.Why == "" {
				t.Fatalf("%s is not supported for no reason", u.What)
			}
		}
	})
}
