package soak

import (
	"context"
	"io"
	"net"
	"sync"
	"testing"
	"time"
)

// echoing is a proxy in front of a server that says back what it hears.
func echoing(t *testing.T) *proxy {
	t.Helper()
	backend, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p, err := newProxy(func() (net.Conn, error) { return net.Dial("tcp", backend.Addr().String()) })
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { p.run(ctx) })
	wg.Go(func() {
		for {
			c, err := backend.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				_, _ = io.Copy(c, c)
				_ = c.Close()
			})
		}
	})
	t.Cleanup(func() {
		cancel()
		_ = backend.Close()
		wg.Wait()
	})
	return p
}

// talkThrough opens a connection that has been answered once.
func talkThrough(t *testing.T, p *proxy) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", p.address())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	exchange(t, c, "hello")
	return c
}

// exchange says something, and returns how long it took to hear it back.
func exchange(t *testing.T, c net.Conn, text string) time.Duration {
	t.Helper()
	start := time.Now()
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len(text))
	if _, err := io.ReadFull(c, got); err != nil || string(got) != text {
		t.Fatalf("heard %q, %v, want %q", got, err, text)
	}
	return time.Since(start)
}

func TestProxyCuts(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]fault{"closing": closing, "reset": reset} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := echoing(t)
			a, b := talkThrough(t, p), talkThrough(t, p)
			if n := p.hit(f, 1, 0, random(1, 1)); n != 1 {
				t.Fatalf("hit %d connections, want 1", n)
			}
			ended := make(chan net.Conn)
			for _, c := range []net.Conn{a, b} {
				go func() {
					_, _ = c.Read(make([]byte, 1))
					ended <- c
				}()
			}
			whole := map[net.Conn]net.Conn{a: b, b: a}[<-ended]
			_ = whole.SetReadDeadline(time.Now()) // its reader stands still
			<-ended
			_ = whole.SetReadDeadline(time.Now().Add(20 * time.Second))
			exchange(t, whole, "still there")
		})
	}
}

func TestProxyFreezes(t *testing.T) {
	t.Parallel()
	p := echoing(t)
	c := talkThrough(t, p)
	p.hit(freezing, 9, 150*time.Millisecond, random(1, 1))
	if took := exchange(t, c, "late"); took < 100*time.Millisecond {
		t.Errorf("a frozen connection answers after %s", took)
	}
}

func TestProxySlows(t *testing.T) {
	t.Parallel()
	p := echoing(t)
	c := talkThrough(t, p)
	p.hit(slowing, 9, time.Minute, random(1, 1))
	if took := exchange(t, c, string(make([]byte, 3*slowBytes))); took < 3*slowPause {
		t.Errorf("a slow connection answers after %s", took)
	}
}

func TestProxyWithoutBackend(t *testing.T) {
	t.Parallel()
	p, err := newProxy(func() (net.Conn, error) { return nil, io.EOF })
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		p.run(ctx)
		close(done)
	}()
	c, err := net.Dial("tcp", p.address())
	if err != nil {
		t.Fatal(err)
	}
	if n, err := c.Read(make([]byte, 1)); n != 0 || err == nil {
		t.Errorf("heard %d bytes of nobody", n)
	}
	_ = c.Close()
	cancel()
	<-done
}
