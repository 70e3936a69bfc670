package carnet

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// hs256 signs fast, for tests of many tokens.
func hs256(tb testing.TB) func(claims string) string {
	k := signingKey(tb, "secret", "HS256", "hs")
	return func(claims string) string { return mustSign(tb, k, "at+jwt", claims) }
}

func hsVerifier(tb testing.TB, c VerifierConfig) *Verifier {
	tb.Helper()
	c.Keys = mustStatic(tb, signingKey(tb, "secret", "HS256", "hs"))
	c.Policy = AccessTokens(testIssuer, testAudience)
	if c.Clock == nil {
		c.Clock = atTestNow
	}
	return mustVerifier(tb, c)
}

func mustVerify(tb testing.TB, v *Verifier, token string) *Verified {
	tb.Helper()
	got, err := v.Verify(context.Background(), token)
	if err != nil {
		tb.Fatal(err)
	}
	return got
}

func TestCacheHit(t *testing.T) {
	t.Parallel()
	c := NewCache(1 << 20)
	v := hsVerifier(t, VerifierConfig{Cache: c})
	token := hs256(t)(goodClaims)
	first := mustVerify(t, v, token)
	if again := mustVerify(t, v, strings.Clone(token)); again != first {
		t.Error("the second time it is verified afresh")
	}
	if s := c.Stats(); s.Hits != 1 || s.Misses != 1 || s.Bytes <= 0 {
		t.Errorf("Stats() = %+v", s)
	}
	var none *Cache
	if none.Stats() != (CacheStats{}) || NewCache(0) != nil || NewCache(-1) != nil {
		t.Error("no cache is one")
	}
}

func TestKnown(t *testing.T) {
	t.Parallel()
	c := NewCache(1 << 20)
	v := hsVerifier(t, VerifierConfig{Cache: c})
	sign := hs256(t)
	good, bad := sign(goodClaims), sign(`{"iss":"https://other.example"}`)
	if v.Known(good) {
		t.Error("a token that nobody showed is known")
	}
	mustVerify(t, v, good)
	if _, err := v.Verify(t.Context(), bad); err == nil {
		t.Fatal("a bad token was taken")
	}
	before := c.Stats()
	for name, tc := range map[string]struct {
		v     *Verifier
		token string
		want  bool
	}{
		"verified":         {v, strings.Clone(good), true},
		"refused":          {v, bad, false},
		"changed":          {v, good + "x", false},
		"empty":            {v, "", false},
		"too long":         {v, strings.Repeat("x", 1<<20), false},
		"another verifier": {hsVerifier(t, VerifierConfig{Cache: c}), good, false},
		"no cache":         {hsVerifier(t, VerifierConfig{}), good, false},
	} {
		if got := tc.v.Known(tc.token); got != tc.want {
			t.Errorf("%s: Known() = %v, want %v", name, got, tc.want)
		}
	}
	if after := c.Stats(); after != before {
		t.Errorf("asking whether a token is known left a trace: %+v, then %+v", before, after)
	}
}

func TestCacheKeepsNoNegatives(t *testing.T) {
	t.Parallel()
	c, at := NewCache(1<<20), &clock{now: testNow}
	v := hsVerifier(t, VerifierConfig{Cache: c, Clock: at.Now})
	empty := c.Stats().Bytes
	sign := hs256(t)
	refused := map[string]string{
		"malformed": "x", "forged": sign(goodClaims)[:300] + "A" + sign(goodClaims)[301:],
		"early": sign(claimsWith("nbf", "1700000010")), "for another": sign(claimsWith("aud", `"x"`)),
	}
	for name, token := range refused {
		if _, err := v.Verify(t.Context(), token); err == nil {
			t.Errorf("%s: passes", name)
		}
	}
	if s := c.Stats(); s.Bytes != empty || s.Hits != 0 {
		t.Errorf("after refusals alone: %+v", s)
	}
	at.Add(10 * time.Second)
	mustVerify(t, v, refused["early"]) // what was early is not remembered as such
}

// TestCacheServesItsVerifierAlone shares a cache between verifiers that differ in
// policy or keys.
func TestCacheServesItsVerifierAlone(t *testing.T) {
	t.Parallel()
	c := NewCache(1 << 20)
	v := hsVerifier(t, VerifierConfig{Cache: c})
	token := hs256(t)(goodClaims)
	mustVerify(t, v, token)

	strict := mustVerifier(t, VerifierConfig{
		Keys: v.keys, Policy: AccessTokens(testIssuer, "https://other.example"), Cache: c, Clock: atTestNow,
	})
	if _, err := strict.Verify(t.Context(), token); !errors.Is(err, ErrAudience) {
		t.Errorf("another policy: error = %v, want %v", err, ErrAudience)
	}
	foreign := mustVerifier(t, VerifierConfig{
		Keys: mustStatic(t, es256(t)), Policy: AccessTokens(testIssuer, testAudience), Cache: c, Clock: atTestNow,
	})
	if _, err := foreign.Verify(t.Context(), token); !errors.Is(err, ErrUnknownKey) {
		t.Errorf("other keys: error = %v, want %v", err, ErrUnknownKey)
	}
	mustVerify(t, v, token)
}

// TestCacheCollision makes two tokens of one hash: each finds only its own entry.
func TestCacheCollision(t *testing.T) {
	t.Parallel()
	c := NewCache(1) // four slots: all tokens share them
	c.limit = 1 << 20
	v := hsVerifier(t, VerifierConfig{Cache: c})
	sign := hs256(t)
	token := sign(goodClaims)
	mustVerify(t, v, token)
	e := c.find(v, token)
	for _, other := range []string{token + "x", token[:len(token)-1], strings.Replace(token, ".", ",", 1), sign(claimsWith("sub", `"x"`)), ""} {
		impostor := *newEntry(v, other, e.Verified)
		impostor.hash = e.hash // as if the hash did not tell them apart
		for i := range c.slots {
			c.slots[i].Store(&impostor)
		}
		if got := c.find(v, token); got != nil {
			t.Errorf("%q is found for another token", other)
		}
	}
}

func TestCacheHitChecksAgain(t *testing.T) {
	t.Parallel()
	at := &clock{now: testNow}
	k := es256(t)
	keys := &source{keys: []*Key{verifying(k)}}
	v := mustVerifier(t, VerifierConfig{
		Keys: keys, Policy: AccessTokens(testIssuer, testAudience), Cache: NewCache(1 << 20), Clock: at.Now,
	})
	token := mustSign(t, k, "at+jwt", claimsWith("nbf", "1699999990"))
	first := mustVerify(t, v, token)

	at.Add(-20 * time.Second) // a clock that was put right
	if _, err := v.Verify(t.Context(), token); !errors.Is(err, ErrNotYetValid) {
		t.Errorf("before nbf: error = %v", err)
	}
	at.Add(20*time.Second + 839*time.Second)
	if got := mustVerify(t, v, token); got != first {
		t.Error("in its last second it is verified afresh")
	}
	at.Add(time.Second)
	if _, err := v.Verify(t.Context(), token); !errors.Is(err, ErrExpired) {
		t.Errorf("at exp: error = %v", err)
	}
	at.Add(-time.Minute)

	finds := keys.count()
	keys.replace(verifying(k).WithOwner("new"))
	if got := mustVerify(t, v, token); got.Owner() != "new" || got.Subject() != first.Subject() {
		t.Errorf("the key has a new owner, the token says %v", got.Owner())
	}
	mustVerify(t, v, token)
	if got := keys.count() - finds; got != 1 {
		t.Errorf("the source was asked %d times for one generation", got)
	}

	keys.replace(verifying(signingKey(t, "p256-other", "ES256", "es")), verifying(k))
	if got := mustVerify(t, v, token); got.Owner() != nil {
		t.Errorf("owner = %v, want none", got.Owner())
	}
	keys.replace(verifying(signingKey(t, "p256-other", "ES256", "es")))
	for range 2 {
		if _, err := v.Verify(t.Context(), token); !errors.Is(err, ErrSignature) {
			t.Errorf("the key was exchanged under its kid: error = %v", err)
		}
	}
	keys.replace()
	if _, err := v.Verify(t.Context(), token); !errors.Is(err, ErrUnknownKey) {
		t.Errorf("the key was removed: error = %v", err)
	}
	keys.replace(verifying(k))
	mustVerify(t, v, token)
	same, err := k.WithID("renamed")
	if err != nil {
		t.Fatal(err)
	}
	keys.replace(verifying(same)) // the same material: verified afresh, and good
	if got := mustVerify(t, v, token); got.KeyID() != "renamed" {
		t.Errorf("KeyID() = %q", got.KeyID())
	}
}

// TestCacheIsBounded puts in ten times what fits.
func TestCacheIsBounded(t *testing.T) {
	t.Parallel()
	for _, limit := range []int64{1, 1000, 5000, 64 << 10, 1 << 20} {
		c := NewCache(limit)
		v := hsVerifier(t, VerifierConfig{Cache: c})
		sign := hs256(t)
		for i := range min(int(limit/100)+50, 3000) {
			mustVerify(t, v, sign(claimsWith("jti", fmt.Sprintf(`"%d %s"`, i, strings.Repeat("x", i%700)))))
			if got := c.Stats().Bytes; got > max(limit, int64(len(c.slots))*slotSize) {
				t.Fatalf("limit %d: %d bytes", limit, got)
			}
		}
		var sum int64
		for i := range c.slots {
			if e := c.slots[i].Load(); e != nil {
				sum += e.bytes()
			}
		}
		if got := c.Stats().Bytes - int64(len(c.slots))*slotSize; got != sum {
			t.Errorf("limit %d: counts %d bytes, holds %d", limit, got, sum)
		}
		if limit >= 64<<10 && sum < limit/2 {
			t.Errorf("limit %d: holds %d bytes only", limit, sum)
		}
	}
}

func TestCacheKeepsWhatIsUsed(t *testing.T) {
	t.Parallel()
	c := NewCache(256 << 10)
	v := hsVerifier(t, VerifierConfig{Cache: c})
	sign := hs256(t)
	hot := sign(goodClaims)
	mustVerify(t, v, hot)
	fresh := 0
	for i := range 5000 {
		mustVerify(t, v, sign(claimsWith("jti", fmt.Sprint(i))))
		before := c.Stats().Misses
		mustVerify(t, v, hot)
		fresh += int(c.Stats().Misses - before)
	}
	if fresh > 50 {
		t.Errorf("a token used all the time was forgotten %d times of 5000", fresh)
	}
}

// TestCacheEntrySize fills a cache with tokens of 480 bytes and weighs the heap.
//
//nolint:paralleltest // it measures all memory
func TestCacheEntrySize(t *testing.T) {
	const n, size = 4000, 480
	c := NewCache(64 << 20)
	v := hsVerifier(t, VerifierConfig{Cache: c})
	sign := hs256(t)
	tokens := make([]string, n)
	for i := range tokens {
		tokens[i] = padded(sign, i, size)
	}
	if l := len(tokens[0]); l < size-2 || l > size+2 {
		t.Fatalf("token of %d bytes", l)
	}
	mustVerify(t, v, sign(goodClaims))
	heap := func() int64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	before, counted := heap(), c.Stats().Bytes
	for _, token := range tokens {
		mustVerify(t, v, token)
	}
	entry, counted := (heap()-before)/n, (c.Stats().Bytes-counted)/n
	runtime.KeepAlive(c)
	runtime.KeepAlive(tokens)
	t.Logf("an entry takes %d bytes, counted as %d", entry, counted)
	if entry > 1536 || counted > 1536 {
		t.Errorf("an entry takes %d bytes, counted as %d, want at most 1536", entry, counted)
	}
	if counted < entry*9/10 || counted > entry*13/10 {
		t.Errorf("an entry takes %d bytes and is counted as %d", entry, counted)
	}
}

// padded signs claims that differ by i and make a token of about size bytes.
func padded(sign func(string) string, i, size int) string {
	claims := func(n int) string { return claimsWith("jti", fmt.Sprintf(`"%08d%s"`, i, strings.Repeat("x", n))) }
	return sign(claims(max(0, (size-len(sign(claims(0))))*3/4)))
}

//nolint:paralleltest // AllocsPerRun counts what other tests allocate
func TestCacheHitDoesNotAllocate(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	v := hsVerifier(t, VerifierConfig{Cache: NewCache(1 << 20), Revocations: &revocations{}})
	token, ctx := hs256(t)(goodClaims), context.Background()
	mustVerify(t, v, token)
	if n := testing.AllocsPerRun(200, func() {
		if _, err := v.Verify(ctx, token); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}

// TestCacheUnderRotation rotates keys while many verify: once the generation has
// moved, no token of a removed key is accepted, and none of a present one refused.
func TestCacheUnderRotation(t *testing.T) {
	t.Parallel()
	const rounds, workers = 60, 4
	first := signingKey(t, "p256", "ES256", "es")
	second := signingKey(t, "p256-other", "ES256", "es-other")
	tokens := [2]string{mustSign(t, first, "at+jwt", goodClaims), mustSign(t, second, "at+jwt", goodClaims)}
	sets := [2][]*Key{{verifying(first)}, {verifying(second)}}
	keys := &source{keys: sets[0]}
	c := NewCache(4 << 10)
	v := mustVerifier(t, VerifierConfig{Keys: keys, Policy: AccessTokens(testIssuer, testAudience), Cache: c, Clock: atTestNow})
	other := mustVerifier(t, VerifierConfig{Keys: keys, Policy: SignatureOnly(), Cache: c})

	var accepted [2]atomic.Int64
	for round := range rounds {
		present := round % 2
		keys.replace(sets[present]...)
		var wg sync.WaitGroup
		for range workers {
			wg.Go(func() {
				for i := range 6 {
					which := i % 2
					for _, v := range []*Verifier{v, other} {
						_, err := v.Verify(t.Context(), tokens[which])
						if which == present && err != nil {
							t.Errorf("a token of the present key: %v", err)
						}
						if which != present && !errors.Is(err, ErrSignature) {
							t.Errorf("a token of a removed key: error = %v", err)
						}
						if err == nil {
							accepted[which].Add(1)
						}
					}
				}
			})
		}
		wg.Wait()
	}
	if accepted[0].Load() == 0 || accepted[1].Load() == 0 {
		t.Error("nothing was accepted")
	}
}

// TestCacheStress does everything at once for the race detector, and looks whether
// the count of bytes is right in the end.
func TestCacheStress(t *testing.T) {
	t.Parallel()
	k := signingKey(t, "secret", "HS256", "hs")
	keys := &source{keys: []*Key{verifying(k)}}
	r, c := &revocations{}, NewCache(24<<10)
	v := mustVerifier(t, VerifierConfig{
		Keys: keys, Policy: AccessTokens(testIssuer, testAudience), Cache: c, Clock: atTestNow, Revocations: r,
	})
	var tokens []string
	for i := range 60 {
		tokens = append(tokens, mustSign(t, k, "at+jwt", claimsWith("jti", fmt.Sprintf(`"%d"`, i))))
	}
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := range 1500 {
				n := (i*7 + w*13) % len(tokens)
				got, err := v.Verify(t.Context(), tokens[n])
				if err == nil && got.ID() != fmt.Sprint(n) {
					t.Errorf("token %d is taken for %s", n, got.ID())
				}
				if err != nil && !errors.Is(err, ErrRevoked) {
					t.Errorf("token %d: %v", n, err)
				}
				switch {
				case i%97 == 0:
					keys.replace(verifying(k).WithOwner(i))
				case i%53 == 0:
					r.id.Store(fmt.Sprint(i % len(tokens)))
					r.epoch.Add(1)
				}
			}
		})
	}
	wg.Wait()
	sum := int64(len(c.slots) * 8)
	for i := range c.slots {
		if e := c.slots[i].Load(); e != nil {
			sum += e.bytes()
		}
	}
	if got := c.Stats().Bytes; got != sum || got > 24<<10 {
		t.Errorf("counts %d bytes, holds %d, limit %d", got, sum, 24<<10)
	}
	if i := slices.IndexFunc(tokens, func(s string) bool { return len(s) > 1000 }); i >= 0 {
		t.Errorf("token %d is of another size than this test means", i)
	}
}
