package main

import (
	"os"
	"testing"

	"github.com/chromedp/chromedp"
)

// TestKoreNetwork loses connections, the network, and the server, with two tabs that show
// the same whatever happens.
func TestKoreNetwork(t *testing.T) {
	n := koreTest(t)
	ctx := browser(t)
	one := newKoreHost(t, n, "network@example.com")
	two := newKoreHost(t, n, "network@example.com") // another page, another network
	k := begin(t, ctx, one)
	k.say("from the first tab")

	other := tab(t, ctx)
	do(t, other, chromedp.Navigate(two.URL))
	koreShows(t, other, "the second tab", k.shows...)
	koreReady(t, other)
	k.say("to the second tab")
	koreShows(t, other, "the second tab hears", k.shows...)
	l := &talk{t, other, k.shows}
	l.say("from the second tab")
	k.hears("from the second tab")

	// the connection is lost: the bot goes on in the other tab, and what was missed comes
	one.net.lose()
	l.say("while the first was away")
	l.say("and again")
	one.net.restore()
	koreStays(t, k.ctx, "what was missed", l.shows...)
	k.shows = l.shows
	k.say("back again")
	l.hears("back again")

	// said without a connection: the SDK makes a new client, and the old one lives on
	one.net.lose()
	until(t, k.ctx, "the page to notice", `chat.bot.RtmClient.ws.readyState === 3`)
	koreSay(t, k.ctx, "said into the void")
	one.net.restore()
	k.hears("said into the void")
	l.hears("said into the void")
	l.say("heard once")
	k.hears("heard once")
	k.say("said once")
	l.hears("said once")
	koreStays(t, k.ctx, "two sockets of a tab", k.shows...)

	// the server is killed
	n.stop(os.Kill)
	n.start()
	k.back()
	l.back()
	k.say("after the restart")
	l.hears("after the restart")
	koreStays(t, k.ctx, "the first tab", k.shows...)
	koreStays(t, l.ctx, "the second tab", k.shows...)

	// and what is kept is what was shown
	do(t, k.ctx, chromedp.Reload())
	koreStays(t, k.ctx, "after a reload", k.shows[len(k.shows)-10:]...)
}

// TestKoreExpiry lets the page's token expire. The SDK gets another one by itself when it
// has to connect.
func TestKoreExpiry(t *testing.T) {
	n := koreTest(t, "CARNET_CHAT_KORE_TOKEN_TTL=10s")
	h := newKoreHost(t, n, "expiry@example.com")
	k := begin(t, browser(t), h)
	k.say("with the first token")
	first := k.token()
	<-after(11)
	k.say("the socket outlives it")
	h.net.cut()
	until(t, k.ctx, "another token", `chat.config.botOptions.accessToken !== "`+first+`"`)
	koreReady(t, k.ctx)
	koreStays(t, k.ctx, "with another token", k.shows...)
	k.say("with the second token")
	koreStays(t, k.ctx, "in the end", k.shows...)
}
