package carnet

import (
	"context"
	"strings"
	"testing"
	"time"
)

// BenchmarkVerify measures a whole verification: by the cache, afresh, and the
// refusal of a token that is too long.
func BenchmarkVerify(b *testing.B) {
	ctx := context.Background()
	run := func(name string, c VerifierConfig, token string) {
		v := hsVerifier(b, c)
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := v.Verify(ctx, token); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	token := hs256(b)(goodClaims)
	run("cache hit", VerifierConfig{Cache: NewCache(1 << 20), Clock: time.Now}, hs256(b)(claimsWith("exp", "253402300799")))
	run("cache hit, revocations", VerifierConfig{Cache: NewCache(1 << 20), Revocations: &revocations{}}, token)
	run("HS256 afresh", VerifierConfig{}, token)
	run("HS256 afresh, cache of one", VerifierConfig{Cache: NewCache(1)}, token)

	b.Run("1 MiB", func(b *testing.B) {
		b.ReportAllocs()
		v, long := hsVerifier(b, VerifierConfig{Cache: NewCache(1 << 20)}), strings.Repeat("A", 1<<20)
		for b.Loop() {
			if _, err := v.Verify(ctx, long); err == nil {
				b.Fatal("accepted")
			}
		}
	})
}
