package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// The published SDK in webhook mode, against the real program. It opens no socket.

// viaHook switches a page to webhook mode.
const viaHook = `chatConfig.botOptions.webhookConfig = {
	enable: true, apiVersion: 2,
	webhookURL: chatConfig.botOptions.koreAPIUrl.replace("api/", "chatbot/hooks/") + chatConfig.botOptions.botInfo._id + "/hookInstance/ivr",
};`

// hookReady waits until one may write: the SDK has drawn the history and greeted the bot,
// whose name stands over the window from then on.
func hookReady(t *testing.T, ctx context.Context) {
	t.Helper()
	until(t, ctx, "the window to be ready", `document.querySelector(".kore-chat-footer:not(.disableFooter) .chatInputBox") &&
		document.querySelector(".kore-chat-header .header-title").textContent === chat.config.chatTitle`)
}

func beginHook(t *testing.T, ctx context.Context, h *koreHost) *talk {
	t.Helper()
	do(t, ctx, chromedp.Navigate(h.URL))
	koreShows(t, ctx, "a new user", echoWelcome)
	hookReady(t, ctx)
	return &talk{t, ctx, []string{echoWelcome}}
}

// TestKoreHook connects, speaks, is loaded again, and goes on with a socket.
func TestKoreHook(t *testing.T) {
	n := koreTest(t)
	ctx := browser(t)
	k := beginHook(t, ctx, newKoreHost(t, n, "hook@example.com", viaHook))
	k.say("one")
	k.say("one")
	k.say("12345678901234567890")
	koreStays(t, ctx, "answers", k.shows...)
	do(t, ctx, chromedp.Reload())
	koreShows(t, ctx, "after a reload", k.shows...)
	hookReady(t, ctx)
	k.say("after the reload")
	koreStays(t, ctx, "an answer after a reload", k.shows...)

	other := tab(t, ctx)
	do(t, other, chromedp.Navigate(newKoreHost(t, n, "hook@example.com").URL))
	koreShows(t, other, "a page with a socket", k.shows...)
	koreReady(t, other)
	l := &talk{t, other, k.shows}
	l.say("by socket")
	koreSay(t, ctx, "by hook")
	l.hears("by hook")

	// the first page is sent what the bot said to the other one: at once if it still asks
	want := append(slices.Clone(k.shows), "bot: by socket", "me: by hook", "bot: by hook")
	until(t, ctx, "an answer", fmt.Sprintf(`%s.length === %d`, bubbles, len(want)))
	<-after(2)
	got := value[[]string](t, ctx, bubbles)
	slices.Sort(want)
	if slices.Sort(got); !slices.Equal(got, want) {
		t.Errorf("the window shows, in some order,\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

// TestKoreHookTemplates draws quick replies, live and from the history.
func TestKoreHookTemplates(t *testing.T) {
	n := koreTest(t)
	ctx := browser(t)
	h := newKoreHost(t, n, "hook-templates@example.com", `chatConfig.botOptions.botInfo = {name: "menu", _id: "menu"};`+viaHook)
	do(t, ctx, chromedp.Navigate(h.URL))
	shows := []string{"bot: Hello! What would you like to know?"}
	koreShows(t, ctx, "a new user", shows...)
	hookReady(t, ctx)
	until(t, ctx, "a quick reply", `(() => {
		const all = [...document.querySelectorAll(".quickReplies .quickReply")].filter(b => b.textContent.trim() === "Is this kept?");
		all.at(-1)?.click();
		return all.length > 0;
	})()`)
	shows = append(shows, "me: Is this kept?", "bot: Yes. A message is acknowledged once it is stored, and comes back in order on every device of yours.")
	koreStays(t, ctx, "an answer", shows...)
	do(t, ctx, chromedp.Reload())
	koreStays(t, ctx, "after a reload", shows...)
}

// TestKoreHookNetwork loses the network and the server. What the SDK sends again counts
// once.
func TestKoreHookNetwork(t *testing.T) {
	n := koreTest(t)
	h := newKoreHost(t, n, "hook-network@example.com", viaHook)
	k := beginHook(t, browser(t), h)
	k.say("one")
	h.net.lose()
	koreSay(t, k.ctx, "said into the void")
	<-after(2)
	h.net.restore()
	k.hears("said into the void")
	n.stop(os.Kill)
	n.start()
	k.say("after the restart")
	koreStays(t, k.ctx, "in the end", k.shows...)
	do(t, k.ctx, chromedp.Reload())
	koreStays(t, k.ctx, "after a reload", k.shows...)
}

// TestKoreHookExpiry lets the assertion expire. The SDK's message is refused, and sent
// again with another one by itself.
func TestKoreHookExpiry(t *testing.T) {
	n := koreTest(t, "CARNET_TOKENS_STS_TTL=10s")
	k := beginHook(t, browser(t), newKoreHost(t, n, "hook-expiry@example.com", viaHook))
	k.say("with the first assertion")
	<-after(45) // and the leeway
	k.say("with the second")
	koreStays(t, k.ctx, "in the end", k.shows...)
}
