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
)

// endpoint is an introspection endpoint that a test changes.
type endpoint struct {
	*httptest.Server
	calls  atomic.Int64
	answer atomic.Pointer[http.HandlerFunc]
}

func newEndpoint(tb testing.TB) *endpoint {
	tb.Helper()
	e := &endpoint{}
	e.says(`{"active":false}`)
	e.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		e.calls.Add(1)
		(*e.answer.Load())(w, r)
	}))
	tb.Cleanup(e.Close)
	return e
}

func (e *endpoint) does(h http.HandlerFunc) { e.answer.Store(&h) }

func (e *endpoint) says(body string) {
	e.does(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(body)) })
}

func (e *endpoint) introspection(tb testing.TB, edit func(*IntrospectionConfig)) *Introspection {
	tb.Helper()
	c := IntrospectionConfig{
		URL: e.URL, ClientID: "api:1", ClientSecret: "s%cret", Clock: atTestNow,
		Policy: AccessTokens(testIssuer, testAudience),
	}
	if edit != nil {
		edit(&c)
	}
	i, err := NewIntrospection(c)
	if err != nil {
		tb.Fatal(err)
	}
	return i
}

// active is goodClaims as an answer.
func active(claims string) string { return `{"active":true,` + claims[1:] }

func TestIntrospectionAsks(t *testing.T) {
	t.Parallel()
	e := newEndpoint(t)
	e.does(func(w http.ResponseWriter, r *http.Request) {
		id, secret, _ := r.BasicAuth()
		if r.Method != http.MethodPost || id != "api%3A1" || secret != "s%25cret" {
			t.Errorf("%s by %q with %q", r.Method, id, secret)
		}
		if got := r.PostFormValue("token") + " " + r.PostFormValue("token_type_hint"); got != "opaque access_token" {
			t.Errorf("asked about %q", got)
		}
		_, _ = w.Write([]byte(active(goodClaims)))
	})
	got, err := e.introspection(t, nil).Verify(t.Context(), "opaque")
	if err != nil {
		t.Fatal(err)
	}
	if got.Subject() != "user-4711" || !got.HasScope("orders:write") || got.Algorithm()+got.KeyID()+got.Type() != "" || got.Owner() != nil {
		t.Errorf("Verify() = %s, signed with %q", got.Claims(), got.Algorithm())
	}
}

func TestIntrospectionAnswers(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		answer string
		want   error
	}{
		"active":                {active(goodClaims), nil},
		"a bearer token":        {active(`{"token_type":"bearer",` + goodClaims[1:]), nil},
		"a refresh token":       {active(`{"token_type":"refresh_token",` + goodClaims[1:]), ErrInactive},
		"inactive":              {`{"active":false}`, ErrInactive},
		"inactive with claims":  {`{"active":false,` + goodClaims[1:], ErrInactive},
		"active as text":        {`{"active":"true"}`, ErrIntrospection},
		"no member active":      {goodClaims, ErrIntrospection},
		"active twice":          {`{"active":false,"active":true}`, ErrIntrospection},
		"expired":               {active(claimsWith("exp", "1699999999")), ErrExpired},
		"not valid yet":         {active(claimsWith("nbf", "1700000100")), ErrNotYetValid},
		"of another issuer":     {active(claimsWith("iss", `"https://other.example"`)), ErrIssuer},
		"for another audience":  {active(claimsWith("aud", `"https://other.example"`)), ErrAudience},
		"for no audience":       {active(claimsWith("aud", "")), ErrClaim},
		"without a subject":     {active(claimsWith("sub", "")), ErrClaim},
		"a scope that is none":  {active(claimsWith("scope", "7")), ErrClaim},
		"not JSON":              {"<html>", ErrIntrospection},
		"nothing":               {"", ErrIntrospection},
		"a list":                {"[]", ErrIntrospection},
		"an answer without end": {active(`{"pad":"` + strings.Repeat("a", 20<<10) + `",` + goodClaims[1:]), ErrIntrospection},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := newEndpoint(t)
			e.says(tc.answer)
			got, err := e.introspection(t, nil).Verify(t.Context(), "opaque")
			if !errors.Is(err, tc.want) || (got == nil) == (err == nil) {
				t.Errorf("Verify() = %v, %v, want %v", got, err, tc.want)
			}
		})
	}
}

// What does not answer vouches for nobody, and is asked again at once.
func TestIntrospectionFailsClosed(t *testing.T) {
	t.Parallel()
	elsewhere := newEndpoint(t)
	elsewhere.says(active(goodClaims))
	for name, do := range map[string]http.HandlerFunc{
		"a fault":   func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) },
		"a refusal": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(401) },
		"a redirect": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.URL, http.StatusTemporaryRedirect)
		},
		"a break": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"silence": func(_ http.ResponseWriter, r *http.Request) { _ = r.ParseForm(); <-r.Context().Done() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := newEndpoint(t)
			e.does(do)
			i := e.introspection(t, func(c *IntrospectionConfig) { c.Timeout = 50 * time.Millisecond })
			if _, err := i.Verify(t.Context(), "opaque"); !errors.Is(err, ErrIntrospection) {
				t.Errorf("Verify() error = %v, want %v", err, ErrIntrospection)
			} else if strings.Contains(err.Error(), "opaque") || strings.Contains(err.Error(), "s%cret") {
				t.Errorf("the error tells secrets: %v", err)
			}
			e.says(active(goodClaims))
			i.c.Timeout = time.Minute
			for { // until the failed call has been forgotten
				if _, err := i.Verify(t.Context(), "opaque"); err == nil {
					break
				} else if !errors.Is(err, ErrIntrospection) {
					t.Fatalf("afterwards: %v", err)
				}
			}
		})
	}
	if n := elsewhere.calls.Load(); n > 0 {
		t.Errorf("the secret was sent elsewhere %d times", n)
	}
}

func TestIntrospectionRemembers(t *testing.T) {
	t.Parallel()
	e, c := newEndpoint(t), &clock{now: testNow}
	e.says(active(claimsWith("exp", fmt.Sprint(testNow.Unix()+15))))
	i := e.introspection(t, func(config *IntrospectionConfig) { config.Clock = c.Now })
	want := func(after time.Duration, err error, calls int64) {
		t.Helper()
		c.Add(after)
		if _, got := i.Verify(t.Context(), "opaque"); !errors.Is(got, err) {
			t.Errorf("Verify() error = %v, want %v", got, err)
		}
		if n := e.calls.Load(); n != calls {
			t.Errorf("%d calls, want %d", n, calls)
		}
	}
	want(0, nil, 1)
	want(9*time.Second, nil, 1)
	want(time.Second, nil, 2)          // MaxAge has passed
	want(5*time.Second, ErrExpired, 3) // before MaxAge, but past exp
	e.says(`{"active":false}`)
	want(10*time.Second, ErrInactive, 4)
	want(9*time.Second, ErrInactive, 4) // refusals are remembered, too
}

// A flood of made-up tokens takes no more memory than that of the answers kept.
func TestIntrospectionIsBounded(t *testing.T) {
	t.Parallel()
	e := newEndpoint(t)
	i := e.introspection(t, func(c *IntrospectionConfig) { c.Answers = 8 })
	for n := range 50 {
		if _, err := i.Verify(t.Context(), fmt.Sprint("made-up-", n)); !errors.Is(err, ErrInactive) {
			t.Fatal(err)
		}
	}
	if n := len(i.answers); n != 8 {
		t.Errorf("%d answers are kept, want 8", n)
	}
	arrived, release := make(chan struct{}), make(chan struct{})
	e.does(func(w http.ResponseWriter, _ *http.Request) {
		arrived <- struct{}{}
		<-release
		_, _ = w.Write([]byte(`{"active":false}`))
	})
	var wg sync.WaitGroup
	for n := range 8 {
		wg.Go(func() { _, _ = i.Verify(t.Context(), fmt.Sprint("slow-", n)) })
		<-arrived
	}
	if _, err := i.Verify(t.Context(), "one more"); !errors.Is(err, ErrIntrospection) {
		t.Errorf("with all places awaited: %v", err)
	}
	close(release)
	wg.Wait()
}

func TestIntrospectionAsksOnce(t *testing.T) {
	t.Parallel()
	e := newEndpoint(t)
	asked, release := make(chan struct{}), make(chan struct{})
	e.does(func(w http.ResponseWriter, _ *http.Request) {
		close(asked) // panics if there are two calls
		<-release
		_, _ = w.Write([]byte(active(goodClaims)))
	})
	i := e.introspection(t, nil)
	gone, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		if _, err := i.Verify(gone, "opaque"); !errors.Is(err, context.Canceled) {
			t.Errorf("who has gone: %v", err)
		}
	})
	<-asked
	cancel() // the call goes on for the others
	for range 8 {
		wg.Go(func() {
			if _, err := i.Verify(t.Context(), "opaque"); err != nil {
				t.Error(err)
			}
		})
	}
	close(release)
	wg.Wait()
}

func TestIntrospectionFallback(t *testing.T) {
	t.Parallel()
	token := hs256(t)(goodClaims)
	noKeys := mustVerifier(t, VerifierConfig{Keys: unreachable{}, Policy: AccessTokens(testIssuer, testAudience), Clock: atTestNow})
	for name, tc := range map[string]struct {
		local      *Verifier
		revocation bool
		token      string
		answer     string
		want       error
		calls      int64
	}{
		"signed, verified here":                 {hsVerifier(t, VerifierConfig{}), false, token, `{"active":false}`, nil, 0},
		"signed, verified here, still active":   {hsVerifier(t, VerifierConfig{}), true, token, active(goodClaims), nil, 1},
		"signed, verified here, revoked":        {hsVerifier(t, VerifierConfig{}), true, token, `{"active":false}`, ErrInactive, 1},
		"signed wrongly: the issuer has no say": {hsVerifier(t, VerifierConfig{}), true, token[:len(token)-4] + "AAAA", active(goodClaims), ErrSignature, 0},
		"opaque":                                {hsVerifier(t, VerifierConfig{}), false, "opaque", active(goodClaims), nil, 1},
		"no keys":                               {noKeys, false, token, active(goodClaims), nil, 1},
		"no keys, revoked":                      {noKeys, false, token, `{"active":false}`, ErrInactive, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := newEndpoint(t)
			e.says(tc.answer)
			i := e.introspection(t, func(c *IntrospectionConfig) { c.Local, c.Revocation = tc.local, tc.revocation })
			if _, err := i.Verify(t.Context(), tc.token); !errors.Is(err, tc.want) {
				t.Errorf("Verify() error = %v, want %v", err, tc.want)
			}
			if n := e.calls.Load(); n != tc.calls {
				t.Errorf("%d calls, want %d", n, tc.calls)
			}
		})
	}
}

// unreachable is a key source whose issuer is down.
type unreachable struct{}

func (unreachable) Find(context.Context, Hint) ([]*Key, error) { return nil, ErrKeysUnavailable }
func (unreachable) Generation() uint64                         { return 0 }

func TestNewIntrospectionRefuses(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		edit func(*IntrospectionConfig)
		want string
	}{
		"no URL":              {func(c *IntrospectionConfig) { c.URL = "" }, "introspection: URL: not an absolute URL"},
		"plain http":          {func(c *IntrospectionConfig) { c.URL = "http://id.example.com/" }, "introspection: URL: must be https (http only from a loopback address)"},
		"no client":           {func(c *IntrospectionConfig) { c.ClientID = "" }, "introspection: ClientID and ClientSecret must be given (RFC 7662 §2.1)"},
		"no secret":           {func(c *IntrospectionConfig) { c.ClientSecret = "" }, "introspection: ClientID and ClientSecret must be given (RFC 7662 §2.1)"},
		"no policy":           {func(c *IntrospectionConfig) { c.Policy = Policy{} }, "introspection: policy accepts no token: it names no issuer; set Issuer, or AnyIssuer"},
		"revocation of what?": {func(c *IntrospectionConfig) { c.Revocation = true }, "introspection: Revocation is for what Local verifies, and there is no Local"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := IntrospectionConfig{URL: "https://id.example.com/", ClientID: "a", ClientSecret: "b", Policy: AccessTokens(testIssuer, testAudience)}
			tc.edit(&c)
			if _, err := NewIntrospection(c); err == nil || err.Error() != tc.want {
				t.Errorf("NewIntrospection() error = %v, want %s", err, tc.want)
			}
		})
	}
}

// The middleware tells a fault of the issuer's from a fault of the token's.
func TestMiddlewareIntrospects(t *testing.T) {
	t.Parallel()
	e := newEndpoint(t)
	h := Middleware(e.introspection(t, nil), RequireScopes("orders:read"))(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	for _, tc := range []struct {
		answer http.HandlerFunc
		token  string
		status int
	}{
		{func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(active(goodClaims))) }, "good", 200},
		{func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte(active(claimsWith("scope", `"other"`))))
		}, "narrow", 403},
		{func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"active":false}`)) }, "gone", 401},
		{func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) }, "unknown", 503},
	} {
		e.does(tc.answer)
		if got := serve(t, h, "Bearer "+tc.token); got.Status != tc.status {
			t.Errorf("%s: status %d, want %d", tc.token, got.Status, tc.status)
		}
	}
}
