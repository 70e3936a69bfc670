// Package bustest is what every bus of Carnet must do, as tests: one suite proves
// them all.
package bustest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Bus is all that the suite exercises. An event may be lost, doubled or reordered;
// the suite asks only for what holds in spite of that.
type Bus interface {
	Publish(ctx context.Context, subject string, data []byte) error
	// Subscribe calls f, which does not block, for each event of subject. After cancel
	// has returned, no call is running and none comes; it may be called again.
	Subscribe(subject string, f func(data []byte)) (cancel func())
}

// patience is how long an event may take. A test that passes does not wait for it.
const patience = time.Minute

// again is after which time an event that may be lost is sent once more.
const again = 20 * time.Millisecond

// Run runs the suite. open returns two ends of one bus that nobody else uses; inside
// one process they may be the same. They are open until the end of the test.
func Run(t *testing.T, open func(t *testing.T) (one, other Bus)) {
	t.Helper()
	for name, test := range map[string]func(t *testing.T, one, other Bus){
		"events reach every subscriber of both ends": testFanOut,
		"events are bytes":                           testBytes,
		"subjects are apart":                         testSubjects,
		"who has cancelled hears nothing":            testCancel,
		"cancel waits for the call":                  testCancelWaits,
		"cancelling again does nothing":              testCancelAgain,
		"one of two that look the same is cancelled": testCancelOne,
		"a subscriber may publish and subscribe":     testFromWithin,
		"nobody needs to listen":                     testNobody,
		"who has gone does not publish":              testContext,
		"all of it at once":                          testStress,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			one, other := open(t)
			test(t, one, other)
		})
	}
}

// until publishes, again and again, until done is closed.
func until(t *testing.T, b Bus, subject string, data []byte, done <-chan struct{}) {
	t.Helper()
	over := time.After(patience)
	for {
		if err := b.Publish(t.Context(), subject, data); err != nil {
			t.Fatalf("publish: %v", err)
		}
		select {
		case <-done:
			return
		case <-over:
			t.Fatalf("no subscriber heard of %q within %v", subject, patience)
		case <-time.After(again):
		}
	}
}

// heard subscribes and returns a channel that closes with the first event.
func heard(b Bus, subject string) (done <-chan struct{}, cancel func()) {
	first := make(chan struct{})
	var once sync.Once
	return first, b.Subscribe(subject, func([]byte) { once.Do(func() { close(first) }) })
}

func testFanOut(t *testing.T, one, other Bus) {
	var all []<-chan struct{}
	for _, b := range []Bus{one, one, other, other} {
		done, cancel := heard(b, "s")
		defer cancel()
		all = append(all, done)
	}
	for _, done := range all {
		until(t, one, "s", []byte("x"), done)
	}
	late, cancel := heard(one, "s")
	defer cancel()
	until(t, other, "s", []byte("x"), late)
}

func testBytes(t *testing.T, one, other Bus) {
	for i, want := range [][]byte{{}, {0}, []byte("\xff\xfe \r\n\x00$"), bytes.Repeat([]byte("ab\n"), 50_000)} {
		subject := fmt.Sprintf("bytes %d ä/*?[x]", i)
		done := make(chan struct{})
		var once sync.Once
		cancel := other.Subscribe(subject, func(got []byte) {
			if !bytes.Equal(got, want) {
				t.Errorf("event %d has %d bytes, want %d: %.20q", i, len(got), len(want), got)
			}
			once.Do(func() { close(done) })
		})
		until(t, one, subject, want, done)
		cancel()
	}
}

func testSubjects(t *testing.T, one, other Bus) {
	for _, near := range []string{"", "a", "a/", "a/b/c", "A/b", "a/*", "*", "a/?", "a/b ", ">"} {
		defer other.Subscribe(near, func([]byte) { t.Errorf("an event of a/b came to %q", near) })()
	}
	done, cancel := heard(other, "a/b")
	defer cancel()
	until(t, one, "a/b", []byte("x"), done)
}

func testCancel(t *testing.T, one, other Bus) {
	var gone atomic.Bool
	first := make(chan struct{})
	var once sync.Once
	cancel := other.Subscribe("s", func([]byte) {
		if gone.Load() {
			t.Error("an event came after cancel had returned")
		}
		once.Do(func() { close(first) })
	})
	until(t, one, "s", nil, first)
	for range 10 { // some on their way
		if err := one.Publish(t.Context(), "s", nil); err != nil {
			t.Fatal(err)
		}
	}
	cancel()
	gone.Store(true)
	still, cancel := heard(other, "s")
	defer cancel()
	until(t, one, "s", nil, still)
}

func testCancelWaits(t *testing.T, one, other Bus) {
	begun, let := make(chan struct{}), make(chan struct{})
	var once sync.Once
	var over atomic.Bool
	cancel := other.Subscribe("s", func([]byte) {
		once.Do(func() {
			close(begun)
			<-let
			over.Store(true)
		})
	})
	published := make(chan struct{})
	go func() {
		defer close(published)
		for {
			if err := one.Publish(t.Context(), "s", nil); err != nil {
				t.Error(err)
			}
			select {
			case <-begun:
				return
			case <-time.After(again):
			}
		}
	}()
	<-begun
	cancelled := make(chan struct{})
	go func() {
		defer close(cancelled)
		cancel()
		if !over.Load() {
			t.Error("cancel returned during a call")
		}
	}()
	select {
	case <-cancelled:
	case <-time.After(again): // the more time it has, the surer it fails if it does not wait
	}
	close(let)
	<-cancelled
	<-published
}

func testCancelAgain(t *testing.T, one, other Bus) {
	cancel := other.Subscribe("s", func([]byte) {})
	still, stop := heard(other, "s")
	defer stop()
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(cancel)
	}
	wg.Wait()
	cancel()
	until(t, one, "s", nil, still)
}

func testCancelOne(t *testing.T, one, other Bus) {
	cancel := other.Subscribe("s", func([]byte) { t.Error("the cancelled one heard of it") })
	still, stop := heard(other, "s")
	defer stop()
	cancel()
	until(t, one, "s", nil, still)
}

func testFromWithin(t *testing.T, one, other Bus) {
	done := make(chan struct{})
	var once sync.Once
	ended := other.Subscribe("other", func([]byte) {})
	defer other.Subscribe("answer", func([]byte) { once.Do(func() { close(done) }) })()
	defer other.Subscribe("question", func([]byte) {
		other.Subscribe("new", func([]byte) {})()
		ended()
		if err := other.Publish(context.WithoutCancel(t.Context()), "answer", nil); err != nil {
			t.Error(err)
		}
	})()
	until(t, one, "question", nil, done)
}

func testNobody(t *testing.T, one, other Bus) {
	for _, b := range []Bus{one, other} {
		if err := b.Publish(t.Context(), "nobody", []byte("x")); err != nil {
			t.Errorf("error = %v", err)
		}
	}
}

func testContext(t *testing.T, one, other Bus) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	defer other.Subscribe("gone", func([]byte) { t.Error("it was published") })()
	if err := one.Publish(ctx, "gone", nil); !errors.Is(err, context.Canceled) {
		t.Errorf("error = %v, want %v", err, context.Canceled)
	}
	done, stop := heard(other, "s")
	defer stop()
	until(t, one, "s", nil, done)
}

// testStress subscribes, publishes and cancels on few subjects from many goroutines.
func testStress(t *testing.T, one, other Bus) {
	var events atomic.Int64
	var wg sync.WaitGroup
	for g := range 64 {
		wg.Go(func() {
			b := []Bus{one, other}[g%2]
			for i := range 50 {
				subject := fmt.Sprint("s", (g+i)%5)
				var gone atomic.Bool
				cancel := b.Subscribe(subject, func(data []byte) {
					if gone.Load() {
						t.Error("an event came after cancel had returned")
					}
					if string(data) != subject {
						t.Errorf("subject %s had an event of %s", subject, data)
					}
					events.Add(1)
				})
				if err := b.Publish(t.Context(), subject, []byte(subject)); err != nil {
					t.Error(err)
				}
				cancel()
				gone.Store(true)
			}
		})
	}
	wg.Wait()
	done, cancel := heard(one, "after")
	defer cancel()
	until(t, other, "after", nil, done)
	t.Logf("%d events were heard of", events.Load())
}
