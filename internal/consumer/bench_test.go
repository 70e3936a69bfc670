package consumer_test

import (
	"fmt"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/carnetproject/carnet/internal/consumer"
)

// devices are entries in no order.
type devices struct {
	at, count int
	secret    string
}

func (d *devices) Next() (consumer.Entry, error) {
	if d.at == d.count {
		return consumer.Entry{}, io.EOF
	}
	r := rand.New(rand.NewPCG(uint64(d.at), 1))
	d.at++
	return credentialEntry(d.at, "ann", fmt.Sprintf("dev.example.app-%016x%016x", r.Uint64(), r.Uint64()), d.secret), nil
}

// BenchmarkImport reports rows a second.
func BenchmarkImport(b *testing.B) {
	const rows = 200_000
	for b.Loop() {
		n := newNode(b, openData(b))
		n.add(b, "ann", "k", "s")
		if _, err := n.Import(b.Context(), &devices{count: rows, secret: "abcdefghijklmnopqrstuvwxyz012345"}, consumer.ImportOptions{}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(rows*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
}

func BenchmarkFind(b *testing.B) {
	n := newNode(b, openData(b), func(c *consumer.RegistryConfig) { c.CacheBytes = 1 << 20 })
	keys := fill(b, n, 1, 20_000)
	b.Run("known", func(b *testing.B) {
		n.find(b, keys[0])
		b.ReportAllocs()
		for b.Loop() {
			if c, err := n.Find(b.Context(), keys[0]); c == nil || err != nil {
				b.Fatal(c, err)
			}
		}
	})
	b.Run("cold", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			if c, err := n.Find(b.Context(), keys[i%len(keys)]); c == nil || err != nil {
				b.Fatal(c, err)
			}
		}
	})
	b.Run("used", func(b *testing.B) {
		c, now := n.find(b, keys[0]), n.now()
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				n.Used(c, now)
			}
		})
	})
}
