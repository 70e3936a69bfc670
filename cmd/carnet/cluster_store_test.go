package main

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/carnetproject/carnet/internal/store/postgres/pgtest"
)

// sql runs a statement on the cluster's server, beside the nodes.
func (c *cluster) sql(statement string) {
	c.t.Helper()
	conn := c.database()
	defer func() { _ = conn.Close(c.t.Context()) }()
	if _, err := conn.Exec(c.t.Context(), statement); err != nil {
		c.t.Fatalf("%s: %v", statement, err)
	}
}

func (c *cluster) database() *pgx.Conn {
	c.t.Helper()
	conn, err := pgx.Connect(c.t.Context(), c.store.URL("postgres"))
	if err != nil {
		c.t.Fatal(err)
	}
	return conn
}

// crowdOut takes all of the server's connections, those of the nodes first of all, until
// the returned function is called.
func (c *cluster) crowdOut() (leave func()) {
	c.t.Helper()
	watch := c.database()
	all := []*pgx.Conn{watch}
	soon(c.t, "without a connection", 20*time.Second, func() bool {
		var left int
		err := watch.QueryRow(c.t.Context(), `SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = 'carnet'`).Scan(&left)
		if err != nil {
			c.t.Fatal(err)
		}
		for {
			conn, err := pgx.Connect(c.t.Context(), c.store.URL("postgres"))
			if err != nil {
				break
			}
			all = append(all, conn)
		}
		return left == 0
	})
	return func() {
		for _, conn := range all {
			_ = conn.Close(c.t.Context())
		}
	}
}

// TestStoreTrouble: a PostgreSQL that is slow, has no connection left, or takes no writes,
// costs what it must: messages are late, or refused as for a while, and the rest goes on.
func TestStoreTrouble(t *testing.T) {
	t.Parallel()
	c := newClusterOn(t, pgtest.Start(t, "max_connections=50"), 2, "")
	c.start()
	n := c.nodes[0]
	v := n.newVisitor()
	here, there := v.at(n), v.at(c.nodes[1])
	conn, _ := here.connected(t)
	_, _ = there.connected(t)
	token := c.access(n)
	heard := func(when string, want int) {
		t.Helper()
		soon(t, when+": heard on both nodes", 5*time.Second, func() bool { return here.has() == want && there.has() == want })
	}
	here.sends(conn, "m0")
	heard("at first", 3)

	for _, w := range c.wires {
		w.store.stretch(50 * time.Millisecond)
	}
	w := newWatch()
	if got := n.admits(token); got != http.StatusOK {
		t.Errorf("slow: a token is answered with %d", got)
	}
	w.within(t, "slow: admitting a token", 0)
	here.sends(conn, "slow")
	w.within(t, "slow: acknowledging a message", 5*time.Second)
	heard("slow", 5)
	for _, w := range c.wires {
		w.store.stretch(0)
	}

	var leave func()
	readOnly := func(value string) func() {
		return func() {
			c.sql("ALTER SYSTEM SET default_transaction_read_only = " + value)
			c.sql("SELECT pg_reload_conf()")
		}
	}
	for i, trouble := range []struct {
		name       string
		begin, end func()
		reads      int // what a page of history is answered with
	}{
		{"no connections", func() { leave = c.crowdOut() }, func() { leave() }, http.StatusServiceUnavailable},
		{"no writes", readOnly("on"), readOnly("off"), http.StatusOK},
	} {
		trouble.begin()
		if got := n.admits(token); got != http.StatusOK {
			t.Errorf("%s: a token is answered with %d", trouble.name, got)
		}
		id := fmt.Sprint("m", i+1)
		var f frame
		soon(t, trouble.name+": refused", 10*time.Second, func() bool { // statements that had begun may go through
			id += "-"
			f = here.says(conn, id)
			return f.Type == "nack"
		})
		if f.Error.Code != "unavailable" && f.Error.Code != "busy" {
			t.Errorf("%s: a message is refused with %s", trouble.name, f.Error.Code)
		}
		history := n.public + "/chat/v1/conversations/" + here.v.conversation + "/messages"
		if got := n.status(history, "Authorization", bearer(v.token)); got != trouble.reads {
			t.Errorf("%s: a page of history is answered with %d, want %d", trouble.name, got, trouble.reads)
		}
		trouble.end()
		soon(t, trouble.name+": taking messages again", 15*time.Second, func() bool { return here.says(conn, id).Type == "ack" })
	}
	v.conversation = here.v.conversation
	// a turn whose end could not be written waits for its lease
	soon(t, "answered", 20*time.Second, func() bool { return answered(v.history()) })
	heard("in the end", len(v.history()))
	for i, m := range v.history() {
		if m.Seq != int64(i)+1 {
			t.Errorf("message %d has number %d", i, m.Seq)
		}
	}
}

// TestStoreFailsOver loses the primary, and has its standby take its place. One node finds
// it where it found the other, one has a list of both: nothing that was acknowledged is
// lost, and what was not is taken again.
func TestStoreFailsOver(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 2, "")
	standby, err := c.store.Standby(t)
	if err != nil {
		t.Fatal(err)
	}
	for i, v := range c.nodes[1].environ {
		if strings.HasPrefix(v, "CARNET_STORE=") {
			both := strings.Replace(v, c.wires[1].store.addr(), c.store.Addr+","+standby.Addr, 1)
			c.nodes[1].environ[i] = both + "?target_session_attrs=read-write"
		}
	}
	c.start()
	v := c.nodes[0].newVisitor()
	here, there := v.at(c.nodes[0]), v.at(c.nodes[1])
	conn, _ := here.connected(t)
	_, _ = there.connected(t)
	acked := map[string]int64{}
	for i := range 5 {
		id := fmt.Sprint("m", i)
		acked[id] = here.sends(conn, id)
	}
	token := c.access(c.nodes[0])
	c.store.Kill()
	if f := here.says(conn, "m5"); f.Type != "nack" {
		t.Errorf("without a primary a message is answered with %s", f.Type)
	}
	c.wires[0].store.lead(standby.Addr)
	if f := here.says(conn, "m5"); f.Type != "nack" {
		t.Errorf("with a standby alone a message is answered with %s", f.Type)
	}
	if err := standby.Promote(); err != nil {
		t.Fatal(err)
	}
	soon(t, "taking messages again", 15*time.Second, func() bool {
		f := here.says(conn, "m5")
		acked["m5"] = f.Seq
		return f.Type == "ack"
	})
	for _, n := range c.nodes {
		soon(t, "ready again", 15*time.Second, func() bool { _, checks := n.health(); return checks["store"] == "ok" })
		if got := n.admits(token); got != http.StatusOK {
			t.Errorf("a token is answered with %d", got)
		}
	}
	v.conversation, v.acked = here.v.conversation, acked
	soon(t, "answered", 20*time.Second, func() bool { return answered(v.history()) })
	soon(t, "all heard", 5*time.Second, func() bool { return here.has() == len(v.history()) && there.has() == here.has() })
	here.v, there.v = v, v
	v.check([]*reader{here, there})
}
