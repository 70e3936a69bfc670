package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/carnetproject/carnet/internal/seal"
	"github.com/carnetproject/carnet/internal/secret"
)

// TestDoorsApart has a cluster of nodes that open one door each. What they do together is
// as if they were alike; but who does not issue holds nothing that could sign.
func TestDoorsApart(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 6, "")
	doors := []string{"issue", "issue", "admit", "admit", "carry", "carry"}
	signing := ""
	for i, n := range c.nodes {
		n.environ = append(n.environ, "CARNET_DOORS="+doors[i])
		if doors[i] != "issue" {
			n.environ = slices.DeleteFunc(n.environ, func(kv string) bool { return strings.Contains(kv, "SIGNING") })
			continue
		}
		for _, kv := range n.environ {
			if value, ok := strings.CutPrefix(kv, "SIGNING_KEY="); ok {
				signing = value
			}
		}
	}
	for _, n := range c.nodes {
		n.launch()
	}
	for _, n := range c.nodes {
		n.wait("ready", func() bool { return n.status(n.admin+"/readyz") == http.StatusOK })
	}
	issue, admit, carry := c.nodes[:2], c.nodes[2:4], c.nodes[4:]

	// each is one door
	for i, n := range c.nodes {
		open := map[string]bool{
			"issue": n.status(n.public+"/.well-known/jwks.json") == http.StatusOK,
			"admit": n.status(n.gateway+"/demo") == http.StatusUnauthorized,
			"carry": n.status(n.public+"/sdk/carnet.js") == http.StatusOK,
		}
		for door, is := range open {
			if is != (door == doors[i]) {
				t.Errorf("node %d has the door %s alone, and %s is open: %v", i, doors[i], door, is)
			}
		}
	}

	// what one node issues the others take
	c.app = issue[0].credentials("api", "--scopes", "demo")
	page := strings.TrimPrefix(strings.TrimSpace(issue[0].carnet("apps", "add", "page", "--public")), "client_id=")
	for _, n := range issue {
		soon(t, "knowing the new apps", time.Second, func() bool {
			r, err := n.do("POST", n.public+"/sts", url.Values{"clientId": {page}, "isAnonymous": {"true"}})
			return err == nil && r.status == http.StatusOK
		})
		n.demo = map[string]string{"CARNET_WEB_CLIENT_ID": page}
		token := c.access(n)
		for _, gate := range admit {
			if got := gate.admits(token); got != http.StatusOK {
				t.Errorf("a token is answered with %d", got)
			}
		}
	}
	v := issue[1].newVisitor()
	here, there := v.at(carry[0]), v.at(carry[1])
	conn, _ := here.connected(t)
	_, _ = there.connected(t)
	v.acked["m1"] = here.sends(conn, "m1")
	for _, r := range []*reader{here, there} {
		soon(t, "hearing what was said on another node, and the answer", time.Second, func() bool { return r.has() == 3 })
	}

	// and what signs is where the issue door is
	keys := c.privateKeys(signing)
	found := keys.in(memory(t, issue[0]))
	for what := range keys { // in the other forms they may have been there, and are collected
		if strings.HasSuffix(what, " in words") && !slices.Contains(found, what) {
			t.Errorf("the memory of an issue node has no %s, but %q: this test does not see what it looks for", what, found)
		}
	}
	for i, n := range append(admit, carry...) {
		what := fmt.Sprint(doors[2+i], " node ", i%2)
		for where, text := range map[string][][]byte{
			"memory": memory(t, n), "files": files(t, n.data), "environment": {[]byte(strings.Join(n.environ, "\n"))},
			"config print": {[]byte(n.carnet("config", "print", "--sources"))},
		} {
			if found := keys.in(text); len(found) > 0 {
				t.Errorf("%s: its %s has %q", what, where, found)
			}
		}
		if out, code := n.command("keys", "rotate", "access"); code != 3 && code != 2 || !strings.Contains(out, "no signing master key") {
			t.Errorf("%s: it makes keys: code %d, %s", what, code, out)
		}
	}
}

// needles are what must not be found, by what they are.
type needles map[string][]byte

// privateKeys are those of the cluster, as programs hold them, and their master key.
func (c *cluster) privateKeys(signing string) needles {
	t := c.t
	t.Helper()
	master, err := base64.StdEncoding.DecodeString(signing)
	if err != nil {
		t.Fatal(err)
	}
	all := needles{"master key": master, "master key as text": []byte(signing)}
	box, err := seal.NewBox(secret.New(slices.Clone(master)))
	if err != nil {
		t.Fatal(err)
	}
	var store string
	for _, kv := range c.nodes[0].environ {
		if value, ok := strings.CutPrefix(kv, "CARNET_STORE="); ok {
			store = value
		}
	}
	conn, err := pgx.Connect(t.Context(), store)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	rows, err := conn.Query(t.Context(), `SELECT set_name, kid, sealed FROM keys`)
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := pgx.CollectRows(rows, func(r pgx.CollectableRow) (row [3]string, err error) {
		err = r.Scan(&row[0], &row[1], &row[2])
		return row, err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range sealed {
		plain, err := box.Open("key:"+k[0]+":"+k[1], k[2])
		if err != nil {
			t.Fatal(err)
		}
		var jwk struct{ D, P, Q string }
		if err := json.Unmarshal(plain, &jwk); err != nil {
			t.Fatal(err)
		}
		for name, text := range map[string]string{"d": jwk.D, "p": jwk.P, "q": jwk.Q} {
			if text == "" {
				continue
			}
			value, err := base64.RawURLEncoding.DecodeString(text)
			if err != nil {
				t.Fatal(err)
			}
			words := slices.Clone(value) // as big numbers stand in memory
			slices.Reverse(words)
			id := k[0] + " " + k[1] + " " + name
			all[id], all[id+" as text"], all[id+" in words"], all[id+" as number"] = value, []byte(text), words, []byte(new(big.Int).SetBytes(value).String())
		}
	}
	if len(all) < 2+4*4 {
		t.Fatalf("the store has %d things to look for", len(all))
	}
	return all
}

// in names those that are in the texts.
func (n needles) in(texts [][]byte) (found []string) {
	for what, needle := range n {
		if slices.ContainsFunc(texts, func(text []byte) bool { return bytes.Contains(text, needle) }) {
			found = append(found, what)
		}
	}
	return found
}

// memory is what a node has in memory at the moment.
func memory(t *testing.T, n *node) (parts [][]byte) {
	t.Helper()
	proc := fmt.Sprintf("/proc/%d/", n.cmd.Process.Pid)
	maps, err := os.ReadFile(proc + "maps")
	if errors.Is(err, fs.ErrNotExist) {
		t.Skip("this system shows no memory of processes")
	}
	mem, err2 := os.Open(proc + "mem")
	if err := errors.Join(err, err2); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = mem.Close() }()
	for line := range strings.Lines(string(maps)) {
		if !strings.Contains(line, " rw") { // keys are no constants
			continue
		}
		var from, to int64
		if _, err := fmt.Sscanf(line, "%x-%x", &from, &to); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		part := make([]byte, to-from)
		if read, err := mem.ReadAt(part, from); err == nil || read > 0 {
			parts = append(parts, part[:read])
		}
	}
	environ, err := os.ReadFile(proc + "environ")
	if err != nil || len(parts) == 0 {
		t.Fatalf("no memory to be read: %v", err)
	}
	return append(parts, environ)
}

// files are the contents of all files in a directory.
func files(t *testing.T, dir string) (texts [][]byte) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		texts = append(texts, text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return texts
}
