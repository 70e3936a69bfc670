package main

import (
	"bytes"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/carnetproject/carnet/internal/jose"
	"github.com/carnetproject/carnet/internal/store/postgres/pgtest"
)

// TestStoreCopy moves a node from its file to PostgreSQL: the copy is killed half way and
// goes on, and with it all that was signed in, said and imported.
func TestStoreCopy(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.start()
	const secret = "a secret of a device, 32 bytes or more"
	rows := 20_000
	if more, err := strconv.Atoi(os.Getenv("CARNET_COPY_ROWS")); err == nil {
		rows = more
	}
	n.carnet("consumers", "add", "phones")
	n.carnet("credentials", "import", credentialsFile(t, 0, rows, secret))
	access, refresh := n.login()
	device := n.registerDevice("my-phone")
	key, err := jose.NewSecretKey(jose.HS256, "", []byte(secret))
	if err != nil {
		t.Fatal(err)
	}
	legacy, err := key.Sign("JWT", []byte(fmt.Sprintf(`{"iss":"phone-%d"}`, rows-1)))
	if err != nil {
		t.Fatal(err)
	}
	v := n.newVisitor()
	r := v.at(n)
	conn, gone := r.connected(t)
	v.acked["m1"] = r.sends(conn, "m1")
	soon(t, "answered", 5*time.Second, func() bool { return r.has() == 3 })
	admitted := map[string]int{access: n.admits(access), device: n.admits(device), legacy: n.admits(legacy)}
	if admitted[access] != http.StatusOK || admitted[device] != http.StatusOK || admitted[legacy] == http.StatusUnauthorized {
		t.Fatalf("before: %v", admitted)
	}

	server := pgtest.Start(t)
	to, err := server.Database("")
	if err != nil {
		t.Fatal(err)
	}
	far := newWire(t, server.Addr) // so that a copy takes longer than it takes to see how far it is
	far.stretch(2 * time.Millisecond)
	from := "sqlite://" + filepath.Join(n.data, "carnet.db")
	if out, code := n.command("store", "copy", from, to); code != 5 || !strings.Contains(out, "another process has") || !strings.Contains(out, "--live") {
		t.Errorf("a store that a node serves from is copied: code %d, %s", code, out)
	}
	if out, code := n.command("store", "status"); code != 0 || !strings.Contains(out, "open    another process\n") {
		t.Errorf("nobody has it open: code %d, %s", code, out)
	}
	if out, code := n.command("store", "copy", from, "sqlite://"+filepath.Join(t.TempDir(), "live.db"), "--live"); code != 0 {
		t.Errorf("what there is at a moment cannot be copied: code %d, %s", code, out)
	}
	n.stop(syscall.SIGTERM)
	<-gone
	for _, mark := range []string{"keys", "credentials"} {
		copying := exec.CommandContext(t.Context(), binary, "store", "copy", from, strings.Replace(to, server.Addr, far.addr(), 1), "--data", n.data)
		copying.Env = n.environ
		if err := copying.Start(); err != nil {
			t.Fatal(err)
		}
		soon(t, "copied half", 30*time.Second, func() bool { return marked(t, to, mark) })
		_ = copying.Process.Kill()
		_ = copying.Wait()
		if out, code := n.command("store", "status", to); !strings.Contains(out, "a copy that is not finished") {
			t.Fatalf("killed when %s was marked: code %d, %s", mark, code, out)
		}
	}
	n.environ = append(n.environ, "CARNET_STORE="+to)
	if out, code := n.command("keys", "list"); code != 5 || !strings.Contains(out, "a copy that is not finished") {
		t.Errorf("a command works on half a copy: code %d, %s", code, out)
	}
	began := time.Now()
	out, code := n.command("store", "copy", from, to)
	for _, want := range []string{"both stores hold the same", "the master keys of this configuration open what is sealed"} {
		if code != 0 || !strings.Contains(out, want) {
			t.Fatalf("code %d, want %q in:\n%s", code, want, out)
		}
	}
	t.Logf("%d rows took %v", rows, time.Since(began))

	n.serve()
	for token, want := range admitted {
		if got := n.admits(token); got != want {
			t.Errorf("a token that was answered with %d is answered with %d", want, got)
		}
	}
	n.must(200, "POST", n.public+"/oauth2/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {refresh}})
	conn, _ = r.connected(t)
	v.acked["m2"] = r.sends(conn, "m2")
	soon(t, "answered", 5*time.Second, func() bool { return r.has() == 5 })
	v.conversation, r.v = r.v.conversation, v
	v.check([]*reader{r})
	// numbers go on
	n.carnet("credentials", "import", credentialsFile(t, rows, rows+3, secret))
	n.carnet("consumers", "add", "tablets")
	out, code = n.command("store", "status")
	for _, want := range []string{"server  PostgreSQL ", ", up to date\n", "open    carnet from 127.0.0.1 (", "credentials "} {
		if code != 0 || !strings.Contains(out, want) {
			t.Errorf("code %d, no %q in:\n%s", code, want, out)
		}
	}
	if out, code := n.command("store", "copy", to, "sqlite://"+filepath.Join(t.TempDir(), "back.db")); code != 5 || !strings.Contains(out, "others have it open") {
		t.Errorf("a database that a node serves from is copied: code %d, %s", code, out)
	}
}

// credentialsFile is a CSV of the credentials of phones with these numbers.
func credentialsFile(t *testing.T, from, to int, secret string) string {
	t.Helper()
	var b bytes.Buffer
	b.WriteString("consumer,key,secret\n")
	for i := from; i < to; i++ {
		fmt.Fprintf(&b, "phones,phone-%d,%q\n", i, secret)
	}
	path := filepath.Join(t.TempDir(), "rows.csv")
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// marked tells whether a copy has come to a table.
func marked(t *testing.T, url, name string) (there bool) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		return false
	}
	defer func() { _ = conn.Close(t.Context()) }()
	err = conn.QueryRow(t.Context(), `SELECT EXISTS (SELECT 1 FROM unfinished_copy WHERE name = $1 AND copied > 0)`, name).Scan(&there)
	return err == nil && there
}

// command runs a command of the binary and returns all that it prints, and its exit code.
func (n *node) command(args ...string) (out string, code int) {
	n.t.Helper()
	cmd := exec.CommandContext(n.t.Context(), binary, append(args, "--data", n.data)...)
	cmd.Env = n.environ
	text, _ := cmd.CombinedOutput()
	return string(text), cmd.ProcessState.ExitCode()
}
