package redis

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/carnetproject/carnet/internal/bus/bustest"
	"github.com/carnetproject/carnet/internal/bus/redis/redistest"
	"github.com/carnetproject/carnet/internal/fault"
)

// node runs a bus over a client of its own until the test ends.
func node(t *testing.T, url, prefix string) *Bus {
	t.Helper()
	client, err := New(url, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	b := NewBus(client, prefix)
	ctx, stop := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	for _, run := range []func(context.Context) error{client.Run, b.Run} {
		wg.Go(func() {
			if err := run(ctx); err != nil {
				t.Errorf("Run() error = %v", err)
			}
		})
	}
	t.Cleanup(func() {
		stop()
		wg.Wait()
	})
	return b
}

// reached waits until Redis takes events of the bus.
func reached(t *testing.T, b *Bus) {
	t.Helper()
	until(t, func() bool { return b.Publish(t.Context(), "reached", nil) == nil })
}

func until(t *testing.T, f func() bool) {
	t.Helper()
	over := time.After(time.Minute)
	for !f() {
		select {
		case <-over:
			t.Fatal("it does not come about")
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// steady publishes again what a busy machine kept Redis from taking in time.
type steady struct{ *Bus }

func (s steady) Publish(ctx context.Context, subject string, data []byte) error {
	for {
		err := s.Bus.Publish(ctx, subject, data)
		if err == nil || ctx.Err() != nil {
			return err
		}
		<-time.After(10 * time.Millisecond)
	}
}

func TestBus(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	var mu sync.Mutex
	n := 0
	bustest.Run(t, func(t *testing.T) (one, other bustest.Bus) {
		mu.Lock()
		n++
		prefix := fmt.Sprint("test", n)
		mu.Unlock()
		a, b := node(t, server.URL(), prefix), node(t, server.URL(), prefix)
		reached(t, a)
		reached(t, b)
		return steady{a}, steady{b}
	})
}

// arrives tells whether an event goes from one node to the other, of those sent
// meanwhile.
func arrives(t *testing.T, from, to *Bus, subject string) {
	t.Helper()
	came := make(chan struct{})
	var once sync.Once
	defer to.Subscribe(subject, func([]byte) { once.Do(func() { close(came) }) })()
	until(t, func() bool {
		_ = from.Publish(t.Context(), subject, nil)
		select {
		case <-came:
			return true
		default:
			return false
		}
	})
}

func TestAwayAndBack(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]struct{ begin, end func(*redistest.Server) }{
		"killed":  {(*redistest.Server).Kill, (*redistest.Server).Restart},
		"stopped": {(*redistest.Server).Stop, (*redistest.Server).Continue},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := redistest.Start(t)
			a, b := node(t, server.URL(), "p"), node(t, server.URL(), "p")
			reached(t, a)
			kept := make(chan struct{}, 1)
			defer b.Subscribe("kept", func([]byte) {
				select {
				case kept <- struct{}{}:
				default:
				}
			})()
			arrives(t, a, b, "before")
			fault.begin(server)
			until(t, func() bool { return a.Publish(t.Context(), "kept", nil) != nil })
			for begin, i := time.Now(), 0; i < 100; i++ {
				if err := a.Publish(t.Context(), "kept", nil); err == nil {
					t.Error("an event was taken by nobody")
				}
				if time.Since(begin) > 20*time.Second {
					t.Fatal("each publisher waits for a Redis that is away")
				}
			}
			fault.end(server)
			arrives(t, a, b, "after")
			for len(kept) > 0 {
				<-kept
			}
			until(t, func() bool { // who had subscribed before still hears
				_ = a.Publish(t.Context(), "kept", nil)
				return len(kept) > 0
			})
		})
	}
}

func TestNeverThere(t *testing.T) {
	t.Parallel()
	b := node(t, "redis://127.0.0.1:1", "p")
	if err := b.Publish(t.Context(), "s", nil); !errors.Is(err, ErrAway) {
		t.Errorf("Publish() error = %v, want %v", err, ErrAway)
	}
	b.Subscribe("s", func([]byte) {})()
	if err := b.client.Ping(t.Context()); !errors.Is(err, ErrAway) {
		t.Errorf("Ping() error = %v, want %v", err, ErrAway)
	}
}

func TestPrefixesAreApart(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	a, b := node(t, server.URL(), "one"), node(t, server.URL(), "two")
	reached(t, a)
	defer b.Subscribe("s", func([]byte) { t.Error("an event came from another deployment") })()
	arrives(t, b, b, "own")
	for range 20 {
		if err := (steady{a}).Publish(t.Context(), "s", nil); err != nil {
			t.Fatal(err)
		}
	}
	arrives(t, b, b, "own")
}

func TestNew(t *testing.T) {
	t.Parallel()
	for _, url := range []string{"", "localhost:6379", "http://localhost", "redis://me:hunter2@[::1", "redis://me:hunter2@h/x"} {
		_, err := New(url, slog.New(slog.DiscardHandler))
		if fault.KindOf(err) != fault.Invalid {
			t.Errorf("New(%q) error = %v", url, err)
		} else if bytes.Contains([]byte(err.Error()), []byte("hunter2")) {
			t.Errorf("New(%q) shows the password: %v", url, err)
		}
	}
}

func FuzzUnpack(f *testing.F) {
	f.Add("subject", []byte("data"), "\x05ab")
	f.Fuzz(func(t *testing.T, subject string, data []byte, junk string) {
		s, d, ok := unpack(string(pack(subject, data)))
		if !ok || s != subject || !bytes.Equal(d, data) {
			t.Errorf("unpack(pack(%q, %q)) = %q, %q, %t", subject, data, s, d, ok)
		}
		if s, d, ok := unpack(junk); ok && len(s)+len(d) >= len(junk) {
			t.Errorf("unpack(%q) = %q, %q", junk, s, d)
		}
	})
}
