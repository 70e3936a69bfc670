package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// browser starts a headless Chromium that ends with the test.
func browser(t *testing.T, more ...chromedp.ExecAllocatorOption) context.Context {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatal("chromium is not installed: make setup installs it")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.WindowSize(1000, 760),
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true), chromedp.Flag("no-proxy-server", true),
	)
	allocator, stop := chromedp.NewExecAllocator(t.Context(), append(options, more...)...)
	t.Cleanup(stop)
	return tab(t, allocator)
}

// tab opens a tab of the browser that ctx belongs to.
func tab(t *testing.T, ctx context.Context) context.Context {
	t.Helper()
	ctx, closeTab := chromedp.NewContext(ctx)
	t.Cleanup(closeTab)
	do(t, ctx) // starts it, for as long as ctx lives
	return ctx
}

func do(t *testing.T, ctx context.Context, steps ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	if err := chromedp.Do(ctx, steps...); err != nil {
		t.Fatal(err)
	}
}

// value evaluates JavaScript in the page.
func value[T any](t *testing.T, ctx context.Context, expression string) T {
	t.Helper()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression))
	if err != nil {
		t.Fatalf("%s: %v", expression, err)
	}
	return v
}

// element is the root of <carnet-chat>'s shadow tree.
const element = `document.querySelector("carnet-chat").shadowRoot`

// until waits until a JavaScript condition holds in the page.
func until(t *testing.T, ctx context.Context, what, condition string) {
	t.Helper()
	deadline := time.After(patience)
	for {
		// while the page loads there may be nothing to ask
		ok, err := chromedp.Run(ctx, chromedp.Evaluate[bool]("(() => { try { return Boolean("+condition+") } catch { return false } })()"))
		if ok {
			return
		}
		select {
		case <-deadline:
			t.Fatalf("waited in vain for %s (%v); the chat shows %q", what, err, texts(t, ctx))
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// texts are the bubbles of the chat in their order.
func texts(t *testing.T, ctx context.Context) []string {
	t.Helper()
	return value[[]string](t, ctx, `[...(document.querySelector("carnet-chat")?.shadowRoot.querySelectorAll(".message .text") ?? [])].map(e => e.textContent)`)
}

// count is how often a text stands in the chat.
func count(t *testing.T, ctx context.Context, text string) (n int) {
	t.Helper()
	for _, s := range texts(t, ctx) {
		if s == text {
			n++
		}
	}
	return n
}

// say types into the chat and sends.
func say(t *testing.T, ctx context.Context, text string) {
	t.Helper()
	do(t, ctx, chromedp.Evaluate[chromedp.Void](fmt.Sprintf(`(() => {
		const input = %[1]s.querySelector("textarea");
		input.value = %[2]q;
		input.dispatchEvent(new Event("input", {bubbles: true}));
		%[1]s.querySelector(".send").click();
	})()`, element, text)))
}

// said waits until text stands n times, each sent.
func said(t *testing.T, ctx context.Context, text string, n int) {
	t.Helper()
	until(t, ctx, fmt.Sprintf("%q %d times", text, n), fmt.Sprintf(
		`[...%s.querySelectorAll(".message")].filter(m => m.querySelector(".text").textContent === %q && !["pending", "failed"].includes(m.dataset.state)).length === %d`,
		element, text, n))
}

// online waits for a conversation that can be sent to.
func online(t *testing.T, ctx context.Context) {
	t.Helper()
	until(t, ctx, "the chat to be open", `document.querySelector("carnet-chat").connection.state.name === "open"`)
}

// reload loads the page anew: the history is there, and nobody welcomes us again.
func reload(t *testing.T, ctx context.Context, welcome, last string) {
	t.Helper()
	do(t, ctx, chromedp.Reload())
	online(t, ctx)
	said(t, ctx, last, 2)
	if got := count(t, ctx, welcome); got != 1 {
		t.Errorf("the welcome stands %d times after a reload, want once: %q", got, texts(t, ctx))
	}
}

// killed kills the node and starts it again: what is said meanwhile is sent once, and the
// page goes on by itself.
func killed(t *testing.T, n *node, ctx context.Context) {
	t.Helper()
	n.stop(os.Kill)
	until(t, ctx, "the page to notice", `document.querySelector("carnet-chat").connection.state.name !== "open"`)
	say(t, ctx, "Said while you were away")
	n.start()
	online(t, ctx)
	said(t, ctx, "Said while you were away", 2)
}

// picture takes a screenshot in a colour scheme.
func picture(t *testing.T, ctx context.Context, scheme string) {
	t.Helper()
	prefer(t, ctx, "prefers-color-scheme", scheme)
	shoot(t, ctx, "chat-"+scheme)
}

// TestChatInThePage signs in, chats, reloads, loses its server to kill -9, and goes on.
func TestChatInThePage(t *testing.T) {
	if testing.Short() {
		t.Skip("drives a browser")
	}
	t.Parallel()
	n := newNode(t)
	n.start()
	ctx := browser(t)

	do(t, ctx,
		chromedp.Navigate(n.public+"/"),
		chromedp.SendKeys(chromedp.CSS(`input[name=username]`), n.demo["CARNET_USER"]),
		chromedp.SendKeys(chromedp.CSS(`input[name=password]`), n.demo["CARNET_PASSWORD"]),
		chromedp.Click(chromedp.CSS(`#login button[type=submit]`)),
	)
	online(t, ctx)
	until(t, ctx, "the welcome", element+`.querySelectorAll(".message").length === 1`)
	welcome := texts(t, ctx)[0]
	say(t, ctx, "Is anybody there?")
	said(t, ctx, "Is anybody there?", 2) // the echo says it again
	say(t, ctx, "Carnet keeps what we say.")
	said(t, ctx, "Carnet keeps what we say.", 2)

	reload(t, ctx, welcome, "Carnet keeps what we say.")
	picture(t, ctx, "light")
	picture(t, ctx, "dark")

	killed(t, n, ctx)

	// a second tab joins the conversation; both see what either says
	other := tab(t, ctx)
	do(t, other, chromedp.Navigate(n.public+"/"))
	do(t, other,
		chromedp.SendKeys(chromedp.CSS(`input[name=username]`), n.demo["CARNET_USER"]),
		chromedp.SendKeys(chromedp.CSS(`input[name=password]`), n.demo["CARNET_PASSWORD"]),
		chromedp.Click(chromedp.CSS(`#login button[type=submit]`)),
	)
	online(t, other)
	said(t, other, "Said while you were away", 2)
	say(t, other, "From the second tab")
	said(t, other, "From the second tab", 2)
	said(t, ctx, "From the second tab", 2)
	say(t, ctx, "From the first tab")
	said(t, other, "From the first tab", 2)
	said(t, ctx, "From the first tab", 2)
	if a, b := texts(t, ctx), texts(t, other); strings.Join(a, "\n") != strings.Join(b, "\n") {
		t.Errorf("the tabs show different orders:\n%q\n%q", a, b)
	}
}

// TestVisitor talks to the menu as nobody known.
func TestVisitor(t *testing.T) {
	if testing.Short() {
		t.Skip("drives a browser")
	}
	t.Parallel()
	n := newNode(t)
	n.start()
	ctx := browser(t)
	do(t, ctx, chromedp.Navigate(n.public+"/"), chromedp.Click(chromedp.CSS(`#visit`)))
	online(t, ctx)
	until(t, ctx, "the menu to be chosen", `[...document.querySelectorAll("#bots button")].some(b => b.textContent === "menu" && (b.click(), true))`)
	until(t, ctx, "the menu's choices", element+`.querySelectorAll(".replies button").length > 0`)
	first := value[string](t, ctx, `(() => { const b = `+element+`.querySelector(".replies button"); b.click(); return b.textContent })()`)
	said(t, ctx, first, 1)
	until(t, ctx, "an answer", element+`.querySelectorAll(".message").length >= 3`)
}
