package main

import (
	"context"
	"fmt"
	"testing"

	"github.com/chromedp/chromedp"
)

// The published SDK in a page, against the real program. Each test has a user of its own.

// echoWelcome is how the echo begins.
const echoWelcome = "bot: Hello! I say what you say."

func koreTest(t *testing.T, environ ...string) *node {
	t.Helper()
	if testing.Short() {
		t.Skip("drives a browser")
	}
	t.Parallel()
	n := newNode(t, environ...)
	n.start()
	return n
}

// begin opens a page of a new user, whom the bot welcomes.
func begin(t *testing.T, ctx context.Context, h *koreHost) *talk {
	t.Helper()
	do(t, ctx, chromedp.Navigate(h.URL))
	koreShows(t, ctx, "a new user", echoWelcome)
	koreReady(t, ctx)
	return &talk{t, ctx, []string{echoWelcome}}
}

// TestKorePage connects, sends, receives, and reads the history: after a reload, and of
// what was before that when it scrolls up.
func TestKorePage(t *testing.T) {
	n := koreTest(t)
	k := begin(t, browser(t), newKoreHost(t, n, "page@example.com"))
	for i := range 9 {
		k.say(fmt.Sprintf("number %d", i))
	}
	k.say("12345678901234567890") // which the SDK takes for JSON
	koreStays(t, k.ctx, "many answers", k.shows...)

	all := k.shows
	do(t, k.ctx, chromedp.Reload())
	k.shows = all[len(all)-10:]
	koreShows(t, k.ctx, "after a reload", k.shows...)
	koreReady(t, k.ctx)
	k.say("after the reload")
	all = append(all, "me: after the reload", "bot: after the reload")

	// the SDK counts its pages from the newest message, two of which are new
	for shown := 20; shown < len(all)+10; shown += 10 {
		do(t, k.ctx, chromedp.Evaluate[chromedp.Void](`(() => {
			const list = document.querySelector(".kore-chat-body .chat-container");
			list.scrollTop = 0;
			list.dispatchEvent(new Event("scroll"));
		})()`))
		koreStays(t, k.ctx, "scrolled up", all[max(0, len(all)-shown):]...)
	}
}

// TestKoreTemplates clicks through the menu: quick replies are drawn live and from the
// history, what is clicked is said once, and a new conversation begins when one asks.
func TestKoreTemplates(t *testing.T) {
	n := koreTest(t)
	ctx := browser(t)
	h := newKoreHost(t, n, "templates@example.com", `chatConfig.botOptions.botInfo = {name: "menu", _id: "menu"};`)
	do(t, ctx, chromedp.Navigate(h.URL))
	welcome := "bot: Hello! What would you like to know?"
	koreShows(t, ctx, "a new user", welcome)
	koreReady(t, ctx)
	click := func(label string) {
		t.Helper()
		until(t, ctx, label, fmt.Sprintf(`(() => {
			const all = [...document.querySelectorAll(".quickReplies .quickReply")].filter(b => b.textContent.trim() === %q);
			all.at(-1)?.click();
			return all.length > 0;
		})()`, label))
	}
	click("Is this kept?")
	first := []string{welcome, "me: Is this kept?", "bot: Yes. A message is acknowledged once it is stored, and comes back in order on every device of yours."}
	koreStays(t, ctx, "an answer", first...)
	do(t, ctx, chromedp.Reload())
	koreShows(t, ctx, "after a reload", first...)
	koreReady(t, ctx)
	click("Try it")
	second := append(first, "me: Try it", "bot: Reload the page, or open it in a second tab: everything is there, once.")
	koreStays(t, ctx, "an answer after a reload", second...)

	do(t, ctx, chromedp.Evaluate[chromedp.Void](`chat.closeConversationSession()`))
	koreStays(t, ctx, "another conversation", append(second, welcome)...)
	do(t, ctx, chromedp.Reload())
	koreStays(t, ctx, "after another reload", welcome)
}

// TestKoreWithoutHistory is a page that asks for none: the welcome comes over the socket,
// and a message that is refused is drawn in red.
func TestKoreWithoutHistory(t *testing.T) {
	n := koreTest(t)
	ctx := browser(t)
	h := newKoreHost(t, n, "plain@example.com", `chatConfig.loadHistory = false; chatConfig.history.paginatedScroll.enable = false;`)
	k := begin(t, ctx, h)
	k.say("without a history")
	do(t, ctx, chromedp.Evaluate[chromedp.Void](`chat.sendMessageToBot("x".repeat(62_000))`))
	until(t, ctx, "the refusal", `[...document.querySelectorAll(".fromOtherUsers [style*=color]")].some(e => e.textContent.includes("was not sent"))`)
	do(t, ctx, chromedp.Reload())
	koreStays(t, ctx, "after a reload")
}
