package main

import (
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// quota is what the limit of [limitedFile] lets pass in a year.
const quota = 60

// limitedFile is a limit that nodes share, by the header Who.
const limitedFile = `
  - name: limited
    url: internal://echo
    routes:
    - name: limited
      paths: [/limited]
      plugins: {rate-limiting: {year: 60, policy: redis, limit_by: header, header_name: Who}}
`

// crowd has callers of one name come to all nodes at once, and returns how many passed.
func (c *cluster) crowd(who string) int {
	var passed atomic.Int32
	var wg sync.WaitGroup
	for _, n := range c.nodes {
		for range 6 {
			wg.Go(func() {
				for range quota / 4 {
					w := newWatch()
					switch status := n.status(n.gateway+"/limited", "Who", who); status {
					case http.StatusOK:
						passed.Add(1)
					case http.StatusTooManyRequests:
					default:
						c.t.Errorf("%s: a request is answered %d", who, status)
					}
					w.within(c.t, who+": a request", 0)
				}
			})
		}
	}
	wg.Wait()
	return int(passed.Load())
}

var aloneLine = regexp.MustCompile(`(?m)^carnet_rate_limit_alone_total (\d+)`)

// alone is how many requests nodes have counted by themselves, as a busy machine has them
// do now and then.
func (c *cluster) alone() (total int) {
	c.t.Helper()
	for _, n := range c.nodes {
		m := aloneLine.FindStringSubmatch(n.must(200, "GET", n.admin+"/metrics", nil).text)
		if m == nil {
			c.t.Fatal("the metrics do not say how many requests a node has counted alone")
		}
		count, _ := strconv.Atoi(m[1])
		total += count
	}
	return total
}

// TestRedisTrouble: with Redis nodes let no more pass than the limit, all together. With
// one that is slow, full or gone each lets no more pass than the limit by itself, and
// requests and conversations go on. One that evicts may forget what it has counted.
func TestRedisTrouble(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 3, limitedFile)
	c.start()
	v := c.nodes[0].newVisitor()
	here, there := v.at(c.nodes[0]), v.at(c.nodes[1])
	conn, _ := here.connected(t)
	_, _ = there.connected(t)
	said := 0
	say := func(when string, within time.Duration) {
		t.Helper()
		said++
		w := newWatch()
		here.sends(conn, fmt.Sprint("m", said))
		w.within(t, when+": acknowledging a message", time.Second)
		soon(t, when+": heard on the other node", within, func() bool { return there.has() == 1+2*said })
	}
	together := func(when string) {
		t.Helper()
		before := c.alone()
		passed := c.crowd(when)
		if alone := c.alone() - before; passed < quota || passed > quota+alone {
			t.Errorf("%s: %d passed on three nodes, want %d; %d were counted alone", when, passed, quota, alone)
		}
	}
	say("at first", time.Second)
	together("at first")
	lag := func(d time.Duration) {
		for _, w := range c.wires {
			w.bus.stretch(d)
		}
	}
	for _, trouble := range []struct {
		name       string
		begin, end func()
	}{
		{"slow", func() { lag(300 * time.Millisecond) }, func() { lag(0) }},
		{"full", func() { c.bus.Do("CONFIG SET maxmemory 1") }, func() { c.bus.Do("CONFIG SET maxmemory 0") }},
		{"killed", c.bus.Kill, c.bus.Restart},
	} {
		before := c.alone()
		trouble.begin()
		first := c.crowd(trouble.name)
		say(trouble.name, 3*time.Second)
		if got := first + c.crowd(trouble.name); got < quota || got > 3*quota {
			t.Errorf("%s: %d passed on three nodes, want at least %d and at most %d", trouble.name, got, quota, 3*quota)
		}
		if c.alone() == before {
			t.Errorf("%s: nothing was counted alone, so there was no trouble", trouble.name)
		}
		trouble.end()
		for _, n := range c.nodes {
			soon(t, trouble.name+": counting together again", 3*time.Second, func() bool {
				n.status(n.gateway+"/limited", "Who", "nobody")
				return strings.Contains(n.must(200, "GET", n.admin+"/metrics", nil).text, "\ncarnet_rate_limit_shared_up 1\n")
			})
			soon(t, trouble.name+": reached again", 10*time.Second, func() bool { _, checks := n.health(); return checks["bus"] == "ok" })
		}
		say(trouble.name+", over", 4*time.Second)
		together(trouble.name + ", over")
	}

	c.evict()
	say("evicting", time.Second)
	before := c.alone()
	if passed, alone := c.crowd("killed, over"), c.alone()-before; passed < quota || passed > quota+alone {
		t.Errorf("%d passed again when Redis had forgotten those before, want %d; %d were counted alone", passed, quota, alone)
	}
}

// evict makes Redis' memory so small that it forgets all limits, and then large again.
func (c *cluster) evict() {
	c.t.Helper()
	limits := func() bool {
		return c.bus.Do(`EVAL "return #redis.call('KEYS','*:limit:*')" 0`) != ":0\r\n"
	}
	if !limits() {
		c.t.Fatal("Redis has no limits to forget")
	}
	used := regexp.MustCompile(`used_memory:(\d+)`).FindStringSubmatch(c.bus.Do("INFO memory"))
	bytes, _ := strconv.Atoi(used[1])
	c.bus.Do("CONFIG SET maxmemory-policy allkeys-lru")
	defer c.bus.Do("CONFIG SET maxmemory 0")
	c.bus.Do(fmt.Sprint("CONFIG SET maxmemory ", bytes+500_000))
	for round := 0; limits(); round++ {
		if round == 100 {
			c.t.Fatal("Redis forgets nothing")
		}
		c.bus.Do(fmt.Sprintf(`EVAL "for i=1,500 do redis.call('SET','fill%d:'..i,string.rep('x',900)) end" 0`, round))
	}
}
