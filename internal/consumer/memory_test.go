package consumer_test

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/carnetproject/carnet/internal/consumer"
	"github.com/carnetproject/carnet/internal/jose"
	"github.com/carnetproject/carnet/internal/secret"
)

// TestCacheMemory compares what the cache believes to take with what it takes. It is
// alone, so that nobody else's memory is measured.
func TestCacheMemory(t *testing.T) {
	for name, owners := range map[string]int{"one consumer": 1, "a consumer each": 4_000} {
		t.Run(name, func(t *testing.T) {
			const limit = 2 << 20
			d := openData(t)
			n := newNode(t, d, func(c *consumer.RegistryConfig) { c.CacheBytes = limit })
			keys := fill(t, n, owners, 4_000)
			before := heap()
			for _, key := range keys {
				if !proves(t, n.find(t, key), "secret of "+key) {
					t.Fatalf("%s is not found", key)
				}
			}
			taken := heap() - before
			credentials, consumers, counted := n.Remembered()
			if consumers != min(owners, credentials) {
				t.Errorf("%d credentials in memory have %d consumers", credentials, consumers)
			}
			if counted > limit {
				t.Errorf("the cache counts %d bytes, more than %d", counted, limit)
			}
			if taken > limit {
				t.Errorf("the cache takes %d bytes, more than %d", taken, limit)
			}
			if taken < limit/2 {
				t.Errorf("the cache takes %d bytes of %d: it counts too much", taken, limit)
			}
			finds := d.finds.Load()
			for _, key := range keys[len(keys)-500:] {
				n.find(t, key)
			}
			if again := d.finds.Load() - finds; again > 50 {
				t.Errorf("of the last 500 keys %d were forgotten", again)
			}
			runtime.KeepAlive(n)
		})
	}
}

// fill imports credentials and returns their keys.
func fill(t testing.TB, n *node, owners, count int) []string {
	t.Helper()
	src := &entries{}
	for i := range owners {
		src.all = append(src.all, consumer.Entry{Line: i, Consumer: &consumer.Info{Username: fmt.Sprintf("owner-%d", i)}})
	}
	keys := make([]string, count)
	for i := range keys {
		keys[i] = fmt.Sprintf("dev.example.app-%032x", i*7919)
		e := consumer.Entry{Line: owners + i, Owner: fmt.Sprintf("owner-%d", i%owners)}
		e.Key, e.Algorithm, e.Secret = keys[i], jose.HS256, secret.FromString("secret of "+keys[i])
		src.all = append(src.all, e)
	}
	report, err := n.Import(t.Context(), src, consumer.ImportOptions{})
	if err != nil || report.Added != int64(count) || report.Consumers != int64(owners) {
		t.Fatalf("Import() = %+v, %v", report, err)
	}
	return keys
}

func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
