package main

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lxzan/gws"

	"github.com/carnetproject/carnet/internal/bus/redis/redistest"
	"github.com/carnetproject/carnet/internal/store/postgres/pgtest"
)

// cluster is nodes that share a PostgreSQL and a Redis of the test's own, which each
// reaches by wires of its own.
type cluster struct {
	t     *testing.T
	store *pgtest.Server
	bus   *redistest.Server
	nodes []*node
	wires []wires // of each node
	app   map[string]string
}

// wires are a node's ways to what it shares.
type wires struct{ store, bus *wire }

// clusterFile is the same on all nodes: the gateway admits the issuer's access tokens.
const clusterFile = `
issuer: http://cluster.test
gateway:
  consumers:
  - username: access
    groups: [member]
    jwt_secrets: [{key_set: access}]
  services:
  - name: echo
    url: internal://echo
    routes:
    - name: demo
      paths: [/demo]
      plugins: {jwt: {}, acl: {allow: [member]}}
`

// newCluster prepares nodes. They ask the store so seldom that what they know of one
// another in time they have from the bus.
func newCluster(t *testing.T, count int, file string, environ ...string) *cluster {
	t.Helper()
	return newClusterOn(t, pgtest.Start(t), count, file, environ...)
}

func newClusterOn(t *testing.T, store *pgtest.Server, count int, file string, environ ...string) *cluster {
	t.Helper()
	c := &cluster{t: t, store: store, bus: redistest.Start(t)}
	at, err := c.store.Database("")
	if err != nil {
		t.Fatal(err)
	}
	shared := append([]string{
		"CARNET_MASTER_KEYS_SIGNING=env:SIGNING_KEY", "SIGNING_KEY=" + masterKey(),
		"CARNET_MASTER_KEYS_DATA=env:DATA_KEY", "DATA_KEY=" + masterKey(),
		"CARNET_POLL_INTERVAL=1m", "CARNET_LIMITS_STS_PER_IP=none", "CARNET_LIMITS_STS_PER_APP=none", "CARNET_LIMITS_STS_PER_IDENTITY=none",
		"CARNET_LIMITS_TOKEN_PER_APP=none", "CARNET_CHAT_SENDS_PER_USER=none",
		"CARNET_CHAT_CONNECTIONS_PER_IP=1000", "CARNET_CHAT_CONNECTS_PER_IP=none",
	}, environ...)
	for range count {
		w := wires{newWire(t, c.store.Addr), newWire(t, c.bus.Addr)}
		own := []string{
			"CARNET_STORE=" + strings.Replace(at, c.store.Addr, w.store.addr(), 1),
			"CARNET_BUS=redis://" + w.bus.addr(),
		}
		n := newNode(t, append(own, shared...)...)
		n.file(clusterFile + file)
		c.nodes, c.wires = append(c.nodes, n), append(c.wires, w)
	}
	return c
}

// restart starts the store again after it was killed.
func (c *cluster) restart() {
	c.t.Helper()
	if err := c.store.Restart(); err != nil {
		c.t.Fatal(err)
	}
}

func masterKey() string {
	b := make([]byte, 32)
	_, _ = rand.Read(b)
	return base64.StdEncoding.EncodeToString(b)
}

// start runs all nodes at once and makes an app and a page.
func (c *cluster) start() {
	c.t.Helper()
	for _, n := range c.nodes {
		n.launch()
	}
	for _, n := range c.nodes {
		n.wait("ready", func() bool { return n.status(n.admin+"/readyz") == http.StatusOK })
	}
	first := c.nodes[0]
	c.app = first.credentials("api", "--scopes", "demo")
	page := strings.TrimPrefix(strings.TrimSpace(first.carnet("apps", "add", "page", "--public")), "client_id=")
	for _, n := range c.nodes {
		n.demo = map[string]string{"CARNET_WEB_CLIENT_ID": page}
		soon(c.t, "knowing the new apps", time.Second, func() bool {
			r, err := n.do("POST", n.public+"/sts", url.Values{"clientId": {page}, "isAnonymous": {"true"}})
			return err == nil && r.status == http.StatusOK
		})
	}
}

// access is a token for the gateway, which the node issues.
func (c *cluster) access(n *node) string {
	c.t.Helper()
	return n.must(200, "POST", n.public+"/oauth2/token", url.Values{
		"grant_type": {"client_credentials"}, "client_id": {c.app["client_id"]}, "client_secret": {c.app["client_secret"]},
	}).str("access_token")
}

// status is what a GET is answered with, 0 for nothing at all.
func (n *node) status(target string, headers ...string) int {
	r, err := n.do("GET", target, nil, headers...)
	if err != nil {
		return 0
	}
	return r.status
}

// admits tells what the gateway of a node says to a token.
func (n *node) admits(token string) int {
	return n.status(n.gateway+"/demo", "Authorization", bearer(token))
}

// route adds a route to the gateway of all nodes, by the Admin API of one.
func (n *node) route(name string) {
	n.t.Helper()
	secret, err := os.ReadFile(filepath.Join(n.data, "admin.secret"))
	if err != nil {
		n.t.Fatal(err)
	}
	operator := bearer(strings.TrimSpace(string(secret)))
	service := fmt.Sprintf(`{"name":%q,"url":%q}`, name, n.public+"/.well-known/jwks.json")
	n.must(201, "POST", n.admin+"/services", service, "Authorization", operator)
	n.must(201, "POST", n.admin+"/services/"+name+"/routes", fmt.Sprintf(`{"paths":["/%s"]}`, name), "Authorization", operator)
}

// soon waits for something that must come true within a time.
func soon(t *testing.T, what string, within time.Duration, f func() bool) {
	t.Helper()
	w := newWatch()
	for !f() {
		if time.Since(w.began) > within+patience {
			t.Fatalf("not %s", what)
		}
		<-time.After(10 * time.Millisecond)
	}
	w.within(t, what, within)
}

// connected is [reader.connect] of a client that tries again.
func (r *reader) connected(t *testing.T) (conn *gws.Conn, done chan struct{}) {
	t.Helper()
	soon(t, "connected", 15*time.Second, func() bool {
		conn, done = r.connect()
		return conn != nil
	})
	return conn, done
}

// wire passes connections on to a server. It can be cut, and then it is as if no packet
// came through: nothing is closed, and nothing answers. It can be long, too.
type wire struct {
	listener net.Listener

	mu    sync.Mutex
	to    string
	lag   time.Duration // of what goes through, in each direction
	cut   bool
	whole sync.Cond // not cut
}

func newWire(t *testing.T, to string) *wire {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{listener: l, to: to}
	w.whole.L = &w.mu
	go w.accept()
	t.Cleanup(func() {
		_ = l.Close()
		w.mend()
	})
	return w
}

func (w *wire) addr() string { return w.listener.Addr().String() }

func (w *wire) accept() {
	for {
		near, err := w.listener.Accept()
		if err != nil {
			return
		}
		go w.carry(near)
	}
}

func (w *wire) carry(near net.Conn) {
	defer near.Close()
	far, err := net.Dial("tcp", w.wait())
	if err != nil {
		return
	}
	defer far.Close()
	var both sync.WaitGroup
	both.Go(func() { w.copy(far, near) })
	both.Go(func() { w.copy(near, far) })
	both.Wait()
}

func (w *wire) copy(to, from net.Conn) {
	defer to.Close()
	b := make([]byte, 32<<10)
	for {
		n, err := from.Read(b)
		w.wait()
		if n > 0 {
			if _, err := to.Write(b[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// wait lets what has come go on when it is time, to the server that it returns.
func (w *wire) wait() (to string) {
	w.mu.Lock()
	lag := w.lag
	w.mu.Unlock()
	if lag > 0 {
		<-time.After(lag)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for w.cut {
		w.whole.Wait()
	}
	return w.to
}

// stretch makes the wire so long.
func (w *wire) stretch(lag time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lag = lag
}

// lead has new connections go to another server.
func (w *wire) lead(to string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.to = to
}

// snap cuts the wire, mend joins it.
func (w *wire) snap() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cut = true
}

func (w *wire) mend() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cut = false
	w.whole.Broadcast()
}

// health is what /readyz says.
func (n *node) health() (status int, checks map[string]string) {
	resp, err := http.Get(n.admin + "/readyz")
	if err != nil {
		return 0, nil
	}
	defer resp.Body.Close()
	var r struct{ Checks map[string]string }
	text, _ := io.ReadAll(resp.Body)
	_ = json.Unmarshal(text, &r)
	return resp.StatusCode, r.Checks
}

// at is a socket of the user on a node.
func (v *visitor) at(n *node) *reader {
	return &reader{v: &visitor{n: n, token: v.token, acked: map[string]int64{}}, frames: make(chan frame, 64)}
}

// sends sends a message by a socket and waits for its ack.
func (r *reader) sends(conn interface{ WriteString(string) error }, id string) int64 {
	t := r.v.n.t
	t.Helper()
	if err := conn.WriteString(fmt.Sprintf(`{"type":"send","id":%q,"body":{"text":%q}}`, id, id)); err != nil {
		t.Fatal(err)
	}
	select {
	case f := <-r.frames:
		if f.Type != "ack" || f.ID != id {
			t.Fatalf("%s was answered with %s of %s: %s", id, f.Type, f.ID, f.Error.Code)
		}
		return f.Seq
	case <-time.After(patience):
		t.Fatalf("%s was not acknowledged", id)
		return 0
	}
}

// has tells how many messages the socket has seen.
func (r *reader) has() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.seen)
}
