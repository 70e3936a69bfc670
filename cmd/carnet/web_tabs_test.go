package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// enter signs the demo's user in to the demo page.
func enter(t *testing.T, n *node, ctx context.Context) {
	t.Helper()
	do(t, ctx,
		chromedp.Navigate(n.public+"/"),
		chromedp.SendKeys(chromedp.CSS(`input[name=username]`), n.demo["CARNET_USER"]),
		chromedp.SendKeys(chromedp.CSS(`input[name=password]`), n.demo["CARNET_PASSWORD"]),
		chromedp.Click(chromedp.CSS(`#login button[type=submit]`)),
	)
	online(t, ctx)
}

// share makes the page's chat take part in the tabs' one connection.
func share(t *testing.T, ctx context.Context) {
	t.Helper()
	do(t, ctx, chromedp.Evaluate[chromedp.Void](`void (before = document.querySelector("carnet-chat").connection, document.querySelector("carnet-chat").setAttribute("tabs", "shared"))`))
	until(t, ctx, "another connection", `document.querySelector("carnet-chat").connection !== before`)
	online(t, ctx)
}

var openConnections = regexp.MustCompile(`(?m)^carnet_chat_connections (\d+)`)

// sockets waits until so many are open.
func sockets(t *testing.T, n *node, want int) {
	t.Helper()
	n.wait(fmt.Sprintf("at %d sockets", want), func() bool {
		r, err := n.do("GET", n.admin+"/metrics", nil)
		if err != nil {
			return false
		}
		m := openConnections.FindStringSubmatch(r.text)
		if m == nil {
			t.Fatal("the metrics do not tell of connections")
		}
		got, _ := strconv.Atoi(m[1])
		return got == want
	})
}

// TestTabsShareASocket talks in three tabs over one socket, and closes the one that has it.
func TestTabsShareASocket(t *testing.T) {
	if testing.Short() {
		t.Skip("drives a browser")
	}
	t.Parallel()
	n := newNode(t)
	n.start()
	first := browser(t)
	second, third := tab(t, first), tab(t, first)
	tabs := []context.Context{first, second, third}
	for _, ctx := range tabs {
		enter(t, n, ctx)
	}
	sockets(t, n, 3)
	for _, ctx := range tabs {
		share(t, ctx)
	}
	sockets(t, n, 1)
	for i, ctx := range tabs {
		text := fmt.Sprintf("From tab %d", i+1)
		say(t, ctx, text)
		for _, each := range tabs {
			said(t, each, text, 2) // the echo says it again
		}
	}
	sockets(t, n, 1)

	// the tab that has the socket goes, and another takes over
	do(t, first, chromedp.Navigate("about:blank"))
	say(t, second, "Without the first")
	said(t, second, "Without the first", 2)
	said(t, third, "Without the first", 2)
	sockets(t, n, 1)

	// a tab that is loaded anew joins, and has missed nothing
	do(t, third, chromedp.Navigate("about:blank"))
	say(t, second, "While the third was away")
	said(t, second, "While the third was away", 2)
	do(t, third, chromedp.Navigate(n.public+"/"))
	online(t, third)
	share(t, third)
	said(t, third, "While the third was away", 2)
	sockets(t, n, 1)

	// kill -9: both come back, and what was said meanwhile is sent once
	n.stop(os.Kill)
	for _, ctx := range []context.Context{second, third} {
		until(t, ctx, "the page to notice", `document.querySelector("carnet-chat").connection.state.name !== "open"`)
	}
	say(t, third, "Said while you were away")
	n.start()
	for _, ctx := range []context.Context{second, third} {
		online(t, ctx)
		said(t, ctx, "Said while you were away", 2)
	}
	sockets(t, n, 1)
	if a, b := texts(t, second), texts(t, third); strings.Join(a, "\n") != strings.Join(b, "\n") {
		t.Errorf("the tabs show different orders:\n%q\n%q", a, b)
	}
}

// TestScriptTags loads what `carnet sdk info` prints into a page of another site, as it
// is and with another file's hash.
func TestScriptTags(t *testing.T) {
	if testing.Short() {
		t.Skip("drives a browser")
	}
	t.Parallel()
	n := newNode(t)
	n.start()
	var files []struct{ URL, Integrity, Tag string }
	if err := json.Unmarshal([]byte(n.carnet("sdk", "info", "--json", "--url", n.public)), &files); err != nil {
		t.Fatal(err)
	}
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprint(w, "<!doctype html><title>site</title>")
		for i, f := range files {
			if r.URL.Path == "/wrong" {
				f.Tag = strings.Replace(f.Tag, f.Integrity, files[(i+1)%len(files)].Integrity, 1)
			}
			fmt.Fprintln(w, f.Tag)
		}
	}))
	t.Cleanup(site.Close)
	ctx := browser(t)
	do(t, ctx, chromedp.Navigate(site.URL+"/"))
	until(t, ctx, "the scripts", `typeof Carnet.connect === "function" && customElements.get("carnet-chat")`)
	loaded := `new Set(performance.getEntriesByType("resource").map(e => e.name).filter(n => n.includes("/sdk/"))).size` // a browser asks for an icon, too
	until(t, ctx, "each file to be loaded", fmt.Sprintf(`%s === %d`, loaded, len(files)))

	do(t, ctx, chromedp.Navigate(site.URL+"/wrong"))
	until(t, ctx, "the page", `document.readyState === "complete"`)
	if value[bool](t, ctx, `"Carnet" in window || customElements.get("carnet-chat") !== undefined`) {
		t.Error("a file was run whose hash is another")
	}
}

// TestDemoIsAccessible lets axe look at the demo page.
func TestDemoIsAccessible(t *testing.T) {
	if testing.Short() {
		t.Skip("drives a browser")
	}
	t.Parallel()
	n := newNode(t)
	n.start()
	ctx := browser(t)
	do(t, ctx, chromedp.Navigate(n.public+"/"))
	until(t, ctx, "the way in", `document.querySelector("#visit").offsetParent !== null`)
	for _, scheme := range []string{"light", "dark"} {
		prefer(t, ctx, "prefers-color-scheme", scheme)
		accessible(t, ctx, "the way in, "+scheme)
	}
	do(t, ctx, chromedp.Click(chromedp.CSS(`#visit`)))
	online(t, ctx)
	for _, scheme := range []string{"light", "dark"} {
		prefer(t, ctx, "prefers-color-scheme", scheme)
		accessible(t, ctx, "the room, "+scheme)
	}
}
