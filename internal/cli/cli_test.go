package cli

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/carnetproject/carnet/internal/fault"
	"github.com/carnetproject/carnet/internal/gateway"
	"github.com/carnetproject/carnet/internal/jose"
)

// result is what a command left behind.
type result struct {
	code     int
	out, err string
}

// run runs a command in this process, on a data directory of its own.
func run(t *testing.T, stdin string, args ...string) result {
	t.Helper()
	var out, errOut bytes.Buffer
	code := Run(t.Context(), args, IO{
		In: strings.NewReader(stdin), Out: &out, Err: &errOut, Environ: []string{"CARNET_DATA=" + t.TempDir()},
	})
	return result{code, out.String(), errOut.String()}
}

func TestExitCodes(t *testing.T) {
	t.Parallel()
	ready := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/busy" {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		_, _ = io.WriteString(w, `{"status":"x"}`+"\n")
	}))
	t.Cleanup(ready.Close)
	keys := filepath.Join(t.TempDir(), "keys.json")
	if err := os.WriteFile(keys, jwks(t, testKey(t)), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		args []string
		want int
	}{
		"done":              {[]string{"version"}, 0},
		"help":              {[]string{"keys", "--help"}, 0},
		"no command":        {nil, 2},
		"unknown flag":      {[]string{"version", "--x"}, 2},
		"bad token":         {[]string{"token", "decode", "x"}, 2},
		"refused token":     {[]string{"token", "verify", "--issuer", "a", "--audience", "b", "--jwks", keys, "x.y.z"}, 3},
		"no such file":      {[]string{"config", "check", "--config", "/does/not/exist"}, 4},
		"no such key":       {[]string{"keys", "revoke", "x"}, 4},
		"no such app":       {[]string{"apps", "enable", "x"}, 4},
		"no such user":      {[]string{"users", "enable", "x"}, 4},
		"rotated already":   {[]string{"keys", "retire", "x"}, 4},
		"ready":             {[]string{"health", "--url", ready.URL}, 0},
		"not ready":         {[]string{"health", "--url", ready.URL + "/busy"}, 6},
		"no answer":         {[]string{"health", "--url", "http://127.0.0.1:1"}, 6},
		"no URL":            {[]string{"health", "--url", "http://[::"}, 2},
		"keys out of reach": {[]string{"token", "verify", "--issuer", "http://127.0.0.1:1", "--audience", "b", signed(t, "http://127.0.0.1:1")}, 6},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := run(t, "", tc.args...)
			if got.code != tc.want {
				t.Errorf("exit code = %d, want %d; stderr:\n%s", got.code, tc.want, got.err)
			}
			if (got.code == 0) != (got.err == "") {
				t.Errorf("exit code %d with stderr %q", got.code, got.err)
			}
			for line := range strings.Lines(got.err) {
				if !strings.HasPrefix(line, "carnet: ") {
					t.Errorf("stderr line %q does not say who speaks", line)
				}
			}
		})
	}
}

// signed is a token of an issuer, by a key that nobody has.
func signed(t *testing.T, issuer string) string {
	t.Helper()
	token, err := testKey(t).Sign("JWT", []byte(`{"iss":"`+issuer+`","aud":"b","sub":"ann","exp":4102444800}`))
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func testKey(t *testing.T) *jose.Key {
	t.Helper()
	key, err := jose.Generate("ES256", "")
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// jwks is the public document of key.
func jwks(t *testing.T, key *jose.Key) []byte {
	t.Helper()
	set, err := jose.NewSet(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	document, err := set.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	return document
}

func TestVerifyFetchesTheIssuersKeys(t *testing.T) {
	t.Parallel()
	key := testKey(t)
	document := jwks(t, key)
	issuer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/.well-known/jwks.json" {
			http.NotFound(w, r)
			return
		}
		_, _ = w.Write(document)
	}))
	t.Cleanup(issuer.Close)
	token, err := key.Sign("JWT", []byte(`{"iss":"`+issuer.URL+`","aud":"b","sub":"ann","exp":4102444800}`))
	if err != nil {
		t.Fatal(err)
	}
	if got := run(t, token+"\n", "token", "verify", "--issuer", issuer.URL, "--audience", "b"); got.code != 0 || !strings.Contains(got.out, `"sub": "ann"`) {
		t.Errorf("own token: %+v", got)
	}
	if got := run(t, signed(t, issuer.URL), "token", "verify", "--issuer", issuer.URL, "--audience", "b"); got.code != 3 || got.out != "" {
		t.Errorf("another key's token: %+v, want a refusal", got)
	}
}

func TestInputIsBounded(t *testing.T) {
	t.Parallel()
	if got := run(t, strings.Repeat("x", maxInput+1), "token", "decode"); got.code != fault.TooLarge.ExitCode() {
		t.Errorf("exit code = %d: %s", got.code, got.err)
	}
}

func TestReadSecret(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{"hunter2\n": "hunter2", "hunter2\r\nrest": "hunter2", "hunter2": "hunter2", " a b \n": " a b ", "\n": ""} {
		s := &shell{IO: IO{Err: io.Discard}, in: bufio.NewReader(strings.NewReader(in))}
		got, err := s.readSecret("password")
		if err != nil || string(got.Reveal()) != want {
			t.Errorf("readSecret(%q) = %q, %v, want %q", in, got.Reveal(), err, want)
		}
	}
	for in, want := range map[string]fault.Kind{"": fault.Invalid, strings.Repeat("x", 1<<16): fault.TooLarge} {
		s := &shell{IO: IO{Err: io.Discard}, in: bufio.NewReader(strings.NewReader(in))}
		if _, err := s.readSecret("password"); fault.KindOf(err) != want {
			t.Errorf("readSecret() error = %v with %d bytes of input, want kind %v", err, len(in), want)
		}
	}
}

func TestReportShowsEveryLine(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	code := report(&out, errors.Join(fault.New(fault.Conflict, "one"), errors.New("two")))
	if code != fault.Conflict.ExitCode() || out.String() != "carnet: one\ncarnet: two\n" {
		t.Errorf("report() = %d, printed %q", code, &out)
	}
}

func TestReachable(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"127.0.0.1:1": "127.0.0.1:1", ":1": "localhost:1", "0.0.0.0:1": "localhost:1", "[::]:1": "localhost:1", "[::1]:1": "[::1]:1", "x": "x",
	} {
		if got := reachable(in); got != want {
			t.Errorf("reachable(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestExplainRequest(t *testing.T) {
	t.Parallel()
	cfg := gateway.Config{Services: []gateway.Service{{Routes: []gateway.Route{
		{Name: "narrow", Methods: []string{"POST", "PUT"}, Hosts: []string{"*.example.com"}, Paths: []string{"/a", "/b"}},
		{Name: "wide", Hosts: []string{"x"}},
	}}}}
	for name, tc := range map[string]struct {
		c    tokenExplain
		want [3]string
	}{
		"path":          {tokenExplain{Path: "/p"}, [3]string{"GET", "localhost", "/p"}},
		"path, flags":   {tokenExplain{Path: "/p", Method: "PUT", Host: "h"}, [3]string{"PUT", "h", "/p"}},
		"narrow route":  {tokenExplain{Route: "narrow"}, [3]string{"POST", "any.example.com", "/a"}},
		"wide route":    {tokenExplain{Route: "wide"}, [3]string{"GET", "x", "/"}},
		"route, method": {tokenExplain{Route: "narrow", Method: "PUT"}, [3]string{"PUT", "any.example.com", "/a"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			method, host, path, err := tc.c.request(cfg)
			if got := [3]string{method, host, path}; err != nil || got != tc.want {
				t.Errorf("request() = %v, %v, want %v", got, err, tc.want)
			}
		})
	}
}

func TestSignAddsLifetime(t *testing.T) {
	t.Parallel()
	now := time.Unix(1000, 0)
	got, err := tokenSign{Claims: `{"sub":"ann"}`, TTL: time.Minute}.claims(nil, now)
	if want := `{"exp":1060,"iat":1000,"sub":"ann"}`; err != nil || string(got) != want {
		t.Errorf("claims() = %s, %v, want %s", got, err, want)
	}
	if _, err := (tokenSign{Claims: `{"iat":1}`, TTL: time.Minute}).claims(nil, now); fault.KindOf(err) != fault.Invalid {
		t.Errorf("claims() error = %v, want iat refused", err)
	}
}

func TestServeStopsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	out := &firstWrite{wrote: make(chan struct{})}
	ended := make(chan int, 1)
	var errOut bytes.Buffer
	go func() {
		ended <- Run(ctx, []string{"serve", "--demo"}, IO{In: strings.NewReader(""), Out: out, Err: &errOut, Environ: []string{
			"CARNET_DATA=" + t.TempDir(), "CARNET_LISTEN_PUBLIC=127.0.0.1:0", "CARNET_LISTEN_GATEWAY=127.0.0.1:0", "CARNET_LISTEN_ADMIN=127.0.0.1:0",
		}})
	}()
	select {
	case <-out.wrote: // the welcome: it serves
		cancel()
		if code := <-ended; code != 0 {
			t.Errorf("exit code = %d:\n%s", code, &errOut)
		}
	case code := <-ended:
		cancel()
		t.Fatalf("serve ended by itself with %d:\n%s", code, &errOut)
	}
}

// firstWrite tells when something is written.
type firstWrite struct{ wrote chan struct{} }

func (w *firstWrite) Write(b []byte) (int, error) {
	close(w.wrote)
	return len(b), nil
}
