package main

import (
	"fmt"
	"os"
	"sync"
	"testing"
	"time"
)

// TestClusterSecureSession has one user's tabs on three nodes: what one node has found of
// the user holds on all, the authorizer is asked once in an interval by all of them
// together, and no node lets in whom another has learned to refuse, with Redis or without.
func TestClusterSecureSession(t *testing.T) {
	t.Parallel()
	a := newAuthorizer(t)
	c := newCluster(t, 3, "")
	for _, n := range c.nodes {
		n.file(clusterFile + a.secured(n))
	}
	c.start()
	v := c.nodes[0].newVisitor()
	var tabs []*customer
	enter := func(n *node) *customer {
		tab := n.customer(fmt.Sprintf(`{"type":"hello","token":%q,"bot":"echo"}`, v.token))
		tab.wants("welcome")
		return tab
	}
	for i, n := range c.nodes {
		tabs = append(tabs, enter(n))
		tabs[i].send(fmt.Sprint("b", i), blockedText)
		tabs[i].wants(fmt.Sprintf("nack b%d credential_missing", i))
	}
	if got := a.calls.Load(); got != 0 {
		t.Fatalf("the authorizer was called %d times about nobody", got)
	}

	// one in an interval, whoever sends
	tabs[0].shows(goodToken)
	began := time.Now()
	most := func() int64 { return 1 + int64(time.Since(began)/securedFor) }
	tabs[0].send("m", "hello")
	tabs[0].wants("ack m")
	for _, tab := range tabs[1:] {
		tab.wants("secure secured allowed")
	}
	var talk sync.WaitGroup
	for i, tab := range tabs {
		talk.Go(func() {
			for n := 0; time.Since(began) < 2*securedFor+securedFor/2; n++ {
				id := fmt.Sprintf("m%d-%d", i, n)
				tab.send(id, id)
				tab.wants("ack " + id)
			}
		})
	}
	talk.Wait()
	if got := a.calls.Load(); got < 2 || got > most() {
		t.Errorf("in %v the authorizer was called %d times, want at most %d", time.Since(began), got, most())
	}

	// what a node has found outlives it
	c.nodes[0].stop(os.Kill)
	tabs[1].send("k", "k")
	tabs[1].wants("ack k")
	if got := a.calls.Load(); got > most() {
		t.Errorf("after a node was killed the authorizer was called %d times in %v, want at most %d", got, time.Since(began), most())
	}

	// and so does what it has found against the user
	refused := func(when string, tabs ...*customer) {
		t.Helper()
		for i, tab := range tabs {
			id := fmt.Sprint("r-", when, i)
			tab.send(id, blockedText)
			tab.wants("nack " + id + " unauthorized")
		}
	}
	tabs[1].shows(badToken)
	refused("elsewhere", tabs[2], tabs[1])
	c.nodes[0].serve()
	tabs[0] = enter(c.nodes[0])
	refused("anew", tabs[0])
	tabs[2].shows(goodToken)
	tabs[0].send("g", "g")
	tabs[0].wants("ack g")
	c.bus.Kill()
	tabs[2].shows(badToken)
	refused("busless", tabs[0], tabs[1], tabs[2])
}
