package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/google/go-cmp/cmp"
)

// relyingParty is an app that people are sent back to, and a client of Node's behind it.
type relyingParty struct {
	t    *testing.T
	url  string
	back chan string // where browsers were sent
	in   io.WriteCloser
	out  *bufio.Reader
}

// newRelyingParty registers the app and starts its client.
func newRelyingParty(t *testing.T, n *node) *relyingParty {
	t.Helper()
	p := &relyingParty{t: t, back: make(chan string, 1)}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/back" {
			http.NotFound(w, r)
			return
		}
		p.back <- p.url + "?" + r.URL.RawQuery
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprint(w, `<!doctype html><html lang="en"><title>The shop</title><main><h1>Welcome to the shop</h1></main></html>`)
	}))
	t.Cleanup(server.Close)
	p.url = server.URL + "/back"
	made := n.carnet("apps", "add", "Corner shop", "--redirect-uris", "http://127.0.0.1/back", "--user-scopes", "chat,demo")
	id, secret, _ := strings.Cut(strings.TrimSpace(made), "\n")
	cmd := exec.CommandContext(t.Context(), "node", "openid.mjs", n.public,
		strings.TrimPrefix(id, "client_id="), strings.TrimPrefix(secret, "client_secret="), p.url)
	cmd.Dir, cmd.Stderr = "../../web/interop", os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if p.in, err = cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	p.out = bufio.NewReader(out)
	if err := cmd.Start(); err != nil {
		t.Fatalf("node is not installed: %v", err)
	}
	t.Cleanup(func() { _ = cmd.Wait() })
	return p
}

func (p *relyingParty) line() string {
	p.t.Helper()
	text, err := p.out.ReadString('\n')
	if err != nil {
		p.t.Fatalf("the client says nothing: %v", err)
	}
	return strings.TrimSpace(text)
}

// fits checks that nothing of the page stands beside it, and that nothing runs in it.
func fits(t *testing.T, ctx context.Context, when string) {
	t.Helper()
	if value[bool](t, ctx, `document.documentElement.scrollWidth > innerWidth`) {
		t.Errorf("%s: the page is wider than the window", when)
	}
	if n := value[int](t, ctx, `document.scripts.length`); n != 0 {
		t.Errorf("%s: the page has %d scripts", when, n)
	}
}

// looksRight shows the page in all its forms, and checks each.
func looksRight(t *testing.T, ctx context.Context, what string) {
	t.Helper()
	for _, scheme := range []string{"dark", "light"} {
		prefer(t, ctx, "prefers-color-scheme", scheme)
		accessible(t, ctx, what+", "+scheme)
	}
	do(t, ctx, chromedp.EmulateViewport(320, 640))
	fits(t, ctx, what+" at 320 pixels")
	accessible(t, ctx, what+" at 320 pixels")
	do(t, ctx, chromedp.Evaluate[chromedp.Void](`void (document.documentElement.dir = "rtl")`))
	fits(t, ctx, what+" from right to left")
	do(t, ctx, chromedp.Evaluate[chromedp.Void](`void (document.documentElement.dir = "ltr")`))
	do(t, ctx, chromedp.EmulateViewport(1000, 760))
	fits(t, ctx, what)
	shoot(t, ctx, what)
}

// TestSignInPages signs somebody in to an app, in a browser and without script: the
// app's client is openid-client and jose.
func TestSignInPages(t *testing.T) {
	if testing.Short() {
		t.Skip("drives a browser")
	}
	t.Parallel()
	n := newNode(t)
	n.start()
	p := newRelyingParty(t, n)
	ctx := browser(t)
	do(t, ctx, chromedp.Navigate(p.line()))
	until(t, ctx, "the page to sign in", `document.querySelector("#password")`)
	looksRight(t, ctx, "sign-in")

	enter := func(password string) {
		t.Helper()
		do(t, ctx,
			chromedp.Evaluate[chromedp.Void](`void (document.querySelector("#username").value = "")`),
			chromedp.SendKeys(chromedp.CSS(`#username`), n.demo["CARNET_USER"]),
			chromedp.SendKeys(chromedp.CSS(`#password`), password),
			chromedp.Click(chromedp.CSS(`button.strong`)),
		)
	}
	enter("a guess")
	until(t, ctx, "what is wrong, with the focus on it", `document.activeElement?.matches("#problem[role=alert]") && document.title.startsWith("Error: ")`)
	accessible(t, ctx, "sign-in with an error")
	enter(n.demo["CARNET_PASSWORD"])
	until(t, ctx, "the question", `document.querySelector("button[value=allow]")`)
	looksRight(t, ctx, "consent")
	do(t, ctx, chromedp.Click(chromedp.CSS(`button[value=allow]`)))
	until(t, ctx, "the shop", `document.title === "The shop"`)

	if _, err := fmt.Fprintln(p.in, <-p.back); err != nil {
		t.Fatal(err)
	}
	var told struct {
		Sub, Name, Scope, ID, Access, Logout string
		Rotated                              bool
		Active                               []bool
	}
	if err := json.Unmarshal([]byte(p.line()), &told); err != nil {
		t.Fatal(err)
	}
	if told.Name != n.demo["CARNET_USER"] || told.Sub == "" || told.ID != told.Sub || told.Access != told.Sub || !told.Rotated {
		t.Errorf("the client knows %+v", told)
	}
	if told.Scope != "openid profile offline_access chat" || cmp.Diff([]bool{true, false}, told.Active) != "" {
		t.Errorf("the client knows %+v", told)
	}
	account(t, ctx, n, told.Logout)
}

// account looks at the account, changes the password and signs out, as an app asks for.
func account(t *testing.T, ctx context.Context, n *node, logout string) {
	t.Helper()
	do(t, ctx, chromedp.Navigate(n.public+"/account"))
	until(t, ctx, "the account", `document.querySelector("#places")`)
	if !value[bool](t, ctx, `document.querySelector(".places").textContent.includes("Chrome, Linux")`) {
		t.Errorf("the account: %s", value[string](t, ctx, `document.body.innerText`))
	}
	looksRight(t, ctx, "account")
	const password = "another password for the demo"
	do(t, ctx,
		chromedp.SendKeys(chromedp.CSS(`#old`), n.demo["CARNET_PASSWORD"]),
		chromedp.SendKeys(chromedp.CSS(`#new`), password),
		chromedp.Click(chromedp.CSS(`section:last-of-type button`)),
	)
	until(t, ctx, "the new password", `document.querySelector(".done")`)
	if out := n.carnet("users", "sessions", n.demo["CARNET_USER"]); strings.Count(out, "browser") != 1 || !strings.Contains(out, "Chrome, Linux") {
		t.Errorf("carnet users sessions: %s", out)
	}
	do(t, ctx, chromedp.Navigate(logout))
	until(t, ctx, "the question", `document.querySelector("h1").textContent === "Do you want to sign out?"`)
	accessible(t, ctx, "signing out")
	do(t, ctx, chromedp.Click(chromedp.CSS(`button.strong`)))
	until(t, ctx, "the shop", `document.title !== "" && location.pathname === "/back"`)
	do(t, ctx, chromedp.Navigate(n.public+"/account"))
	until(t, ctx, "nobody to be there", `document.querySelector("#password")`)
}
