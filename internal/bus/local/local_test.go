package local

import (
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"

	"github.com/carnetproject/carnet/internal/bus/bustest"
)

func TestConformance(t *testing.T) {
	t.Parallel()
	bustest.Run(t, func(*testing.T) (one, other bustest.Bus) {
		b := New()
		return b, b
	})
}

// TestInOrder: when Publish returns, the event has been heard by all, once and in order.
func TestInOrder(t *testing.T) {
	t.Parallel()
	b := New()
	var got [3][]string
	for i := range got {
		defer b.Subscribe("s", func(data []byte) { got[i] = append(got[i], string(data)) })()
	}
	var want []string
	for i := range 100 {
		want = append(want, fmt.Sprint(i))
		if err := b.Publish(t.Context(), "s", []byte(want[i])); err != nil {
			t.Fatal(err)
		}
	}
	for i := range got {
		if !slices.Equal(got[i], want) {
			t.Errorf("subscriber %d heard %v", i, got[i])
		}
	}
}

// TestCancelDuringPublish ends a subscription that a publisher has seen already.
func TestCancelDuringPublish(t *testing.T) {
	t.Parallel()
	b := New()
	var cancel func()
	defer b.Subscribe("s", func([]byte) { cancel() })()
	cancel = b.Subscribe("s", func([]byte) { t.Error("called after its end") })
	if err := b.Publish(t.Context(), "s", nil); err != nil {
		t.Fatal(err)
	}
}

// TestNestedCallDuringCancel publishes from within a call that a cancel waits for.
func TestNestedCallDuringCancel(t *testing.T) {
	t.Parallel()
	b := New()
	begun, ended := make(chan struct{}), make(chan struct{})
	calls := 0
	cancel := b.Subscribe("s", func([]byte) {
		calls++
		close(begun)
		<-ended
		if err := b.Publish(t.Context(), "s", nil); err != nil {
			t.Error(err)
		}
	})
	sub := b.subjects["s"][0]
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := b.Publish(t.Context(), "s", nil); err != nil {
			t.Error(err)
		}
	})
	<-begun
	wg.Go(cancel)
	for over := false; !over; {
		runtime.Gosched()
		sub.mu.Lock()
		over = sub.ended
		sub.mu.Unlock()
	}
	close(ended)
	wg.Wait()
	if calls != 1 {
		t.Errorf("%d calls, want 1", calls)
	}
}

func TestNothingIsLeft(t *testing.T) {
	t.Parallel()
	b := New()
	var wg sync.WaitGroup
	for i := range 100 {
		wg.Go(func() {
			b.Subscribe(fmt.Sprint("s", i%7), func([]byte) {})()
		})
	}
	wg.Wait()
	if len(b.subjects) != 0 {
		t.Errorf("%d subjects are left without a subscriber", len(b.subjects))
	}
}

func BenchmarkPublish(b *testing.B) {
	bus := New()
	for range 4 {
		defer bus.Subscribe("s", func([]byte) {})()
	}
	b.ReportAllocs()
	for b.Loop() {
		if err := bus.Publish(b.Context(), "s", nil); err != nil {
			b.Fatal(err)
		}
	}
}
