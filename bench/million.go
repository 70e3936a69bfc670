package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"iter"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/carnetproject/carnet/internal/jose"
)

// millionDevices is how many phones show a token each, of one key, unless BENCH_DEVICES
// says another number.
const millionDevices = 1_000_000

// millionGroup measures that the gateway's memory does not grow with the number of
// devices: it serves one device for a while, then a million, each with a token of its own.
// After half of them all that is kept of tokens has long been full.
func millionGroup() group {
	return group{[]string{"gateway/million", "node/fresh"}, func(ctx context.Context, report func(Result)) error {
		return withDir(func(dir string) error { return measureMillion(ctx, dir, report) })
	}}
}

func measureMillion(ctx context.Context, dir string, report func(Result)) error {
	devices, err := countOf("BENCH_DEVICES", millionDevices)
	if err != nil {
		return err
	}
	key, err := jose.Generate(jose.ES256, "mobilev2_key1")
	if err != nil {
		return err
	}
	der, err := x509.MarshalPKIXPublicKey(key.Crypto().(*ecdsa.PrivateKey).Public())
	if err != nil {
		return err
	}
	up, err := startChild(ctx, "upstream")
	if err != nil {
		return err
	}
	defer up.stop()
	n, err := startNode(ctx, dir, fmt.Sprintf(`gateway:
  consumers:
  - username: mobile_devicev2
    jwt_secrets:
    - {key: mobilev2, algorithm: ES256, rsa_public_key: %q}
  services:
  - name: up
    url: http://%s
    routes: [{name: all, paths: [/]}]
    plugins: {jwt: {issuer_prefixes: [mobilev2]}}
`, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), up.addr), "GOMEMLIMIT=3600MiB") // of a machine that has 4 GiB
	if err != nil {
		return err
	}
	defer n.stop()

	hot, err := deviceRequest(key, 0)
	if err != nil {
		return err
	}
	if _, _, err := load(ctx, n.gateway, hot, connections, loadTime); err != nil {
		return err
	}
	before, err := n.rss()
	if err != nil {
		return err
	}
	if err := showAll(ctx, n.gateway, key, 0, devices/2); err != nil {
		return err
	}
	full, err := n.rss()
	if err != nil {
		return err
	}
	if err := showAll(ctx, n.gateway, key, devices/2, devices); err != nil {
		return err
	}
	after, err := n.rss()
	if err != nil {
		return err
	}
	report(atMost("node/fresh", "MB", float64(after)/1e6, float64(full)/1e6, 1.1))
	const most = 100 // MB over the hot row
	grown := float64(after-before) / 1e6
	report(Result{
		Name: "gateway/million", Value: grown, Unit: "MB grown",
		Target: fmt.Sprintf("≤ %d MB", most), OK: grown <= most,
	})
	return nil
}

// showAll sends the request of each device of a range once.
func showAll(ctx context.Context, addr string, key *jose.Key, from, to int) error {
	var g errgroup.Group
	for part := range connections {
		g.Go(func() error {
			var signing error
			_, err := converse(ctx, addr, requestsOf(key, from+part, to, &signing))
			return errors.Join(err, signing, ctx.Err())
		})
	}
	return g.Wait()
}

// requestsOf are those of one part of the devices, which begins with from.
func requestsOf(key *jose.Key, from, to int, failed *error) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for i := from; i < to; i += connections {
			var req []byte
			if req, *failed = deviceRequest(key, i); *failed != nil || !yield(req) {
				return
			}
		}
	}
}

func deviceRequest(key *jose.Key, device int) ([]byte, error) {
	now := time.Now()
	token, err := key.Sign("", fmt.Appendf(nil, `{"iss":"mobilev2-org.example.app-%032x-%d","iat":%d}`, device, now.UnixMilli(), now.Unix()))
	return request("GET", "/v1/thing", "", "Authorization", "Bearer "+token), err
}
