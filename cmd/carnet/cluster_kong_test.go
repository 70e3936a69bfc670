package main

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// TestClusterKong imports all that Kong's cases need by one node, and runs each case on
// every node: package gateway has the cases.
func TestClusterKong(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 3, "")
	c.start()
	var gateways []string
	for _, n := range c.nodes {
		gateways = append(gateways, strings.TrimPrefix(n.gateway, "http://"))
	}
	first := c.nodes[0]
	cases := exec.CommandContext(t.Context(), "go", "test", "-count=1", "-v", "-run", "^TestKongOnNodes$", "../../internal/gateway")
	cases.Env = append(os.Environ(), first.environ...)
	cases.Env = append(cases.Env, "KONG_NODES="+strings.Join(gateways, " "), "KONG_IMPORT="+binary+" import kong --data "+first.data)
	out, err := cases.CombinedOutput()
	if passed := strings.Count(string(out), "    --- PASS: "); err != nil || passed < 3*80 {
		t.Errorf("%d cases passed on three nodes, %v:\n%s", passed, err, out)
	}
}
