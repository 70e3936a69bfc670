package carnet

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const otherIssuer = "https://other.example"

// twoIssuers are testIssuer with its HS256 secret, and otherIssuer with ES256.
func twoIssuers(tb testing.TB, cache *Cache) *Issuers {
	tb.Helper()
	other := mustVerifier(tb, VerifierConfig{
		Keys: mustStatic(tb, es256(tb)), Policy: AccessTokens(otherIssuer, "https://other-api.example"), Clock: atTestNow, Cache: cache,
	})
	all, err := NewIssuers(hsVerifier(tb, VerifierConfig{Cache: cache}), other)
	if err != nil {
		tb.Fatal(err)
	}
	return all
}

func TestIssuers(t *testing.T) {
	t.Parallel()
	all := twoIssuers(t, NewCache(1<<20))
	hs, es := hs256(t), func(claims string) string { return mustSign(t, es256(t), "at+jwt", claims) }
	others := strings.NewReplacer(testIssuer, otherIssuer, testAudience, "https://other-api.example").Replace(goodClaims)
	for name, tc := range map[string]struct {
		token string
		want  error
	}{
		"the first's":                     {hs(goodClaims), nil},
		"the other's":                     {es(others), nil},
		"the first's by the other's key":  {es(goodClaims), ErrUnknownKey},
		"the other's by the first's key":  {hs(others), ErrUnknownKey},
		"the first's for the other's aud": {hs(claimsWith("aud", `"https://other-api.example"`)), ErrAudience},
		"nobody's":                        {hs(claimsWith("iss", `"https://nobody.example"`)), ErrIssuer},
		"without iss":                     {hs(claimsWith("iss", "")), ErrClaim},
		"with a number as iss":            {hs(claimsWith("iss", "7")), ErrClaim},
		"no token":                        {"opaque", ErrMalformed},
		"claims that are none":            {mustSign(t, signingKey(t, "secret", "HS256", "hs"), "", "[]"), ErrMalformed},
		"too long":                        {strings.Repeat("a", 17<<10), ErrMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for range 2 { // the second time from the cache
				if _, err := all.Verify(t.Context(), tc.token); !errors.Is(err, tc.want) {
					t.Errorf("Verify() error = %v, want %v", err, tc.want)
				}
			}
		})
	}
}

// A token that is in the cache costs no memory, and is refused as soon as it expires
// there, too. Not parallel, as it counts allocations.
func TestIssuersCached(t *testing.T) {
	c := &clock{now: testNow}
	v := hsVerifier(t, VerifierConfig{Cache: NewCache(1 << 20), Clock: c.Now})
	all, err := NewIssuers(v)
	if err != nil {
		t.Fatal(err)
	}
	token := hs256(t)(goodClaims)
	first, err := all.Verify(t.Context(), token)
	if err != nil {
		t.Fatal(err)
	}
	if again, _ := all.Verify(t.Context(), token); again != first {
		t.Error("the token was verified twice")
	}
	if !raceEnabled {
		if n := testing.AllocsPerRun(100, func() { _, _ = all.Verify(t.Context(), token) }); n > 0 {
			t.Errorf("a token in the cache takes %v allocations", n)
		}
	}
	c.Add(24 * time.Hour)
	if _, err := all.Verify(t.Context(), token); !errors.Is(err, ErrExpired) {
		t.Errorf("a day later: %v", err)
	}
}

func TestNewIssuersRefuses(t *testing.T) {
	t.Parallel()
	one := hsVerifier(t, VerifierConfig{})
	anyone := mustVerifier(t, VerifierConfig{
		Keys: mustStatic(t, es256(t)), Policy: Policy{AnyIssuer: true, AnyAudience: true},
	})
	for name, tc := range map[string]struct {
		given []*Verifier
		want  string
	}{
		"none":         {nil, "issuers need a verifier each: none is given"},
		"nil":          {[]*Verifier{one, nil}, "issuers: verifier 1 is nil"},
		"of no issuer": {[]*Verifier{anyone}, "issuers: the policy of verifier 0 names no issuer"},
		"one twice":    {[]*Verifier{one, one}, `issuers: two verifiers are for "https://issuer.example"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := NewIssuers(tc.given...); err == nil || err.Error() != tc.want {
				t.Errorf("NewIssuers() error = %v, want %s", err, tc.want)
			}
		})
	}
}

func TestObserve(t *testing.T) {
	t.Parallel()
	var seen []Verification
	v := hsVerifier(t, VerifierConfig{Cache: NewCache(1 << 20), Observe: func(o Verification) {
		if o.Took < 0 {
			t.Errorf("Took = %v", o.Took)
		}
		o.Took = 0
		seen = append(seen, o)
	}})
	token := hs256(t)(goodClaims)
	for _, given := range []string{token, token, token + "x", hs256(t)(claimsWith("aud", `"https://elsewhere.example"`))} {
		_, _ = v.Verify(t.Context(), given)
	}
	if len(seen) != 4 || !errors.Is(seen[2].Err, ErrMalformed) && !errors.Is(seen[2].Err, ErrSignature) || !errors.Is(seen[3].Err, ErrAudience) {
		t.Fatalf("observed %+v", seen)
	}
	if diff := cmp.Diff([]Verification{{}, {Cached: true}}, seen[:2]); diff != "" {
		t.Errorf("good tokens (-want +got):\n%s", diff)
	}
}

func TestObserveFetch(t *testing.T) {
	t.Parallel()
	var seen []Fetch
	rt := newRemoteTest(t, func(c *RemoteConfig) { c.Observe = func(f Fetch) { seen = append(seen, f) } })
	rt.want(t, rt.first, nil, 1)
	rt.clock.Add(rt.remote.c.MaxStale)
	rt.server.fail(500)
	rt.want(t, rt.first, ErrKeysUnavailable, 2)
	if len(seen) != 2 || seen[0].Err != nil || !errors.Is(seen[1].Err, ErrKeysUnavailable) {
		t.Errorf("observed %+v, want a good fetch and one that failed", seen)
	}
}
