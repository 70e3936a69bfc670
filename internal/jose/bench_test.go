package jose

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"strings"
	"testing"
)

// BenchmarkVerify measures parsing, claims and signature beside the signature alone
// by the standard library ("bare").
func BenchmarkVerify(b *testing.B) {
	for _, alg := range Algorithms() {
		k := keyFor(b, alg)
		token := mustSign(b, k, claims)
		b.Run(string(alg)+"/carnet", func(b *testing.B) {
			b.ReportAllocs()
			var u Unverified
			var o Object
			for b.Loop() {
				if err := verifyInto(&u, &o, k, token); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(string(alg)+"/bare", func(b *testing.B) {
			b.ReportAllocs()
			verify := bareVerify(k, token)
			for b.Loop() {
				if !verify() {
					b.Fatal("signature does not verify")
				}
			}
		})
	}
}

// BenchmarkSign measures making a token beside the signature alone ("bare").
func BenchmarkSign(b *testing.B) {
	for _, alg := range Algorithms() {
		k := keyFor(b, alg)
		payload := []byte(claims)
		token := mustSign(b, k, claims)
		input := []byte(token[:strings.LastIndexByte(token, '.')])
		b.Run(string(alg)+"/carnet", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := k.Sign("at+jwt", payload); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(string(alg)+"/bare", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := bareSign(k, input); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkParse measures what the strictness costs apart from cryptography.
func BenchmarkParse(b *testing.B) {
	token := mustSign(b, keyFor(b, HS256), claims)
	var u Unverified
	var o Object
	b.Run("header", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := u.Parse(token); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("claims", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := u.Claims(&o); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func verifyInto(u *Unverified, o *Object, k *Key, token string) error {
	if err := u.Parse(token); err != nil {
		return err
	}
	if err := u.Claims(o); err != nil {
		return err
	}
	return u.Verify(k)
}

// bareVerify is the standard library's verification of input and signature that
// are already taken apart.
func bareVerify(k *Key, token string) func() bool {
	dot := strings.LastIndexByte(token, '.')
	input := []byte(token[:dot])
	sig, _ := Decode(token[dot+1:])
	s := k.alg.scheme()
	switch s.family {
	case mac:
		return func() bool { // keyed anew for each token, as a caller of crypto/hmac does
			h := hmac.New(s.hash.New, k.secret)
			h.Write(input)
			return hmac.Equal(h.Sum(nil), sig)
		}
	case pkcs1:
		p := k.public.(*rsa.PublicKey)
		return func() bool {
			h := s.hash.New()
			h.Write(input)
			return rsa.VerifyPKCS1v15(p, s.hash, h.Sum(nil), sig) == nil
		}
	case pss:
		p := k.public.(*rsa.PublicKey)
		o := &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}
		return func() bool {
			h := s.hash.New()
			h.Write(input)
			return rsa.VerifyPSS(p, s.hash, h.Sum(nil), sig, o) == nil
		}
	case ecdsaRS:
		p := k.public.(*ecdsa.PublicKey)
		der := appendDER(nil, sig[:len(sig)/2], sig[len(sig)/2:])
		return func() bool {
			h := s.hash.New()
			h.Write(input)
			return ecdsa.VerifyASN1(p, h.Sum(nil), der)
		}
	default:
		p := k.public.(ed25519.PublicKey)
		return func() bool { return ed25519.Verify(p, input, sig) }
	}
}

func bareSign(k *Key, input []byte) error {
	s := k.alg.scheme()
	if s.family == ed25519Family {
		_ = ed25519.Sign(k.private.(ed25519.PrivateKey), input)
		return nil
	}
	if s.family == mac {
		h := hmac.New(s.hash.New, k.secret)
		h.Write(input)
		h.Sum(nil)
		return nil
	}
	h := s.hash.New()
	h.Write(input)
	digest := h.Sum(nil)
	var err error
	switch s.family {
	case pkcs1:
		_, err = rsa.SignPKCS1v15(nil, k.private.(*rsa.PrivateKey), s.hash, digest)
	case pss:
		_, err = rsa.SignPSS(rand.Reader, k.private.(*rsa.PrivateKey), s.hash, digest,
			&rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
	default:
		_, err = ecdsa.SignASN1(rand.Reader, k.private.(*ecdsa.PrivateKey), digest)
	}
	return err
}
