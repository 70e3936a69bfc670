package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"time"
)

// signer is the least that a token endpoint does: read the form, sign, answer.
type signer struct {
	header string
	sign   func(input []byte) ([]byte, error)
}

// newSigner signs with RS256 (2048 bits), ES256 or EdDSA.
func newSigner(alg string) *signer {
	s := &signer{header: base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"` + alg + `","kid":"bench","typ":"at+jwt"}`))}
	var err error
	switch alg {
	case "RS256":
		var key *rsa.PrivateKey
		key, err = rsa.GenerateKey(rand.Reader, 2048)
		s.sign = func(input []byte) ([]byte, error) {
			sum := sha256.Sum256(input)
			return rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, sum[:])
		}
	case "ES256":
		var key *ecdsa.PrivateKey
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		s.sign = func(input []byte) ([]byte, error) { return signES256(key, input) }
	case "EdDSA":
		var key ed25519.PrivateKey
		_, key, err = ed25519.GenerateKey(rand.Reader)
		s.sign = func(input []byte) ([]byte, error) { return ed25519.Sign(key, input), nil }
	default:
		err = fmt.Errorf("BENCH_ALG %q", alg)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
	return s
}

func signES256(key *ecdsa.PrivateKey, input []byte) ([]byte, error) {
	sum := sha256.Sum256(input)
	rr, ss, err := ecdsa.Sign(rand.Reader, key, sum[:])
	if err != nil {
		return nil, err
	}
	sig := make([]byte, 64)
	rr.FillBytes(sig[:32])
	ss.FillBytes(sig[32:])
	return sig, nil
}

func (s *signer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodGet {
		return // the starter asks whether we are there
	}
	id, _, ok := r.BasicAuth()
	if !ok || r.ParseForm() != nil || r.PostForm.Get("grant_type") != "client_credentials" {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	var jti [16]byte
	_, _ = rand.Read(jti[:])
	now := time.Now().Unix()
	b64 := base64.RawURLEncoding
	payload, _ := json.Marshal(map[string]any{
		"iss": "https://issuer.example", "sub": id, "aud": "https://issuer.example", "client_id": id,
		"iat": now, "exp": now + 900, "jti": b64.EncodeToString(jti[:]),
	})
	input := s.header + "." + b64.EncodeToString(payload)
	sig, err := s.sign([]byte(input))
	if err != nil {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	answer, _ := json.Marshal(map[string]any{
		"access_token": input + "." + b64.EncodeToString(sig), "token_type": "Bearer", "expires_in": 900,
	})
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = w.Write(answer)
}
