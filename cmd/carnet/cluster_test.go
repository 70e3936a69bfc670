package main

import (
	"net/http"
	"os"
	"testing"
	"time"
)

// TestCluster walks through three nodes that began at once on an empty database.
func TestCluster(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 3, "")
	c.start()
	a, b, d := c.nodes[0], c.nodes[1], c.nodes[2]

	// they have one set of keys
	keys := a.must(200, "GET", a.public+"/.well-known/jwks.json", nil)
	if list, _ := keys.body["keys"].([]any); len(list) != 2 {
		t.Errorf("three nodes made %d access keys at their first start, want ES256 and RS256", len(list))
	}
	for _, n := range c.nodes[1:] {
		soon(t, "having the same keys", time.Second, func() bool {
			r, err := n.do("GET", n.public+"/.well-known/jwks.json", nil)
			return err == nil && r.text == keys.text
		})
	}

	// what one issues the others admit, until it is revoked anywhere
	token := c.access(a)
	for _, n := range c.nodes {
		if got := n.admits(token); got != http.StatusOK {
			t.Errorf("a token of another node is answered with %d", got)
		}
	}
	a.revoke("app", c.app["client_id"])
	for _, n := range c.nodes {
		soon(t, "refusing what was revoked elsewhere", time.Second, func() bool { return n.admits(token) == http.StatusUnauthorized })
	}

	// so with the configuration
	b.route("added")
	for _, n := range c.nodes {
		soon(t, "having the route that was added elsewhere", time.Second, func() bool { return n.status(n.gateway+"/added") == http.StatusOK })
	}

	// a rotation on one node signs and verifies on all
	d.carnet("keys", "rotate", "access")
	for _, n := range c.nodes {
		soon(t, "publishing the new key", time.Second, func() bool {
			r, err := n.do("GET", n.public+"/.well-known/jwks.json", nil)
			list, _ := r.body["keys"].([]any)
			return err == nil && len(list) == 4
		})
	}

	// one user's tabs on three nodes are in one conversation, which outlives a node
	v := a.newVisitor()
	here, there, third := v.at(a), v.at(d), v.at(b)
	conn, _ := here.connected(t)
	_, lost := there.connected(t)
	_, _ = third.connected(t)
	if here.v.conversation != there.v.conversation || here.v.conversation != third.v.conversation {
		t.Fatalf("three tabs are in the conversations %s, %s and %s", here.v.conversation, there.v.conversation, third.v.conversation)
	}
	v.acked["m1"] = here.sends(conn, "m1")
	for _, r := range []*reader{here, there, third} {
		soon(t, "hearing a message of another node and its answer", time.Second, func() bool { return r.has() == 3 }) // and the welcome
	}
	d.stop(os.Kill)
	<-lost
	v.acked["m2"] = here.sends(conn, "m2")
	there.v.n = b // as a load balancer would
	moved, _ := there.connected(t)
	v.acked["m3"] = there.sends(moved, "m3")
	for _, r := range []*reader{here, there, third} {
		soon(t, "going on without the node", time.Second, func() bool { return r.has() == 7 })
	}
	v.conversation = here.v.conversation
	for _, r := range []*reader{here, there, third} {
		r.v = v
	}
	v.check([]*reader{here, there, third})
}

// TestFirstHelloAtOnce: of a user's first tabs on three nodes one makes the conversation.
func TestFirstHelloAtOnce(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 3, "")
	c.start()
	for round := range 10 {
		v := c.nodes[0].newVisitor()
		var tabs []*reader
		began := make(chan *reader)
		for i := range 6 {
			r := v.at(c.nodes[i%3])
			tabs = append(tabs, r)
			go func() {
				_, _ = r.connect()
				began <- r
			}()
		}
		for range tabs {
			<-began
		}
		for _, r := range tabs {
			if r.v.conversation == "" || r.v.conversation != tabs[0].v.conversation {
				t.Fatalf("round %d: a tab is in conversation %q, the first in %q", round, r.v.conversation, tabs[0].v.conversation)
			}
		}
	}
}
