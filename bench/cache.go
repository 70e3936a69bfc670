package main

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/carnetproject/carnet"
	"github.com/carnetproject/carnet/internal/jose"
)

// cacheGroup measures a verified token that is found again, and what one takes.
func cacheGroup() group {
	return group{[]string{"cache/hit", "cache/entry"}, func(ctx context.Context, report func(Result)) error {
		key, err := jose.Generate(jose.ES256, "bench")
		if err != nil {
			return err
		}
		public, err := key.MarshalJWK()
		if err != nil {
			return err
		}
		verification, err := carnet.ParseJWK(public)
		if err != nil {
			return err
		}
		keys, err := carnet.StaticKeys(verification)
		if err != nil {
			return err
		}
		cache := carnet.NewCache(256 << 20)
		v, err := carnet.NewVerifier(carnet.VerifierConfig{
			Keys: keys, Cache: cache, Policy: carnet.AccessTokens("https://issuer.example", "https://api.example"),
		})
		if err != nil {
			return err
		}
		if err := measureHit(ctx, v, key, report); err != nil {
			return err
		}
		return measureEntry(ctx, v, key, report)
	}}
}

func measureHit(ctx context.Context, v *carnet.Verifier, key *jose.Key, report func(Result)) error {
	token, err := key.Sign("at+jwt", claims)
	if err != nil {
		return err
	}
	hit := func() {
		if _, err := v.Verify(ctx, token); err != nil {
			panic(err)
		}
	}
	index := map[string]*carnet.Verified{} // what any cache of whole tokens costs at least
	t, err := v.Verify(ctx, token)
	if err != nil {
		return err
	}
	index[strings.Clone(token)] = t
	var found *carnet.Verified
	value, reference := alternate(hit, func() { found = index[token] })
	if found == nil {
		return fmt.Errorf("reference did not find the token")
	}
	allocs := testing.AllocsPerRun(1000, hit)
	report(Result{
		"cache/hit", value, "ns", reference, value / reference,
		"≤ 500 ns, 0 allocs", value <= 500 && allocs == 0,
	})
	return nil
}

// measureEntry fills the cache with tokens of 480 bytes and divides the heap's growth.
func measureEntry(ctx context.Context, v *carnet.Verifier, key *jose.Key, report func(Result)) error {
	const n, size = 20_000, 480
	tokens := make([]string, 0, n)
	for i := range n {
		body := fmt.Sprintf(`{"iss":"https://issuer.example","sub":"usr_%08d","aud":"https://api.example",`+
			`"exp":4102444800,"iat":1700000000,"jti":"%08d","client_id":"app","scope":"%s"}`, i, i, strings.Repeat("x", 89))
		token, err := key.Sign("at+jwt", []byte(body))
		if err != nil {
			return err
		}
		tokens = append(tokens, token)
	}
	if d := len(tokens[0]) - size; d < -4 || d > 4 {
		return fmt.Errorf("the token has %d bytes, not %d", len(tokens[0]), size)
	}
	before := heap()
	for _, token := range tokens {
		if _, err := v.Verify(ctx, token); err != nil {
			return err
		}
	}
	grown := heap() - before
	runtime.KeepAlive(tokens)
	runtime.KeepAlive(v)
	value := float64(grown) / n
	report(Result{"cache/entry", value, "bytes", size, value / size, "≤ 1536 bytes", value <= 1536})
	return nil
}

func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
