package sqlite

import (
	"context"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/carnetproject/carnet/internal/chat"
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

// BenchmarkSaw notes the presence of 250 of 10,000 users at a time.
func BenchmarkSaw(b *testing.B) {
	s, err := Open(b.Context(), b.TempDir()+"/carnet.db")
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	const of, batch = 10_000, 250
	var ids []chat.ID
	for i := range of {
		ids = append(ids, chat.ID("cnv_"+strconv.Itoa(i)))
		if err := s.AddConversation(ctx, chat.Conversation{ID: ids[i], Bot: "echo"}, false); err != nil {
			b.Fatal(err)
		}
	}
	now := time.Now()
	for i := 0; b.Loop(); i++ {
		now = now.Add(time.Millisecond)
		if err := s.Saw(ctx, ids[i*batch%of:][:batch], now); err != nil {
			b.Fatal(err)
		}
	}
	cancel()
	if err := <-ended; err != nil {
		b.Error(err)
	}
	if err := s.Close(); err != nil {
		b.Error(err)
	}
}
