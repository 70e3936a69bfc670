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
	"github.com/carnetproject/carnet/internal/limit"
	"github.com/carnetproject/carnet/internal/secret"
)

var noon = time.Date(2026, 6, 1, 12, 0, 0, 123_000_000, time.UTC)

const (
	path   = "/v2/consumer/mobile_device/credential/register"
	first  = "/v1/consumer/mobile_device/credential/register"
	portal = "/v2/consumer/portal_anonymous/credential/register"
)

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

// credentials is a store of version 1's credentials: key to consumer and back.
type credentials struct {
	owners map[string]string
	calls  int
	err    error
}

const deviceSecret = "hrGF9PSv0QmhHAbXEcVpLHcgcfJR7Z8T"

func (c *credentials) Legacy(_ context.Context, consumer, key string) (secret.Bytes, error) {
	c.calls++
	if c.err != nil {
		return secret.Bytes{}, c.err
	}
	if owner := c.owners[key]; owner != "" && owner != consumer {
		return secret.Bytes{}, fault.New(fault.Conflict, "the key is another consumer's")
	}
	return secret.FromString(deviceSecret), nil
}

// bench is a handler and what stands behind it.
type bench struct {
	http.Handler
	signer *signer
	store  *credentials
	clock  time.Time
}

func (b *bench) now() time.Time { return b.clock }

// open serves a registrar of one set of each form, and version 1 for one consumer.
func open(t testing.TB, edit ...func(*Config)) *bench {
	t.Helper()
	k, err := jose.Generate(jose.ES256, "mobilev2_key1")
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{signer: &signer{key: k}, store: &credentials{}, clock: noon}
	r, err := device.New(device.Config{
		Keys: b.signer, Clock: b.now, Legacy: b.store, LegacyConsumers: []string{"mobile_device"},
		Sets: map[key.SetName]device.Set{
			"mobile_device":    {Algorithm: jose.ES256, Form: device.Design, IssuerPrefix: "mobilev2"},
			"portal_anonymous": {Algorithm: jose.ES256, Form: device.Shipped},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	c := Config{Registrar: r, ClientAddr: httpx.ClientAddr(nil), Clock: b.now}
	for _, e := range edit {
		e(&c)
	}
	mux := http.NewServeMux()
	New(c).Mount(mux)
	b.Handler = mux
	return b
}

// call sends body as application/json and returns the status and the answer.
func call(t testing.TB, h http.Handler, path string, body io.Reader, edit ...func(*http.Request)) *httptest.ResponseRecorder {
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

func decode[T any](t testing.TB, w *httptest.ResponseRecorder) T {
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
	h := open(t)
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
		claims, err := jws.Verify(h.signer.key.Public().Crypto())
		if err != nil || string(claims) != `{"iss":"mobilev2-dev\u00261-1780315200123","iat":1780315200}` {
			t.Errorf("claims = %s, %v", claims, err)
		}
	}
}

func TestRefusalsInTheEnvelope(t *testing.T) {
	t.Parallel()
	h := open(t)
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
		"reserved":        {portal, `{"request":{"key":"mobilev2-x"}}`, 400, "BAD_REQUEST", "KEY MUST NOT BEGIN WITH AN ISSUER PREFIX"},
		"first, reserved": {first, `{"request":{"key":"mobilev2"}}`, 400, "BAD_REQUEST", "KEY MUST NOT BEGIN WITH AN ISSUER PREFIX"},
		"first, blank":    {first, `{"request":{"key":"a b"}}`, 400, "BAD_REQUEST", "KEY MUST NOT HAVE SPACE"},
		"first, unlisted": {"/v1/consumer/portal/credential/register", `{"request":{"key":"k"}}`, 404, "NOT_FOUND", "CONSUMER DOES NOT REGISTER CREDENTIALS"},
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
	h := open(t)
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
				got.Timestamp != noon.UnixMilli() || got.Error != http.StatusText(tc.status) || got.Message == "" ||
				(got.Exception == "") != (tc.status == http.StatusRequestEntityTooLarge) {
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
	h := open(t)
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
	h := open(t)
	body := `{"request":{"key":"k"}}`
	h.signer.err = &fault.Error{Kind: fault.Unavailable, Msg: "busy", RetryAfter: 1500 * time.Millisecond}
	w := call(t, h, path, strings.NewReader(body))
	if got := decode[envelope](t, w); w.Code != 503 || w.Header().Get("Retry-After") != "2" || *got.Params.Err != "SERVICE_UNAVAILABLE" {
		t.Errorf("busy: %d %s", w.Code, w.Body)
	}
	h.signer.err = io.ErrUnexpectedEOF
	w = call(t, h, path, strings.NewReader(body))
	got := decode[envelope](t, w)
	if w.Code != 500 || *got.Params.Err != "INTERNAL_ERROR" || *got.Params.ErrMsg != "UNABLE TO REGISTER CREDENTIAL DUE TO INTERNAL ERROR" {
		t.Errorf("broken: %d %s", w.Code, w.Body)
	}
	if strings.Contains(w.Body.String(), "EOF") {
		t.Error("the answer shows the cause")
	}
}

// TestSpringDocument has the members of Spring Boot 1.5, in its order.
func TestSpringDocument(t *testing.T) {
	t.Parallel()
	h := open(t)
	for want, w := range map[string]*httptest.ResponseRecorder{
		`{"timestamp":1780315200123,"status":405,"error":"Method Not Allowed","exception":"org.springframework.web.HttpRequestMethodNotSupportedException",` +
			`"message":"Request method 'GET' not supported","path":"` + path + `"}`: call(t, h, path, nil, func(r *http.Request) { r.Method = http.MethodGet }),
		`{"timestamp":1780315200123,"status":404,"error":"Not Found","message":"No message available","path":"/v1/sign/payload"}`: call(t, h, "/v1/sign/payload", strings.NewReader("{}")),
	} {
		if got := w.Body.String(); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestFirstVersion(t *testing.T) {
	t.Parallel()
	h := open(t)
	for _, p := range []string{first, "/api/api-manager" + first} {
		w := call(t, h, p, strings.NewReader(`{"params":{"msgid":"m-1"},"request":{"key":"a36c3049b36249a3c9f8891cb127243c"}}`))
		want := `{"id":"ekstep.api.am.adminutil.consumer.create","ver":"1.0","ets":1780315200123,` +
			`"params":{"status":"successful","err":null,"errmsg":null,"msgid":"m-1","resmsgid":"UUID"},` +
			`"result":{"key":"a36c3049b36249a3c9f8891cb127243c","secret":"` + deviceSecret + `","token":"TOKEN"}}`
		if got := fixed(w.Body.String()); w.Code != http.StatusOK || got != want {
			t.Errorf("%s: %d\n%s, want\n%s", p, w.Code, got, want)
		}
		jws, err := gojose.ParseSignedCompact(decode[envelope](t, w).Result.Token, []gojose.SignatureAlgorithm{gojose.HS256})
		if err != nil {
			t.Fatal(err)
		}
		if claims, err := jws.Verify([]byte(deviceSecret)); err != nil || string(claims) != `{"iss":"a36c3049b36249a3c9f8891cb127243c","iat":1780315200}` {
			t.Errorf("claims = %s, %v", claims, err)
		}
	}
}

func TestFirstVersionFailures(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		cause       error
		status      int
		err, errmsg string
	}{
		"no consumer": {fault.New(fault.NotFound, "none"), 400, "CREATE_CREDENTIAL_ERROR", "ERROR WHEN CREATING CREDENTIAL FOR CONSUMER."},
		"taken":       {fault.New(fault.Conflict, "taken"), 400, "CREATE_CREDENTIAL_ERROR", "ERROR WHEN CREATING CREDENTIAL FOR CONSUMER. KEY : k, already exists."},
		"store down":  {fault.New(fault.Unavailable, "down"), 503, "SERVICE_UNAVAILABLE", "UNABLE TO REGISTER CREDENTIAL RIGHT NOW"},
		"broken":      {io.ErrUnexpectedEOF, 500, "INTERNAL_ERROR", "UNABLE TO REGISTER CREDENTIAL DUE TO INTERNAL ERROR"},
	} {
		h := open(t)
		h.store.err = tc.cause
		w := call(t, h, first, strings.NewReader(`{"request":{"key":"k"}}`))
		got := decode[envelope](t, w)
		if w.Code != tc.status || *got.Params.Err != tc.err || *got.Params.ErrMsg != tc.errmsg || got.Result != (result{}) {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}
}

func TestSecondVersionTouchesNoStore(t *testing.T) {
	t.Parallel()
	h := open(t)
	h.store.err = io.ErrUnexpectedEOF
	for _, p := range []string{path, portal} {
		if w := call(t, h, p, strings.NewReader(`{"request":{"key":"k"}}`)); w.Code != http.StatusOK {
			t.Errorf("%s: %d %s", p, w.Code, w.Body)
		}
	}
	if h.store.calls != 0 {
		t.Errorf("the store was called %d times", h.store.calls)
	}
}

func TestMovedConsumers(t *testing.T) {
	t.Parallel()
	const to = "/api/api-manager/v3/consumer/mobile_device/credential/register"
	h := open(t, func(c *Config) { c.Moved = map[string]string{"mobile_device": to} })
	w := call(t, h, path, strings.NewReader(`{"params":{"msgid":"m-1"},"request":{"key":"k"}}`))
	got := decode[envelope](t, w)
	if w.Code != 447 || w.Header().Get("Location") != to || got.Params.MsgID != "m-1" || got.Params.Status != "failed" || got.Result != (result{}) {
		t.Errorf("%d %v %s", w.Code, w.Header(), w.Body)
	}
	for _, p := range []string{first, portal} { // the other version and the other sets stay
		if w := call(t, h, p, strings.NewReader(`{"request":{"key":"k"}}`)); w.Code != http.StatusOK {
			t.Errorf("%s: %d %s", p, w.Code, w.Body)
		}
	}
}

func TestRegistrationsAreLimited(t *testing.T) {
	t.Parallel()
	const key = `{"params":{"msgid":"m-1"},"request":{"key":"k"}}`
	from := func(addr string) func(*http.Request) { return func(r *http.Request) { r.RemoteAddr = addr + ":1" } }
	check := func(t *testing.T, w *httptest.ResponseRecorder, limited bool) {
		t.Helper()
		if !limited {
			if w.Code != http.StatusOK {
				t.Errorf("%d %s", w.Code, w.Body)
			}
			return
		}
		got := decode[envelope](t, w)
		if w.Code != http.StatusTooManyRequests || *got.Params.Err != "TOO_MANY_REQUESTS" || got.Result != (result{}) || w.Header().Get("Retry-After") != "60" {
			t.Errorf("%d %v %s", w.Code, w.Header(), w.Body)
		}
	}
	t.Run("device", func(t *testing.T) {
		t.Parallel()
		h := open(t, func(c *Config) { c.PerDevice = limit.New(limit.Rate{N: 2, Per: time.Minute}, 8) })
		check(t, call(t, h, path, strings.NewReader(key), from("192.0.2.1")), false)
		check(t, call(t, h, portal, strings.NewReader(key), from("192.0.2.2")), false)
		check(t, call(t, h, path, strings.NewReader(key), from("192.0.2.3")), true)
		check(t, call(t, h, first, strings.NewReader(key), from("192.0.2.4")), true) // no way round by version 1
		check(t, call(t, h, path, strings.NewReader(`{"request":{"key":"other"}}`), from("192.0.2.1")), false)
		h.clock = noon.Add(time.Minute)
		check(t, call(t, h, path, strings.NewReader(key), from("192.0.2.3")), false)
	})
	t.Run("network", func(t *testing.T) {
		t.Parallel()
		h := open(t, func(c *Config) { c.PerAddr = limit.New(limit.Rate{N: 2, Per: time.Minute}, 8) })
		check(t, call(t, h, path, strings.NewReader(`{"request":{"key":"a"}}`), from("192.0.2.1")), false)
		if w := call(t, h, path, strings.NewReader("junk"), from("192.0.2.1")); w.Code != http.StatusBadRequest {
			t.Errorf("%d %s", w.Code, w.Body)
		}
		check(t, call(t, h, path, strings.NewReader(`{"request":{"key":"b"}}`), from("192.0.2.1")), true)
		check(t, call(t, h, path, strings.NewReader("junk"), from("192.0.2.1")), true) // before the body is read
		check(t, call(t, h, path, strings.NewReader(`{"request":{"key":"b"}}`), from("192.0.2.2")), false)
	})
}

func TestHealth(t *testing.T) {
	t.Parallel()
	var down error
	h := open(t, func(c *Config) { c.Health = func(context.Context) error { return down } })
	answer := func(result string) string {
		return `{"id":"ekstep.am.adminutil.health","ver":"1.0","ets":1780315200123,"params":{"status":"successful","err":null,"errmsg":null,` +
			`"msgid":"UUID","resmsgid":"UUID"},"result":` + result + `}`
	}
	ask := func(path, want string) {
		t.Helper()
		w := call(t, h, path, nil, func(r *http.Request) { r.Method = http.MethodGet })
		got := strings.Replace(fixed(w.Body.String()), `"msgid":"`+decode[healthAnswer](t, w).Params.MsgID, `"msgid":"UUID`, 1)
		if w.Code != http.StatusOK || got != answer(want) {
			t.Errorf("%s: %d\n%s, want\n%s", path, w.Code, got, answer(want))
		}
	}
	ask("/health", `{"name":"am.adminutil","healthy":true,"checks":[{"name":"AM Admin API","healthy":true,"err":null,"errmsg":null}]}`)
	down = io.ErrUnexpectedEOF
	ask("/health", `{"name":"am.adminutil","healthy":false,"checks":[{"name":"AM Admin API","healthy":false,"err":"INTERNAL_ERROR",`+
		`"errmsg":"ERROR WHEN DETERMINING HEALTH. Msg: the store does not answer"}]}`)
	ask("/service/health", `{"name":"am.adminutil","healthy":true,"checks":[{"name":"Admin Util","healthy":true,"err":null,"errmsg":null}]}`)
	h = open(t) // nothing to look at
	ask("/health", `{"name":"am.adminutil","healthy":true,"checks":[{"name":"AM Admin API","healthy":true,"err":null,"errmsg":null}]}`)
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(`{"params":{"msgid":"m"},"request":{"key":"k"}}`))
	f.Add([]byte("\x1f\x8b\x08\x00"))
	f.Add([]byte(`null`))
	h := open(f)
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, p := range []string{path, first, portal} {
			w := call(t, h, p, bytes.NewReader(body))
			if w.Code >= 500 {
				t.Errorf("%s: %d for %q", p, w.Code, body)
			}
			if !json.Valid(w.Body.Bytes()) {
				t.Errorf("%s: the answer to %q is not JSON: %s", p, body, w.Body)
			}
		}
	})
}
