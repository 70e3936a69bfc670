package sqlite

import (
	"context"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/carnetproject/carnet/internal/token"
)

// BenchmarkWrite is many callers that each wait for their own durable write.
func BenchmarkWrite(b *testing.B) {
	s, err := Open(b.Context(), b.TempDir()+"/carnet.db")
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	var n atomic.Int64
	b.SetParallelism(128)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			id := token.FamilyID(strconv.FormatInt(n.Add(1), 10))
			if err := s.AddFamily(b.Context(), token.Family{ID: id}); err != nil {
				b.Error(err)
			}
		}
	})
	cancel()
	if err := <-ended; err != nil {
		b.Error(err)
	}
	if err := s.Close(); err != nil {
		b.Error(err)
	}
}
