package main

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/carnetproject/carnet/web"
)

// stage is a page with <carnet-chat> alone, whose server is a script in the page: what a
// bot says and when is the test's to choose.
type stage struct {
	t   *testing.T
	ctx context.Context
	url string
}

// newStage opens the page at a size, in a tab of the browser that ctx belongs to.
// attributes are further ones of the element, head stands in the page's head.
func newStage(t *testing.T, ctx context.Context, width, height int64, attributes, head string) *stage {
	t.Helper()
	sdk := web.Handler(web.Options{})
	mux := http.NewServeMux()
	mux.Handle("GET /sdk/", sdk)
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprintf(w, stagePage, head, attributes)
	})
	mux.HandleFunc("GET /picture.svg", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "image/svg+xml")
		fmt.Fprint(w, stagePicture)
	})
	mux.HandleFunc("GET /chat/v1/conversations/{id}/messages", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"messages":[],"more":false}`)
	})
	server := httptest.NewTLSServer(mux) // pictures must come by https
	t.Cleanup(server.Close)
	s := &stage{t: t, ctx: tab(t, ctx), url: server.URL}
	do(t, s.ctx, chromedp.EmulateViewport(width, height), chromedp.Navigate(s.url))
	online(t, s.ctx)
	return s
}

// stagePage has a server that talks carnet.v1 to sockets of its own making.
const stagePage = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Stage</title>
<style>
  :root { color-scheme: light dark; background: light-dark(#f3efe6, #0c0e0f); }
  body { margin: 0; padding: 1rem; box-sizing: border-box; block-size: 100dvh; }
  main { block-size: 100%%; }
  h1 { position: absolute; clip-path: inset(50%%); margin: 0; }
  carnet-chat { block-size: 100%%; min-block-size: 0; max-inline-size: 44rem; margin-inline: auto; }
  @media (max-width: 24rem) { body { padding: 0; } carnet-chat::part(panel) { border-radius: 0; border: 0; } }
</style>
<script>
  const server = {
    seq: 0, heard: [], sockets: [], down: false, stores: true,
    get sent() { return this.heard.findLast((f) => f.type === "send"); },
    tell(frame) { for (const s of this.sockets) s.dispatchEvent(new MessageEvent("message", { data: JSON.stringify(frame) })); },
    say(body, from = "bot", id = "m" + this.seq) {
      const at = new Date(Date.UTC(2026, 5, 1, 9, 41, this.seq * 20)).toISOString();
      this.tell({ type: "message", seq: ++this.seq, id, from, body, at });
    },
    hear(f) {
      this.heard.push(f);
      if (f.type === "hello") this.tell({
        type: "welcome", conversation: "cnv_stage", user: { iss: "stage", sub: "ann" }, last_seq: this.seq, session: "s",
        expires_in: 900, ping_interval: 25,
      });
      if (f.type === "ping") this.tell({ type: "pong" });
      if (f.type === "send" && this.stores) {
        this.tell({ type: "ack", id: f.id, seq: this.seq + 1, at: new Date().toISOString() });
        this.say(f.body, "user", f.id);
      }
    },
    drop(code) { for (const s of this.sockets.splice(0)) s.dispatchEvent(Object.assign(new Event("close"), { code })); },
  };
  window.WebSocket = class extends EventTarget {
    constructor() {
      super();
      queueMicrotask(() => {
        if (server.down) return this.dispatchEvent(Object.assign(new Event("close"), { code: 1006 }));
        server.sockets.push(this);
        this.dispatchEvent(new Event("open"));
      });
    }
    send(text) { queueMicrotask(() => server.hear(JSON.parse(text))); }
    close() { server.sockets = server.sockets.filter((s) => s !== this); }
  };
</script>
<script type="module">
  import "/sdk/carnet-chat.js";
  document.querySelector("carnet-chat").assertion = async () => "token";
</script>
%s
<main><h1>Stage</h1><carnet-chat bot="help" label="Help desk" %s></carnet-chat></main>
</html>`

const stagePicture = `<svg xmlns="http://www.w3.org/2000/svg" width="480" height="240" viewBox="0 0 480 240">
<rect width="480" height="240" fill="#cfe3d8"/><circle cx="380" cy="70" r="34" fill="#f5c95c"/>
<path d="M0 200 120 90l80 70 90-100 190 150v30H0z" fill="#2f7d63"/><path d="M0 220 150 150l110 60 90-40 130 60v10H0z" fill="#175c49"/></svg>`

// run evaluates JavaScript whose value does not matter.
func (s *stage) run(expression string) {
	s.t.Helper()
	do(s.t, s.ctx, chromedp.Evaluate[chromedp.Void]("void ("+expression+")"))
}

// converse shows a conversation with all that a bot can say.
func (s *stage) converse(lines ...string) {
	s.t.Helper()
	for _, line := range lines {
		s.run("server.say(" + line + ")")
	}
	until(s.t, s.ctx, "the whole conversation", element+`.querySelectorAll(".message").length === server.seq`)
	until(s.t, s.ctx, "the pictures", `[...`+element+`.querySelectorAll("img")].every(i => i.complete && i.naturalWidth > 0)`)
}

// prefer sets what the browser's user prefers.
func prefer(t *testing.T, ctx context.Context, name, value string) {
	t.Helper()
	do(t, ctx, chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := cdp.Call(ctx, target, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: name, Value: value}},
		})
		return err
	}))
}

// still waits until nothing moves that will come to an end.
func still(t *testing.T, ctx context.Context) {
	t.Helper()
	until(t, ctx, "the page to stand still", `[document.querySelector("carnet-chat")?.shadowRoot, document].flatMap(d => d?.getAnimations() ?? []).every(a => a.playState !== "running" || a.effect.getComputedTiming().endTime === Infinity)`)
}

// shoot takes a screenshot, for the documentation if CARNET_PICTURES names a folder.
func shoot(t *testing.T, ctx context.Context, name string) {
	t.Helper()
	still(t, ctx)
	png, err := chromedp.Run(ctx, chromedp.CaptureScreenshot())
	if err != nil {
		t.Fatal(err)
	}
	if len(png) < 8_000 {
		t.Errorf("the picture %s has %d bytes: nothing is to be seen", name, len(png))
	}
	if dir := os.Getenv("CARNET_PICTURES"); dir != "" {
		if err := os.WriteFile(filepath.Join(dir, name+".png"), png, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// promised evaluates JavaScript that returns a promise.
func promised[T any](t *testing.T, ctx context.Context, expression string) T {
	t.Helper()
	wait := true
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression, func(p *runtime.EvaluateParams) { p.AwaitPromise = &wait }))
	if err != nil {
		t.Fatalf("%s: %v", expression, err)
	}
	return v
}

// accessible runs axe in the page: nothing there may break WCAG 2.2 AA, as far as a
// program can tell.
func accessible(t *testing.T, ctx context.Context, when string) {
	t.Helper()
	axe, err := os.ReadFile("../../web/node_modules/axe-core/axe.min.js")
	if err != nil {
		t.Fatalf("axe-core is not installed: npm ci in web installs it (%v)", err)
	}
	still(t, ctx)
	if !value[bool](t, ctx, `"axe" in window`) {
		do(t, ctx, chromedp.Evaluate[chromedp.Void](string(axe)+";void 0"))
	}
	type violation struct {
		ID, Impact, Help string
		Nodes            []string
	}
	found := promised[[]violation](t, ctx, `axe.run(document, {
		runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
	}).then(r => r.violations.map(v => ({ID: v.id, Impact: v.impact, Help: v.help, Nodes: v.nodes.map(n => n.target.flat().join(" ") + ": " + n.failureSummary)})))`)
	for _, v := range found {
		t.Errorf("%s: %s (%s): %s\n  %s", when, v.ID, v.Impact, v.Help, strings.Join(v.Nodes, "\n  "))
	}
}
