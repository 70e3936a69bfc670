package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"
)

// outage is a fault of what nodes share, as two nodes meet it.
type outage struct {
	begin, end func(*cluster)
	spared     bool // the first node goes on with it
}

// TestStoreAway: while PostgreSQL is away nodes verify by what they know, take nothing
// that they cannot keep, and say so; then they go on as if nothing had been.
func TestStoreAway(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 2, "")
	c.start()
	healthy, n := c.nodes[0], c.nodes[1]
	for name, fault := range map[string]outage{
		"killed":   {func(c *cluster) { c.store.Kill() }, func(c *cluster) { c.restart() }, false},
		"stopped":  {func(c *cluster) { c.store.Stop() }, func(c *cluster) { c.store.Continue() }, false},
		"cut from": {func(c *cluster) { c.wires[1].store.snap() }, func(c *cluster) { c.wires[1].store.mend() }, true},
	} {
		v := n.newVisitor()
		here, there := v.at(n), v.at(healthy)
		conn, _ := here.connected(t)
		other, _ := there.connected(t)
		known, fresh := c.access(n), c.access(healthy)
		if n.admits(known) != http.StatusOK {
			t.Fatalf("%s: a good token is refused before", name)
		}
		here.sends(conn, "m1")
		soon(t, "quiet", time.Second, func() bool { return here.has() == 3 && there.has() == 3 })

		fault.begin(c)
		for what, token := range map[string]string{"seen before": known, "new to the node": fresh} {
			if got := n.admits(token); got != http.StatusOK {
				t.Errorf("%s: a token %s is answered with %d", name, what, got)
			}
		}
		w := newWatch()
		if f := here.says(conn, "m2"); f.Type != "nack" || f.Error.Code != "unavailable" && f.Error.Code != "busy" {
			t.Errorf("%s: a message is answered with %s %s", name, f.Type, f.Error.Code)
		}
		w.within(t, name+": telling the sender", 15*time.Second)
		status, checks := n.health()
		if status != http.StatusOK || checks["store"] == "ok" {
			t.Errorf("%s: /readyz = %d %v, want it degraded", name, status, checks)
		}
		if fault.spared {
			there.sends(other, "m3")
		}

		fault.end(c)
		for _, n := range c.nodes {
			soon(t, name+": ready again", 15*time.Second, func() bool { _, checks := n.health(); return checks["store"] == "ok" })
		}
		soon(t, name+": taking messages again", 15*time.Second, func() bool { return here.says(conn, "m2").Type == "ack" })
		want := 5
		if fault.spared {
			want = 7
		}
		soon(t, name+": all seen on both nodes", 5*time.Second, func() bool { return here.has() == want && there.has() == want })
		v.conversation, v.acked = here.v.conversation, map[string]int64{}
		for i, m := range v.history() {
			if m.Seq != int64(i)+1 {
				t.Errorf("%s: message %d has number %d", name, i, m.Seq)
			}
		}
		_ = conn.NetConn().Close()
		_ = other.NetConn().Close()
	}
}

// TestBusAway: while Redis is away each node serves its own clients, and learns from the
// store what others have done.
func TestBusAway(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 2, "", "CARNET_POLL_INTERVAL=2s")
	c.start()
	a, b := c.nodes[0], c.nodes[1]
	v := a.newVisitor()
	here, there := v.at(a), v.at(b)
	conn, _ := here.connected(t)
	_, _ = there.connected(t)
	seen, round := 1, 0
	say := func(what string, within time.Duration) {
		t.Helper()
		round++
		here.sends(conn, fmt.Sprint("m", round))
		seen += 2
		soon(t, what+": answered", time.Second, func() bool { return here.has() == seen })
		soon(t, what+": heard on the other node", within, func() bool { return there.has() == seen })
	}
	say("before", time.Second)
	for name, fault := range map[string]outage{
		"killed":   {begin: func(c *cluster) { c.bus.Kill() }, end: func(c *cluster) { c.bus.Restart() }},
		"stopped":  {begin: func(c *cluster) { c.bus.Stop() }, end: func(c *cluster) { c.bus.Continue() }},
		"cut from": {begin: func(c *cluster) { c.wires[1].bus.snap() }, end: func(c *cluster) { c.wires[1].bus.mend() }},
	} {
		token := c.access(a)
		fault.begin(c)
		say(name, 4*time.Second) // the sweep of live sockets
		status, checks := b.health()
		if status != http.StatusOK || checks["bus"] == "ok" || checks["store"] != "ok" {
			t.Errorf("%s: /readyz = %d %v, want the bus alone degraded", name, status, checks)
		}
		a.revoke("token", a.claimsOf(token)["jti"].(string))
		route := fmt.Sprint("r", round)
		a.route(route)
		for _, n := range c.nodes {
			soon(t, name+": refusing what was revoked elsewhere", 2*time.Second, func() bool { return n.admits(token) == http.StatusUnauthorized })
			soon(t, name+": having the route that was added elsewhere", 2*time.Second, func() bool { return n.status(n.gateway+"/"+route) == http.StatusOK })
		}
		fault.end(c)
		soon(t, name+": reached again", 10*time.Second, func() bool { _, checks := b.health(); return checks["bus"] == "ok" })
		say(name+", over", 4*time.Second)
	}
	v.conversation = here.v.conversation
	for i, m := range v.history() {
		if m.Seq != int64(i)+1 {
			t.Errorf("message %d has number %d", i, m.Seq)
		}
	}
}

// TestTurnTakenOver: a turn whose node was killed amid the bot's call is answered by
// another node when its lease has run out, and once.
func TestTurnTakenOver(t *testing.T) {
	t.Parallel()
	type call struct{ node, message string }
	calls := make(chan call, 10)
	bot := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, err := io.ReadAll(r.Body)
		if err != nil || !strings.Contains(string(text), "message.created") {
			return
		}
		calls <- call{strings.TrimPrefix(r.URL.Path, "/"), r.Header.Get("Webhook-Id")}
		if len(calls) == 1 {
			<-r.Context().Done() // its caller is killed
			return
		}
		_, _ = io.WriteString(w, `{"messages":[{"text":"here"}]}`)
	}))
	t.Cleanup(bot.Close)
	c := newCluster(t, 2, "")
	for i, n := range c.nodes {
		n.secret("bot", botSecret)
		n.file(clusterFile + fmt.Sprintf(`
chat:
  bots:
    echo: {type: webhook, url: "%s/%d", secret: "srn:vault::default:secret:bot"}
`, bot.URL, i))
	}
	c.start()
	v := c.nodes[0].newVisitor()
	tabs := []*reader{v.at(c.nodes[0]), v.at(c.nodes[1])}
	for i, tab := range tabs {
		conn, _ := tab.connected(t)
		if i == 1 {
			tab.sends(conn, "m1")
		}
	}
	soon(t, "calling the bot", 2*time.Second, func() bool { return len(calls) == 1 })
	first := <-calls
	calls <- call{}
	called, survivor := 0, 1
	if first.node == "1" {
		called, survivor = 1, 0
	}
	c.nodes[called].stop(os.Kill)
	soon(t, "calling the bot from another node", 20*time.Second, func() bool { return len(calls) == 2 })
	soon(t, "answered", time.Second, func() bool { return tabs[survivor].has() == 2 })
	<-calls
	if second := <-calls; second != (call{fmt.Sprint(survivor), first.message}) {
		t.Errorf("the bot was called with %v, and then with %v", first, second)
	}
}

// says sends a message and returns what it is answered with.
func (r *reader) says(conn interface{ WriteString(string) error }, id string) frame {
	t := r.v.n.t
	t.Helper()
	if err := conn.WriteString(fmt.Sprintf(`{"type":"send","id":%q,"body":{"text":%q}}`, id, id)); err != nil {
		t.Fatal(err)
	}
	for {
		select {
		case f := <-r.frames:
			if f.ID == id {
				return f
			}
		case <-time.After(patience):
			t.Fatalf("%s was not answered", id)
		}
	}
}
