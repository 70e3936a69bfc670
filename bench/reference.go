package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"time"
)

// serveChild serves a reference until it is ended.
func serveChild(name string) {
	var h http.Handler
	switch name {
	case "upstream":
		h = http.HandlerFunc(upstream)
	case "proxy":
		h = bareProxy(os.Getenv("BENCH_UPSTREAM"))
	case "signer":
		h = newSigner()
	default:
		fmt.Fprintln(os.Stderr, "bench: no such reference:", name)
		os.Exit(2)
	}
	fmt.Fprintln(os.Stderr, http.ListenAndServe(os.Getenv("BENCH_ADDR"), h))
}

// upstream answers a small body, as an API would.
func upstream(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", "15")
	_, _ = w.Write([]byte(`{"answer": 42 }`))
}

// bareProxy is httputil.ReverseProxy with no checks: what a gateway adds to is this.
func bareProxy(target string) http.Handler {
	u, err := url.Parse(target)
	if err != nil || u.Host == "" {
		fmt.Fprintln(os.Stderr, "bench: BENCH_UPSTREAM is not a URL")
		os.Exit(2)
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = 256
	return &httputil.ReverseProxy{
		Transport: transport,
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(u) },
	}
}

// signer is the least that a token endpoint does: read the form, sign, answer.
type signer struct{ key *ecdsa.PrivateKey }

func newSigner() *signer {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
	return &signer{key}
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
	input := b64.EncodeToString([]byte(`{"alg":"ES256","kid":"bench","typ":"at+jwt"}`)) + "." + b64.EncodeToString(payload)
	sum := sha256.Sum256([]byte(input))
	rr, ss, err := ecdsa.Sign(rand.Reader, s.key, sum[:])
	if err != nil {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	sig := make([]byte, 64)
	rr.FillBytes(sig[:32])
	ss.FillBytes(sig[32:])
	answer, _ := json.Marshal(map[string]any{
		"access_token": input + "." + b64.EncodeToString(sig), "token_type": "Bearer", "expires_in": 900,
	})
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = w.Write(answer)
}
