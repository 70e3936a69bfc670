package connector

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/carnetproject/carnet/internal/fault"
)

// sample is the documented connector of a secure session.
const sample = `{
  "Method": "POST",
  "Endpoint": "https://auth.example.com/verify",
  "Headers": {"Authorization": "srn:vault::acme:secret:my-authorization-api-key"},
  "Alias": "SecureSessionBaaS",
  "RequestMapping": {
    "tokenToVerify": {"type": "requestBody", "requestBodyPath": "$.token", "inputPath": "$.secureTokenForUser"}
  },
  "ResponseMapping": {},
  "Type": "api-connector",
  "Body": {}
}`

// with is a document that is sample but for some members; those that are null go.
func with(t testing.TB, members string) []byte {
	t.Helper()
	doc := map[string]any{}
	if err := errors.Join(json.Unmarshal([]byte(sample), &doc), json.Unmarshal([]byte(members), &doc)); err != nil {
		t.Fatal(err)
	}
	for name, v := range doc {
		if v == nil {
			delete(doc, name)
		}
	}
	out, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// mustParse compiles a document for tests, which may call http.
func mustParse(t testing.TB, doc []byte) *Connector {
	t.Helper()
	c, warnings, err := Parse(doc, Options{Organization: "acme", Strict: true, Insecure: true})
	if err != nil || len(warnings) > 0 {
		t.Fatalf("Parse() = %v, %v\n%s", warnings, err, doc)
	}
	return c
}

// inputOf reads an input.
func inputOf(t testing.TB, doc string) Input {
	t.Helper()
	in, err := ParseInput([]byte(doc))
	if err != nil {
		t.Fatal(err)
	}
	return in
}

// faults are the pointers and messages of what is wrong.
func faults(err error) (out []string) {
	if err == nil {
		return nil
	}
	list := []error{err}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		list = joined.Unwrap()
	}
	for _, e := range list {
		p := fault.Public(e)
		out = append(out, p.Field+" "+p.Msg)
	}
	return out
}

func TestDocumentedShapesLoad(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		doc      string
		warnings int
	}{
		"secure session": {sample, 0},
		"countries": {`{"Alias":"countries","Type":"api-connector","Endpoint":"https://restcountries.example/rest/v2/name/${country}",
			"RequestMapping":{"country":{"type":"requestURL","inputPath":"$.country","requestParameter":"country"}},
			"ResponseMapping":{},"Headers":{},"Method":"GET","Body":{}}`, 0},
		"private, misspelt": {`{"Alias":"phoneNumberValidate","Type":"private-api-connecter","Body":{},"Endpoint":"https://password-reset.example/validatePhoneNumber",
			"Headers":{"Authorization":"************************","Content-Type":"application/json"},"Method":"POST",
			"RequestMapping":{"telephoneNumber":{"inputPath":"$.telephoneNumber","requestBodyPath":"$.telephoneNumber","type":"requestBody"}},
			"ResponseMapping":{"telephoneNumber":{"outputPath":"$.telephoneNumber","responseBodyPath":"$.telephoneNumber","type":"responseBody"}}}`, 1},
		"certificate": {`{"Method":"POST","Endpoint":"https://api.example/post","Credentials":"srn:vault::acme:certificate:secretName","Headers":{},
			"Alias":"apiRequestWithCert","RequestMapping":{},"ResponseMapping":{},"Type":"api-connector","Body":{}}`, 0},
		"emoji": {`{"Method":"POST","Endpoint":"https://api.example/post?emoji=😊","EncodeEndpoint":true,"Headers":{},"Alias":"apiRequest",
			"RequestMapping":{},"ResponseMapping":{},"Type":"api-connector","Body":{}}`, 0},
		"header names": {`{"Method":"get","Endpoint":"https://api.example/","Headers":{"X-AMZ-Auth-${jwt}":"${jwt}"},"Alias":"a",
			"RequestMapping":{"j":{"type":"requestHeader","inputPath":"$.jwt","requestParameter":"jwt"}}}`, 0},
		"params of paths": {`{"Method":"POST","Endpoint":"https://api.example/","Alias":"a","RequestMapping":{
			"j":{"type":"requestBody","inputPath":"$.token.contents.public.${convoId}.jwt","requestBodyPath":"$.users.${convoId}.jwt"}}}`, 0},
		"system members":    {string(with(t, `{"Srn":"srn:baas::acme:api-connector:x","Created":1,"Updated":2,"CreatedBy":"x","UpdatedBy":"y","Organization":"acme","Key":"k"}`)), 0},
		"unknown member":    {string(with(t, `{"Colour":"red"}`)), 1},
		"versioned, global": {string(with(t, `{"Headers":{"Authorization":"srn:vault:global:acme:secret:my-secret-name:78"}}`)), 0},
		"secrets in body":   {string(with(t, `{"Body":{"a":["srn:vault::acme:secret:x"],"b":"srn:vault::acme:secretdoc:y#/token"}}`)), 0},
		"unused parameter": {`{"Alias":"a","Method":"POST","Endpoint":"https://api.example/","RequestMapping":{
			"q":{"type":"requestURL","inputPath":"$.q","requestParameter":"q"}}}`, 1},
		"basic": {`{"Alias":"a","Method":"POST","Endpoint":"https://api.example/","RequestMapping":{
			"q":{"type":"requestBasicAuth","secret":"srn:vault::acme:secretdoc:q"}}}`, 0},
		"ours": {string(with(t, `{"TimeoutMs":"500","Retry":{"Max":2,"On":["connect"]},"RestrictionGroup":"b7c4"}`)), 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, warnings, err := Parse([]byte(tc.doc), Options{Organization: "acme"})
			if err != nil || len(warnings) != tc.warnings {
				t.Fatalf("Parse() = %v, %v, want %d warnings", warnings, err, tc.warnings)
			}
			if again, _, err := Parse([]byte(tc.doc), Options{Organization: "acme"}); err != nil || again.Revision() != c.Revision() || len(c.Revision()) != 64 {
				t.Errorf("Revision() = %q, then %q", c.Revision(), again.Revision())
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	entry := func(e string) string { return `{"RequestMapping":{"m":` + e + `}}` }
	out := func(e string) string { return `{"ResponseMapping":{"m":` + e + `}}` }
	for name, tc := range map[string]struct{ members, want string }{
		"no alias":               {`{"Alias":null}`, "/Alias is needed"},
		"empty alias":            {`{"Alias":""}`, "/Alias is needed"},
		"bad alias":              {`{"Alias":"a b"}`, "/Alias must be 1 to 128"},
		"long alias":             {`{"Alias":"` + strings.Repeat("a", 129) + `"}`, "/Alias must be 1 to 128"},
		"alias of another type":  {`{"Alias":7}`, "/Alias must be a string"},
		"type":                   {`{"Type":"aws-sdk"}`, "/Type must be api-connector"},
		"no method":              {`{"Method":null}`, "/Method is needed"},
		"trace":                  {`{"Method":"TRACE"}`, "/Method must be one of"},
		"connect":                {`{"Method":"connect"}`, "/Method must be one of"},
		"no endpoint":            {`{"Endpoint":null}`, "/Endpoint is needed"},
		"relative endpoint":      {`{"Endpoint":"/verify"}`, "/Endpoint must be an https URL"},
		"ftp":                    {`{"Endpoint":"ftp://x/"}`, "/Endpoint must be an https URL"},
		"no host":                {`{"Endpoint":"https:///x"}`, "/Endpoint must be an https URL"},
		"http":                   {`{"Endpoint":"http://auth.example.com/"}`, "/Endpoint must be https"},
		"password":               {`{"Endpoint":"https://me:pw@x/"}`, "/Endpoint must not have a user"},
		"fragment":               {`{"Endpoint":"https://x/#a"}`, "/Endpoint must not have a fragment"},
		"host by value":          {`{"Endpoint":"https://${h}.example.com/"}`, "/Endpoint must have its ${name}s in path or query"},
		"scheme by value":        {`{"Endpoint":"${s}://example.com/"}`, "/Endpoint must have its ${name}s in path or query"},
		"port by value":          {`{"Endpoint":"https://x:${p}/"}`, "/Endpoint must have its ${name}s in path or query"},
		"undeclared":             {`{"Endpoint":"https://x/${q}"}`, `/Endpoint no entry of RequestMapping has the type requestURL and the requestParameter "q"`},
		"broken template":        {`{"Endpoint":"https://x/${q"}`, "/Endpoint has a ${ that is no ${name}"},
		"broken template, query": {`{"Endpoint":"https://x/?a=${1}"}`, "/Endpoint has a ${ that is no ${name}"},
		"not ASCII":              {`{"Endpoint":"https://x/ä"}`, "/Endpoint has characters that no URL has"},
		"broken percent":         {`{"Endpoint":"https://x/%zz"}`, "/Endpoint has a % that encodes nothing"},
		"get with body":          {`{"Method":"GET","RequestMapping":null,"Body":{"a":1}}`, "/Body GET has no body"},
		"head with mapping":      {`{"Method":"HEAD"}`, "/Body HEAD has no body"},
		"body":                   {`{"Body":7}`, "/Body must be an object, a list or a string"},
		"text body, mapped":      {`{"Body":"x"}`, "/Body must be an object or a list"},
		"text body, secret":      {`{"Body":"srn:vault::acme:secret:x","RequestMapping":null}`, "/Body must be an object or a list"},
		"port":                   {`{"Endpoint":"https://x:8443/"}`, "/Endpoint must have one of the ports [80 443]"},
		"headers":                {`{"Headers":[]}`, "/Headers must be an object"},
		"header's value":         {`{"Headers":{"A":1}}`, "/Headers/A must be a string"},
		"header's name":          {`{"Headers":{"A b":"x"}}`, "/Headers/A b is no name of a header"},
		"header twice":           {`{"Headers":{"X-A":"1","x-a":"2"}}`, "/Headers/x-a is there twice"},
		"line end":               {`{"Headers":{"A":"x\r\nB: y"}}`, "/Headers/A has a value with line ends"},
		"host header":            {`{"Headers":{"host":"x"}}`, "/Headers/host is a header that the client itself writes"},
		"length":                 {`{"Headers":{"Content-Length":"1"}}`, "is a header that the client itself writes"},
		"proxy":                  {`{"Headers":{"Proxy-Authorization":"x"}}`, "is a header that the client itself writes"},
		"compression":            {`{"Headers":{"Accept-Encoding":"gzip"}}`, "is a header that the client itself writes"},
		"template in header":     {`{"Headers":{"A":"${x"}}`, "/Headers/A has a ${"},
		"undeclared in header":   {`{"Headers":{"A-${b}":"${a}"}}`, `/Headers no entry of RequestMapping has the type requestHeader and the requestParameter "a"`},
		"no SRN":                 {`{"Headers":{"A":"srn:vault:x"}}`, "/Headers/A an SRN is srn:service"},
		"SRN of another type":    {`{"Headers":{"A":"srn:vault::acme:certificate:x"}}`, "/Headers/A srn:vault::acme:certificate:x does not fit here"},
		"whole secretdoc":        {`{"Headers":{"A":"srn:vault::acme:secretdoc:x"}}`, "/Headers/A srn:vault::acme:secretdoc:x does not fit here"},
		"field of a secret":      {`{"Headers":{"A":"srn:vault::acme:secret:x#/a"}}`, "/Headers/A srn:vault::acme:secret:x has no fields"},
		"field without slash":    {`{"Headers":{"A":"srn:vault::acme:secretdoc:x#a"}}`, "/Headers/A what follows srn:vault::acme:secretdoc:x# must be a JSON Pointer"},
		"secret elsewhere":       {`{"Headers":{"A":"srn:vault::other:secret:x"}}`, `/Headers/A srn:vault::other:secret:x names the organization "other"`},
		"no SRN in body":         {`{"Body":{"a":[{"b/c":"srn:vault:x"}]}}`, "/Body/a/0/b~1c an SRN is srn:service"},
		"credentials":            {`{"Credentials":"srn:vault::acme:secret:x"}`, "/Credentials srn:vault::acme:secret:x does not fit here"},
		"timeout":                {`{"TimeoutMs":49}`, "/TimeoutMs must be a whole number, 50 to 30000"},
		"timeout, fraction":      {`{"TimeoutMs":99.5}`, "/TimeoutMs must be a whole number"},
		"retries":                {`{"Retry":{"Max":3}}`, "/Retry/Max must be a whole number, 0 to 2"},
		"retries on timeout":     {`{"Retry":{"Max":1,"On":["connect","timeout"]}}`, "/Retry/On/1 must be \"connect\""},
		"encode":                 {`{"EncodeEndpoint":"yes"}`, "/EncodeEndpoint must be true or false"},
		"mapping":                {`{"RequestMapping":[]}`, "/RequestMapping must be an object"},
		"no type":                {entry(`{}`), "/RequestMapping/m/type is needed"},
		"unknown type":           {entry(`{"type":"queryParam"}`), "/RequestMapping/m/type must be requestBody, requestURL, requestHeader or requestBasicAuth"},
		"no path":                {entry(`{"type":"requestBody","requestBodyPath":"$.a"}`), "/RequestMapping/m/inputPath is needed"},
		"bad path":               {entry(`{"type":"requestBody","requestBodyPath":"$.a","inputPath":"$.a["}`), "/RequestMapping/m/inputPath is not a JSONPath"},
		"many places":            {entry(`{"type":"requestBody","requestBodyPath":"$.a[*]","inputPath":"$.a"}`), "/RequestMapping/m/requestBodyPath must lead to one place"},
		"negative index":         {entry(`{"type":"requestBody","requestBodyPath":"$.a[-1]","inputPath":"$.a"}`), "/RequestMapping/m/requestBodyPath has an index"},
		"large index":            {entry(`{"type":"requestBody","requestBodyPath":"$.a[1001]","inputPath":"$.a"}`), "/RequestMapping/m/requestBodyPath has an index"},
		"part of a name":         {entry(`{"type":"requestBody","requestBodyPath":"$.a","inputPath":"$['a${b}']"}`), "only a part of a member name"},
		"param in a filter":      {entry(`{"type":"requestBody","requestBodyPath":"$.a","inputPath":"$.a[?@.b=='${x}']"}`), "has a ${name} in a filter"},
		"files":                  {entry(`{"type":"requestBody","requestBodyPath":"$.a","inputPath":"$.a","encoding":"Base64"}`), "/RequestMapping/m/encoding fetches a file whose URL the input has: name the hosts"},
		"encodings":              {entry(`{"type":"requestBody","requestBodyPath":"$.a","inputPath":"$.a","encoding":"base64"}`), "/RequestMapping/m/encoding must be \"Base64\""},
		"parameter":              {entry(`{"type":"requestURL","requestParameter":"a b","inputPath":"$.a"}`), "/RequestMapping/m/requestParameter must be a letter"},
		"select":                 {entry(`{"type":"requestBody","requestBodyPath":"$.a","inputPath":"$.a","select":"any"}`), "/RequestMapping/m/select must be one of"},
		"as":                     {entry(`{"type":"requestBody","requestBodyPath":"$.a","inputPath":"$.a","as":"date"}`), "/RequestMapping/m/as must be one of"},
		"optional":               {entry(`{"type":"requestBody","requestBodyPath":"$.a","inputPath":"$.a","optional":1}`), "/RequestMapping/m/optional must be true or false"},
		"unknown in entry":       {entry(`{"type":"requestBody","requestBodyPath":"$.a","inputPath":"$.a","requried":true}`), "/RequestMapping/m/requried is not known"},
		"basic's secret":         {entry(`{"type":"requestBasicAuth","secret":"srn:vault::acme:secret:x"}`), "/RequestMapping/m/secret srn:vault::acme:secret:x does not fit here"},
		"basic and header":       {`{"RequestMapping":{"m":{"type":"requestBasicAuth","secret":"srn:vault::acme:secretdoc:x"}}}`, "/RequestMapping/m would write Authorization"},
		"two basic": {
			`{"Headers":{},"RequestMapping":{"m":{"type":"requestBasicAuth","secret":"srn:vault::acme:secretdoc:x"},"n":{"type":"requestBasicAuth","secret":"srn:vault::acme:secretdoc:x"}}}`,
			"/RequestMapping/n is a second requestBasicAuth",
		},
		"overlap": {
			`{"RequestMapping":{"a":{"type":"requestBody","requestBodyPath":"$.a","inputPath":"$.x"},"b":{"type":"requestBody","requestBodyPath":"$.a.b","inputPath":"$.y"}}}`,
			`/RequestMapping/b/requestBodyPath writes where "a" writes, too`,
		},
		"whole and part": {
			`{"RequestMapping":{"a":{"type":"requestBody","requestBodyPath":"$.a","inputPath":"$.x"},"b":{"type":"requestBody","requestBodyPath":"$","inputPath":"$.y"}}}`,
			`/RequestMapping/b/requestBodyPath writes where "a" writes, too`,
		},
		"parameter twice": {
			`{"Endpoint":"https://x/${q}","RequestMapping":{"a":{"type":"requestURL","requestParameter":"q","inputPath":"$.x"},"b":{"type":"requestURL","requestParameter":"q","inputPath":"$.y"}}}`,
			`/RequestMapping/b/requestParameter is that of "a", too`,
		},
		"output's type":  {out(`{"type":"requestBody"}`), "/ResponseMapping/m/type must be responseBody or responseHeader"},
		"output's path":  {out(`{"type":"responseBody","responseBodyPath":"$.a"}`), "/ResponseMapping/m/outputPath is needed"},
		"output by name": {out(`{"type":"responseBody","responseBodyPath":"$.a","outputPath":"$.${a}"}`), "/ResponseMapping/m/outputPath must be the same for each answer"},
		"header key":     {out(`{"type":"responseHeader","responseHeaderKey":"a b","outputPath":"$.a"}`), "/ResponseMapping/m/responseHeaderKey is no name of a header"},
		"outputs overlap": {
			`{"ResponseMapping":{"a":{"type":"responseBody","responseBodyPath":"$.a","outputPath":"$.x[0]"},"b":{"type":"responseBody","responseBodyPath":"$.a","outputPath":"$.x"}}}`,
			`/ResponseMapping/b/outputPath writes where "a" writes, too`,
		},
		"unknown": {`{"Colour":"red"}`, "/Colour is not known"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, _, err := Parse(with(t, tc.members), Options{Organization: "acme", Strict: true, Ports: []uint16{80, 443}})
			if !strings.Contains(strings.Join(faults(err), "\n"), tc.want) {
				t.Errorf("Parse() = %q, want %q", faults(err), tc.want)
			}
			if fault.KindOf(err) != fault.Invalid {
				t.Errorf("kind %v", fault.KindOf(err))
			}
		})
	}
}

func TestParseTellsAll(t *testing.T) {
	t.Parallel()
	_, _, err := Parse([]byte(`{"Alias":"a b","Method":"TRACE","Endpoint":"ftp://x","Headers":{"Host":"x"},"RequestMapping":{"m":{"type":"x"}}}`), Options{})
	want := []string{"/Alias", "/Method", "/Endpoint", "/Headers/Host", "/RequestMapping/m/type"}
	var got []string
	for _, f := range faults(err) {
		at, _, _ := strings.Cut(f, " ")
		got = append(got, at)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("pointers (-want +got):\n%s", diff)
	}
}

func TestParseIsStrictJSON(t *testing.T) {
	t.Parallel()
	for name, doc := range map[string]string{
		"empty": "", "list": "[]", "two": sample + sample, "comma": `{"Alias":"a",}`, "twice": `{"Alias":"a","Alias":"b"}`,
		"not UTF-8": "{\"Alias\":\"\xff\"}", "deep": strings.Repeat(`{"a":`, 70) + "1" + strings.Repeat("}", 70), "cut off": `{"Alias":"a"`,
	} {
		if _, _, err := Parse([]byte(doc), Options{}); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

func TestSecretsAreListed(t *testing.T) {
	t.Parallel()
	c := mustParse(t, with(t, `{"Credentials":"srn:vault::acme:certificate:c","Body":{"a":["srn:vault::acme:secretdoc:d#/x","srn:vault::acme:secretdoc:d#/y"]}}`))
	want := []string{"srn:vault::acme:certificate:c", "srn:vault::acme:secret:my-authorization-api-key", "srn:vault::acme:secretdoc:d#/x", "srn:vault::acme:secretdoc:d#/y"}
	if diff := cmp.Diff(want, c.Secrets()); diff != "" {
		t.Errorf("Secrets() (-want +got):\n%s", diff)
	}
}

func TestRevisionIsOfTheContent(t *testing.T) {
	t.Parallel()
	one := mustParse(t, []byte(sample))
	if other := mustParse(t, []byte(strings.ReplaceAll(sample, "\n", ""))); other.Revision() != one.Revision() {
		t.Error("white space is another revision")
	}
	if other := mustParse(t, with(t, `{"TimeoutMs":100}`)); other.Revision() == one.Revision() {
		t.Error("another timeout is the same revision")
	}
}

// FuzzParse has any document: it is refused with pointers, or makes requests.
func FuzzParse(f *testing.F) {
	f.Add(sample, `{"secureTokenForUser":"x"}`)
	f.Add(`{"Alias":"a","Method":"GET","Endpoint":"https://x/${q}?a=${q}","RequestMapping":{"q":{"type":"requestURL","inputPath":"$..q","requestParameter":"q","select":"first"}}}`, `{"q":1}`)
	f.Fuzz(func(t *testing.T, doc, input string) {
		c, _, err := Parse([]byte(doc), Options{Organization: "acme"})
		if err != nil {
			if len(faults(err)) == 0 || fault.KindOf(err) != fault.Invalid {
				t.Fatalf("error %v", err)
			}
			return
		}
		in, err := ParseInput([]byte(input))
		if err != nil {
			return
		}
		r, err := c.Prepare(in)
		if err != nil {
			return
		}
		if !strings.HasPrefix(r.URL, c.target.origin) {
			t.Errorf("URL %q is not at %q", r.URL, c.target.origin)
		}
		if shown, err := json.Marshal(r); err != nil || !json.Valid(shown) {
			t.Errorf("shown as %s, %v", shown, err)
		}
	})
}
