package connector

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/carnetproject/carnet/internal/secret"
)

// mapped is a document with entries and, in its Endpoint and Headers, their parameters.
func mapped(members, entries string) string {
	return `{"Alias":"a","Method":"POST","Endpoint":"https://api.example.com/v1",` + members + `"RequestMapping":{` + entries + `}}`
}

const (
	urlQ    = `"q":{"type":"requestURL","inputPath":"$.q","requestParameter":"q"}`
	urlQopt = `"q":{"type":"requestURL","inputPath":"$.q","requestParameter":"q","optional":true}`
	headQ   = `"q":{"type":"requestHeader","inputPath":"$.q","requestParameter":"q"}`
)

func bodyQ(more string) string {
	return `"q":{"type":"requestBody","inputPath":"$.q","requestBodyPath":"$.to"` + more + `}`
}

func TestPrepare(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		doc, input string
		want       string // the request as an operator sees it, or a part of the error after "!"
	}{
		"documented": {
			sample, `{"secureTokenForUser":"abc","other":1}`,
			`{"method":"POST","url":"https://auth.example.com/verify","headers":{"Authorization":"srn:vault::acme:secret:my-authorization-api-key","Content-Type":"application/json"},"body":{"token":"abc"}}`,
		},
		"nothing mapped": {mapped(`"Body":{},`, ``), `{}`, `{"method":"POST","url":"https://api.example.com/v1","headers":{"Content-Type":"application/json"},"body":{}}`},
		"no body":        {mapped(``, ``), `{}`, `{"method":"POST","url":"https://api.example.com/v1","headers":{}}`},
		"list":           {mapped(`"Body":[1],`, `"q":{"type":"requestBody","inputPath":"$.q","requestBodyPath":"$[1].a"}`), `{"q":2}`, `..."body":[1,{"a":2}]}`},
		"whole body":     {mapped(`"Body":{"a":1},`, `"q":{"type":"requestBody","inputPath":"$.q","requestBodyPath":"$"}`), `{"q":[2]}`, `..."body":[2]}`},
		"whole text":     {mapped(``, `"q":{"type":"requestBody","inputPath":"$.q","requestBodyPath":"$"}`), `{"q":"{\"admin\":true}"}`, `..."body":"{\"admin\":true}"}`},
		"text body":      {mapped(`"Body":"<a/>","Headers":{"Content-Type":"text/xml"},`, ``), `{}`, `{"method":"POST","url":"https://api.example.com/v1","headers":{"Content-Type":"text/xml"},"body":"<a/>"}`},
		"numbers":        {mapped(``, bodyQ(``)), `{"q":9007199254740993}`, `..."body":{"to":9007199254740993}}`},
		"fractions":      {mapped(``, bodyQ(``)), `{"q":[1.10,1e400,-0]}`, `..."body":{"to":[1.10,1e400,-0]}}`},
		"null":           {mapped(``, bodyQ(``)), `{"q":null}`, `..."body":{"to":null}}`},
		"null and else":  {mapped(``, bodyQ(`,"default":1`)), `{"q":null}`, `..."body":{"to":null}}`},
		"deep":           {mapped(`"Body":{"x":{"y":1},"n":null},`, `"q":{"type":"requestBody","inputPath":"$.q","requestBodyPath":"$.x.z[0].w"},"r":{"type":"requestBody","inputPath":"$.q","requestBodyPath":"$.n.o"}`), `{"q":2}`, `..."body":{"n":{"o":2},"x":{"y":1,"z":[{"w":2}]}}}`},
		"by name order":  {mapped(``, `"b":{"type":"requestBody","inputPath":"$.q","requestBodyPath":"$.l[1]"},"a":{"type":"requestBody","inputPath":"$.p","requestBodyPath":"$.l[0]"}`), `{"p":1,"q":2}`, `..."body":{"l":[1,2]}}`},
		"beyond the end": {mapped(``, `"a":{"type":"requestBody","inputPath":"$.q","requestBodyPath":"$.l[1]"}`), `{"q":2}`, `!requestBody a: has an index beyond the end`},
		"through scalar": {mapped(`"Body":{"x":1},`, `"a":{"type":"requestBody","inputPath":"$.q","requestBodyPath":"$.x.y"}`), `{"q":2}`, `!requestBody a: leads through something that is no object`},
		"through object": {mapped(`"Body":{"x":{}},`, `"a":{"type":"requestBody","inputPath":"$.q","requestBodyPath":"$.x[0]"}`), `{"q":2}`, `!leads through something that is no list`},

		"missing":         {mapped(``, bodyQ(``)), `{}`, `!requestBody q: has no value in the input`},
		"optional":        {mapped(``, bodyQ(`,"optional":true`)), `{}`, `..."body":{}}`},
		"default":         {mapped(``, bodyQ(`,"default":{"a":[1.0]}`)), `{}`, `..."body":{"to":{"a":[1.0]}}}`},
		"default null":    {mapped(``, bodyQ(`,"default":null`)), `{}`, `..."body":{"to":null}}`},
		"default first":   {mapped(``, bodyQ(`,"default":1,"optional":true`)), `{}`, `..."body":{"to":1}}`},
		"all":             {mapped(``, `"q":{"type":"requestBody","inputPath":"$.q[*].a","requestBodyPath":"$.to"}`), `{"q":[{"a":1},{},{"a":2}]}`, `..."body":{"to":[1,2]}}`},
		"all of one":      {mapped(``, `"q":{"type":"requestBody","inputPath":"$.q[*].a","requestBodyPath":"$.to"}`), `{"q":[{"a":1}]}`, `..."body":{"to":[1]}}`},
		"first":           {mapped(``, `"q":{"type":"requestBody","inputPath":"$.q.*","requestBodyPath":"$.to","select":"first"}`), `{"q":{"z":1,"y":2,"x":3}}`, `..."body":{"to":3}}`},
		"one":             {mapped(``, `"q":{"type":"requestBody","inputPath":"$.q[?@.a==1].b","requestBodyPath":"$.to","select":"one"}`), `{"q":[{"a":1,"b":2},{"a":2,"b":3}]}`, `..."body":{"to":2}}`},
		"one of many":     {mapped(``, `"q":{"type":"requestBody","inputPath":"$.q[*]","requestBodyPath":"$.to","select":"one"}`), `{"q":[1,2]}`, `!has more than one value`},
		"as string":       {mapped(``, bodyQ(`,"as":"string"`)), `{"q":1.50}`, `..."body":{"to":"1.50"}}`},
		"as string, list": {mapped(``, bodyQ(`,"as":"string"`)), `{"q":[]}`, `!cannot be a string`},
		"as number":       {mapped(``, bodyQ(`,"as":"number"`)), `{"q":"007"}`, `!cannot be a number`},
		"as number, good": {mapped(``, bodyQ(`,"as":"number"`)), `{"q":"12345678901234567890"}`, `..."body":{"to":12345678901234567890}}`},
		"as number, bool": {mapped(``, bodyQ(`,"as":"number"`)), `{"q":true}`, `!cannot be a number`},
		"as number, text": {mapped(``, bodyQ(`,"as":"number"`)), `{"q":"\"5\""}`, `!cannot be a number`},
		"as JSON":         {mapped(`"Headers":{"X-Q":"${q}"},`, `"q":{"type":"requestHeader","inputPath":"$.q","requestParameter":"q","as":"json"}`), `{"q":{"b":1,"a":["<"]}}`, `{"method":"POST","url":"https://api.example.com/v1","headers":{"X-Q":"{\"a\":[\"<\"],\"b\":1}"}}`},

		"no hole":          {mapped(``, urlQ), `{"q":"a"}`, `{"method":"POST","url":"https://api.example.com/v1","headers":{}}`},
		"value in path":    {strings.Replace(mapped(``, urlQ), "/v1", "/v1/${q}/x", 1), `{"q":"a/b c?d#ä&=+~%2e"}`, `{"method":"POST","url":"https://api.example.com/v1/a%2Fb%20c%3Fd%23%C3%A4%26%3D%2B~%252e/x","headers":{}}`},
		"value in query":   {strings.Replace(mapped(``, urlQ), "/v1", "/v1?a=${q}&b=${q}", 1), `{"q":"a b&c=d#e+ä"}`, `{"method":"POST","url":"https://api.example.com/v1?a=a+b%26c%3Dd%23e%2B%C3%A4&b=a+b%26c%3Dd%23e%2B%C3%A4","headers":{}}`},
		"number in path":   {strings.Replace(mapped(``, urlQ), "/v1", "/v1/${q}", 1), `{"q":1.0}`, `{"method":"POST","url":"https://api.example.com/v1/1.0","headers":{}}`},
		"boolean in path":  {strings.Replace(mapped(``, urlQ), "/v1", "/v1/${q}", 1), `{"q":true}`, `{"method":"POST","url":"https://api.example.com/v1/true","headers":{}}`},
		"object in path":   {strings.Replace(mapped(``, urlQ), "/v1", "/v1/${q}", 1), `{"q":{}}`, `!requestURL q: must be a string, a number or a boolean`},
		"null in path":     {strings.Replace(mapped(``, urlQ), "/v1", "/v1/${q}", 1), `{"q":null}`, `!requestURL q: must be a string`},
		"dot":              {strings.Replace(mapped(``, urlQ), "/v1", "/v1/${q}", 1), `{"q":"."}`, `!endpoint: the value of ${q} leads elsewhere`},
		"dots":             {strings.Replace(mapped(``, urlQ), "/v1", "/v1/${q}/x", 1), `{"q":".."}`, `!endpoint: the value of ${q} leads elsewhere`},
		"dots in two":      {strings.Replace(mapped(``, urlQ), "/v1", "/v1/.${q}/x", 1), `{"q":"."}`, `!endpoint:`},
		"dots of two":      {strings.Replace(mapped(``, urlQ+`,"r":{"type":"requestURL","inputPath":"$.q","requestParameter":"r"}`), "/v1", "/v1/%2e${q}${r}", 1), `{"q":""}`, `!endpoint: a segment`},
		"climbing":         {strings.Replace(mapped(``, urlQ), "/v1", "/v1/${q}", 1), `{"q":"a/../../admin"}`, `!endpoint: the value of ${q} leads elsewhere`},
		"climbing back":    {strings.Replace(mapped(``, urlQ), "/v1", "/v1/${q}", 1), `{"q":"a\\..\\b"}`, `!endpoint: the value of ${q} leads elsewhere`},
		"empty segment":    {strings.Replace(mapped(``, urlQ), "/v1", "/v1/${q}/x", 1), `{"q":""}`, `!endpoint: a segment of the path would be empty`},
		"optional segment": {strings.Replace(mapped(``, urlQopt), "/v1", "/v1/${q}/x", 1), `{}`, `!endpoint: a segment of the path would be empty`},
		"optional query":   {strings.Replace(mapped(``, urlQopt), "/v1", "/v1?q=${q}", 1), `{}`, `{"method":"POST","url":"https://api.example.com/v1?q=","headers":{}}`},
		"dots in query":    {strings.Replace(mapped(``, urlQ), "/v1", "/v1?q=${q}", 1), `{"q":".."}`, `{"method":"POST","url":"https://api.example.com/v1?q=..","headers":{}}`},
		"once":             {strings.Replace(mapped(``, urlQ), "/v1", "/v1/$${q}/${q}", 1), `{"q":"${q}"}`, `{"method":"POST","url":"https://api.example.com/v1/${q}/%24%7Bq%7D","headers":{}}`},
		"encoded endpoint": {strings.Replace(mapped(`"EncodeEndpoint":true,`, urlQ), "/v1", "/é/${q}?e=😊 ", 1), `{"q":"é"}`, `{"method":"POST","url":"https://api.example.com/%C3%A9/%C3%A9?e=%F0%9F%98%8A%20","headers":{}}`},
		"too long":         {strings.Replace(mapped(``, urlQ), "/v1", "/v1?q=${q}", 1), `{"q":"` + strings.Repeat("x", 8<<10) + `"}`, `!more than 8192 bytes`},

		"header":           {mapped(`"Headers":{"Authorization":"Bearer ${q}"},`, headQ), `{"q":"é\t~"}`, `{"method":"POST","url":"https://api.example.com/v1","headers":{"Authorization":"Bearer é\t~"}}`},
		"header's name":    {mapped(`"Headers":{"X-AMZ-Auth-${q}":"${q}"},`, headQ), `{"q":"aB"}`, `{"method":"POST","url":"https://api.example.com/v1","headers":{"X-AMZ-Auth-aB":"aB"}}`},
		"header once":      {mapped(`"Headers":{"A":"$${q} ${q}"},`, headQ), `{"q":"${q}"}`, `{"method":"POST","url":"https://api.example.com/v1","headers":{"A":"${q} ${q}"}}`},
		"optional header":  {mapped(`"Headers":{"A":"x${q}","B":"y"},`, strings.Replace(headQ, "}", `,"optional":true}`, 1)), `{}`, `{"method":"POST","url":"https://api.example.com/v1","headers":{"B":"y"}}`},
		"injection":        {mapped(`"Headers":{"A":"${q}"},`, headQ), `{"q":"x\r\nB: y"}`, `!headers: a header would have line ends`},
		"NUL":              {mapped(`"Headers":{"A":"${q}"},`, headQ), `{"q":"x\u0000"}`, `!headers: a header would have line ends`},
		"long header":      {mapped(`"Headers":{"A":"${q}"},`, headQ), `{"q":"` + strings.Repeat("x", 8<<10+1) + `"}`, `!more than 8 KiB`},
		"injected name":    {mapped(`"Headers":{"X-${q}":"a"},`, headQ), `{"q":"a: b"}`, `!a header's name would have other characters`},
		"empty name":       {mapped(`"Headers":{"${q}":"a"},`, headQ), `{"q":""}`, `!a header's name would have other characters`},
		"own name":         {mapped(`"Headers":{"${q}":"a"},`, headQ), `{"q":"hOst"}`, `!a header's name would be one that values may not make`},
		"cookie by value":  {mapped(`"Headers":{"${q}":"a"},`, headQ), `{"q":"cookie"}`, `!a header's name would be one that values may not make`},
		"cookie by name":   {mapped(`"Headers":{"Cookie":"s=${q}"},`, headQ), `{"q":"1"}`, `{"method":"POST","url":"https://api.example.com/v1","headers":{"Cookie":"s=1"}}`},
		"twice by value":   {mapped(`"Headers":{"X-a":"1","X-${q}":"2"},`, headQ), `{"q":"A"}`, `!headers: a header would be there twice`},
		"object in header": {mapped(`"Headers":{"A":"${q}"},`, headQ), `{"q":[]}`, `!requestHeader q: must be a string`},

		"form":          {mapped(`"Headers":{"content-type":"application/x-www-form-urlencoded; charset=utf-8"},"Body":{"b":1.0,"s":"srn:vault::acme:secret:x"},`, bodyQ(``)), `{"q":"a b&c"}`, `{"method":"POST","url":"https://api.example.com/v1","headers":{"Content-Type":"application/x-www-form-urlencoded; charset=utf-8"},"body":"b=1.0&s=srn%3Avault%3A%3Aacme%3Asecret%3Ax&to=a+b%26c"}`},
		"nested form":   {mapped(`"Headers":{"Content-Type":"application/x-www-form-urlencoded"},`, bodyQ(``)), `{"q":{}}`, `!a form has strings, numbers and booleans alone`},
		"list as form":  {mapped(`"Headers":{"Content-Type":"application/x-www-form-urlencoded"},"Body":[],`, ``), `{}`, `!a form must be an object`},
		"secret is not": {mapped(``, bodyQ(``)), `{"q":"srn:vault::acme:secret:x"}`, `..."body":{"to":"srn:vault::acme:secret:x"}}`},

		"param":             {mapped(``, `"q":{"type":"requestBody","inputPath":"$.t.${id}.jwt","requestBodyPath":"$.users.${id}.jwt"}`), `{"id":"c1","t":{"c1":{"jwt":"x"}}}`, `..."body":{"users":{"c1":{"jwt":"x"}}}}`},
		"param, odd":        {mapped(``, `"q":{"type":"requestBody","inputPath":"$.t['${id}']","requestBodyPath":"$.${id}"}`), `{"id":"x'] ..['y","t":{"x'] ..['y":1,"y":2}}`, `..."body":{"x'] ..['y":1}}`},
		"param, number":     {mapped(``, `"q":{"type":"requestBody","inputPath":"$.t.${id}","requestBodyPath":"$.a"}`), `{"id":7,"t":{"7":1}}`, `..."body":{"a":1}}`},
		"param, object":     {mapped(``, `"q":{"type":"requestBody","inputPath":"$.t.${id}","requestBodyPath":"$.a"}`), `{"id":{},"t":{}}`, `!neither a string nor a number`},
		"param, missing":    {mapped(``, `"q":{"type":"requestBody","inputPath":"$.t.${id}","requestBodyPath":"$.a"}`), `{"t":{}}`, `!has no value in the input`},
		"param, optional":   {mapped(``, `"q":{"type":"requestBody","inputPath":"$.t.${id}","requestBodyPath":"$.a","optional":true}`), `{"t":{}}`, `..."body":{}}`},
		"param of the body": {mapped(``, `"q":{"type":"requestBody","inputPath":"$.t","requestBodyPath":"$.${id}"}`), `{"t":{}}`, `!has no value for a ${name}`},
		"params clash":      {mapped(``, `"a":{"type":"requestBody","inputPath":"$.t","requestBodyPath":"$.x"},"b":{"type":"requestBody","inputPath":"$.t","requestBodyPath":"$.${id}.y"}`), `{"id":"x","t":{}}`, `!requestBody b: writes where another entry has written`},
		"param, descendant": {mapped(``, `"q":{"type":"requestBody","inputPath":"$..${id}","requestBodyPath":"$.a"}`), `{"id":"k","t":{"k":1,"u":[{"k":2}]}}`, `..."body":{"a":[1,2]}}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, _, err := Parse([]byte(tc.doc), Options{Organization: "acme"})
			if err != nil {
				t.Fatal(err)
			}
			part, refused := strings.CutPrefix(tc.want, "!")
			r, err := c.Prepare(inputOf(t, tc.input))
			if refused {
				if err == nil || !strings.Contains(err.Error(), part) {
					t.Errorf("Prepare() error = %v, want %q", err, part)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			got, err := json.Marshal(r)
			if err != nil {
				t.Fatal(err)
			}
			if end, cut := strings.CutPrefix(tc.want, "..."); cut {
				if !strings.HasSuffix(plain(got), end) {
					t.Errorf("Prepare() = %s, want the end %s", got, end)
				}
			} else if diff := cmp.Diff(tc.want, plain(got)); diff != "" {
				t.Errorf("Prepare() (-want +got):\n%s", diff)
			}
		})
	}
}

// TestWholeBody is what goes out where an entry writes all of the body.
func TestWholeBody(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ members, more, input, want string }{
		"text as JSON":        {``, ``, `"{\"admin\":true}"`, `"{\"admin\":true}"`},
		"number":              {``, ``, `1.0`, `1.0`},
		"null":                {``, ``, `null`, `null`},
		"text as a dialect":   {`"Headers":{"Content-Type":"application/ld+json; charset=utf-8"},`, ``, `"a"`, `"a"`},
		"text as text":        {`"Headers":{"Content-Type":"text/plain"},`, ``, `"a<b"`, `a<b`},
		"its JSON as text":    {`"Headers":{"Content-Type":"text/plain"},`, `,"as":"json"`, `{"a":"<"}`, `{"a":"<"}`},
		"in place of a text":  {`"Body":{"a":1},`, ``, `[1]`, `[1]`},
		"as form, and object": {`"Headers":{"Content-Type":"application/x-www-form-urlencoded"},`, ``, `{"a":"b c"}`, `a=b+c`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := mustParse(t, []byte(mapped(tc.members, `"q":{"type":"requestBody","inputPath":"$.q","requestBodyPath":"$"`+tc.more+`}`)))
			r, err := c.Prepare(inputOf(t, `{"q":`+tc.input+`}`))
			if err != nil {
				t.Fatal(err)
			}
			got, err := r.encodeBody(byName)
			if err != nil || string(got) != tc.want {
				t.Errorf("body %s, %v, want %s", got, err, tc.want)
			}
			if _, err := json.Marshal(r); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestPrepareWithoutNull(t *testing.T) {
	t.Parallel()
	c := mustParse(t, []byte(mapped(`"Headers":{"X-H":"${h}"},`, `"h":{"type":"requestHeader","inputPath":"$.h","requestParameter":"h","optional":true},
		"o":{"type":"requestBody","inputPath":"$.o","requestBodyPath":"$.o","optional":true},
		"d":{"type":"requestBody","inputPath":"$.d","requestBodyPath":"$.d","default":1},
		"in":{"type":"requestBody","inputPath":"$.in","requestBodyPath":"$.in"}`)))
	r, err := c.Prepare(inputOf(t, `{"h":null,"o":null,"d":null,"in":{"deep":null}}`).WithoutNull())
	if err != nil {
		t.Fatal(err)
	}
	got, err := json.Marshal(r)
	if want := `"headers":{"Content-Type":"application/json"},"body":{"d":1,"in":{"deep":null}}}`; err != nil || !strings.HasSuffix(string(got), want) {
		t.Errorf("Prepare() = %s, %v, want the end %s", got, err, want)
	}
	if _, err := c.Prepare(inputOf(t, `{"in":null}`).WithoutNull()); err == nil || !strings.Contains(err.Error(), "requestBody in: has no value") {
		t.Errorf("Prepare() error = %v for a null that is needed", err)
	}
}

// plain undoes the escapes that json.Marshal adds to what a MarshalJSON wrote.
func plain(b []byte) string {
	return strings.NewReplacer(`\u0026`, "&", `\u003c`, "<", `\u003e`, ">").Replace(string(b))
}

// TestNothingIsSentTwice: net/http sends a body again, which may have a token for one
// use, where it can have it anew, and where a header says that this does no harm.
func TestNothingIsSentTwice(t *testing.T) {
	t.Parallel()
	r, err := mustParse(t, []byte(sample)).Prepare(inputOf(t, `{"secureTokenForUser":"abc"}`))
	if err != nil {
		t.Fatal(err)
	}
	h, err := r.build(t.Context(), values{apiKey: secret.FromString("k3y")})
	if err != nil {
		t.Fatal(err)
	}
	if h.Body == nil || h.GetBody != nil || h.Header.Get("Idempotency-Key")+h.Header.Get("X-Idempotency-Key") != "" {
		t.Errorf("can be sent again: %v", h.Header)
	}
}

func TestPrepareLeavesTheDocument(t *testing.T) {
	t.Parallel()
	c := mustParse(t, []byte(mapped(`"Body":{"list":[1],"x":{}},`, `"q":{"type":"requestBody","inputPath":"$.q","requestBodyPath":"$.list[1]"},"r":{"type":"requestBody","inputPath":"$.q","requestBodyPath":"$.x.y"}`)))
	for _, q := range []string{`"first"`, `"second"`, `{"a":[]}`} {
		r, err := c.Prepare(inputOf(t, `{"q":`+q+`}`))
		if err != nil {
			t.Fatal(err)
		}
		got, err := r.encodeBody(nil)
		if want := `{"list":[1,` + q + `],"x":{"y":` + q + `}}`; err != nil || string(got) != want {
			t.Errorf("body %s, %v, want %s", got, err, want)
		}
	}
}

func TestParseInput(t *testing.T) {
	t.Parallel()
	for _, doc := range []string{``, `[]`, `"a"`, `null`, `{"a":1,"a":2}`, `{"x":[{"s3cret":1,"s3cret":2}]}`, `{} {}`, `{"s3cret"`} {
		_, err := ParseInput([]byte(doc))
		if err == nil {
			t.Errorf("ParseInput(%s) = nil error", doc)
		}
	}
}

func TestReads(t *testing.T) {
	t.Parallel()
	doc := mapped(``, `"b":{"type":"requestBody","inputPath":"$.b.${id}","requestBodyPath":"$.${to}"},
		"a":{"type":"requestBody","inputPath":"$.a","requestBodyPath":"$.a"},
		"o":{"type":"requestBody","inputPath":"$.o","requestBodyPath":"$.o","optional":true},
		"d":{"type":"requestBody","inputPath":"$.d","requestBodyPath":"$.d","default":1},
		"s":{"type":"requestBasicAuth","secret":"srn:vault::acme:secretdoc:x"},
		"w":{"type":"requestBody","inputPath":"$.w.*","requestBodyPath":"$.w","optional":true},
		"x":{"type":"requestBody","inputPath":"$.x.*","requestBodyPath":"$.x","optional":true,"select":"one"}`)
	c := mustParse(t, []byte(doc))
	for name, tc := range map[string]struct{ input, values, missing string }{
		"all":       {`{"a":1.0,"b":{"k":"x"},"id":"k","to":"t","o":null,"d":{"z":1,"y":2},"w":{"q":2,"p":1},"not":"read"}`, `a=1.0 b="x" d={"y":2,"z":1} o=null w=[1,2] x ${id}="k" ${to}="t"`, ``},
		"none":      {`{}`, `a b d o w x ${id} ${to}`, `a b`},
		"null":      {`{"a":null,"id":"k","b":{"k":null}}`, `a=null b=null d o w x ${id}="k" ${to}`, `a b`},
		"no member": {`{"a":"","id":"j","b":{"k":1}}`, `a="" b d o w x ${id}="j" ${to}`, `b`},
		"too many":  {`{"a":1,"id":"k","b":{"k":2},"x":[1,2]}`, `a=1 b=2 d o w x! ${id}="k" ${to}`, ``},
		"not text":  {`{"a":"1","id":[],"b":{}}`, `a="1" b! d o w x ${id}=[] ${to}`, ``},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			values, missing := c.Reads(inputOf(t, tc.input))
			var got []string
			for _, v := range values {
				switch {
				case v.Err != nil:
					got = append(got, v.Name+"!")
				case v.JSON == nil:
					got = append(got, v.Name)
				default:
					got = append(got, v.Name+"="+string(v.JSON))
				}
			}
			if strings.Join(got, " ") != tc.values || strings.Join(missing, " ") != tc.missing {
				t.Errorf("Reads() = %s; missing %s, want %s; %s", strings.Join(got, " "), missing, tc.values, tc.missing)
			}
		})
	}
}

// FuzzEndpoint has any value in a path and a query: the URL stays where it is, and the
// value is all that is in its place.
func FuzzEndpoint(f *testing.F) {
	for _, s := range []string{"a", "..", "a/../b", "%2e%2e", "?x#y", "\\..\\", "é\x00"} {
		f.Add(s)
	}
	k := &checker{}
	e := k.endpoint("", "https://api.example.com/v1/${q}/end?a=${q}&b=1", false, Options{})
	f.Fuzz(func(t *testing.T, value string) {
		text, err := e.fill(map[string]string{"q": value})
		if err != nil {
			return
		}
		u, err := url.Parse(text)
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		segments := strings.Split(u.EscapedPath(), "/")
		if u.Host != "api.example.com" || len(segments) != 4 || segments[3] != "end" || u.Fragment != "" {
			t.Fatalf("%q leads elsewhere", text)
		}
		got, err := url.PathUnescape(segments[2])
		if err != nil || got != value || len(u.Query()) != 2 || u.Query().Get("a") != value {
			t.Errorf("%q has %q and %q", text, got, u.Query())
		}
		if clean := u.JoinPath().EscapedPath(); clean != u.EscapedPath() {
			t.Errorf("%q is cleaned to %q", u.EscapedPath(), clean)
		}
	})
}
