package main

import (
	"testing"
	"time"

	"github.com/carnetproject/carnet/internal/soak"
)

// TestClusterSoak is [TestSoak] of three nodes whose PostgreSQL and Redis go away, too,
// in all ways.
func TestClusterSoak(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 3, "", append(soakEnviron(), "CARNET_ISSUER=http://cluster.test", "CARNET_POLL_INTERVAL=2s")...)
	s := soak.Config{
		Faults: 16 * time.Second, Calm: 6 * time.Second, Kills: 1500 * time.Millisecond, // a killed node's turns are taken over after 15 s
		Conversations: 90, Outages: c.outages(),
	}
	for _, n := range c.nodes {
		s.Nodes = append(s.Nodes, tormented{n})
	}
	soaked(t, s, c.nodes)
}

// outages are all ways in which what the nodes share can be away. Of the nodes each is
// cut off in its turn.
func (c *cluster) outages() []soak.Outage {
	surely := func(f func()) func() error {
		return func() error { f(); return nil }
	}
	turn, cut := 0, (*wire)(nil)
	snap := func(of func(wires) *wire) func() error {
		return func() error {
			cut = of(c.wires[turn%len(c.wires)])
			turn++
			cut.snap()
			return nil
		}
	}
	mend := func() error { cut.mend(); return nil }
	return []soak.Outage{
		{Name: "PostgreSQL is killed", Begin: surely(c.store.Kill), End: c.store.Restart},
		{Name: "PostgreSQL hangs", Begin: surely(c.store.Stop), End: surely(c.store.Continue)},
		{Name: "a node is cut off from PostgreSQL", Begin: snap(func(w wires) *wire { return w.store }), End: mend},
		{Name: "Redis is killed", Begin: surely(c.bus.Kill), End: surely(c.bus.Restart)},
		{Name: "Redis hangs", Begin: surely(c.bus.Stop), End: surely(c.bus.Continue)},
		{Name: "a node is cut off from Redis", Begin: snap(func(w wires) *wire { return w.bus }), End: mend},
	}
}
