package main

import (
	"bufio"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/carnetproject/carnet/internal/bus/redis/redistest"
)

// What only the visitor and the bot may know.
const (
	sealedNumber = "IBAN 4711 0815 2342"
	sealedOther  = "17 Harbour Street"
	sealedNever  = "never said to a stranger"
)

// sealedNode is a node whose bot publishes a key, with all that it tells anybody.
type sealedNode struct {
	*node
	page   string // URL of a page with the chat
	kid    string // of the bot's key
	bus    *syncBuffer
	traces *syncBuffer
}

func newSealedNode(t *testing.T) *sealedNode {
	t.Helper()
	redis := redistest.Start(t)
	n := &sealedNode{bus: &syncBuffer{}, traces: &syncBuffer{}}
	collector := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body := io.Reader(r.Body)
		if r.Header.Get("Content-Encoding") == "gzip" {
			if z, err := gzip.NewReader(body); err == nil {
				body = z
			}
		}
		_, _ = io.Copy(n.traces, body)
		w.WriteHeader(http.StatusOK)
	}))
	t.Cleanup(collector.Close)
	n.node = newNode(t, "CARNET_LOG_LEVEL=debug", "CARNET_BUS=redis://"+redis.Addr)
	n.listen(redis.Addr)

	key := filepath.Join(n.data, "bot.jwk")
	public := n.carnet("token", "keygen", key)
	n.write("bot.public.jwk", public)
	var jwk struct{ Kid string }
	if err := json.Unmarshal([]byte(public), &jwk); err != nil {
		t.Fatal(err)
	}
	n.kid = jwk.Kid
	addr := freeAddrs(t, 1)[0]
	program := filepath.Join(t.TempDir(), "bot")
	if out, err := exec.Command("go", "build", "-o", program, "../../examples/bot-sealed-go").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	botExample(t, addr, program, addr, key)
	n.secret("bot", botSecret+"\n")
	n.file(`
traces: {endpoint: ` + collector.URL + `}
chat:
  bots:
    mine:
      type: webhook
      url: http://` + addr + `
      secret: srn:vault::default:secret:bot
      encryption_key: bot.public.jwk
`)
	n.start()
	n.serveThePage()
	return n
}

func (n *sealedNode) write(name, text string) {
	n.t.Helper()
	if err := os.WriteFile(filepath.Join(n.data, name), []byte(text), 0o600); err != nil {
		n.t.Fatal(err)
	}
}

// listen notes all that passes over the bus.
func (n *sealedNode) listen(addr string) {
	n.t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(func() { _ = conn.Close() })
	if _, err := conn.Write([]byte("MONITOR\r\n")); err != nil {
		n.t.Fatal(err)
	}
	r := bufio.NewReader(conn)
	if line, err := r.ReadString('\n'); err != nil || line != "+OK\r\n" {
		n.t.Fatalf("%q, %v", line, err)
	}
	go func() { _, _ = io.Copy(n.bus, r) }()
}

// serveThePage puts a page with the chat before the node. All its visitors are one user.
func (n *sealedNode) serveThePage() {
	n.t.Helper()
	to, err := url.Parse(n.public)
	if err != nil {
		n.t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/", &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(to)
		r.Out.Host = r.In.Host // whose origin the page has
	}})
	token := n.newVisitor().token
	mux.HandleFunc("GET /chat", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprintf(w, sealedPage, token, n.kid)
	})
	front := httptest.NewServer(mux)
	n.t.Cleanup(front.Close)
	n.page = front.URL + "/chat"
}

const sealedPage = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>A bank</title>
<style>
  :root { color-scheme: light dark; background: light-dark(#f3efe6, #0c0e0f); }
  body { margin: 0; padding: 1rem; box-sizing: border-box; block-size: 100dvh; }
  main { block-size: 100%%; }
  h1 { position: absolute; clip-path: inset(50%%); margin: 0; }
  carnet-chat { block-size: 100%%; min-block-size: 0; max-inline-size: 44rem; margin-inline: auto; }
</style>
<script type="module">
  import "/sdk/carnet-chat.js";
  document.querySelector("carnet-chat").assertion = async () => %q;
</script>
<main><h1>A bank</h1><carnet-chat bot="mine" label="Your bank" bot-key="%s"></carnet-chat></main>
</html>`

// marks are what the chat says of each message's seal.
func marks(t *testing.T, ctx context.Context) []string {
	t.Helper()
	return value[[]string](t, ctx, `[...`+element+`.querySelectorAll(".message")].map(m => m.querySelector(".mark").textContent)`)
}

// TestSealedChat talks to a bot of which Carnet hears nothing.
func TestSealedChat(t *testing.T) {
	if testing.Short() {
		t.Skip("drives a browser")
	}
	t.Parallel()
	n := newSealedNode(t)
	ctx := browser(t)
	do(t, ctx, chromedp.EmulateViewport(620, 560), chromedp.Navigate(n.page))
	online(t, ctx)
	const welcome, noted = "Hello! Nobody but me can read what you say here.", "Thank you. I have noted " + sealedNumber + "."
	said(t, ctx, welcome, 1)
	say(t, ctx, sealedNumber)
	said(t, ctx, noted, 1)
	all := []string{"Not encrypted", "", ""} // the welcome is Carnet's to read
	if got := marks(t, ctx); !slices.Equal(got, all) {
		t.Errorf("marked %q, want %q", got, all)
	}

	do(t, ctx, chromedp.Reload())
	online(t, ctx)
	said(t, ctx, noted, 1)
	said(t, ctx, sealedNumber, 1)
	accessible(t, ctx, "sealed")
	prefer(t, ctx, "prefers-color-scheme", "light")
	shoot(t, ctx, "element-sealed")

	n.otherBrowser(ctx)
	n.swapKey(ctx)
	n.nothingInTheClear()
}

// otherBrowser opens the conversation where its key is not.
func (n *sealedNode) otherBrowser(first context.Context) {
	t := n.t
	t.Helper()
	other := browser(t)
	do(t, other, chromedp.Navigate(n.page))
	online(t, other)
	const elsewhere = "This message cannot be read on this device."
	until(t, other, "the history", element+`.querySelectorAll(".message").length === 3`)
	want := []string{"Not encrypted", elsewhere, elsewhere}
	if got := marks(t, other); !slices.Equal(got, want) {
		t.Errorf("another browser: marked %q, want %q", got, want)
	}
	accessible(t, other, "what cannot be read")
	say(t, other, sealedOther)
	said(t, other, "Thank you. I have noted "+sealedOther+".", 1)
	until(t, first, "what the other has said", element+`.querySelectorAll("[data-seal=elsewhere]").length === 2`)
}

// swapKey has Carnet show a key of its own in the place of the bot's.
func (n *sealedNode) swapKey(first context.Context) {
	t := n.t
	t.Helper()
	n.write("bot.public.jwk", n.carnet("token", "keygen", filepath.Join(n.data, "another.jwk")))
	n.wait("showing the other key", func() bool { return strings.Contains(n.log.String(), "configuration reloaded") })
	ctx := tab(t, first)
	do(t, ctx, chromedp.Navigate(n.page))
	until(t, ctx, "the refusal", `document.querySelector("carnet-chat").connection.state.reason?.code === "key_refused"`)
	until(t, ctx, "the words for it", element+`.querySelector(".banner").textContent.includes("not the one that this page trusts")`)
	say(t, ctx, sealedNever)
	if got := value[string](t, ctx, element+`.querySelector("textarea").value`); got != sealedNever {
		t.Errorf("what was written is %q: it should stay in the field", got)
	}
}

// nothingInTheClear looks for what was said wherever Carnet keeps, tells or notes anything.
func (n *sealedNode) nothingInTheClear() {
	t := n.t
	t.Helper()
	metrics := n.must(http.StatusOK, "GET", n.admin+"/metrics", nil)
	n.stop(syscall.SIGTERM)                          // what waits is written
	places := map[string]struct{ text, has string }{ // has: so much must be seen there
		"the store":   {n.stored(), `"jwe":"`},
		"the bus":     {n.bus.String(), "jwe"},
		"the log":     {n.log.String(), "configuration reloaded"},
		"the traces":  {n.traces.String(), "carnet"},
		"the metrics": {metrics.text, "carnet_"},
	}
	for place, p := range places {
		if !strings.Contains(p.text, p.has) {
			t.Errorf("%s: there is no %q in it: nothing was looked at", place, p.has)
		}
		for _, secret := range []string{sealedNumber, sealedOther, sealedNever, "I have noted", "4711 0815"} {
			if strings.Contains(p.text, secret) {
				t.Errorf("%s: there is %q in it", place, secret)
			}
		}
	}
}
