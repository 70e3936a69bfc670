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
