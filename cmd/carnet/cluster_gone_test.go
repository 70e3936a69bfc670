package main

import (
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

// TestStoreGone is without PostgreSQL for as long as a node trusts what it knows: then it
// is not ready any more, and alive. One that begins meanwhile does not start.
func TestStoreGone(t *testing.T) {
	t.Parallel()
	const trust = 30 * time.Second
	c := newCluster(t, 2, "")
	c.start()
	n, other := c.nodes[0], c.nodes[1]
	token := c.access(n)
	other.stop(os.Kill)
	gone := newWatch()
	c.store.Kill()
	_, _ = n.health() // when it looks for the first time

	other.launch()
	if code := other.exit(); code != 6 || !strings.Contains(other.log.String(), "store") {
		t.Errorf("a node without its store ends with %d", code)
	}
	for {
		status, checks := n.health()
		if status == http.StatusServiceUnavailable {
			break
		}
		if age := time.Since(gone.began); age > trust+patience {
			t.Fatalf("after %v without its store a node is ready: %v", age, checks)
		}
		<-time.After(200 * time.Millisecond)
	}
	gone.within(t, "being without a store, and ready,", trust+10*time.Second)
	if age := time.Since(gone.began); age < trust-5*time.Second {
		t.Errorf("without its store a node is ready for %v only", age)
	}
	if got := n.status(n.admin + "/healthz"); got != http.StatusOK {
		t.Errorf("/healthz is answered with %d", got)
	}
	if got := n.admits(token); got != http.StatusOK {
		t.Errorf("a token is answered with %d", got)
	}
	c.restart()
	soon(t, "ready again", 15*time.Second, func() bool { status, _ := n.health(); return status == http.StatusOK })
}
