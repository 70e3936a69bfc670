package main

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/carnetproject/carnet/internal/jose"
)

const (
	loadTime    = 2 * time.Second
	loadRounds  = 5
	connections = 8
)

// withDir runs f with a directory that is gone afterwards.
func withDir(f func(dir string) error) error {
	dir, err := os.MkdirTemp("", "carnet-bench-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	return f(dir)
}

// gatewayGroup measures the gateway's CPU for a proxied request with one RS256 token
// that is in the cache, beside a bare reverse proxy without checks, to the same upstream.
func gatewayGroup() group {
	return group{[]string{"gateway/rs256"}, func(ctx context.Context, report func(Result)) error {
		return withDir(func(dir string) error { return measureGateway(ctx, dir, report) })
	}}
}

func measureGateway(ctx context.Context, dir string, report func(Result)) error {
	token, public, err := rsaToken()
	if err != nil {
		return err
	}
	up, err := startChild(ctx, "upstream")
	if err != nil {
		return err
	}
	defer up.stop()
	proxy, err := startChild(ctx, "proxy", "BENCH_UPSTREAM=http://"+up.addr)
	if err != nil {
		return err
	}
	defer proxy.stop()
	n, err := startNode(ctx, dir, verifyingGateway(public, up.addr))
	if err != nil {
		return err
	}
	defer n.stop()

	req := request("GET", "/v1/thing", "", "Authorization", "Bearer "+token)
	var ours, reference []float64
	for range loadRounds {
		for _, m := range []struct {
			p    *process
			addr string
			into *[]float64
		}{{n.process, n.gateway, &ours}, {proxy, proxy.addr, &reference}} {
			v, err := cpuPerRequest(ctx, m.p, m.addr, req)
			if err != nil {
				return err
			}
			*m.into = append(*m.into, v)
		}
	}
	report(atMost("gateway/rs256", "µs CPU", median(ours), median(reference), 1.4))
	return nil
}

// cpuPerRequest is in microseconds.
func cpuPerRequest(ctx context.Context, p *process, addr string, reqs ...[]byte) (float64, error) {
	before, err := p.cpu()
	if err != nil {
		return 0, err
	}
	n, _, err := loadTurns(ctx, addr, reqs, connections, loadTime)
	if err != nil {
		return 0, err
	}
	after, err := p.cpu()
	return float64((after - before).Microseconds()) / float64(n), err
}

func rsaToken() (token, public string, err error) {
	tokens, public, err := rsaTokens(1)
	if err != nil {
		return "", "", err
	}
	return tokens[0], public, nil
}

// rsaTokens makes n tokens that differ, and the PEM of the key that verifies them.
func rsaTokens(n int) (tokens []string, public string, err error) {
	key, err := jose.Generate(jose.RS256, "bench")
	if err != nil {
		return nil, "", err
	}
	der, err := x509.MarshalPKIXPublicKey(key.Crypto().(*rsa.PrivateKey).Public())
	if err != nil {
		return nil, "", err
	}
	expiry := time.Now().Add(time.Hour).Unix()
	tokens, err = signAll(key, n, func(i int) string {
		return fmt.Sprintf(`{"iss":"bench","exp":%d,"sub":"usr_%016x"}`, expiry, i)
	})
	return tokens, string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})), err
}

// signAll signs n claims on all cores.
func signAll(key *jose.Key, n int, claims func(i int) string) ([]string, error) {
	tokens := make([]string, n)
	var g errgroup.Group
	for part := range runtime.GOMAXPROCS(0) {
		g.Go(func() (err error) {
			for i := part; i < n; i += runtime.GOMAXPROCS(0) {
				if tokens[i], err = key.Sign("", []byte(claims(i))); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return tokens, g.Wait()
}

// settle waits until the request is answered 200.
func settle(ctx context.Context, addr string, req []byte) (err error) {
	for range 100 {
		if _, _, err = load(ctx, addr, req, 1, 50*time.Millisecond); err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
	return err
}

func ratesInTurn(ctx context.Context, ours, reference string, req []byte) (a, b float64, err error) {
	var as, bs []float64
	for range loadRounds {
		for addr, into := range map[string]*[]float64{ours: &as, reference: &bs} {
			n, took, err := load(ctx, addr, req, connections, loadTime)
			if err != nil {
				return 0, 0, err
			}
			*into = append(*into, float64(n)/took.Seconds())
		}
	}
	return median(as), median(bs), nil
}

// registerGroup measures device registration through the gateway, beside the rate at
// which all cores sign RSA-2048 and do nothing else. With RS256 one of ten keys signs,
// as in Sunbird's own installations.
func registerGroup() group {
	return group{[]string{"register/rs256", "register/es256"}, func(ctx context.Context, report func(Result)) error {
		return withDir(func(dir string) error { return measureRegister(ctx, dir, report) })
	}}
}

func measureRegister(ctx context.Context, dir string, report func(Result)) error {
	const secret = "0123456789abcdef0123456789abcdef"
	n, err := startNode(ctx, dir, `keys:
  mobile_device: {algorithms: [RS256], active: 10, issuer_prefix: mobilev2, kid_prefix: mobilev2_key, rotation: 0s, verification: forever}
  desktop_device: {algorithms: [ES256], issuer_prefix: desktopv2, kid_prefix: desktopv2_key, rotation: 0s, verification: forever}
devices: {sets: [mobile_device, desktop_device]}
gateway:
  consumers:
  - username: mobile_app
    groups: [mobileAdmin]
    jwt_secrets: [{key: mobile_app, algorithm: HS256, secret: `+secret+`}]
  services:
  - name: register
    url: internal://device
    routes: [{name: register, paths: [/v2/consumer], strip_path: false}]
    plugins: {jwt: {}, acl: {allow: [mobileAdmin]}}
`)
	if err != nil {
		return err
	}
	defer n.stop()
	key, err := jose.NewSecretKey(jose.HS256, "", []byte(secret))
	if err != nil {
		return err
	}
	token, err := key.Sign("", []byte(`{"iss":"mobile_app"}`))
	if err != nil {
		return err
	}
	register := func(set string) []byte {
		return request("POST", "/v2/consumer/"+set+"/credential/register",
			`{"id":"ekstep.genie.device.register","ver":"1.0","request":{"key":"dev.sunbird.app-7b1c0d9e5f"}}`,
			"Authorization", "Bearer "+token, "Content-Type", "application/json")
	}
	requests := [...][]byte{register("mobile_device"), register("desktop_device")}
	if err := settle(ctx, n.gateway, requests[0]); err != nil {
		return err
	}
	var ours [len(requests)][]float64
	var reference []float64
	for range loadRounds {
		for i, req := range requests {
			count, took, err := load(ctx, n.gateway, req, connections, loadTime)
			if err != nil {
				return err
			}
			ours[i] = append(ours[i], float64(count)/took.Seconds())
		}
		rate, err := bareRSARate()
		if err != nil {
			return err
		}
		reference = append(reference, rate)
	}
	report(atLeast("register/rs256", "req/s", median(ours[0]), median(reference), 0.85))
	report(atLeast("register/es256", "req/s", median(ours[1]), median(reference), 4))
	return nil
}

// bareRSARate signs on all cores.
func bareRSARate() (float64, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return 0, err
	}
	sum := sha256.Sum256([]byte(strings.Repeat("x", 200)))
	counts := make([]int, runtime.GOMAXPROCS(0))
	start := time.Now()
	var wg sync.WaitGroup
	for i := range counts {
		wg.Go(func() {
			for time.Since(start) < loadTime {
				if _, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, sum[:]); err != nil {
					return
				}
				counts[i]++
			}
		})
	}
	wg.Wait()
	total := 0
	for _, c := range counts {
		total += c
	}
	return float64(total) / time.Since(start).Seconds(), nil
}
