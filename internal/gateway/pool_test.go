package gateway

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
)

// hosts are the targets' names in the order in which n requests get them.
func (p *pool) hosts(n int, tried ...*target) string {
	var list []string
	for range n {
		t := p.pick(now, tried)
		if t == nil {
			return strings.Join(append(list, "none"), " ")
		}
		list = append(list, t.host[:1])
	}
	return strings.Join(list, " ")
}

func weighed(algorithm string, weights ...int) *Upstream {
	u := &Upstream{Name: "u", Algorithm: algorithm}
	for i := range weights {
		u.Targets = append(u.Targets, Target{Target: string(rune('a'+i)) + ":1", Weight: &weights[i]})
	}
	return u
}

func TestRoundRobin(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		weights []int
		turns   int
		want    string // of the first requests, sorted by nothing
	}{
		"alike":      {[]int{100, 100, 100}, 3, "b c a b c a"},
		"one":        {[]int{7}, 1, "a a a a a a"},
		"spread":     {[]int{300, 100, 100}, 5, "b a c a a b"},
		"one is out": {[]int{100, 0, 100}, 2, "c a c a c a"},
		"huge":       {[]int{65535, 1}, 1024, "a a a a a a"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPool(weighed("", tc.weights...), nil)
			if len(p.turns) != tc.turns {
				t.Errorf("a round has %d turns, want %d", len(p.turns), tc.turns)
			}
			if got := p.hosts(6); got != tc.want {
				t.Errorf("targets %s, want %s", got, tc.want)
			}
		})
	}
}

// Each target gets its share, and the least of them something, whatever the weights.
func TestRoundRobinShares(t *testing.T) {
	t.Parallel()
	p := newPool(weighed("", 65535, 32768, 1), nil)
	got := map[string]int{}
	for range len(p.turns) {
		got[p.pick(now, nil).host]++
	}
	if n := len(p.turns); n > maxTurns+3 || got["c:1"] == 0 || got["a:1"] < 2*got["b:1"]-4 || got["a:1"] > 2*got["b:1"]+4 {
		t.Errorf("of %d turns: %v", n, got)
	}
}

func TestLeastConnections(t *testing.T) {
	t.Parallel()
	p := newPool(weighed(leastConnections, 100, 200, 100), nil)
	got := map[string]int{}
	var taken []*target
	for range 40 {
		t := p.pick(now, nil)
		t.open.Add(1)
		got[t.host]++
		taken = append(taken, t)
	}
	if got["a:1"] != 10 || got["b:1"] != 20 || got["c:1"] != 10 {
		t.Errorf("open requests %v, want them by weight", got)
	}
	for _, t := range taken {
		if t.host == "c:1" {
			t.open.Add(-1)
		}
	}
	if got := p.hosts(3); got != "c c c" {
		t.Errorf("targets %s, want the one that is free", got)
	}
}

func TestPassiveHealth(t *testing.T) {
	t.Parallel()
	u := weighed("", 1, 1)
	u.MaxFails, u.FailTimeout = 2, time.Minute
	p := newPool(u, nil)
	a, b := p.members[0].target, p.members[1].target
	p.failed(a, now)
	if got := p.hosts(4); got != "b a b a" {
		t.Errorf("after one failure: %s", got)
	}
	a.answered()
	p.failed(a, now)
	p.failed(a, now)
	if got := p.hosts(4); got != "b b b b" {
		t.Errorf("after two in a row: %s", got)
	}
	p.failed(b, now)
	p.failed(b, now)
	if got := p.hosts(4); got != "b a b a" {
		t.Errorf("with all out: %s, want any", got)
	}
	b.answered()
	if later := now.Add(time.Minute); !a.in(later) || a.in(later.Add(-1)) {
		t.Error("the target is not in again after fail_timeout, or is before")
	}
	p.failed(a, now.Add(time.Minute))
	if a.in(now.Add(time.Minute + time.Second)) {
		t.Error("one failure after the rest does not put the target out again")
	}
}

func TestPickNeverReturnsTheTried(t *testing.T) {
	t.Parallel()
	for _, algorithm := range []string{roundRobin, leastConnections} {
		p := newPool(weighed(algorithm, 1, 1, 1), nil)
		a, b, c := p.members[0].target, p.members[1].target, p.members[2].target
		p.failed(c, now)
		p.failed(c, now)
		p.failed(c, now)
		if got := p.hosts(3, a); got != "b b b" {
			t.Errorf("%s: with a tried and c out: %s", algorithm, got)
		}
		if got := p.hosts(2, a, b); got != "c c" {
			t.Errorf("%s: with a and b tried and c out: %s", algorithm, got)
		}
		if got := p.hosts(1, a, b, c); got != "none" {
			t.Errorf("%s: with all tried: %s", algorithm, got)
		}
	}
	p := newPool(weighed("", 1), nil)
	if got := p.hosts(1, p.members[0].target); got != "none" {
		t.Errorf("the only one was tried: %s", got)
	}
}

// What is known of a target outlives a reload that has it, too.
func TestPoolTakesTargetsOver(t *testing.T) {
	t.Parallel()
	first := upstreams([]Upstream{*weighed("", 1, 1)}, nil)
	next := upstreams([]Upstream{*weighed(leastConnections, 0, 5, 5)}, &table{upstreams: first})
	if first["u"].members[1].target != next["u"].members[0].target {
		t.Error("the target b is a new one")
	}
	if len(next["u"].members) != 2 || next["u"].members[1].host != "c:1" {
		t.Errorf("members %v", next["u"].members)
	}
}

func TestTargetAddress(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{"h": "h:8000", "h:1": "h:1", "[::1]": "[::1]:8000", "[::1]:9": "[::1]:9"} {
		if got := (&Target{Target: in}).address(); got != want {
			t.Errorf("%s → %s, want %s", in, got, want)
		}
	}
}

func TestPoolUnderRace(t *testing.T) {
	t.Parallel()
	for _, algorithm := range []string{roundRobin, leastConnections} {
		p := newPool(weighed(algorithm, 1, 2, 3), nil)
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				for range 500 {
					to := p.pick(now, nil)
					to.open.Add(1)
					if i%2 == 0 {
						p.failed(to, now)
					} else {
						to.answered()
					}
					to.open.Add(-1)
				}
			})
		}
		wg.Wait()
		for _, m := range p.members {
			if n := m.open.Load(); n != 0 {
				t.Errorf("%s: %d requests still at %s", algorithm, n, m.host)
			}
		}
	}
}

func BenchmarkPick(b *testing.B) {
	for _, algorithm := range []string{roundRobin, leastConnections} {
		for _, n := range []int{1, 10} {
			p := newPool(weighed(algorithm, make([]int, n)...), nil)
			for i := range n {
				p.members = append(p.members, member{&target{host: fmt.Sprint(i)}, 1})
			}
			if algorithm == roundRobin {
				p.turns = turns(p.members)
			}
			b.Run(fmt.Sprintf("%s/%d", algorithm, n), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if p.pick(now, nil) == nil {
						b.Fatal()
					}
				}
			})
		}
	}
}
