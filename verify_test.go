package carnet

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestNewVerifierRefuses(t *testing.T) {
	t.Parallel()
	if _, err := NewVerifier(VerifierConfig{Policy: SignatureOnly()}); err == nil {
		t.Error("a verifier without keys is made")
	}
	if _, err := NewVerifier(VerifierConfig{Keys: mustStatic(t, es256(t))}); !errors.Is(err, ErrPolicy) {
		t.Errorf("without a policy: error = %v, want %v", err, ErrPolicy)
	}
}

func TestVerified(t *testing.T) {
	t.Parallel()
	k := es256(t)
	owner := &struct{ name string }{"credential"}
	keys, err := StaticKeys(verifying(k).WithOwner(owner))
	if err != nil {
		t.Fatal(err)
	}
	v := mustVerifier(t, VerifierConfig{Keys: keys, Policy: AccessTokens(testIssuer, testAudience), Clock: atTestNow})
	claims := claimsWith("aud", `["https://api.example","https://other.example"]`, "nbf", "1699999940.5", "n", "null", "device", `{"os":"x","v":[1,2]}`)
	got, err := v.Verify(t.Context(), mustSign(t, k, "at+jwt", claims))
	if err != nil {
		t.Fatal(err)
	}
	seconds := func(at time.Time, ok bool) float64 {
		if !ok || at.Location() != time.UTC {
			return -1
		}
		return float64(at.UnixMilli()) / 1000
	}
	have := map[string]any{
		"iss": got.Issuer(), "sub": got.Subject(), "jti": got.ID(), "typ": got.Type(), "kid": got.KeyID(), "alg": got.Algorithm(),
		"scope": got.Scope(), "aud": got.Audience(), "owner": got.Owner() == owner,
		"exp": seconds(got.Expiry()), "nbf": seconds(got.NotBefore()), "iat": seconds(got.IssuedAt()),
		"read": got.HasScope("orders:read"), "write": got.HasScope("orders:write"), "admin": got.HasScope("admin"), "empty": got.HasScope(""),
		"has sub": got.HasClaim("sub"), "has n": got.HasClaim("n"), "has x": got.HasClaim("x"), "claims": string(got.Claims()),
	}
	want := map[string]any{
		"iss": testIssuer, "sub": "user-4711", "jti": "b2f1c0de", "typ": "at+jwt", "kid": "es", "alg": "ES256",
		"scope": "orders:read orders:write", "aud": []string{testAudience, "https://other.example"}, "owner": true,
		"exp": 1700000840., "nbf": 1699999940.5, "iat": 1699999940.,
		"read": true, "write": true, "admin": false, "empty": false,
		"has sub": true, "has n": true, "has x": false, "claims": claims,
	}
	if diff := cmp.Diff(want, have); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}

	var device struct {
		OS string
		V  []int
	}
	if err := got.Claim("device", &device); err != nil || device.OS != "x" || len(device.V) != 2 {
		t.Errorf("Claim() = %+v, %v", device, err)
	}
	var number int
	for name, reason := range map[string]string{"device": "is of another type", "x": "is missing"} {
		claim, ok := errors.AsType[*ClaimError](got.Claim(name, &number))
		if !ok || *claim != (ClaimError{name, reason}) {
			t.Errorf("Claim(%q) error = %v, want %s", name, claim, reason)
		}
	}
	got.Claims()[0] = 'x'
	if !json.Valid(got.Claims()) {
		t.Error("who changes the answer of Claims changes the token")
	}
}

func TestZeroVerified(t *testing.T) {
	t.Parallel()
	var zero Verified
	_, exp := zero.Expiry()
	_, nbf := zero.NotBefore()
	_, iat := zero.IssuedAt()
	if exp || nbf || iat || zero.Issuer()+zero.Subject()+zero.ID()+zero.Type()+zero.KeyID()+zero.Algorithm()+zero.Scope() != "" ||
		zero.Owner() != nil || zero.HasClaim("sub") || len(zero.Claims()) != 0 || len(zero.Audience()) != 0 {
		t.Error("the zero value says something")
	}
	p := Policy{AnyIssuer: true, AnyAudience: true}
	if err := p.Check(&zero, testNow); !errors.Is(err, ErrClaim) {
		t.Errorf("Check() error = %v, want %v", err, ErrClaim)
	}
}

func TestVerifyOutlivesItsMemory(t *testing.T) {
	t.Parallel()
	k := es256(t)
	v := mustVerifier(t, VerifierConfig{Keys: mustStatic(t, k), Policy: AccessTokens(testIssuer, testAudience), Clock: atTestNow})
	first, err := v.Verify(t.Context(), mustSign(t, k, "at+jwt", goodClaims))
	if err != nil {
		t.Fatal(err)
	}
	for range 10 { // they are taken apart in the memory of the first
		if _, err := v.Verify(t.Context(), mustSign(t, k, "at+jwt", claimsWith("sub", `"someone-else"`, "jti", `"x"`))); err != nil {
			t.Fatal(err)
		}
	}
	if first.Subject() != "user-4711" || string(first.Claims()) != goodClaims || first.ID() != "b2f1c0de" {
		t.Errorf("the first token says now %s", first.Claims())
	}
}

func TestVerifyTriesFourKeys(t *testing.T) {
	t.Parallel()
	k, other := es256(t), signingKey(t, "p256-other", "ES256", "other")
	token := mustSign(t, k, "", goodClaims)
	for place := range 6 {
		keys := []*Key{nil, {}, verifying(other), verifying(other), verifying(other), verifying(other)}
		keys[place] = verifying(k)
		v := mustVerifier(t, VerifierConfig{Keys: &source{keys: keys}, Policy: SignatureOnly()})
		_, err := v.Verify(t.Context(), token)
		if want := error(nil); place >= 4 {
			want = ErrSignature
			if !errors.Is(err, want) {
				t.Errorf("key %d: error = %v, want %v", place, err, want)
			}
		} else if err != nil {
			t.Errorf("key %d: %v", place, err)
		}
	}
	v := mustVerifier(t, VerifierConfig{Keys: &source{}, Policy: SignatureOnly()})
	if _, err := v.Verify(t.Context(), token); !errors.Is(err, ErrUnknownKey) {
		t.Errorf("no key: error = %v", err)
	}
	boom := errors.New("boom")
	v = mustVerifier(t, VerifierConfig{Keys: &source{err: boom}, Policy: SignatureOnly()})
	if _, err := v.Verify(t.Context(), token); !errors.Is(err, boom) {
		t.Errorf("the source's error becomes %v", err)
	}
}

// TestFindGetsTheHint: a source hears what the token says of itself.
func TestFindGetsTheHint(t *testing.T) {
	t.Parallel()
	k := es256(t)
	for _, tc := range []struct {
		claims string
		want   Hint
	}{
		{goodClaims, Hint{Algorithm: "ES256", KeyID: "es", Issuer: testIssuer}},
		{claimsWith("iss", ""), Hint{Algorithm: "ES256", KeyID: "es", Issuer: ""}},
		{claimsWith("iss", `["x"]`), Hint{Algorithm: "ES256", KeyID: "es", Issuer: ""}},
		{claimsWith("iss", `"a\u0062"`), Hint{Algorithm: "ES256", KeyID: "es", Issuer: "ab"}},
	} {
		var got Hint
		v := mustVerifier(t, VerifierConfig{Policy: SignatureOnly(), Keys: finder(func(h Hint) ([]*Key, error) {
			got = h
			return nil, ErrUnknownKey
		})})
		tc.want.Token = mustSign(t, k, "", tc.claims)
		if _, err := v.Verify(t.Context(), tc.want.Token); !errors.Is(err, ErrUnknownKey) {
			t.Errorf("error = %v", err)
		}
		if got != tc.want {
			t.Errorf("hint = %+v, want %+v", got, tc.want)
		}
	}
}

type finder func(Hint) ([]*Key, error)

func (f finder) Find(_ context.Context, h Hint) ([]*Key, error) { return f(h) }
func (finder) Generation() uint64                               { return 0 }

// revocations is a list of revoked jti.
type revocations struct {
	epoch atomic.Uint64
	id    atomic.Value
	asked atomic.Int64
}

func (r *revocations) Epoch() uint64 { return r.epoch.Load() }

func (r *revocations) Revoked(t *Verified) bool {
	r.asked.Add(1)
	id, _ := r.id.Load().(string)
	return t.ID() == id
}

func TestRevocations(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]uint64{"from 0": 0, "around the end": math.MaxUint64} {
		for cacheName, cache := range map[string]*Cache{"cached": NewCache(1 << 20), "not cached": nil} {
			t.Run(name+", "+cacheName, func(t *testing.T) {
				t.Parallel()
				k, r := es256(t), &revocations{}
				r.epoch.Store(start)
				r.id.Store("early")
				v := mustVerifier(t, VerifierConfig{
					Keys: mustStatic(t, k), Policy: AccessTokens(testIssuer, testAudience), Cache: cache, Revocations: r, Clock: atTestNow,
				})
				early := mustSign(t, k, "at+jwt", claimsWith("jti", `"early"`))
				late := mustSign(t, k, "at+jwt", claimsWith("jti", `"late"`))
				for range 2 {
					if _, err := v.Verify(t.Context(), early); !errors.Is(err, ErrRevoked) {
						t.Errorf("revoked before it was seen: error = %v", err)
					}
					if _, err := v.Verify(t.Context(), late); err != nil {
						t.Errorf("not revoked: error = %v", err)
					}
				}
				r.id.Store("late")
				r.epoch.Add(1)
				for range 2 {
					if _, err := v.Verify(t.Context(), late); !errors.Is(err, ErrRevoked) {
						t.Errorf("revoked after it was seen: error = %v", err)
					}
				}
			})
		}
	}
}

func TestRevocationsAreAskedOnceAnEpoch(t *testing.T) {
	t.Parallel()
	k, r := es256(t), &revocations{}
	v := mustVerifier(t, VerifierConfig{
		Keys: mustStatic(t, k), Policy: AccessTokens(testIssuer, testAudience), Cache: NewCache(1 << 20), Revocations: r, Clock: atTestNow,
	})
	token := mustSign(t, k, "at+jwt", goodClaims)
	for epoch := range 3 {
		for range 5 {
			if _, err := v.Verify(t.Context(), token); err != nil {
				t.Fatal(err)
			}
		}
		if got := r.asked.Load(); got != int64(epoch+1) {
			t.Errorf("after %d epochs asked %d times", epoch+1, got)
		}
		r.epoch.Add(1)
	}
}

// TestLongTokenIsRefusedByLength: 1 MiB costs the error and no look at its content.
//
//nolint:paralleltest // it counts all allocations
func TestLongTokenIsRefusedByLength(t *testing.T) {
	v := mustVerifier(t, VerifierConfig{Keys: &source{}, Policy: SignatureOnly(), Cache: NewCache(1 << 20)})
	token := strings.Repeat("A", 1<<20)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	const runs = 100
	n := testing.AllocsPerRun(runs, func() {
		_, err := v.Verify(context.Background(), token)
		if m, ok := errors.AsType[*MalformedError](err); !ok || m.Part != "token" {
			t.Fatalf("error = %v", err)
		}
	})
	runtime.ReadMemStats(&after)
	if bytes := (after.TotalAlloc - before.TotalAlloc) / runs; n > 1 || bytes > 256 {
		t.Errorf("%v allocations, %d bytes, want the error alone", n, bytes)
	}
	if s := v.cache.Stats(); s.Misses != 0 {
		t.Error("it was looked for in the cache")
	}
}
