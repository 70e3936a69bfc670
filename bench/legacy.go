package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/carnetproject/carnet/internal/jose"
)

// legacyRows is how many legacy credentials are imported. A platform has 12 million of
// them; that takes a while, so it is for BENCH_LEGACY=12000000 to say.
const legacyRows = 1_000_000

// legacyGroup measures devices that have a secret each: how fast they are imported
// beside a node that serves, and what it costs to look them up.
func legacyGroup() group {
	names := []string{"legacy/import", "legacy/file", "legacy/lookup", "legacy/memory"}
	return group{names, func(ctx context.Context, report func(Result)) error {
		rows, err := countOf("BENCH_LEGACY", legacyRows)
		if err != nil {
			return err
		}
		return withDir(func(dir string) error { return measureLegacy(ctx, dir, rows, report) })
	}}
}

// countOf is what a variable says, a default without it.
func countOf(variable string, otherwise int) (int, error) {
	text := os.Getenv(variable)
	if text == "" {
		return otherwise, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1000 {
		return 0, fmt.Errorf("%s must be a number of at least 1000", variable)
	}
	return n, nil
}

// legacyCache is the memory for credentials, in MiB. What is cold must not fit.
const legacyCache = 16

func measureLegacy(ctx context.Context, dir string, rows int, report func(Result)) error {
	up, err := startChild(ctx, "upstream")
	if err != nil {
		return err
	}
	defer up.stop()
	n, err := startNode(ctx, dir, fmt.Sprintf(`gateway:
  cache: 1MiB
  credential_cache: %dMiB
  services:
  - name: up
    url: http://%s
    routes: [{name: all, paths: [/]}]
    plugins: {jwt: {}}
`, legacyCache, up.addr))
	if err != nil {
		return err
	}
	defer n.stop()
	if _, err := n.carnet(ctx, "consumers", "add", "mobile_device"); err != nil {
		return err
	}
	if err := measureImport(ctx, n, dir, rows, report); err != nil {
		return err
	}
	return measureLookups(ctx, n, rows, report)
}

func measureImport(ctx context.Context, n *node, dir string, rows int, report func(Result)) error {
	file := filepath.Join(dir, "legacy.csv")
	if err := writeLegacy(file, rows); err != nil {
		return err
	}
	out, err := n.carnet(ctx, "credentials", "import", file, "--json")
	if err != nil {
		return err
	}
	var imported struct {
		Added     int     `json:"added"`
		PerSecond float64 `json:"rows_per_second"`
	}
	if err := json.Unmarshal([]byte(out), &imported); err != nil || imported.Added != rows {
		return fmt.Errorf("imported %d of %d rows, %w", imported.Added, rows, err)
	}
	const least = 10_000
	report(Result{
		Name: "legacy/import", Value: imported.PerSecond, Unit: "rows/s",
		Target: fmt.Sprintf("≥ %d, of %d", least, rows), OK: imported.PerSecond >= least,
	})
	store, err := os.Stat(filepath.Join(dir, "data", "carnet.db"))
	if err != nil {
		return err
	}
	const most = 320 // bytes
	perRow := float64(store.Size()) / float64(rows)
	report(Result{
		Name: "legacy/file", Value: perRow, Unit: "bytes/row",
		Target: fmt.Sprintf("≤ %d: %.1f GB for 12 M", most, perRow*12e6/1e9), OK: perRow <= most,
	})
	return os.Remove(file)
}

// writeLegacy writes credentials in no order.
func writeLegacy(path string, rows int) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	w := bufio.NewWriterSize(f, 1<<20)
	fmt.Fprintln(w, "consumer,key,secret")
	for i := range rows {
		fmt.Fprintf(w, "mobile_device,%s,%s\n", legacyKey(i), legacySecret(i))
	}
	return w.Flush()
}

// legacyKey is a device key of the usual form; legacySecret has Kong's 32 characters.
func legacyKey(i int) string {
	r := rand.New(rand.NewPCG(uint64(i), 1))
	return fmt.Sprintf("dev.example.app-%016x%016x", r.Uint64(), r.Uint64())
}

func legacySecret(i int) string {
	r := rand.New(rand.NewPCG(uint64(i), 2))
	return fmt.Sprintf("%016x%016x", r.Uint64(), r.Uint64())
}

func legacyRequest(i int) ([]byte, error) {
	key, err := jose.NewImportedSecretKey(jose.HS256, "", []byte(legacySecret(i)))
	if err != nil {
		return nil, err
	}
	token, err := key.Sign("", fmt.Appendf(nil, `{"iss":%q,"iat":%d}`, legacyKey(i), time.Now().Unix()))
	return request("GET", "/v1/thing", "", "Authorization", "Bearer "+token), err
}

const (
	zipfTime    = 10 * time.Second
	coldLookups = 5000
)

// measureLookups serves devices of which few ask often and most ask rarely, and then
// such as did not ask before.
func measureLookups(ctx context.Context, n *node, rows int, report func(Result)) error {
	hot, err := legacyRequest(0)
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
	if err := zipfLoad(ctx, n.gateway, rows); err != nil {
		return err
	}
	after, err := n.rss()
	if err != nil {
		return err
	}
	const most = 4 * legacyCache // the collector lets the heap double, and leaves it to the system slowly
	grown := float64(after-before) / (1 << 20)
	report(Result{
		Name: "legacy/memory", Value: grown, Unit: "MiB grown",
		Target: fmt.Sprintf("≤ %d MiB of %d cached", most, legacyCache), OK: grown <= most,
	})

	warm, err := latencies(n.gateway, func(int) ([]byte, error) { return hot, nil })
	if err != nil {
		return err
	}
	cold, err := latencies(n.gateway, func(i int) ([]byte, error) { return legacyRequest(rows/2 + i*(rows/2/coldLookups)) })
	if err != nil {
		return err
	}
	const slowest = 10 // ms
	report(Result{
		Name: "legacy/lookup", Value: cold, Reference: warm, Ratio: cold / warm, Unit: "ms p99",
		Target: fmt.Sprintf("≤ %d ms, of %d", slowest, rows), OK: cold <= slowest,
	})
	return nil
}

// zipfLoad has devices ask as their popularity is.
func zipfLoad(ctx context.Context, addr string, rows int) error {
	ctx, cancel := context.WithTimeout(ctx, zipfTime)
	defer cancel()
	var g errgroup.Group
	for part := range connections {
		g.Go(func() error {
			var signing error
			_, err := converse(ctx, addr, zipfRequests(uint64(part), rows, &signing))
			if err == nil {
				err = signing
			}
			return err
		})
	}
	return g.Wait()
}

func zipfRequests(seed uint64, rows int, failed *error) iter.Seq[[]byte] {
	z := rand.NewZipf(rand.New(rand.NewPCG(seed, 3)), 1.05, 1, uint64(rows-1))
	return func(yield func([]byte) bool) {
		for {
			var req []byte
			if req, *failed = legacyRequest(int(z.Uint64())); *failed != nil || !yield(req) {
				return
			}
		}
	}
}

// latencies is the 99th percentile, in ms, of requests one after the other.
func latencies(addr string, next func(i int) ([]byte, error)) (p99 float64, err error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return 0, err
	}
	defer func() { _ = conn.Close() }()
	r := bufio.NewReader(conn)
	took := make([]float64, coldLookups)
	for i := range took {
		req, err := next(i)
		if err != nil {
			return 0, err
		}
		start := time.Now()
		if _, err := conn.Write(req); err != nil {
			return 0, err
		}
		if err := readOK(r); err != nil {
			return 0, err
		}
		took[i] = float64(time.Since(start)) / 1e6
	}
	slices.Sort(took)
	return took[len(took)*99/100], nil
}
