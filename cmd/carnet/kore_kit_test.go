package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// koreSDK is the published package's one file, as `npm ci` in web installs it.
func koreSDK(t *testing.T) string {
	t.Helper()
	path := filepath.Join("..", "..", "web", "node_modules", "kore-web-sdk", "dist", "umd", "kore-web-sdk-umd-chat.min.js")
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("Kore's SDK is not installed: run npm ci in web (%v)", err)
	}
	return path
}

// koreHost serves a page of Kore's SDK, which comes to Carnet through a network that the
// test may break. It is a site of its own, at a port of its own.
type koreHost struct {
	*httptest.Server
	net *network
}

const korePage = `<!doctype html><html><body><script src="/sdk.js"></script><script>
	const { chatConfig, chatWindow } = KoreChatSDK;
	Object.assign(chatConfig.botOptions, %s);
	chatConfig.minimizeMode = false;
	chatConfig.allowLocation = false;
	%s
	window.chat = new chatWindow();
	chat.show(chatConfig);
</script></body></html>`

// newKoreHost makes the page of one user. change is for the page's options.
func newKoreHost(t *testing.T, n *node, identity string, change ...string) *koreHost {
	t.Helper()
	sdk := koreSDK(t)
	h := &koreHost{net: newNetwork(t, strings.TrimPrefix(n.public, "http://"))}
	options, err := json.Marshal(map[string]any{
		"koreAPIUrl":   strings.Replace(n.demo["CARNET_KORE_API_URL"], n.public, "http://"+h.net.Addr().String(), 1),
		"JWTUrl":       n.demo["CARNET_KORE_JWT_URL"],
		"clientId":     n.demo["CARNET_KORE_CLIENT_ID"],
		"clientSecret": n.demo["CARNET_KORE_CLIENT_SECRET"],
		"userIdentity": identity,
		"botInfo":      map[string]string{"name": n.demo["CARNET_KORE_BOT_NAME"], "_id": n.demo["CARNET_KORE_BOT_ID"]},
	})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /sdk.js", func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, sdk) })
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = fmt.Fprintf(w, korePage, options, strings.Join(change, "\n"))
	})
	h.Server = httptest.NewServer(mux)
	t.Cleanup(h.Close)
	return h
}

// network passes connections on to a server until it is told to lose them.
type network struct {
	net.Listener
	to string

	mu    sync.Mutex
	down  bool
	conns []net.Conn
}

func newNetwork(t *testing.T, to string) *network {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	n := &network{Listener: l, to: to}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go n.pass(c)
		}
	}()
	t.Cleanup(func() { _ = l.Close(); n.cut() })
	return n
}

func (n *network) pass(near net.Conn) {
	defer func() { _ = near.Close() }()
	far, err := net.Dial("tcp", n.to)
	if err != nil {
		return
	}
	defer func() { _ = far.Close() }()
	n.mu.Lock()
	if n.down {
		n.mu.Unlock()
		return
	}
	n.conns = append(n.conns, near, far)
	n.mu.Unlock()
	done := make(chan struct{}, 2)
	for _, pair := range [][2]net.Conn{{near, far}, {far, near}} {
		go func() {
			_, _ = io.Copy(pair[0], pair[1])
			done <- struct{}{}
		}()
	}
	<-done
}

// cut loses all connections.
func (n *network) cut() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, c := range n.conns {
		_ = c.Close()
	}
	n.conns = nil
}

// lose takes the network away, and restore brings it back.
func (n *network) lose() {
	n.mu.Lock()
	n.down = true
	n.mu.Unlock()
	n.cut()
}

func (n *network) restore() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.down = false
}

// bubbles are what Kore's window shows: "me: …" and "bot: …".
const bubbles = `[...document.querySelectorAll(".kore-chat-window .chat-container li.fromCurrentUser, .kore-chat-window .chat-container li.fromOtherUsers")]
	.map(li => (li.classList.contains("fromCurrentUser") ? "me: " : "bot: ") + (li.querySelector(".simpleMsg, .buttonTmplContentHeading, .quickReplyHeading") ?? li.querySelector(".messageBubble") ?? li).textContent.trim())`

// koreShows waits until the window shows exactly that, in that order.
func koreShows(t *testing.T, ctx context.Context, what string, want ...string) {
	t.Helper()
	var got []string
	for deadline := time.Now().Add(patience); ; {
		got, _ = chromedp.Run(ctx, chromedp.Evaluate[[]string](bubbles)) // while it loads there is nothing
		if slices.Equal(got, want) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: the window shows\n  %s\nwant\n  %s", what, strings.Join(got, "\n  "), strings.Join(want, "\n  "))
		}
		<-time.After(50 * time.Millisecond)
	}
}

// koreStays is koreShows, and sees that nothing is drawn later: for two rounds of the
// SDK's drawing.
func koreStays(t *testing.T, ctx context.Context, what string, want ...string) {
	t.Helper()
	koreShows(t, ctx, what, want...)
	<-time.After(1500 * time.Millisecond)
	if got := value[[]string](t, ctx, bubbles); !slices.Equal(got, want) {
		t.Errorf("%s: later, the window shows\n  %s\nwant\n  %s", what, strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

// talk is what a window should show, as far as the test has come.
type talk struct {
	t     *testing.T
	ctx   context.Context
	shows []string
}

// say says something, and waits for the echo.
func (k *talk) say(text string) {
	k.t.Helper()
	koreSay(k.t, k.ctx, text)
	k.hears(text)
}

// hears waits for what the user says and the bot answers.
func (k *talk) hears(text string) {
	k.t.Helper()
	k.shows = append(k.shows, "me: "+text, "bot: "+text)
	koreShows(k.t, k.ctx, text, k.shows...)
}

// koreReady waits until one may write.
func koreReady(t *testing.T, ctx context.Context) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		ok, _ := chromedp.Run(ctx, chromedp.Evaluate[bool](`!!document.querySelector(".kore-chat-footer:not(.disableFooter) .chatInputBox") && chat.bot.RtmClient?.ws?.readyState === 1`))
		if ok {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the window is not ready: it says %q", value[string](t, ctx, `document.querySelector(".kore-chat-header .header-title")?.textContent ?? document.body.textContent`))
		}
		<-time.After(50 * time.Millisecond)
	}
}

// koreSay writes and presses Enter.
func koreSay(t *testing.T, ctx context.Context, text string) {
	t.Helper()
	do(t, ctx, chromedp.Evaluate[chromedp.Void](fmt.Sprintf(`(() => {
		const box = document.querySelector(".kore-chat-footer .chatInputBox");
		box.textContent = %q;
		box.dispatchEvent(new KeyboardEvent("keydown", {bubbles: true, keyCode: 13, which: 13, key: "Enter"}));
	})()`, text)))
}

// back waits until the page has a connection again.
func (k *talk) back() {
	k.t.Helper()
	koreReady(k.t, k.ctx)
}

// token is what the page shows when it connects.
func (k *talk) token() string {
	k.t.Helper()
	return value[string](k.t, k.ctx, `chat.config.botOptions.accessToken`)
}

func after(seconds int) <-chan time.Time { return time.After(time.Duration(seconds) * time.Second) }
