package carnet

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// answer is all of an HTTP answer that the middleware decides.
type answer struct {
	Status    int
	Challenge []string
	Header    map[string]string
	Body      string
}

func serve(t *testing.T, h http.Handler, authorization ...string) answer {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, "/?access_token=in-the-query", nil)
	if len(authorization) > 0 {
		r.Header["Authorization"] = authorization
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	a := answer{Status: w.Code, Challenge: w.Header()["Www-Authenticate"], Body: w.Body.String(), Header: map[string]string{}}
	for _, name := range []string{"Content-Type", "Cache-Control", "Retry-After"} {
		if v := w.Header().Get(name); v != "" {
			a.Header[name] = v
		}
	}
	return a
}

func refused(status int, challenge, code string) answer {
	a := answer{status, []string{challenge}, map[string]string{"Content-Type": "application/json", "Cache-Control": "no-store"}, `{"error":"` + code + `"}` + "\n"}
	if challenge == "" {
		a.Challenge = nil
	}
	return a
}

func TestMiddleware(t *testing.T) {
	t.Parallel()
	sign := hs256(t)
	v := hsVerifier(t, VerifierConfig{Cache: NewCache(1 << 20)})
	h := Middleware(v, RequireScopes("orders:read", "orders:write"), RequireClaim("client_id", "web"))(
		http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			p, ok := PrincipalFrom(r.Context())
			if !ok || p.Subject() != "user-4711" {
				t.Errorf("PrincipalFrom() = %v, %v", p, ok)
			}
			_, _ = w.Write([]byte("hello"))
		}))
	good := sign(goodClaims)
	passed := answer{200, nil, map[string]string{"Content-Type": "text/plain; charset=utf-8"}, "hello"}
	noToken := refused(401, "Bearer", "unauthorized")
	invalid := refused(401, `Bearer error="invalid_token"`, "invalid_token")
	badRequest := refused(400, `Bearer error="invalid_request"`, "invalid_request")
	for name, tc := range map[string]struct {
		headers []string
		want    answer
	}{
		"good":                    {[]string{"Bearer " + good}, passed},
		"scheme in lower case":    {[]string{"bearer " + good}, passed},
		"scheme in capitals":      {[]string{"BEARER " + good}, passed},
		"two blanks":              {[]string{"Bearer  " + good}, passed},
		"no header":               {nil, noToken},
		"empty header":            {[]string{""}, noToken},
		"another scheme":          {[]string{"Basic dXNlcjpwYXNz"}, noToken},
		"a scheme that begins so": {[]string{"BearerX " + good}, noToken},
		"the token alone":         {[]string{good}, noToken},
		"scheme alone":            {[]string{"Bearer"}, badRequest},
		"scheme and blank":        {[]string{"Bearer "}, badRequest},
		"two headers":             {[]string{"Bearer " + good, "Bearer " + good}, badRequest},
		"two schemes":             {[]string{"Basic x", "Bearer " + good}, badRequest},
		"two tokens":              {[]string{"Bearer " + good + " " + good}, badRequest},
		"a list":                  {[]string{"Bearer " + good + ", Basic x"}, badRequest},
		"a comma":                 {[]string{"Bearer " + good + ","}, badRequest},
		"a tab":                   {[]string{"Bearer\t" + good}, noToken},
		"a tab behind":            {[]string{"Bearer " + good + "\t"}, badRequest},
		"malformed":               {[]string{"Bearer x"}, invalid},
		"forged":                  {[]string{"Bearer " + good[:len(good)-4] + "AAAA"}, invalid},
		"expired":                 {[]string{"Bearer " + sign(claimsWith("exp", "1"))}, invalid},
		"early":                   {[]string{"Bearer " + sign(claimsWith("nbf", "1800000000"))}, invalid},
		"for another":             {[]string{"Bearer " + sign(claimsWith("aud", `"x"`))}, invalid},
		"too long":                {[]string{"Bearer " + strings.Repeat("x", 20<<10)}, invalid},
		"another claim":           {[]string{"Bearer " + sign(claimsWith("client_id", `"app"`))}, invalid},
		"one scope": {[]string{"Bearer " + sign(claimsWith("scope", `"orders:read"`))}, refused(
			403, `Bearer error="insufficient_scope", scope="orders:read orders:write"`, "insufficient_scope")},
		"no scope": {[]string{"Bearer " + sign(claimsWith("scope", ""))}, refused(
			403, `Bearer error="insufficient_scope", scope="orders:read orders:write"`, "insufficient_scope")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := serve(t, h, tc.headers...)
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
			for _, header := range tc.headers {
				if _, token, _ := strings.Cut(header, " "); len(token) > 20 && strings.Contains(got.Body, token[:20]) {
					t.Error("the answer shows the token")
				}
			}
		})
	}
}

func TestMiddlewareErrors(t *testing.T) {
	t.Parallel()
	token := hs256(t)(goodClaims)
	unavailable := refused(503, "", "temporarily_unavailable")
	unavailable.Header["Retry-After"] = "1"
	next := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the handler was called") })
	for name, tc := range map[string]struct {
		err  error
		want answer
	}{
		"keys cannot be fetched": {ErrKeysUnavailable, unavailable},
		"unknown key":            {ErrUnknownKey, refused(401, `Bearer error="invalid_token"`, "invalid_token")},
		"anything else":          {errors.New("secret detail"), refused(401, `Bearer error="invalid_token"`, "invalid_token")},
	} {
		v := mustVerifier(t, VerifierConfig{Keys: &source{err: tc.err}, Policy: AccessTokens(testIssuer, testAudience)})
		if diff := cmp.Diff(tc.want, serve(t, Middleware(v)(next), "Bearer "+token)); diff != "" {
			t.Errorf("%s: -want +got\n%s", name, diff)
		}
	}
	v := hsVerifier(t, VerifierConfig{})
	for name, tc := range map[string]struct {
		err  error
		want answer
	}{
		"a requirement's own":   {errors.New("secret detail"), refused(401, `Bearer error="invalid_token"`, "invalid_token")},
		"a requirement's scope": {&ScopeError{[]string{"a"}}, refused(403, `Bearer error="insufficient_scope", scope="a"`, "insufficient_scope")},
	} {
		h := Middleware(v, func(*Verified) error { return tc.err })(next)
		if diff := cmp.Diff(tc.want, serve(t, h, "Bearer "+token)); diff != "" {
			t.Errorf("%s: -want +got\n%s", name, diff)
		}
	}
	policy := AccessTokens(testIssuer, testAudience)
	policy.Scopes = []string{"admin"}
	strict := mustVerifier(t, VerifierConfig{Keys: v.keys, Policy: policy, Clock: atTestNow})
	want := refused(403, `Bearer error="insufficient_scope", scope="admin"`, "insufficient_scope")
	if diff := cmp.Diff(want, serve(t, Middleware(strict)(next), "Bearer "+token)); diff != "" {
		t.Errorf("policy's scope: -want +got\n%s", diff)
	}
}

func TestRequireClaim(t *testing.T) {
	t.Parallel()
	v := hsVerifier(t, VerifierConfig{})
	token := mustVerify(t, v, hs256(t)(claimsWith("one", `"a"`, "list", `["a","b"]`, "mixed", `["a",1]`, "number", "1", "n", "null")))
	for _, tc := range []struct {
		name, value string
		ok          bool
	}{
		{"one", "a", true},
		{"one", "b", false},
		{"one", "A", false},
		{"list", "b", true},
		{"list", "c", false},
		{"mixed", "a", false},
		{"number", "1", false},
		{"n", "", false},
		{"absent", "", false},
		{"absent", "a", false},
	} {
		err := RequireClaim(tc.name, tc.value)(token)
		if (err == nil) != tc.ok || err != nil && !errors.Is(err, ErrClaim) {
			t.Errorf("RequireClaim(%q, %q): error = %v", tc.name, tc.value, err)
		}
	}
	if err := RequireScopes()(token); err != nil {
		t.Errorf("no scope is required: error = %v", err)
	}
}

func TestPrincipalFromNothing(t *testing.T) {
	t.Parallel()
	if p, ok := PrincipalFrom(t.Context()); p != nil || ok {
		t.Errorf("PrincipalFrom() = %v, %v", p, ok)
	}
}

// TestErrors: each refusal can be told apart from all others.
func TestErrors(t *testing.T) {
	t.Parallel()
	all := []error{
		ErrMalformed, ErrUnknownKey, ErrAlgorithm, ErrSignature, ErrIssuer, ErrAudience, ErrType, ErrExpired,
		ErrNotYetValid, ErrLifetime, ErrClaim, ErrScope, ErrRevoked, ErrPolicy, ErrKeysUnavailable,
	}
	for i, a := range all {
		for j, b := range all {
			if errors.Is(a, b) != (i == j) {
				t.Errorf("errors.Is(%v, %v) = %v", a, b, i != j)
			}
		}
		for typed, is := range map[error]error{
			&MalformedError{"alg", "x"}:    ErrMalformed,
			&ClaimError{"exp", "x"}:        ErrClaim,
			&ScopeError{[]string{"scope"}}: ErrScope,
		} {
			if errors.Is(typed, a) != (is == a) {
				t.Errorf("errors.Is(%T, %v) = %v", typed, a, is != a)
			}
		}
	}
	for err, want := range map[error]string{
		&MalformedError{"alg", "absent"}: "malformed alg: absent",
		&ClaimError{"exp", "is missing"}: "claim exp is missing",
		&ScopeError{[]string{"a", "b"}}:  "token lacks a required scope",
	} {
		if got := err.Error(); got != want {
			t.Errorf("Error() = %q, want %q", got, want)
		}
	}
	other := errors.New("other")
	if malformed(other) != other {
		t.Error("an error of another kind is changed")
	}
}
