package main

import (
	"fmt"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
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
		h = newSigner(os.Getenv("BENCH_ALG"))
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
