package connector

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/carnetproject/carnet/internal/egress"
)

// store has files, and gives them to whoever has a URL.
func fileStore(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Authorization")+r.Header.Get("Cookie") != "" || r.Method != http.MethodGet {
		w.WriteHeader(http.StatusTeapot)
		return
	}
	switch r.URL.Path {
	case "/photo":
		_, _ = io.WriteString(w, "\x89PNG "+r.URL.RawQuery)
	case "/moved":
		http.Redirect(w, r, "/photo", http.StatusFound)
	case "/endless":
		for i := 0; i <= maxFile; i += 1 << 10 {
			if _, err := w.Write(make([]byte, 1<<10)); err != nil {
				return
			}
		}
	case "/slow":
		<-r.Context().Done()
	case "/cut":
		w.Header().Set("Content-Length", "100")
		_, _ = io.WriteString(w, "short")
	case "/empty":
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

// withFile is the document of a connector that sends the files at $.photo and $.more.
func withFile(endpoint string) string {
	return `{"Alias":"kyc","Method":"POST","Endpoint":"` + endpoint + `","Body":{},"RequestMapping":{
		"photo":{"type":"requestBody","inputPath":"$.photo","requestBodyPath":"$.doc.photo","encoding":"Base64"},
		"more":{"type":"requestBody","inputPath":"$.more","requestBodyPath":"$.more","encoding":"Base64","optional":true}},"ResponseMapping":{}}`
}

func TestFiles(t *testing.T) {
	t.Parallel()
	files := serve(t, fileStore)
	got := make(chan string, 10)
	api := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got <- string(body)
	})
	at, err := url.Parse(files.URL)
	if err != nil {
		t.Fatal(err)
	}
	base, elsewhere := "http://"+at.Host, "http://localhost:"+at.Port()
	long := base + "/photo?" + strings.Repeat("x", maxURL)
	c, _, err := Parse([]byte(withFile(api.URL)), Options{Organization: "acme", Insecure: true, Files: []string{"127.0.0.1"}})
	if err != nil {
		t.Fatal(err)
	}
	cl, err := NewClient(c, Config{Guard: loopback})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	for name, tc := range map[string]struct{ input, want string }{
		"a file":          {`{"photo":"` + base + `/photo?v=1"}`, `{"doc":{"photo":"iVBORyB2PTE="}}`},
		"two, one twice":  {`{"photo":"` + base + `/photo?v=1","more":"` + base + `/photo?v=1"}`, `{"doc":{"photo":"iVBORyB2PTE="},"more":"iVBORyB2PTE="}`},
		"an empty one":    {`{"photo":"` + base + `/empty"}`, `{"doc":{"photo":""}}`},
		"none":            {`{}`, "!has no value in the input"},
		"not there":       {`{"photo":"` + base + `/nosuch"}`, "!a file cannot be had: its host answers 404"},
		"a redirect":      {`{"photo":"` + base + `/moved"}`, "!a file cannot be had: its host answers 302"},
		"too large":       {`{"photo":"` + base + `/endless"}`, "!a file cannot be had: it has more than 2097152 bytes"},
		"too slow":        {`{"photo":"` + base + `/slow"}`, "!a file cannot be had: no whole answer in time"},
		"cut off":         {`{"photo":"` + base + `/cut"}`, "!a file cannot be had: it is cut off"},
		"another host":    {`{"photo":"` + elsewhere + `/photo"}`, "!requestBody photo: is the URL of a file on a host that egress.files does not have"},
		"metadata":        {`{"photo":"http://169.254.169.254/latest"}`, "!egress.files does not have"},
		"another scheme":  {`{"photo":"file:///etc/passwd"}`, "!must be the https URL of a file"},
		"credentials":     {`{"photo":"http://a:b@` + at.Host + `/photo"}`, "!must be the https URL of a file"},
		"no URL":          {`{"photo":"%zz://"}`, "!must be the https URL of a file"},
		"a long one":      {`{"photo":"` + long + `"}`, "!must be the https URL of a file"},
		"no text":         {`{"photo":["` + base + `/photo"]}`, "!must be the https URL of a file"},
		"null":            {`{"photo":null}`, "!must be the https URL of a file"},
		"a secret's name": {`{"photo":"srn:vault::acme:secret:x"}`, "!must be the https URL of a file"},
	} {
		t.Run(name, func(t *testing.T) { // one after another: got is theirs
			made := Call{Input: inputOf(t, tc.input), Timeout: time.Minute}
			if name == "too slow" {
				made.Timeout = 400 * time.Millisecond
			}
			r := cl.Execute(t.Context(), made)
			if part, refused := strings.CutPrefix(tc.want, "!"); refused {
				if r.Err == nil || r.Err.Code != MappingError || !strings.Contains(r.Err.Message, part) || strings.Contains(r.Err.Message, "photo?") {
					t.Errorf("Execute() = %v, want %q", r.Err, part)
				}
				if len(got) != 0 || r.Status != 0 {
					t.Errorf("the API was called: %d", r.Status)
				}
				return
			}
			if r.Err != nil {
				t.Fatal(r.Err)
			}
			if body := <-got; body != tc.want {
				t.Errorf("sent %s, want %s", body, tc.want)
			}
		})
	}
	if cl.Open() {
		t.Error("files that cannot be had count as failures of the API")
	}

	r := cl.Execute(t.Context(), Call{Input: inputOf(t, `{"photo":"`+base+`/photo?v=1"}`), Timeout: time.Minute, Debug: true})
	<-got
	shown, err := json.Marshal(r.Debug.Request)
	if err != nil || !strings.Contains(string(shown), base+"/photo?v=1") || strings.Contains(string(shown), "iVBOR") {
		t.Errorf("an operator is shown %s, %v", shown, err)
	}
}

// TestFilesInTurn has a call wait for those that hold files, for half of its time.
func TestFilesInTurn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, _, err := Parse([]byte(withFile("https://api.example.com/")), Options{Organization: "acme", Files: []string{"files.example.com"}})
		if err != nil {
			t.Fatal(err)
		}
		cl, err := NewClient(c, Config{})
		if err != nil {
			t.Fatal(err)
		}
		for range maxFetches {
			cl.fetcher.turns <- struct{}{}
		}
		start := time.Now()
		r := cl.Execute(t.Context(), Call{Input: inputOf(t, `{"photo":"https://files.example.com/photo"}`)})
		if r.Err == nil || !r.Err.Temporary || time.Since(start) != defaultTimeout/2 {
			t.Errorf("while all hold files: %v after %v", r.Err, time.Since(start))
		}
	})
}

// TestFilesAreGuarded: a host on the list may still lead only where calls may go.
func TestFilesAreGuarded(t *testing.T) {
	t.Parallel()
	files := serve(t, fileStore)
	doc := []byte(withFile("https://api.example.com/"))
	for name, tc := range map[string]struct {
		opts  Options
		guard egress.Guard
		want  string
	}{
		"its address": {Options{Organization: "acme", Insecure: true, Files: []string{"127.0.0.1"}}, egress.Guard{}, "a file cannot be had: "},
		"its port":    {Options{Organization: "acme", Insecure: true, Files: []string{"127.0.0.1"}}, egress.Guard{Networks: loopback.Networks, Ports: []uint16{443}}, "a file cannot be had: "},
		"not https":   {Options{Organization: "acme", Files: []string{"127.0.0.1"}}, loopback, "must be the https URL"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, _, err := Parse(doc, tc.opts)
			if err != nil {
				t.Fatal(err)
			}
			cl, err := NewClient(c, Config{Guard: tc.guard})
			if err != nil {
				t.Fatal(err)
			}
			defer cl.Close()
			r := cl.Execute(t.Context(), Call{Input: inputOf(t, `{"photo":"`+files.URL+`/photo"}`)})
			if r.Err == nil || r.Err.Code != MappingError || !strings.Contains(r.Err.Message, tc.want) {
				t.Errorf("Execute() = %v, want %q", r.Err, tc.want)
			}
		})
	}
}

// TestFileIsRead: what a gate binds its decision to is the URL.
func TestFileIsRead(t *testing.T) {
	t.Parallel()
	c, _, err := Parse([]byte(withFile("https://api.example.com/")), Options{Organization: "acme", Files: []string{"files.example.com"}})
	if err != nil {
		t.Fatal(err)
	}
	values, missing := c.Reads(inputOf(t, `{"photo":"https://Files.example.com/a"}`))
	want := []Value{{Name: "more"}, {Name: "photo", JSON: []byte(`"https://Files.example.com/a"`)}}
	if diff := cmp.Diff(want, values); diff != "" || len(missing) != 0 {
		t.Errorf("missing %v (-want +got):\n%s", missing, diff)
	}
	if _, err := c.Prepare(inputOf(t, `{"photo":"https://Files.example.com/a"}`)); err != nil {
		t.Errorf("a host in other letters: %v", err)
	}
}
