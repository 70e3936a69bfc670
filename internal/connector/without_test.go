package connector

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestWithout(t *testing.T) {
	t.Parallel()
	opts := Options{Organization: "acme"}
	for name, tc := range map[string]struct{ doc, want string }{
		"as it is": {`{"Alias":"a", "Method":"GET","Endpoint":"https://x.example/","Srn":"srn:x"}`, ``},
		"odd":      {`{"Alias":"a", "Method":"GET","Endpoint":"https://x.example/","Type":"private-api-connecter"}`, ``},
		"unknown": {
			`{"Alias":"a","Method":"POST","Endpoint":"https://x.example/","a/b~c":1,"Body":{"n":9007199254740993,"u":1},
				"RequestMapping":{"m":{"type":"requestBody","inputPath":"$.t","requestBodyPath":"$.t","colour":"red"}}}`,
			`{
  "Alias": "a",
  "Body": {
    "n": 9007199254740993,
    "u": 1
  },
  "Endpoint": "https://x.example/",
  "Method": "POST",
  "RequestMapping": {
    "m": {
      "inputPath": "$.t",
      "requestBodyPath": "$.t",
      "type": "requestBody"
    }
  }
}
`,
		},
	} {
		_, warnings, err := Parse([]byte(tc.doc), opts)
		if err != nil {
			t.Fatal(err)
		}
		got, err := Without([]byte(tc.doc), warnings)
		if tc.want == "" {
			tc.want = tc.doc
		}
		if diff := cmp.Diff(tc.want, string(got)); diff != "" || err != nil {
			t.Errorf("%s: %v (-want +got):\n%s", name, err, diff)
		}
		strict := opts
		strict.Strict = true
		if _, _, err := Parse(got, strict); err != nil {
			t.Errorf("%s: what is left is refused: %v", name, err)
		}
	}
	group := `{"id":"g","evaluations":[{"key":"statusCode","value":401,"note":"x"}],"identifiers":["ipAddress"],"steps":[{"ttl":1}],"org":"x"}`
	_, warnings, err := ParseGroup([]byte(group), opts)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := Without([]byte(group), warnings); err != nil {
		t.Error(err)
	} else if _, left, err := ParseGroup(got, Options{Strict: true}); err != nil || len(left) > 0 {
		t.Errorf("what is left of a group is refused: %v %v", left, err)
	}
	if _, err := Without([]byte(`{`), nil); err == nil {
		t.Error("what is not JSON comes back")
	}
}

func FuzzWithout(f *testing.F) {
	f.Add([]byte(`{"Alias":"a","Method":"GET","Endpoint":"https://x.example/","x~":{"y":[1]}}`))
	f.Fuzz(func(t *testing.T, doc []byte) {
		_, warnings, err := Parse(doc, Options{Organization: "acme"})
		if err != nil {
			return
		}
		clean, err := Without(doc, warnings)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := Parse(clean, Options{Organization: "acme", Strict: true}); err != nil {
			t.Errorf("what is left is refused: %v\n%s", err, clean)
		}
	})
}
