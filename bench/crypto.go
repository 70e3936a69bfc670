package main

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/carnetproject/carnet/internal/jose"
)

const (
	rounds    = 21
	roundTime = 25 * time.Millisecond
)

// alternate measures ours and the reference in turn and returns the nanoseconds of one
// call of each in its best round: whatever else the machine does only adds to it.
func alternate(ours, reference func()) (a, b float64) {
	var as, bs []float64
	ours()
	reference()
	for range rounds {
		as = append(as, perCall(ours))
		bs = append(bs, perCall(reference))
	}
	return slices.Min(as), slices.Min(bs)
}

func perCall(f func()) float64 {
	n := 0
	start := time.Now()
	for time.Since(start) < roundTime {
		for range 8 {
			f()
		}
		n += 8
	}
	return float64(time.Since(start).Nanoseconds()) / float64(n)
}

// claims are those of a usual access token, about 300 bytes.
var claims = []byte(`{"iss":"https://issuer.example","sub":"usr_0123456789abcdef","aud":"https://api.example",` +
	`"exp":4102444800,"iat":1700000000,"jti":"0123456789abcdef0123456789abcdef","client_id":"app_0123456789abcdef",` +
	`"scope":"openid profile orders:read orders:write"}`)

// cryptoGroup measures a token's way through internal/jose (its form, header,
// claims and signature, into memory that is used again) beside the bare operation
// of the standard library on the same bytes with the same key.
func cryptoGroup() group {
	g := group{}
	for _, alg := range jose.Algorithms() {
		g.names = append(g.names, "verify/"+string(alg), "sign/"+string(alg))
	}
	g.run = func(ctx context.Context, report func(Result)) error {
		for _, alg := range jose.Algorithms() {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := measureAlgorithm(alg, report); err != nil {
				return fmt.Errorf("%s: %w", alg, err)
			}
		}
		return nil
	}
	return g
}

func measureAlgorithm(alg jose.Algorithm, report func(Result)) error {
	key, err := jose.Generate(alg, "bench")
	if err != nil {
		return err
	}
	token, err := key.Sign("at+jwt", claims)
	if err != nil {
		return err
	}
	bareSign, bareVerify, err := bare(alg, key, token)
	if err != nil {
		return err
	}
	limit := 1.1
	if alg.Symmetric() {
		limit = 1.6
	}

	var u jose.Unverified
	var o jose.Object
	verify := func() {
		if err := errors.Join(u.Parse(token), u.Claims(&o), u.Verify(key)); err != nil {
			panic(err)
		}
	}
	value, reference := alternate(verify, bareVerify)
	r := atMost("verify/"+string(alg), "ns", value, reference, limit)
	if alg == jose.HS256 {
		allocs := testing.AllocsPerRun(200, verify)
		r.Target += ", 0 allocs"
		r.OK = r.OK && allocs == 0
	}
	report(r)

	value, reference = alternate(func() {
		if _, err := key.Sign("at+jwt", claims); err != nil {
			panic(err)
		}
	}, bareSign)
	report(atMost("sign/"+string(alg), "ns", value, reference, limit))
	return nil
}

// bare returns the standard library's own signing and verifying of the token's input.
func bare(alg jose.Algorithm, key *jose.Key, token string) (sign, verify func(), err error) {
	dot := strings.LastIndexByte(token, '.')
	input := []byte(token[:dot])
	sig, _ := jose.Decode(token[dot+1:])
	h := map[string]crypto.Hash{"256": crypto.SHA256, "384": crypto.SHA384, "512": crypto.SHA512}[string(alg[2:])]
	sum := func() []byte {
		d := h.New()
		d.Write(input)
		return d.Sum(nil)
	}
	must := func(err error) {
		if err != nil {
			panic(err)
		}
	}
	switch k := key.Crypto().(type) {
	case *rsa.PrivateKey:
		if alg[0] == 'P' {
			salt := &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}
			return func() { _, err := rsa.SignPSS(rand.Reader, k, h, sum(), salt); must(err) },
				func() { must(rsa.VerifyPSS(&k.PublicKey, h, sum(), sig, salt)) }, nil
		}
		return func() { _, err := rsa.SignPKCS1v15(rand.Reader, k, h, sum()); must(err) },
			func() { must(rsa.VerifyPKCS1v15(&k.PublicKey, h, sum(), sig)) }, nil
	case *ecdsa.PrivateKey:
		half := len(sig) / 2
		r, s := new(big.Int).SetBytes(sig[:half]), new(big.Int).SetBytes(sig[half:])
		return func() { _, _, err := ecdsa.Sign(rand.Reader, k, sum()); must(err) },
			func() {
				if !ecdsa.Verify(&k.PublicKey, sum(), r, s) {
					panic("does not verify")
				}
			}, nil
	case ed25519.PrivateKey:
		public := k.Public().(ed25519.PublicKey)
		return func() { ed25519.Sign(k, input) },
			func() {
				if !ed25519.Verify(public, input, sig) {
					panic("does not verify")
				}
			}, nil
	default:
		secret, err := secretOf(key)
		if err != nil {
			return nil, nil, err
		}
		mac := func() []byte {
			m := hmac.New(func() hash.Hash { return h.New() }, secret)
			m.Write(input)
			return m.Sum(nil)
		}
		return func() { mac() },
			func() {
				if !hmac.Equal(mac(), sig) {
					panic("does not verify")
				}
			}, nil
	}
}

func secretOf(key *jose.Key) ([]byte, error) {
	text, err := key.MarshalPrivateJWK()
	if err != nil {
		return nil, err
	}
	var doc struct{ K string }
	if err := json.Unmarshal(text, &doc); err != nil {
		return nil, err
	}
	secret, ok := jose.Decode(doc.K)
	if !ok {
		return nil, errors.New("secret is not base64url")
	}
	return secret, nil
}
