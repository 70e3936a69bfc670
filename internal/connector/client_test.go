package connector

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/carnetproject/carnet/internal/egress"
	"github.com/carnetproject/carnet/internal/secret"
	"github.com/carnetproject/carnet/internal/wire"
)

// vault holds secrets. Fresh ones take the place of stale ones once they are asked for.
type vault struct {
	mu           sync.Mutex
	stale, fresh map[string]string
	versions     map[string]string // nil: secrets have none
	bumped       map[string]string // the versions of fresh ones
	certificates int               // how many were asked for
}

func (v *vault) Resolve(_ context.Context, ref string) (secret.Bytes, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	s, ok := v.stale[ref]
	if !ok {
		return secret.Bytes{}, errors.New("no such secret")
	}
	return secret.FromString(s), nil
}

func (v *vault) Refresh(_ context.Context, ref string, used secret.Bytes) (newer bool, err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if s, ok := v.fresh[ref]; ok {
		v.stale[ref] = s
	}
	if s, ok := v.bumped[ref]; ok {
		v.versions[ref] = s
	}
	return !used.Equal(secret.FromString(v.stale[ref])), nil
}

func (v *vault) Certificate(ctx context.Context, ref string) (tls.Certificate, error) {
	s, err := v.Resolve(ctx, ref)
	if err != nil {
		return tls.Certificate{}, err
	}
	v.mu.Lock()
	v.certificates++
	v.mu.Unlock()
	return tls.X509KeyPair(s.Reveal(), s.Reveal())
}

func (v *vault) Version(ref string) string {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.versions[ref]
}

var loopback = egress.Guard{Networks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}

const apiKey = "srn:vault::acme:secret:my-authorization-api-key"

func newVault() *vault { return &vault{stale: map[string]string{apiKey: "k3y"}} }

// serve starts an API. It reads requests to their end, so that it sees clients leave.
func serve(t testing.TB, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(body))
		h(w, r)
	}))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.Start()
	t.Cleanup(s.Close)
	return s
}

// client makes one of sample with other members, for the API at the URL.
func client(t testing.TB, url, members string, edit func(*Config)) *Client {
	t.Helper()
	doc := map[string]any{}
	if err := json.Unmarshal(with(t, members), &doc); err != nil {
		t.Fatal(err)
	}
	if _, ok := doc["Endpoint"]; !ok || doc["Endpoint"] == "https://auth.example.com/verify" {
		doc["Endpoint"] = url
	}
	text, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	cfg := Config{Secrets: newVault(), Guard: loopback}
	if edit != nil {
		edit(&cfg)
	}
	c, err := NewClient(mustParse(t, text), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// patient lets handshakes take the time that a busy machine takes.
func patient(c *Client) *Client {
	c.http.Transport.(*http.Transport).TLSHandshakeTimeout = time.Minute
	return c
}

// call has the time that a busy machine takes, if the document names no other.
func call(t testing.TB) Call {
	t.Helper()
	return Call{Input: inputOf(t, `{"secureTokenForUser":"t0ken"}`), Timeout: time.Minute}
}

// kind is the outcome in a word: ok, or the code.
func kind(r Result) string {
	if r.Err == nil {
		return "ok"
	}
	return string(r.Err.Code)
}

func TestExecute(t *testing.T) {
	t.Parallel()
	var seen *http.Request
	var body []byte
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		seen = r
		body, _ = io.ReadAll(r.Body)
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "private, max-age=30")
		io.WriteString(w, `{"user":{"name":"Ann","n":9007199254740993},"list":[{"id":1},{"id":2}]}`)
	})
	c := client(t, s.URL+"/verify", `{"Body":{"constant":true,"key":"srn:vault::acme:secret:my-authorization-api-key"},"ResponseMapping":{
		"n":{"type":"responseBody","responseBodyPath":"$.user.n","outputPath":"$.profile.number","required":true},
		"ids":{"type":"responseBody","responseBodyPath":"$.list[*].id","outputPath":"$.ids"},
		"not":{"type":"responseBody","responseBodyPath":"$.nope","outputPath":"$.nope"},
		"h":{"type":"responseHeader","responseHeaderKey":"content-type","outputPath":"$.contentType"}}}`, nil)
	r := c.Execute(t.Context(), call(t))
	got, err := json.Marshal(r)
	want := `{"ok":true,"status":200,"response":{"ids":[1,2],"profile":{"number":9007199254740993}},"headers":{"contentType":"application/json"},"durationMs":`
	if err != nil || !strings.HasPrefix(string(got), want) {
		t.Errorf("envelope %s, %v, want %s", got, err, want)
	}
	if r.MaxAge != 30*time.Second || r.Attempts != 1 {
		t.Errorf("MaxAge %v, Attempts %d", r.MaxAge, r.Attempts)
	}
	if string(body) != `{"constant":true,"key":"k3y","token":"t0ken"}` {
		t.Errorf("sent %s", body)
	}
	for name, want := range map[string]string{"Authorization": "k3y", "Content-Type": "application/json", "Accept-Encoding": "identity", "User-Agent": "Carnet", "Cookie": ""} {
		if got := seen.Header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

func TestExecuteWithoutMapping(t *testing.T) {
	t.Parallel()
	answer := ""
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, answer) })
	c := client(t, s.URL, `{}`, nil)
	for text, want := range map[string]string{
		`[{"a":1}]`: `[{"a":1}]`, `hello`: `"hello"`, ``: `null`, `{"a":1,"a":2}`: `"{\"a\":1,\"a\":2}"`,
	} {
		answer = text
		in := call(t)
		if r := c.Execute(t.Context(), in); r.Err != nil || r.Response != nil {
			t.Errorf("%s: %v, %v, want nothing read", text, r.Response, r.Err)
		}
		in.Body = true
		r := c.Execute(t.Context(), in)
		if got, _ := wire.JSON(r.Response); r.Err != nil || string(got) != want {
			t.Errorf("%s: %s, %v, want %s", text, got, r.Err, want)
		}
	}
	answer = "\xff\xfe"
	in := call(t)
	in.Body = true
	if r := c.Execute(t.Context(), in); kind(r) != "response_invalid" {
		t.Errorf("no text: %s", kind(r))
	}
}

func TestStatuses(t *testing.T) {
	t.Parallel()
	var status int
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "7")
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(status)
	})
	for _, tc := range []struct {
		status    int
		kind      string
		temporary bool
		after     time.Duration
	}{
		{200, "ok", false, 0},
		{204, "ok", false, 0},
		{301, "redirect_refused", false, 0},
		{302, "redirect_refused", false, 0},
		{304, "redirect_refused", false, 0},
		{307, "redirect_refused", false, 0},
		{400, "http_error", false, 0},
		{401, "http_error", false, 0},
		{403, "http_error", false, 0},
		{404, "http_error", false, 0},
		{408, "http_error", true, 7 * time.Second},
		{425, "http_error", true, 7 * time.Second},
		{429, "http_error", true, 7 * time.Second},
		{500, "http_error", true, 7 * time.Second},
		{503, "http_error", true, 7 * time.Second},
	} {
		status = tc.status
		r := client(t, s.URL, `{}`, nil).Execute(t.Context(), call(t))
		if kind(r) != tc.kind || r.Status != tc.status || r.Err != nil && (r.Err.Temporary != tc.temporary || r.Err.RetryAfter != tc.after) {
			t.Errorf("%d: %d %+v, want %+v", tc.status, r.Status, r.Err, tc)
		}
	}
}

const wantsBody = `{"ResponseMapping":{"a":{"type":"responseBody","responseBodyPath":"$.a","outputPath":"$.a","required":true}}}`

// trickle writes a byte now and then until the client has gone.
func trickle(w http.ResponseWriter, r *http.Request) {
	for r.Context().Err() == nil {
		io.WriteString(w, " ")
		w.(http.Flusher).Flush()
		select {
		case <-r.Context().Done():
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// packed is 10 MB of JSON in 10 kB.
var packed = sync.OnceValue(func() []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	io.WriteString(z, `{"a":"`+strings.Repeat("x", 10<<20)+`"}`)
	z.Close()
	return b.Bytes()
})

func gzipBomb(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Encoding", "gzip")
	w.Write(packed())
}

// reset says s, and breaks the connection off.
func reset(s string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		conn, _, _ := w.(http.Hijacker).Hijack()
		io.WriteString(conn, s)
		conn.(*net.TCPConn).SetLinger(0)
		conn.Close()
	}
}

// TestFailures has every way in which an API fails, each with its outcome.
func TestFailures(t *testing.T) {
	t.Parallel()
	packed()
	text := func(s string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, s) }
	}
	raw := func(s string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			conn, _, _ := w.(http.Hijacker).Hijack()
			io.WriteString(conn, s)
			conn.Close()
		}
	}
	endless := func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			w.Write(make([]byte, 32<<10))
		}
	}
	for name, tc := range map[string]struct {
		members string
		api     http.HandlerFunc
		want    string
	}{
		"slow header":              {`{"TimeoutMs":200}`, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, "timeout"},
		"trickling body":           {`{"TimeoutMs":200,` + wantsBody[1:], trickle, "timeout"},
		"trickling body, unread":   {`{}`, trickle, "ok"},
		"endless body":             {wantsBody, endless, "response_too_large"},
		"endless body, unread":     {`{}`, endless, "ok"},
		"as large as may be":       {wantsBody, text(`{"a":"` + strings.Repeat("x", maxAnswer-len(`{"a":""}`)) + `"}`), "ok"},
		"one byte more":            {wantsBody, text(`{"a":"` + strings.Repeat("x", maxAnswer-len(`{"a":""}`)+1) + `"}`), "response_too_large"},
		"gzip bomb":                {wantsBody, gzipBomb, "response_invalid"},
		"gzip bomb, unread":        {`{}`, gzipBomb, "ok"},
		"not JSON":                 {wantsBody, text("<html>"), "response_invalid"},
		"empty":                    {wantsBody, text(""), "response_invalid"},
		"member twice":             {wantsBody, text(`{"a":1,"a":2}`), "response_invalid"},
		"deep":                     {wantsBody, text(strings.Repeat("[", 1000) + strings.Repeat("]", 1000)), "response_invalid"},
		"required missing":         {wantsBody, text(`{"b":1}`), "response_invalid"},
		"cut off":                  {wantsBody, raw("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"a\":1"), "response_invalid"},
		"cut off, unread":          {`{}`, raw("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"a\":1"), "ok"},
		"cut off in the header":    {`{}`, raw("HTTP/1.1 200 OK\r\nContent-Le"), "response_invalid"},
		"no HTTP":                  {`{}`, raw("hunter2 hello\r\n\r\n"), "response_invalid"},
		"nothing":                  {`{}`, raw(""), "connect_error"},
		"reset":                    {`{}`, reset(""), "connect_error"},
		"reset in the header":      {`{}`, reset("HTTP/1.1 200 OK\r\n"), "connect_error"},
		"reset in the body":        {wantsBody, reset("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"), "response_invalid"},
		"large header":             {`{}`, func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X", strings.Repeat("x", 40<<10)) }, "response_too_large"},
		"early answer to too much": {`{}`, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(413) }, "http_error"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, tc.api)
			c := client(t, s.URL, tc.members, nil)
			start := time.Now()
			r := c.Execute(t.Context(), call(t))
			if kind(r) != tc.want {
				t.Errorf("%s (%v), want %s", kind(r), r.Err, tc.want)
			}
			if took := time.Since(start); took > call(t).Timeout/2 {
				t.Errorf("took %v", took)
			}
		})
	}
}

func TestWhoseTimeout(t *testing.T) {
	t.Parallel()
	s := serve(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	for name, tc := range map[string]struct {
		members string
		call    time.Duration
		want    time.Duration
	}{
		"the document's":            {`{"TimeoutMs":100}`, 20 * time.Second, 100 * time.Millisecond},
		"the call's":                {`{}`, 100 * time.Millisecond, 100 * time.Millisecond},
		"the call's, which is long": {`{}`, 20 * time.Second, 20 * time.Second},
		"the default":               {`{}`, 0, 3 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := client(t, s.URL, tc.members, nil)
			made := call(t)
			made.Timeout = tc.call
			if got := c.within(made); got != tc.want {
				t.Errorf("within %v, want %v", got, tc.want)
			}
			if tc.want > time.Second {
				return
			}
			start := time.Now()
			if r := c.Execute(t.Context(), made); kind(r) != "timeout" || time.Since(start) > 10*time.Second {
				t.Errorf("%s after %v", kind(r), time.Since(start))
			}
		})
	}
}

func TestNoConnection(t *testing.T) {
	t.Parallel()
	closed, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	at := "http://" + closed.Addr().String()
	closed.Close()
	plain := serve(t, func(http.ResponseWriter, *http.Request) {})
	overTLS := func(c *tls.Config) *httptest.Server {
		s := httptest.NewUnstartedServer(http.NotFoundHandler())
		s.Config.ErrorLog, s.TLS = log.New(io.Discard, "", 0), c
		s.StartTLS()
		t.Cleanup(s.Close)
		return s
	}
	secure, old := overTLS(nil), overTLS(&tls.Config{MaxVersion: tls.VersionTLS11})
	trusted := func(c *Config) {
		c.Roots = x509.NewCertPool()
		c.Roots.AddCert(secure.Certificate())
	}
	silent, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0") // whose connections nobody accepts
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { silent.Close() })
	_, port, _ := net.SplitHostPort(plain.Listener.Addr().String())
	for name, tc := range map[string]struct {
		url  string
		edit func(*Config)
		want string
	}{
		"refused":          {at, nil, "connect_error"},
		"no such name":     {"http://nowhere.invalid/", nil, "dns_error"},
		"no TLS":           {strings.Replace(plain.URL, "http:", "https:", 1), nil, "tls_error"},
		"nobody's TLS":     {secure.URL, nil, "tls_error"},
		"another's TLS":    {strings.Replace(secure.URL, "127.0.0.1", "localhost", 1), trusted, "tls_error"},
		"old TLS":          {old.URL, trusted, "tls_error"},
		"silent TLS":       {"https://" + silent.Addr().String(), trusted, "timeout"},
		"TLS":              {secure.URL, trusted, "http_error"},
		"loopback":         {plain.URL, func(c *Config) { c.Guard = egress.Guard{} }, "ssrf_blocked"},
		"loopback by name": {"http://localhost:" + port, func(c *Config) { c.Guard = egress.Guard{} }, "ssrf_blocked"},
		"wrapped loopback": {"http://[::ffff:127.0.0.1]:" + port, func(c *Config) { c.Guard = egress.Guard{} }, "ssrf_blocked"},
		"port":             {plain.URL, func(c *Config) { c.Guard.Ports = []uint16{443} }, "ssrf_blocked"},
		"no secret":        {plain.URL, func(c *Config) { c.Secrets = &vault{} }, "secret_error"},
		"bad secret":       {plain.URL, func(c *Config) { c.Secrets = &vault{stale: map[string]string{apiKey: "a\r\nB: c"}} }, "secret_error"},
		"empty secret":     {plain.URL, func(c *Config) { c.Secrets = &vault{stale: map[string]string{apiKey: ""}} }, "secret_error"},
		"good":             {plain.URL, nil, "ok"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := client(t, tc.url, `{}`, tc.edit)
			if tc.want != "timeout" {
				patient(c)
			}
			r := c.Execute(t.Context(), call(t))
			if kind(r) != tc.want || r.Attempts > 1 || r.Status == 0 && r.Attempts > 0 {
				t.Errorf("%s (%v) after %d attempts, want %s", kind(r), r.Err, r.Attempts, tc.want)
			}
		})
	}
}

// TestRedirectTakesNothingAlong has a redirect to a 200, and one that asks for the body.
func TestRedirectTakesNothingAlong(t *testing.T) {
	t.Parallel()
	var elsewhere atomic.Int32
	other := serve(t, func(http.ResponseWriter, *http.Request) { elsewhere.Add(1) })
	for _, status := range []int{301, 302, 303, 307, 308} {
		s := serve(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, other.URL, status) })
		if r := client(t, s.URL, `{"Headers":{"X-Api-Key":"`+apiKey+`"}}`, nil).Execute(t.Context(), call(t)); kind(r) != "redirect_refused" {
			t.Errorf("%d: %s", status, kind(r))
		}
	}
	if elsewhere.Load() != 0 {
		t.Error("a redirect was followed")
	}
}

func TestMappingErrorCallsNobody(t *testing.T) {
	t.Parallel()
	s := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("called") })
	r := client(t, s.URL, `{}`, nil).Execute(t.Context(), Call{Input: inputOf(t, `{"other":"s3cret"}`)})
	if kind(r) != "mapping_error" || !strings.Contains(r.Err.Message, "tokenToVerify") {
		t.Errorf("%v", r.Err)
	}
}

func TestRotation(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		fresh  map[string]string
		accept string
		calls  int32
		want   string
	}{
		"rotated":            {map[string]string{apiKey: "new"}, "new", 2, "ok"},
		"rotated, refused":   {map[string]string{apiKey: "new"}, "other", 2, "http_error"},
		"the same is denied": {nil, "other", 1, "http_error"},
		"right at once":      {map[string]string{apiKey: "new"}, "k3y", 1, "ok"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var calls atomic.Int32
			s := serve(t, func(w http.ResponseWriter, r *http.Request) {
				calls.Add(1)
				if r.Header.Get("Authorization") != tc.accept {
					w.WriteHeader(401)
				}
			})
			v := newVault()
			v.fresh = tc.fresh
			c := client(t, s.URL, `{}`, func(c *Config) { c.Secrets = v })
			if r := c.Execute(t.Context(), call(t)); kind(r) != tc.want || calls.Load() != tc.calls {
				t.Errorf("%s after %d calls, want %s after %d", kind(r), calls.Load(), tc.want, tc.calls)
			}
		})
	}
}

// TestRetry: what did not connect is tried again, and nothing else is.
func TestRetry(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		members string
		accept  int // connections that are closed in the handshake before one goes on
		want    string
		calls   int32
	}{
		"none":           {`{}`, 1, "tls_error", 0},
		"one":            {`{"Retry":{"Max":1,"On":["connect"]}}`, 1, "ok", 1},
		"not enough":     {`{"Retry":{"Max":1}}`, 2, "tls_error", 0},
		"two":            {`{"Retry":{"Max":2}}`, 2, "ok", 1},
		"500, not again": {`{"Retry":{"Max":2}}`, 0, "http_error", 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var calls atomic.Int32
			s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				calls.Add(1)
				if tc.accept == 0 {
					w.WriteHeader(500)
				}
			}))
			s.Config.ErrorLog = log.New(io.Discard, "", 0)
			left := atomic.Int32{}
			left.Store(int32(tc.accept))
			s.TLS = &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
				if left.Add(-1) >= 0 {
					return nil, errors.New("not now")
				}
				return nil, nil //nolint:nilnil // as crypto/tls wants it
			}}
			s.StartTLS()
			t.Cleanup(s.Close)
			r := patient(client(t, s.URL, tc.members, func(c *Config) { c.Roots = rootsOf(s) })).Execute(t.Context(), call(t))
			if kind(r) != tc.want || calls.Load() != tc.calls {
				t.Errorf("%s (%v) after %d calls, want %s after %d", kind(r), r.Err, calls.Load(), tc.want, tc.calls)
			}
		})
	}
}

func rootsOf(s *httptest.Server) *x509.CertPool {
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	return roots
}

func TestCertificate(t *testing.T) {
	t.Parallel()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if len(r.TLS.PeerCertificates) != 1 {
			w.WriteHeader(403)
		}
	}))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.TLS = &tls.Config{ClientAuth: tls.RequestClientCert}
	s.StartTLS()
	t.Cleanup(s.Close)
	key, err := x509.MarshalPKCS8PrivateKey(s.TLS.Certificates[0].PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	bundle := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})) +
		string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}))
	const name = "srn:vault::acme:certificate:me"
	for value, want := range map[string]string{bundle: "ok", "nonsense": "secret_error"} {
		v := newVault()
		v.stale[name] = value
		c := client(t, s.URL, `{"Credentials":"`+name+`"}`, func(c *Config) { c.Secrets, c.Roots = v, rootsOf(s) })
		if r := patient(c).Execute(t.Context(), call(t)); kind(r) != want {
			t.Errorf("%.10s: %s (%v), want %s", value, kind(r), r.Err, want)
		}
	}
}

func TestSecretDocs(t *testing.T) {
	t.Parallel()
	const doc = "srn:vault::acme:secretdoc:d"
	for name, tc := range map[string]struct{ members, value, want string }{
		"username":    {`{"Headers":{},"RequestMapping":{"b":{"type":"requestBasicAuth","secret":"` + doc + `"}}}`, `{"username":"me","password":"pw"}`, "Basic bWU6cHc="},
		"id":          {`{"Headers":{},"RequestMapping":{"b":{"type":"requestBasicAuth","secret":"` + doc + `"}}}`, `{"id":"me","token":"pw"}`, "Basic bWU6cHc="},
		"colon":       {`{"Headers":{},"RequestMapping":{"b":{"type":"requestBasicAuth","secret":"` + doc + `"}}}`, `{"id":"m:e","token":"pw"}`, "secret_error"},
		"no password": {`{"Headers":{},"RequestMapping":{"b":{"type":"requestBasicAuth","secret":"` + doc + `"}}}`, `{"id":"me"}`, "secret_error"},
		"no object":   {`{"Headers":{},"RequestMapping":{"b":{"type":"requestBasicAuth","secret":"` + doc + `"}}}`, `pw`, "secret_error"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got string
			s := serve(t, func(_ http.ResponseWriter, r *http.Request) { got = r.Header.Get("Authorization") })
			v := newVault()
			v.stale[doc] = tc.value
			r := client(t, s.URL, tc.members, func(c *Config) { c.Secrets = v }).Execute(t.Context(), call(t))
			if got != tc.want && kind(r) != tc.want {
				t.Errorf("%s, sent %q, want %q", kind(r), got, tc.want)
			}
		})
	}
}

func TestDebug(t *testing.T) {
	t.Parallel()
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Reason", "expired")
		w.WriteHeader(403)
		io.WriteString(w, `{"why":"expired"}`)
	})
	in := call(t)
	in.Debug = true
	r := client(t, s.URL, `{}`, nil).Execute(t.Context(), in)
	got, err := json.Marshal(r.Debug)
	want := `{"request":{"method":"POST","url":"` + s.URL + `","headers":{"Authorization":"` + apiKey + `","Content-Type":"application/json"},"body":{"token":"t0ken"}},"status":403`
	if err != nil || !strings.HasPrefix(string(got), want) || !strings.HasSuffix(string(got), `"response":{"why":"expired"}}`) {
		t.Errorf("debug %s, %v", got, err)
	}
	if strings.Contains(string(got), "k3y") || r.Debug.Headers["X-Reason"] != "expired" {
		t.Errorf("debug %s", got)
	}
}

// TestNothingLeaks has every outcome say what an operator needs, and none of what was
// sent or answered.
func TestNothingLeaks(t *testing.T) {
	t.Parallel()
	const token, key, answer = "t0ken-of-user", "k3y-of-api", "answ3r"
	outcomes := map[string]http.HandlerFunc{
		"ok":       func(http.ResponseWriter, *http.Request) {},
		"denied":   func(w http.ResponseWriter, _ *http.Request) { http.Error(w, answer, http.StatusForbidden) },
		"failed":   func(w http.ResponseWriter, _ *http.Request) { http.Error(w, answer, http.StatusServiceUnavailable) },
		"redirect": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/"+answer, http.StatusFound) },
		"not JSON": func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, answer) },
		"echo":     func(w http.ResponseWriter, r *http.Request) { fmt.Fprintf(w, "%q: %s", r.URL, answer) },
		"no HTTP": func(w http.ResponseWriter, r *http.Request) {
			c, _, _ := w.(http.Hijacker).Hijack()
			fmt.Fprintf(c, "%s %s\r\n\r\n", r.URL, answer)
			c.Close()
		},
		"bad field": func(w http.ResponseWriter, r *http.Request) {
			c, _, _ := w.(http.Hijacker).Hijack()
			fmt.Fprintf(c, "HTTP/1.1 200 OK\r\n%s %s\r\n\r\n", r.URL, answer)
			c.Close()
		},
		"reset": func(w http.ResponseWriter, _ *http.Request) { c, _, _ := w.(http.Hijacker).Hijack(); c.Close() },
		"slow":  func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
	}
	inputs := []string{`{"t":"` + token + `"}`, `{"t":["` + token + `"]}`, `{"t":"` + token + `\n"}`, `{"` + token + `":1}`, `{"t":"..","x":"` + token + `"}`}
	for name, api := range outcomes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, api)
			for _, in := range inputs {
				c := client(t, "", `{"TimeoutMs":200,"Endpoint":"`+s.URL+`/${t}?token=${t}","Headers":{"Authorization":"`+apiKey+`","X-T":"${h}"},
					"RequestMapping":{"t":{"type":"requestURL","inputPath":"$.t","requestParameter":"t"},"h":{"type":"requestHeader","inputPath":"$.t","requestParameter":"h"}},
					"ResponseMapping":{"a":{"type":"responseBody","responseBodyPath":"$.a","outputPath":"$.a"}}}`,
					func(c *Config) { c.Secrets = &vault{stale: map[string]string{apiKey: key}} })
				r := c.Execute(t.Context(), Call{Input: inputOf(t, in)})
				envelope, err := json.Marshal(r)
				if err != nil {
					t.Fatal(err)
				}
				said := string(envelope) + fmt.Sprintf("%v %+v", r.Err, r.Err)
				for _, not := range []string{token, key, answer} {
					if strings.Contains(said, not) {
						t.Errorf("%s: %s says %q", in, said, not)
					}
				}
				if r.Err == nil && name != "ok" || name == "ok" && r.Err == nil {
					t.Errorf("%s: %s", in, said)
				}
			}
		})
	}
}

func TestBreakerKeepsCallsBack(t *testing.T) {
	t.Parallel()
	var calls atomic.Int32
	status := atomic.Int32{}
	status.Store(500)
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) { calls.Add(1); w.WriteHeader(int(status.Load())) })
	now := time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)
	c := client(t, s.URL, `{}`, func(c *Config) { c.Clock = func() time.Time { return now } })
	var got []string
	for range 7 {
		got = append(got, kind(c.Execute(t.Context(), call(t))))
	}
	r := c.Execute(t.Context(), call(t))
	if want := "http_error http_error http_error http_error http_error breaker_open breaker_open"; strings.Join(got, " ") != want || calls.Load() != 5 {
		t.Errorf("%s after %d calls, want %s", got, calls.Load(), want)
	}
	if r.Err.RetryAfter != 5*time.Second || !r.Err.Temporary || !c.Open() {
		t.Errorf("open: %+v", r.Err)
	}
	status.Store(403)
	now = now.Add(5 * time.Second)
	for range 30 { // a refusal is an answer
		if r := c.Execute(t.Context(), call(t)); kind(r) != "http_error" {
			t.Fatalf("after it opened: %s", kind(r))
		}
	}
	if c.Open() {
		t.Error("open after answers")
	}
}

// TestObserve tells of what went out, and of what did not.
func TestObserve(t *testing.T) {
	t.Parallel()
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) })
	var seen []Result
	c := client(t, s.URL, `{}`, func(c *Config) { c.Observe = func(r Result) { seen = append(seen, r) } })
	c.Execute(t.Context(), call(t))
	c.Execute(t.Context(), Call{})
	if len(seen) != 2 || seen[0].Status != http.StatusForbidden || kind(seen[1]) != string(MappingError) || seen[0].Duration <= 0 {
		t.Errorf("seen: %+v", seen)
	}
}

// TestWhatIsNotTheAPIsFault does not open the breaker.
func TestWhatIsNotTheAPIsFault(t *testing.T) {
	t.Parallel()
	s := serve(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	c := client(t, s.URL, `{}`, nil)
	for range 8 {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(10*time.Millisecond, cancel)
		if r := c.Execute(ctx, call(t)); kind(r) != "timeout" || r.Err.Message != "the caller did not wait" {
			t.Errorf("%s: %v", kind(r), r.Err)
		}
	}
	guarded := client(t, s.URL, `{}`, func(c *Config) { c.Guard = egress.Guard{} })
	for range 8 {
		if r := guarded.Execute(t.Context(), call(t)); kind(r) != "ssrf_blocked" {
			t.Errorf("%s", kind(r))
		}
	}
}

// TestConnectionsAreKept, in one of ten rounds: a connection is closed whose body a busy
// machine brings too slowly.
func TestConnectionsAreKept(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	seen := map[string]bool{}
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		seen[r.RemoteAddr] = true
		io.WriteString(w, strings.Repeat("x", 1000))
	})
	for range 10 {
		clear(seen)
		c := client(t, s.URL, `{}`, nil)
		for range 10 {
			if r := c.Execute(t.Context(), call(t)); r.Err != nil || r.Attempts != 1 {
				t.Fatal(r.Err)
			}
		}
		if len(seen) == 1 {
			return
		}
	}
	t.Errorf("%d connections for 10 calls", len(seen))
}

func TestNewClientNeedsSecrets(t *testing.T) {
	t.Parallel()
	if _, err := NewClient(mustParse(t, []byte(sample)), Config{}); err == nil {
		t.Error("NewClient() without secrets = nil error")
	}
}

func TestMaxAge(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Duration{
		"": NoMaxAge, "public": NoMaxAge, "no-store": 0, "No-Cache": 0, "max-age=60": time.Minute, `max-age="60"`: time.Minute,
		"max-age=60, max-age=30": 30 * time.Second, "max-age=30, max-age=60": 30 * time.Second, "max-age=60, no-store": 0, "max-age=-1": 0, "max-age=x": 0, "max-age": 0, "MAX-AGE=0": 0,
		"s-maxage=5": NoMaxAge, "max-age=99999999999": 0,
	} {
		if got := maxAge(http.Header{"Cache-Control": {text}}); got != want {
			t.Errorf("maxAge(%q) = %v, want %v", text, got, want)
		}
	}
}

func TestJudge(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]*Error{
		200: nil, 204: nil,
		100: {Code: HTTPError},
		302: {Code: RedirectRefused},
		400: {Code: HTTPError}, 404: {Code: HTTPError},
		408: {Code: HTTPError, Temporary: true, RetryAfter: time.Minute},
		425: {Code: HTTPError, Temporary: true, RetryAfter: time.Minute},
		429: {Code: HTTPError, Temporary: true, RetryAfter: time.Minute},
		500: {Code: HTTPError, Temporary: true, RetryAfter: time.Minute},
		600: {Code: HTTPError, Temporary: true, RetryAfter: time.Minute},
	} {
		got := judge(&http.Response{StatusCode: status, Header: http.Header{"Retry-After": {"3600"}}}, time.Now())
		if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(Error{}, "Message")); diff != "" {
			t.Errorf("%d (-want +got):\n%s", status, diff)
		}
	}
}

// FuzzAnswer has an API answer anything: what comes out is an envelope, or a code.
func FuzzAnswer(f *testing.F) {
	f.Add(`{"a":{"b":[1,2]},"id":"b"}`)
	f.Add(`{"a":{"b":null},"id":7}`)
	c := mustParse(f, []byte(`{"Alias":"a","Method":"GET","Endpoint":"https://x/","ResponseMapping":{
		"a":{"type":"responseBody","responseBodyPath":"$.a.${id}","outputPath":"$.x.y"},
		"b":{"type":"responseBody","responseBodyPath":"$..b[*]","outputPath":"$.l[0]"},
		"c":{"type":"responseBody","responseBodyPath":"$.a[?@.z>1]","outputPath":"$.l[1].z"}}}`))
	cl := &Client{Connector: c}
	f.Fuzz(func(t *testing.T, answer string) {
		var r Result
		if err := cl.read([]byte(answer), http.Header{}, Call{}, &r); err != nil {
			if err.Code != ResponseInvalid {
				t.Errorf("error %v", err)
			}
			return
		}
		if text, err := json.Marshal(r); err != nil || !json.Valid(text) {
			t.Errorf("envelope %s, %v", text, err)
		}
	})
}
