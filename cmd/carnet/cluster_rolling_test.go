package main

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/lxzan/gws"
)

// balancer is a plain load balancer: it asks each node's /readyz, and hands each request
// to one that was ready then, by turns. It tries nothing twice.
type balancer struct {
	nodes []*node
	ready []atomic.Bool
	turn  atomic.Int64
}

// balance runs a balancer before one listener of the nodes until the test ends.
func balance(t *testing.T, nodes []*node, listener func(*node) string) (at string) {
	t.Helper()
	b := &balancer{nodes: nodes, ready: make([]atomic.Bool, len(nodes))}
	stop := make(chan struct{})
	var looks sync.WaitGroup
	for i, n := range nodes {
		b.ready[i].Store(true)
		looks.Go(func() { b.look(i, n.admin+"/readyz", stop) })
	}
	proxy := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			to, err := url.Parse(listener(b.next()))
			if err != nil {
				t.Error(err)
				return
			}
			r.SetURL(to)
		},
		Transport: &http.Transport{DialContext: (&net.Dialer{Timeout: 2 * time.Second}).DialContext, MaxIdleConnsPerHost: 20},
		ErrorLog:  nil,
	})
	t.Cleanup(func() {
		close(stop)
		looks.Wait()
		proxy.Close()
	})
	return proxy.URL
}

func (b *balancer) look(i int, at string, stop chan struct{}) {
	for {
		resp, err := http.Get(at)
		if err == nil {
			_ = resp.Body.Close()
		}
		b.ready[i].Store(err == nil && resp.StatusCode == http.StatusOK)
		select {
		case <-stop:
			return
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func (b *balancer) next() *node {
	for range b.nodes {
		i := int(b.turn.Add(1)) % len(b.nodes)
		if b.ready[i].Load() {
			return b.nodes[i]
		}
	}
	return b.nodes[0] // and that fails
}

// TestRollingRestart restarts three nodes one after the other while people talk and
// programs call through the gateway: no call fails, and no message is lost or doubled.
func TestRollingRestart(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 3, "", "CARNET_SHUTDOWN_DELAY=3s") // for a balancer that looks often, and has little of the machine
	c.start()
	gateway := balance(t, c.nodes, func(n *node) string { return n.gateway })
	front := *c.nodes[0]
	front.public = balance(t, c.nodes, func(n *node) string { return n.public })

	stop := make(chan struct{})
	var load sync.WaitGroup
	var calls atomic.Int64
	token := c.access(c.nodes[0])
	for i := range 3 {
		load.Go(func() {
			for {
				select {
				case <-stop:
					return
				case <-time.After(2 * time.Millisecond):
				}
				method, body := "GET", any(nil)
				if i == 0 {
					method, body = "POST", `{"n":1}`
				}
				if r, err := front.do(method, gateway+"/demo", body, "Authorization", bearer(token)); err != nil || r.status != 200 {
					t.Errorf("a call failed: %d %s %v", r.status, r.text, err)
					return
				}
				calls.Add(1)
			}
		})
	}
	var visitors []*visitor
	var readers []*reader
	for i := range 4 {
		v := front.newVisitor()
		visitors = append(visitors, v)
		writer, second := &reader{v: v, frames: make(chan frame, 64)}, &reader{v: v, frames: make(chan frame, 1)}
		readers = append(readers, writer, second)
		load.Go(func() { writer.talk(i, stop) })
		load.Go(func() { second.stay(stop, func(*gws.Conn, <-chan struct{}) {}) })
	}
	busy := func() {
		before := calls.Load()
		front.wait("calling", func() bool { return calls.Load() > before+100 || t.Failed() })
	}
	busy()
	for _, n := range c.nodes {
		if code := n.stop(syscall.SIGTERM); code != 0 {
			t.Errorf("a node that was to stop exits with %d", code)
		}
		n.serve()
		busy()
	}
	close(stop)
	load.Wait()
	for _, v := range visitors {
		front.wait("answering all", func() bool { h := v.history(); return len(h) > 0 && answered(h) })
		v.check(readers)
	}
	t.Logf("%d calls", calls.Load())
}

// talk says one message after the other, each until it is acknowledged.
func (r *reader) talk(who int, stop <-chan struct{}) {
	next := 0
	r.stay(stop, func(conn *gws.Conn, lost <-chan struct{}) {
		for {
			id := fmt.Sprintf("m-%d-%d", who, next)
			if conn.WriteString(fmt.Sprintf(`{"type":"send","id":%q,"body":{"text":%q}}`, id, id)) != nil {
				return
			}
			for answered := false; !answered; {
				select {
				case <-stop:
					return
				case <-lost:
					return
				case f := <-r.frames:
					if f.ID != id {
						continue
					}
					answered = true
					if f.Type == "ack" {
						r.v.mu.Lock()
						r.v.acked[id] = f.Seq
						r.v.mu.Unlock()
						next++
					}
				}
			}
			select {
			case <-stop:
				return
			case <-time.After(20 * time.Millisecond):
			}
		}
	})
}
