package carnet

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/carnetproject/carnet/internal/jose"
)

// keyServer serves a JWKS document that a test changes.
type keyServer struct {
	*httptest.Server
	fetches atomic.Int64

	mu      sync.Mutex
	handler http.HandlerFunc
}

func newKeyServer(tb testing.TB, keys ...*jose.Key) *keyServer {
	tb.Helper()
	s := &keyServer{}
	s.serve(tb, keys...)
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.fetches.Add(1)
		s.mu.Lock()
		h := s.handler
		s.mu.Unlock()
		h(w, r)
	}))
	tb.Cleanup(s.Close)
	return s
}

func (s *keyServer) answer(h http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.handler = h
}

func (s *keyServer) serve(tb testing.TB, keys ...*jose.Key) {
	tb.Helper()
	doc := document(tb, keys...)
	s.answer(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(doc) })
}

func (s *keyServer) fail(status int) {
	s.answer(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) })
}

func document(tb testing.TB, keys ...*jose.Key) []byte {
	tb.Helper()
	var public []*jose.Key
	for _, k := range keys {
		public = append(public, k.Public())
	}
	set, err := jose.NewSet(public...)
	if err != nil {
		tb.Fatal(err)
	}
	doc, err := set.MarshalJSON()
	if err != nil {
		tb.Fatal(err)
	}
	return doc
}

// remoteTest is a verifier with remote keys and a clock to move.
type remoteTest struct {
	*Verifier
	remote *Remote
	clock  *clock
	first  *jose.Key
	second *jose.Key
	server *keyServer
}

func newRemoteTest(tb testing.TB, edit func(*RemoteConfig)) *remoteTest {
	tb.Helper()
	rt := &remoteTest{
		clock: &clock{now: testNow}, first: es256(tb), second: signingKey(tb, "p256-other", "ES256", "es-other"),
	}
	rt.server = newKeyServer(tb, rt.first)
	c := RemoteConfig{Issuer: testIssuer, URL: rt.server.URL + "/jwks", Clock: rt.clock.Now}
	if edit != nil {
		edit(&c)
	}
	var err error
	if rt.remote, err = RemoteKeys(c); err != nil {
		tb.Fatal(err)
	}
	rt.Verifier = mustVerifier(tb, VerifierConfig{
		Keys: rt.remote, Cache: NewCache(1 << 20), Clock: rt.clock.Now,
		Policy: Policy{Issuer: testIssuer, AnyAudience: true, NoExpiry: true},
	})
	return rt
}

// timeless is a token without an expiry, since the clock moves by hours here.
func (rt *remoteTest) timeless(tb testing.TB, k *jose.Key) string {
	tb.Helper()
	return mustSign(tb, k, "", claimsWith("exp", ""))
}

func (rt *remoteTest) want(t *testing.T, k *jose.Key, want error, fetches int64) {
	t.Helper()
	_, err := rt.Verify(t.Context(), rt.timeless(t, k))
	if !errors.Is(err, want) {
		t.Errorf("Verify() error = %v, want %v", err, want)
	}
	if got := rt.server.fetches.Load(); got != fetches {
		t.Errorf("%d fetches, want %d", got, fetches)
	}
}

// settle waits for the fetch in the background, if one runs.
func (rt *remoteTest) settle() {
	rt.remote.mu.Lock()
	fl := rt.remote.flight
	rt.remote.mu.Unlock()
	if fl != nil {
		<-fl.done
	}
}

func TestRemoteKeysConfig(t *testing.T) {
	t.Parallel()
	for url, ok := range map[string]bool{
		"https://issuer.example/jwks":         true,
		"HTTPS://issuer.example/jwks":         true,
		"http://127.0.0.1:8080/jwks":          true,
		"http://[::1]/jwks":                   true,
		"http://localhost/jwks":               true,
		"http://issuer.example/jwks":          false,
		"http://localhost.mallory.example/":   false,
		"http://127.0.0.1.mallory.example/":   false,
		"http://10.0.0.1/jwks":                false,
		"file:///etc/passwd":                  false,
		"ftp://127.0.0.1/jwks":                false,
		"https://user:pass@issuer.example/":   false,
		"http://127.0.0.1@mallory.example/":   false,
		"/jwks":                               false,
		"https:///jwks":                       false,
		"https://issuer.example/\x00":         false,
		"https://issuer.example:port/invalid": false,
	} {
		r, err := RemoteKeys(RemoteConfig{Issuer: testIssuer, URL: url})
		if (err == nil) != ok {
			t.Errorf("%q: %v, %v", url, r, err)
		}
		if err != nil && strings.Contains(err.Error(), "pass@") {
			t.Errorf("the error shows a password: %v", err)
		}
	}
	if _, err := RemoteKeys(RemoteConfig{URL: "https://issuer.example/"}); err == nil {
		t.Error("keys of nobody are taken")
	}
	r, err := RemoteKeys(RemoteConfig{Issuer: testIssuer, URL: "https://issuer.example/", Refresh: 2 * time.Hour})
	if err != nil || r.c.MaxStale != 2*time.Hour || r.c.Cooldown != 10*time.Second || r.c.Timeout != 5*time.Second {
		t.Errorf("defaults: %+v, %v", r.c, err)
	}
}

// TestRemoteReplaces: keys that the issuer took out are gone after a refresh, also
// for tokens in the cache, which ask for nothing else.
func TestRemoteReplaces(t *testing.T) {
	t.Parallel()
	rt := newRemoteTest(t, nil)
	rt.want(t, rt.first, nil, 1)
	token := rt.timeless(t, rt.first)
	mustVerify(t, rt.Verifier, token)
	generation := rt.remote.Generation()

	rt.clock.Add(5 * time.Minute)
	mustVerify(t, rt.Verifier, token) // starts a refresh, with the same document
	rt.settle()
	if got := rt.server.fetches.Load(); got != 2 || rt.remote.Generation() != generation {
		t.Errorf("%d fetches, generation %d, was %d", got, rt.remote.Generation(), generation)
	}

	rt.server.serve(t, rt.second)
	mustVerify(t, rt.Verifier, token) // fresh enough
	rt.clock.Add(5 * time.Minute)
	mustVerify(t, rt.Verifier, token)
	rt.settle()
	if rt.remote.Generation() == generation {
		t.Error("the document changed and the generation did not")
	}
	if _, err := rt.Verify(t.Context(), token); !errors.Is(err, ErrUnknownKey) {
		t.Errorf("a token of a removed key: error = %v", err)
	}
	rt.want(t, rt.second, nil, 3)
}

func TestRemoteOtherIssuer(t *testing.T) {
	t.Parallel()
	rt := newRemoteTest(t, nil)
	for _, iss := range []string{`"https://mallory.example"`, `""`, `null`, `["https://issuer.example"]`, ""} {
		_, err := rt.Verify(t.Context(), mustSign(t, rt.first, "", claimsWith("iss", iss)))
		if !errors.Is(err, ErrUnknownKey) {
			t.Errorf("iss %s: error = %v", iss, err)
		}
	}
	if got := rt.server.fetches.Load(); got != 0 {
		t.Errorf("another issuer's token causes %d fetches", got)
	}
}

func TestRemoteUnknownKid(t *testing.T) {
	t.Parallel()
	rt := newRemoteTest(t, nil)
	rt.want(t, rt.first, nil, 1)
	for range 20 {
		rt.want(t, rt.second, ErrUnknownKey, 1) // the last fetch was just now
	}
	rt.clock.Add(10*time.Second - 1)
	rt.want(t, rt.second, ErrUnknownKey, 1)
	rt.clock.Add(1)
	rt.want(t, rt.second, ErrUnknownKey, 2)
	rt.want(t, rt.second, ErrUnknownKey, 2)
	rt.server.serve(t, rt.first, rt.second) // the issuer publishes the key
	rt.want(t, rt.second, ErrUnknownKey, 2)
	rt.clock.Add(10 * time.Second)
	rt.want(t, rt.second, nil, 3)
	rt.want(t, rt.first, nil, 3)
	rt.server.fail(http.StatusInternalServerError)
	rt.clock.Add(10 * time.Second)
	rt.want(t, signingKey(t, "p384", "ES384", "third"), ErrUnknownKey, 4)
	rt.want(t, rt.first, nil, 4)
}

func TestRemoteStaleIfError(t *testing.T) {
	t.Parallel()
	rt := newRemoteTest(t, nil)
	token := rt.timeless(t, rt.first)
	mustVerify(t, rt.Verifier, token)
	rt.server.fail(http.StatusServiceUnavailable)
	for range 11 { // 55 minutes
		rt.clock.Add(5 * time.Minute)
		mustVerify(t, rt.Verifier, token)
		rt.settle()
		rt.want(t, rt.first, nil, rt.server.fetches.Load())
	}
	if got := rt.server.fetches.Load(); got != 12 {
		t.Errorf("%d fetches in 55 minutes of failure, want 12", got)
	}
	rt.clock.Add(5*time.Minute - time.Millisecond)
	mustVerify(t, rt.Verifier, token)
	rt.settle()
	rt.clock.Add(time.Second)
	for range 3 { // in the cache or not: too old is too old
		if _, err := rt.Verify(t.Context(), token); !errors.Is(err, ErrKeysUnavailable) {
			t.Errorf("after MaxStale: error = %v, want %v", err, ErrKeysUnavailable)
		}
	}
	fetches := rt.server.fetches.Load()
	rt.want(t, rt.first, ErrKeysUnavailable, fetches) // asked just now
	rt.server.serve(t, rt.first)
	rt.want(t, rt.first, ErrKeysUnavailable, fetches)
	rt.clock.Add(time.Second) // an issuer that is down is asked once a second
	rt.want(t, rt.first, nil, fetches+1)
	mustVerify(t, rt.Verifier, token)
}

func TestRemoteFailedFetchIsPaced(t *testing.T) {
	t.Parallel()
	rt := newRemoteTest(t, nil)
	rt.server.fail(http.StatusInternalServerError)
	rt.want(t, rt.first, ErrKeysUnavailable, 1)
	rt.want(t, rt.first, ErrKeysUnavailable, 1)
	rt.server.serve(t, rt.first)
	rt.clock.Add(time.Second)
	rt.want(t, rt.first, nil, 2)

	token := rt.timeless(t, rt.first)
	rt.server.fail(http.StatusInternalServerError)
	rt.clock.Add(5 * time.Minute)
	for range 100 { // each asks for a refresh, which waits for the cooldown
		mustVerify(t, rt.Verifier, token)
		rt.settle()
	}
	if got := rt.server.fetches.Load(); got != 3 {
		t.Errorf("%d fetches, want 3", got)
	}
}

func TestRemoteBadDocuments(t *testing.T) {
	t.Parallel()
	good := string(document(t, es256(t)))
	for name, h := range map[string]http.HandlerFunc{
		"not found":  func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) },
		"accepted":   func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusAccepted); fmt.Fprint(w, good) },
		"empty":      func(http.ResponseWriter, *http.Request) {},
		"HTML":       func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>") },
		"cut":        func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, good[:len(good)-2]) },
		"one member": func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"keys":null}`) },
		"too large":  func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, good+strings.Repeat(" ", 1<<20)) },
		"secrets": func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, `{"keys":[{"kty":"oct","alg":"HS256","kid":"es","k":"`+strings.Repeat("A", 43)+`"}]}`)
		},
		"hung up": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100000")
			fmt.Fprint(w, good)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rt := newRemoteTest(t, nil)
			rt.want(t, rt.first, nil, 1)
			generation := rt.remote.Generation()
			rt.server.answer(h)
			rt.clock.Add(5 * time.Minute)
			rt.remote.Generation()
			rt.settle()
			rt.want(t, rt.first, nil, 2) // what was there before stays
			if got := rt.remote.Generation(); got != generation {
				t.Errorf("generation %d, was %d", got, generation)
			}
			rt.clock.Add(time.Hour)
			rt.want(t, rt.first, ErrKeysUnavailable, 3)
		})
	}
}

func TestRemoteTooLargeBodyIsNotRead(t *testing.T) {
	t.Parallel()
	rt := newRemoteTest(t, nil)
	var sent atomic.Int64
	rt.server.answer(func(w http.ResponseWriter, _ *http.Request) {
		chunk := []byte(strings.Repeat(" ", 1<<16))
		for sent.Load() < 64<<20 {
			n, err := w.Write(chunk)
			if err != nil {
				return
			}
			sent.Add(int64(n))
		}
	})
	rt.want(t, rt.first, ErrKeysUnavailable, 1)
	rt.server.Close() // waits for the handler
	if got := sent.Load(); got >= 64<<20 {
		t.Errorf("%d bytes were taken", got)
	}
}

func TestRemoteEmptySetTakesAllKeysAway(t *testing.T) {
	t.Parallel()
	rt := newRemoteTest(t, nil)
	rt.want(t, rt.first, nil, 1)
	rt.server.serve(t)
	rt.clock.Add(5 * time.Minute)
	rt.remote.Generation()
	rt.settle()
	rt.want(t, rt.first, ErrUnknownKey, 2)
}

// TestRemoteSingleFlight lets 64 tokens wait for one fetch.
func TestRemoteSingleFlight(t *testing.T) {
	t.Parallel()
	const waiters = 64
	rt := newRemoteTest(t, nil)
	doc := document(t, rt.first)
	arrived, release := make(chan struct{}), make(chan struct{})
	rt.server.answer(func(w http.ResponseWriter, _ *http.Request) {
		close(arrived) // panics on a second fetch
		<-release
		_, _ = w.Write(doc)
	})
	token := rt.timeless(t, rt.first)
	var wg sync.WaitGroup
	var started sync.WaitGroup
	started.Add(waiters)
	for range waiters {
		wg.Go(func() {
			started.Done()
			if _, err := rt.Verify(t.Context(), token); err != nil {
				t.Error(err)
			}
		})
	}
	started.Wait()
	<-arrived
	close(release)
	wg.Wait()
	if got := rt.server.fetches.Load(); got != 1 {
		t.Errorf("%d fetches for %d tokens, want 1", got, waiters)
	}
}

// TestRemoteFetchSurvivesItsRequest: who asked first hangs up; the others get keys.
func TestRemoteFetchSurvivesItsRequest(t *testing.T) {
	t.Parallel()
	rt := newRemoteTest(t, nil)
	doc := document(t, rt.first)
	arrived, release := make(chan struct{}), make(chan struct{})
	rt.server.answer(func(w http.ResponseWriter, _ *http.Request) {
		close(arrived)
		<-release
		_, _ = w.Write(doc)
	})
	token := rt.timeless(t, rt.first)
	ctx, cancel := context.WithCancel(t.Context())
	gone := make(chan error)
	go func() {
		_, err := rt.Verify(ctx, token)
		gone <- err
	}()
	<-arrived
	cancel()
	if err := <-gone; !errors.Is(err, ErrKeysUnavailable) || !errors.Is(err, context.Canceled) {
		t.Errorf("who hung up gets %v", err)
	}
	close(release)
	mustVerify(t, rt.Verifier, token)
	if got := rt.server.fetches.Load(); got != 1 {
		t.Errorf("%d fetches, want 1", got)
	}
}

func TestRemoteTimeout(t *testing.T) {
	t.Parallel()
	rt := newRemoteTest(t, func(c *RemoteConfig) { c.Timeout = 20 * time.Millisecond })
	for name, h := range map[string]http.HandlerFunc{
		"no answer": func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"no end": func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprint(w, `{"keys":`)
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		},
	} {
		rt.server.answer(h)
		rt.clock.Add(time.Minute)
		_, err := rt.Verify(t.Context(), rt.timeless(t, rt.first))
		if !errors.Is(err, ErrKeysUnavailable) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: error = %v", name, err)
		}
	}
}

func TestRemoteRedirects(t *testing.T) {
	t.Parallel()
	rt := newRemoteTest(t, nil)
	doc := document(t, rt.first)
	elsewhere := newKeyServer(t, rt.first)
	for name, tc := range map[string]struct {
		handler http.HandlerFunc
		want    error
	}{
		"to another host": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.URL, http.StatusFound)
		}, ErrKeysUnavailable},
		"to another scheme": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://"+r.Host+"/jwks", http.StatusFound)
		}, ErrKeysUnavailable},
		"in a circle": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, r.URL.Path, http.StatusTemporaryRedirect)
		}, ErrKeysUnavailable},
		"on the same host": {func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/jwks" {
				http.Redirect(w, r, "/keys", http.StatusMovedPermanently)
				return
			}
			_, _ = w.Write(doc)
		}, nil},
	} {
		rt := newRemoteTest(t, nil)
		rt.server.answer(tc.handler)
		if _, err := rt.Verify(t.Context(), rt.timeless(t, rt.first)); !errors.Is(err, tc.want) {
			t.Errorf("%s: error = %v, want %v", name, err, tc.want)
		}
	}
	if elsewhere.fetches.Load() != 0 {
		t.Error("another host was asked")
	}
}

// TestRemoteUsesTheTransport: and not the client's own rule for redirects.
func TestRemoteUsesTheTransport(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	client := &http.Client{
		Transport: transport(func(r *http.Request) (*http.Response, error) {
			asked.Add(1)
			if got := r.Header.Get("Accept"); !strings.Contains(got, "application/jwk-set+json") {
				t.Errorf("Accept = %q", got)
			}
			w := httptest.NewRecorder()
			http.Redirect(w, r, "https://mallory.example/jwks", http.StatusFound)
			return w.Result(), nil
		}),
		CheckRedirect: func(*http.Request, []*http.Request) error { return nil },
	}
	rt := newRemoteTest(t, func(c *RemoteConfig) { c.URL, c.Client = "https://issuer.example/jwks", client })
	if _, err := rt.Verify(t.Context(), rt.timeless(t, rt.first)); !errors.Is(err, ErrKeysUnavailable) {
		t.Errorf("error = %v", err)
	}
	if asked.Load() != 1 {
		t.Errorf("asked %d times, want once", asked.Load())
	}
}

type transport func(*http.Request) (*http.Response, error)

func (t transport) RoundTrip(r *http.Request) (*http.Response, error) { return t(r) }

// TestRemoteStress rotates the issuer's keys while many verify, for the race detector.
func TestRemoteStress(t *testing.T) {
	t.Parallel()
	rt := newRemoteTest(t, func(c *RemoteConfig) { c.Refresh, c.Cooldown = time.Second, time.Second })
	tokens := []string{rt.timeless(t, rt.first), rt.timeless(t, rt.second)}
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := range 200 {
				_, err := rt.Verify(t.Context(), tokens[(w+i)%2])
				if err != nil && !errors.Is(err, ErrUnknownKey) {
					t.Error(err)
				}
				if i%20 == 0 {
					rt.server.serve(t, []*jose.Key{rt.first, rt.second}[(i/20+w)%2])
					rt.clock.Add(time.Second)
				}
			}
		})
	}
	wg.Wait()
	rt.settle() // with whatever was served
	rt.server.serve(t, rt.first)
	rt.clock.Add(time.Second)
	rt.remote.Generation()
	rt.settle()
	if _, err := rt.Verify(t.Context(), tokens[0]); err != nil {
		t.Errorf("the present key: %v", err)
	}
	if _, err := rt.Verify(t.Context(), tokens[1]); !errors.Is(err, ErrUnknownKey) {
		t.Errorf("the removed key: error = %v", err)
	}
}
