package device

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	gojose "github.com/go-jose/go-jose/v4"

	"github.com/carnetproject/carnet/internal/device"
	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/httpx"
	"github.com/carnetproject/carnet/internal/jose"
	"github.com/carnetproject/carnet/internal/key"
)

var noon = time.Date(2026, 6, 1, 12, 0, 0, 123_000_000, time.UTC)

const path = "/v2/consumer/mobile_device/credential/register"

// signer signs with one key, whatever the set.
type signer struct {
	key *jose.Key
	err error
}

func (s *signer) Sign(_ context.Context, _ key.SetName, _ jose.Algorithm, typ string, claims []byte) (string, error) {
	if s.err != nil {
		return "", s.err
	}
	return s.key.Sign(typ, claims)
}

// open serves a registrar of the set mobile_device.
func open(t *testing.T) (http.Handler, *signer) {
	t.Helper()
	k, err := jose.Generate(jose.ES256, "mobilev2_key1")
	if err != nil {
		t.Fatal(err)
	}
	s := &signer{key: k}
	clock := func() time.Time { return noon }
	r, err := device.New(device.Config{
		Keys: s, Clock: clock,
		Sets: map[key.SetName]device.Set{"mobile_device": {Algorithm: jose.ES256, IssuerPrefix: "mobilev2"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	New(Config{Registrar: r, Clock: clock}).Mount(mux)
	return mux, s
}

// call sends body as application/json and returns the status and the answer.
func call(t *testing.T, h http.Handler, path string, body io.Reader, edit ...func(*http.Request)) *httptest.ResponseRecorder {
	t.Helper()
	ctx := httpx.WithLog(t.Context(), slog.New(slog.DiscardHandler))
	r := httptest.NewRequestWithContext(ctx, http.MethodPost, path, body)
	r.Header.Set("Content-Type", "application/json; charset=UTF-8")
	for _, e := range edit {
		e(r)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func decode[T any](t *testing.T, w *httptest.ResponseRecorder) T {
	t.Helper()
	var v T
	if err := json.Unmarshal(w.Body.Bytes(), &v); err != nil {
		t.Fatalf("%v in %s", err, w.Body)
	}
	return v
}

var (
	tokenText = regexp.MustCompile(`"token":"[^"]+"`)
	uuidText  = regexp.MustCompile(`"resmsgid":"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"`)
)

// fixed replaces what is random.
func fixed(body string) string {
	return tokenText.ReplaceAllString(uuidText.ReplaceAllString(body, `"resmsgid":"UUID"`), `"token":"TOKEN"`)
}

func TestRegisterIsByteCompatible(t *testing.T) {
	t.Parallel()
	h, s := open(t)
	for _, p := range []string{path, "/api/api-manager" + path} {
		w := call(t, h, p, strings.NewReader(
			`{"id":"ekstep.genie.device.register","ver":"1.0","ts":"2020-03-17T22:24:31+05:30","params":{"msgid":"m<1>"},"request":{"key":"dev&1"}}`))
		want := `{"id":"ekstep.api.am.adminutil.consumer.create","ver":"1.0","ets":1780315200123,` +
			`"params":{"status":"successful","err":null,"errmsg":null,"msgid":"m<1>","resmsgid":"UUID"},` +
			`"result":{"key":"dev&1","secret":"","token":"TOKEN"}}`
		if got := fixed(w.Body.String()); w.Code != http.StatusOK || got != want {
			t.Errorf("%s: %d\n%s, want\n%s", p, w.Code, got, want)
		}
		if got := w.Header().Get("Content-Type"); got != "application/json;charset=UTF-8" {
			t.Errorf("Content-Type = %q", got)
		}
		jws, err := gojose.ParseSignedCompact(decode[envelope](t, w).Result.Token, []gojose.SignatureAlgorithm{gojose.ES256})
		if err != nil {
			t.Fatal(err)
		}
		claims, err := jws.Verify(s.key.Public().Crypto())
		if err != nil || string(claims) != `{"iss":"mobilev2-dev\u00261-1780315200123","iat":1780315200}` {
			t.Errorf("claims = %s, %v", claims, err)
		}
	}
}

func TestRefusalsInTheEnvelope(t *testing.T) {
	t.Parallel()
	h, _ := open(t)
	for name, tc := range map[string]struct {
		path, body  string
		status      int
		err, errmsg string
	}{
		"no request":      {path, `{"params":null}`, 400, "BAD_REQUEST", "REQUEST IS MANDATORY"},
		"null request":    {path, `{"request":null}`, 400, "BAD_REQUEST", "REQUEST IS MANDATORY"},
		"empty object":    {path, `{}`, 400, "BAD_REQUEST", "REQUEST IS MANDATORY"},
		"no key":          {path, `{"request":{}}`, 400, "BAD_REQUEST", "KEY IS MANDATORY"},
		"null key":        {path, `{"request":{"key":null}}`, 400, "BAD_REQUEST", "KEY IS MANDATORY"},
		"empty key":       {path, `{"request":{"key":""}}`, 400, "BAD_REQUEST", "KEY IS MANDATORY"},
		"blank":           {path, `{"request":{"key":"a b"}}`, 400, "BAD_REQUEST", "KEY MUST NOT HAVE SPACE"},
		"escaped newline": {path, `{"request":{"key":"a\n"}}`, 400, "BAD_REQUEST", "KEY MUST NOT HAVE SPACE"},
		"UUID":            {path, `{"request":{"key":"cfc8529d-2629-411e-9f81-3cfdf8d36833"}}`, 400, "BAD_REQUEST", "KEY MUST NOT BE A UUID"},
		"long":            {path, `{"request":{"key":"` + strings.Repeat("k", 129) + `"}}`, 400, "BAD_REQUEST", "KEY MUST NOT BE LONGER THAN 128 BYTES"},
		"not ASCII":       {path, `{"request":{"key":"ü"}}`, 400, "BAD_REQUEST", "KEY MUST BE PRINTABLE ASCII"},
		"lone surrogate":  {path, `{"request":{"key":"\ud800"}}`, 400, "BAD_REQUEST", "KEY MUST BE PRINTABLE ASCII"},
		"two problems":    {path, `{"request":{"key":"ü b"}}`, 400, "BAD_REQUEST", "KEY MUST NOT HAVE SPACE, KEY MUST BE PRINTABLE ASCII"},
		"unknown set":     {"/v2/consumer/nobody/credential/register", `{"request":{"key":"k"}}`, 404, "NOT_FOUND", "CONSUMER DOES NOT REGISTER CREDENTIALS"},
		"access set":      {"/v2/consumer/access/credential/register", `{"request":{"key":"k"}}`, 404, "NOT_FOUND", "CONSUMER DOES NOT REGISTER CREDENTIALS"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := call(t, h, tc.path, strings.NewReader(tc.body))
			want := `{"id":"ekstep.api.am.adminutil.consumer.create","ver":"1.0","ets":1780315200123,` +
				`"params":{"status":"failed","err":"` + tc.err + `","errmsg":"` + tc.errmsg + `","msgid":"","resmsgid":"UUID"},` +
				`"result":{"key":"","secret":"","token":""}}`
			if got := fixed(w.Body.String()); w.Code != tc.status || got != want {
				t.Errorf("%d\n%s, want %d\n%s", w.Code, got, tc.status, want)
			}
		})
	}
}

func TestRefusalsBeforeTheEnvelope(t *testing.T) {
	t.Parallel()
	h, _ := open(t)
	bomb := zip(t, bytes.Repeat([]byte(" "), maxBody+1))
	for name, tc := range map[string]struct {
		body   []byte
		edit   func(*http.Request)
		status int
	}{
		"empty body":       {nil, nil, 400},
		"blank body":       {[]byte(" \n"), nil, 400},
		"null":             {[]byte("null"), nil, 400},
		"no JSON":          {[]byte(`{"request"`), nil, 400},
		"list":             {[]byte(`[]`), nil, 400},
		"text after":       {[]byte(`{"request":{"key":"k"}} x`), nil, 400},
		"repeated member":  {[]byte(`{"request":{"key":"k","key":"l"}}`), nil, 400},
		"number as key":    {[]byte(`{"request":{"key":1}}`), nil, 400},
		"text as request":  {[]byte(`{"request":"k"}`), nil, 400},
		"broken UTF-8":     {[]byte("{\"request\":{\"key\":\"\xff\"}}"), nil, 400},
		"broken gzip":      {[]byte("\x1f\x8bxxxx"), nil, 400},
		"cut gzip":         {zip(t, []byte(`{"request":{"key":"k"}}`))[:20], nil, 400},
		"gzip bomb":        {bomb, nil, 413},
		"too long":         {bytes.Repeat([]byte(" "), maxBody+1), nil, 413},
		"text/plain":       {[]byte(`{}`), func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") }, 415},
		"no content type":  {[]byte(`{}`), func(r *http.Request) { r.Header.Del("Content-Type") }, 415},
		"bad content type": {[]byte(`{}`), func(r *http.Request) { r.Header.Set("Content-Type", "application/json; =") }, 415},
		"GET":              {nil, func(r *http.Request) { r.Method = http.MethodGet }, 405},
		"PUT":              {[]byte(`{}`), func(r *http.Request) { r.Method = http.MethodPut }, 405},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			edits := []func(*http.Request){}
			if tc.edit != nil {
				edits = append(edits, tc.edit)
			}
			w := call(t, h, path, bytes.NewReader(tc.body), edits...)
			got := decode[springError](t, w)
			if w.Code != tc.status || got.Status != tc.status || got.Path != path ||
				got.Timestamp != noon.UnixMilli() || got.Error != http.StatusText(tc.status) || got.Message == "" {
				t.Errorf("%d %s, want %d", w.Code, w.Body, tc.status)
			}
			if tc.status == http.StatusMethodNotAllowed && w.Header().Get("Allow") != http.MethodPost {
				t.Errorf("Allow = %q", w.Header().Get("Allow"))
			}
		})
	}
}

func zip(t *testing.T, b []byte) []byte {
	t.Helper()
	var buf bytes.Buffer
	z := gzip.NewWriter(&buf)
	if _, err := z.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func TestGzipGoesByTheBytes(t *testing.T) {
	t.Parallel()
	h, _ := open(t)
	plain := []byte(`{"request":{"key":"k"}}`)
	for name, body := range map[string][]byte{"plain": plain, "gzip": zip(t, plain)} {
		for _, encoding := range []string{"", "gzip", "identity", "br"} {
			w := call(t, h, path, bytes.NewReader(body), func(r *http.Request) { r.Header.Set("Content-Encoding", encoding) })
			if w.Code != http.StatusOK {
				t.Errorf("%s body as %q: %d %s", name, encoding, w.Code, w.Body)
			}
		}
	}
}

func TestFaultsOfTheSigner(t *testing.T) {
	t.Parallel()
	h, s := open(t)
	body := `{"request":{"key":"k"}}`
	s.err = &fault.Error{Kind: fault.Unavailable, Msg: "busy", RetryAfter: 1500 * time.Millisecond}
	w := call(t, h, path, strings.NewReader(body))
	if got := decode[envelope](t, w); w.Code != 503 || w.Header().Get("Retry-After") != "2" || *got.Params.Err != "SERVICE_UNAVAILABLE" {
		t.Errorf("busy: %d %s", w.Code, w.Body)
	}
	s.err = io.ErrUnexpectedEOF
	w = call(t, h, path, strings.NewReader(body))
	got := decode[envelope](t, w)
	if w.Code != 500 || *got.Params.Err != "INTERNAL_ERROR" || *got.Params.ErrMsg != "UNABLE TO REGISTER CREDENTIAL DUE TO INTERNAL ERROR" {
		t.Errorf("broken: %d %s", w.Code, w.Body)
	}
	if strings.Contains(w.Body.String(), "EOF") {
		t.Error("the answer shows the cause")
	}
}

// TestContractCases runs the version 2 cases of the shared vectors.
func TestContractCases(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile(filepath.Join("..", "..", "..", "testdata", "kong", "cases.json"))
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Cases []struct {
			ID, Name string
			Request  struct {
				Post     string          `json:"POST"`
				Get      string          `json:"GET"`
				Consumer string          `json:"consumer"`
				Type     string          `json:"content_type"`
				Body     json.RawMessage `json:"body"`
			}
			Expect struct {
				Status json.RawMessage
				Params map[string]any
				Result map[string]any
			}
		} `json:"sunbird_register_api"`
	}
	if err := json.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	// These two are what the contract says not to copy: a set that may not
	// register is 404, not an internal error or a signature.
	better := map[string]int{"sunbird_register_api-024": 404, "sunbird_register_api-025": 404}
	ran := 0
	for _, c := range file.Cases {
		template := c.Request.Post + c.Request.Get
		if !strings.HasPrefix(template, "/v2/") {
			continue
		}
		ran++
		t.Run(c.ID, func(t *testing.T) {
			t.Parallel()
			h, _ := open(t)
			consumer := "mobile_device"
			if c.Request.Consumer != "" {
				consumer = c.Request.Consumer
			}
			body := string(c.Request.Body)
			if body == `""` {
				body = ""
			}
			if body == "" && c.Request.Post != "" && c.ID != "sunbird_register_api-014" {
				body = `{"request":{"key":"k"}}`
			}
			w := call(t, h, strings.Replace(template, "{consumer}", consumer, 1), strings.NewReader(body), func(r *http.Request) {
				if c.Request.Get != "" {
					r.Method = http.MethodGet
				}
				if c.Request.Type != "" {
					r.Header.Set("Content-Type", c.Request.Type)
				}
			})
			want := 200
			_ = json.Unmarshal(c.Expect.Status, &want) // a list is of several 200s
			if b, ok := better[c.ID]; ok {
				if w.Code != b {
					t.Errorf("%s: %d, want %d", c.Name, w.Code, b)
				}
				return
			}
			if w.Code != want {
				t.Fatalf("%s: %d %s, want %d", c.Name, w.Code, w.Body, want)
			}
			got := decode[map[string]any](t, w)
			for part, members := range map[string]map[string]any{"params": c.Expect.Params, "result": c.Expect.Result} {
				for name, value := range members {
					if have := got[part].(map[string]any)[name]; have != value {
						t.Errorf("%s: %s.%s = %v, want %v", c.Name, part, name, have, value)
					}
				}
			}
		})
	}
	if ran < 10 {
		t.Errorf("%d cases ran: the vectors have more", ran)
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(`{"params":{"msgid":"m"},"request":{"key":"k"}}`))
	f.Add([]byte("\x1f\x8b\x08\x00"))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, body []byte) {
		h, _ := open(t)
		w := call(t, h, path, bytes.NewReader(body))
		if w.Code >= 500 {
			t.Errorf("%d for %q", w.Code, body)
		}
		if !json.Valid(w.Body.Bytes()) {
			t.Errorf("the answer to %q is not JSON: %s", body, w.Body)
		}
	})
}
