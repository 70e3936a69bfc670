package main

import (
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// conversation has all that a bot can say.
var conversation = []string{
	`{text: "Hello! I am the **Help desk**. Where shall we go?", quick_replies: ["Mountains"]}`,
	`{text: "Somewhere with a view, please."}, "user"`,
	`{text: "Then this is for you:\n\n1. **Lake path**, 2 h, _easy_\n2. **Ridge**, 5 h, see [the map](https://carnet.test/map)\n\nThe code at the gate is ` + "`4711`" + `.", images: [{url: location.origin + "/picture.svg", alt: "Mountains behind a lake"}]}`,
	`{text: "Shall I book it?", buttons: [{title: "Book the lake path", payload: "lake"}, {title: "Opening hours", url: "https://carnet.test/hours"}], quick_replies: [{title: "Yes", payload: "yes"}, "Another day"]}`,
}

// TestElement plays each scene on a stage of its own.
func TestElement(t *testing.T) {
	if testing.Short() {
		t.Skip("drives a browser")
	}
	t.Parallel()
	ctx := browser(t, chromedp.Flag("ignore-certificate-errors", true))
	for name, scene := range map[string]struct {
		play             func(*stage)
		width, height    int64
		attributes, head string
	}{
		"looks":       {(*stage).looks, 760, 940, "", ""},
		"rightToLeft": {(*stage).rightToLeft, 760, 760, `dir="rtl" lang="ar"`, ""},
		"smallScreen": {(*stage).smallScreen, 320, 720, "", ""},
		"states":      {(*stage).states, 500, 700, "", ""},
		"locked":      {(*stage).locked, 500, 600, "", ""},
		"secure":      {(*stage).secure, 500, 720, "", ""},
		"secureRTL":   {(*stage).secureRightToLeft, 320, 620, `dir="rtl"`, ""},
		"standsStill": {(*stage).standsStill, 500, 600, "", ""},
		"theme": {(*stage).theme, 500, 600, "", `<style>
		carnet-chat { --carnet-accent: rgb(120, 0, 90); --carnet-on-accent: rgb(255, 255, 255); --carnet-bubble: rgb(240, 230, 250); --carnet-radius: 3px; color-scheme: light; }
		carnet-chat::part(bubble-user) { font-weight: 700; }
		carnet-chat::part(button) { text-transform: uppercase; }
	</style>`},
		"runsNothing":   {(*stage).runsNothing, 500, 600, "", ""},
		"queueSurvives": {(*stage).queueSurvives, 500, 600, "", ""},
		"staysInPlace":  {(*stage).staysInPlace, 500, 600, "", ""},
	} {
		t.Run(name, func(t *testing.T) { // one after the other: only the tab in front is seen
			scene.play(newStage(t, ctx, scene.width, scene.height, scene.attributes, scene.head))
		})
	}
}

// looks takes pictures of a conversation, and lets axe look at it.
func (s *stage) looks() {
	s.converse(conversation...)
	for _, scheme := range []string{"light", "dark"} {
		prefer(s.t, s.ctx, "prefers-color-scheme", scheme)
		shoot(s.t, s.ctx, "element-"+scheme)
		accessible(s.t, s.ctx, scheme)
	}
}

// rightToLeft speaks Arabic in an Arabic page, and English within it.
func (s *stage) rightToLeft() {
	s.run(`document.documentElement.lang = "ar"`)
	s.run(`document.querySelector("carnet-chat").setAttribute("label", "مكتب المساعدة")`)
	s.run(`document.querySelector("carnet-chat").strings = {placeholder: "اكتب رسالة", send: "إرسال", open: "متصل", replies: "ردود مقترحة", today: "اليوم", log: "محادثة مع {name}", you: "أنت", jump: "رسائل جديدة", earlier: "رسائل سابقة"}`)
	s.converse(
		`{text: "أهلا! أنا **مكتب المساعدة**. إلى أين نذهب؟"}`,
		`{text: "إلى مكان جميل من فضلك."}, "user"`,
		`{text: "إذن:\n\n1. **طريق البحيرة**، ساعتان\n2. **القمة**، خمس ساعات", buttons: [{title: "احجز", payload: 1}]}`,
		`{text: "The ridge is **closed** today!"}`,
		`{text: "هل أحجز؟", quick_replies: ["نعم", "لا", "Maybe"]}`,
	)
	prefer(s.t, s.ctx, "prefers-color-scheme", "light")
	shoot(s.t, s.ctx, "element-rtl")
	accessible(s.t, s.ctx, "right to left")

	// each message has its own direction; the page's decides where the writers stand
	for what, condition := range map[string]string{
		"the user stands at the left":   `m(1).getBoundingClientRect().left < m(0).getBoundingClientRect().left`,
		"the bot stands at the right":   `innerWidth - m(0).getBoundingClientRect().right < 80`,
		"Arabic runs from the right":    `getComputedStyle(m(0).firstChild).direction === "rtl"`,
		"English runs from the left":    `getComputedStyle(m(3).firstChild).direction === "ltr" && getComputedStyle(m(3)).direction === "rtl"`,
		"numbers stand at the right":    `m(2).querySelector("li").getBoundingClientRect().right < m(2).querySelector("ol").getBoundingClientRect().right`,
		"the button to send is at left": element + `.querySelector(".send").getBoundingClientRect().left < ` + element + `.querySelector("textarea").getBoundingClientRect().left`,
	} {
		if !value[bool](s.t, s.ctx, `(() => { const m = i => `+element+`.querySelectorAll(".text")[i]; return `+condition+` })()`) {
			s.t.Errorf("not so: %s", what)
		}
	}
}

// smallScreen is as small as WCAG 1.4.10 wants: nothing may be cut off.
func (s *stage) smallScreen() {
	s.converse(conversation...)
	prefer(s.t, s.ctx, "prefers-color-scheme", "light")
	shoot(s.t, s.ctx, "element-320")
	s.converse(
		`{text: "An_address_without_any_space_that_is_longer_than_the_screen_is_wide: https://carnet.test/a/very/long/path/that/does/not/end"}`,
		"{text: \"```\\nlet code = that.does(not).wrap.by.itself.because.it.has.no.spaces();\\n```\", buttons: [{title: \"A button with a title that is so long that it needs two lines\", payload: 1}], quick_replies: [\"A reply with a title that is so long that it needs two lines\", \"Yes\"]}",
	)
	accessible(s.t, s.ctx, "320 px")
	wide := value[[]string](s.t, s.ctx, `[...`+element+`.querySelectorAll("*")]
		.filter(e => !e.closest(".hidden") && e.getBoundingClientRect().right > innerWidth + 0.5 || !e.closest(".hidden, textarea") && e.scrollWidth > e.clientWidth + 1 && getComputedStyle(e).display !== "inline" && e.clientWidth > 0)
		.map(e => e.tagName + "." + e.getAttribute("class"))`)
	if len(wide) > 0 {
		s.t.Errorf("wider than the screen: %q", wide)
	}
}

// states lets axe look at all that the element can be in.
func (s *stage) states() {
	for _, scheme := range []string{"light", "dark"} {
		prefer(s.t, s.ctx, "prefers-color-scheme", scheme)
		for _, state := range []struct{ name, enter, reached string }{
			{"empty", `0`, `!e(".empty").hidden || e(".message")`},
			{"typing", `server.tell({type: "typing", from: "bot"})`, `!e(".dots").hidden`},
			{"being written", `server.tell({type: "delta", id: "b" + server.seq, text: "Once **upon** a"})`, `e("[data-state=partial]")`},
			{"answered", `server.say({text: "Once upon a time."}, "bot", "b" + server.seq)`, `!e("[data-state=partial]")`},
			{"of the system", `server.say({text: "The bot is away until tomorrow."}, "system")`, `e(".system")`},
			{"on its way", `(server.stores = false, e("textarea").value = "hello", e("textarea").dispatchEvent(new Event("input")), e(".send").click())`, `e("[data-state=pending]") && document.querySelector("carnet-chat").connection.pending[0].id === server.sent.id`},
			{"refused", `(server.tell({type: "nack", id: server.sent.id, error: {code: "denied", title: "not now"}}), server.stores = true)`, `e("[data-state=failed]")`},
			{"locked by a check", `server.tell({type: "secure", state: "locked", reason: "unauthorized", message: "Please sign in."})`, `e(".note .words").textContent === "Please sign in." && !e(".seal").hidden`},
			{"not checked", `server.tell({type: "secure", state: "unavailable", reason: "temporarily_unavailable", retry_after: 600})`, `e(".wait").textContent !== ""`},
			{"secured", `server.tell({type: "secure", state: "secured", reason: "allowed"})`, `!e(".note").hasChildNodes()`},
			{"without connection", `(server.down = true, server.drop(1006))`, `e(".banner").textContent !== ""`},
			{"closed", `(server.down = false, document.querySelector("carnet-chat").connection.retry(), setTimeout(() => { server.tell({type: "error", error: {code: "denied", title: "this page may not talk to that bot"}}); server.drop(4403) }, 100))`, `e(".status").textContent === "Closed"`},
			{"open again", `e(".banner button").click()`, `e(".status").textContent === "Online"`},
		} {
			const one = `((s) => ` + element + `.querySelector(s))`
			s.run("((e) => " + state.enter + ")" + one)
			until(s.t, s.ctx, state.name, "((e) => "+state.reached+")"+one)
			accessible(s.t, s.ctx, scheme+", "+state.name)
		}
	}
}

// locked lets a token expire that nobody renews.
func (s *stage) locked() {
	s.converse(`{text: "Hello!"}`)
	s.run(`server.tell({type: "session", session: "s", expires_in: 1})`)
	until(s.t, s.ctx, "the lock", element+`.querySelector(".status").textContent === "Read only"`)
	accessible(s.t, s.ctx, "locked")
	s.run(`server.say({text: "Still here."})`)
	until(s.t, s.ctx, "the message", element+`.querySelectorAll(".message").length === 2`)
	s.run(`document.querySelector("carnet-chat").focus()`)
	do(s.t, s.ctx, chromedp.KeyEvent("hi\r"))
	if got := value[string](s.t, s.ctx, element+`.querySelector("textarea").value`); got != "" {
		s.t.Errorf("%q could be written", got)
	}
	s.run(`server.tell({type: "session", session: "s", expires_in: 900})`)
	until(s.t, s.ctx, "the lock to open", element+`.querySelector(".status").textContent === "Online"`)
	do(s.t, s.ctx, chromedp.KeyEvent("hi\r"))
	said(s.t, s.ctx, "hi", 1)
}

// ask says something that a check of the session does not let through, for a reason.
func (s *stage) ask(text, why string) {
	s.run(`server.stores = false`)
	say(s.t, s.ctx, text)
	s.run(`server.tell({type: "nack", id: server.sent.id, error: {code: "unauthorized", title: "the session is not authorized"}})`)
	s.run(`server.tell({type: "secure", state: "locked", reason: "unauthorized", ` + why + `})`)
	until(s.t, s.ctx, "the message to be blocked", element+`.querySelector("[data-state=blocked]") && `+element+`.querySelector(".note .words")`)
}

// secure locks a session and secures it, and takes pictures of both.
func (s *stage) secure() {
	s.converse(`{text: "Hello! What would you like to know?"}`, `{text: "When are you open?"}, "user"`, `{text: "Every day from **9** to **18**."}`)
	s.ask("And how much is in my account?", `message: "Your accounts are **yours alone**: please [sign in](https://carnet.test/login) first."`)
	for _, scheme := range []string{"dark", "light"} {
		prefer(s.t, s.ctx, "prefers-color-scheme", scheme)
		accessible(s.t, s.ctx, scheme+", locked by a check")
	}
	shoot(s.t, s.ctx, "element-locked")

	shown := element + `.querySelector("[data-state=blocked] button").checkVisibility()`
	if value[bool](s.t, s.ctx, `(server.tell({type: "secure", state: "unavailable", reason: "temporarily_unavailable", retry_after: 2}), `+shown+`)`) {
		s.t.Error("it can be sent again before its time")
	}
	until(s.t, s.ctx, "its time", shown)
	s.run(`(server.stores = true, ` + element + `.querySelector("[data-state=blocked] button").click())`)
	said(s.t, s.ctx, "And how much is in my account?", 1)
	s.run(`server.tell({type: "secure", state: "secured", reason: "allowed"})`)
	s.converse(`{text: "There are **1,204.50 €** in it."}`)
	if ids := value[[]string](s.t, s.ctx, `server.heard.filter(f => f.type === "send").map(f => f.id)`); len(ids) != 2 || ids[0] != ids[1] {
		s.t.Errorf("sent %q, want the same twice", ids)
	}
	accessible(s.t, s.ctx, "secured")
	s.run(element + `.querySelector("textarea").focus()`) // a script's click leaves a ring that a user's does not
	shoot(s.t, s.ctx, "element-secured")
}

// secureRightToLeft has a reason of markup, of which nothing may run.
func (s *stage) secureRightToLeft() {
	s.ask("أهلا", "message: `<TimelineMessage><TextMsg>سجل الدخول من فضلك</TextMsg><OptionCard><Option title=\"دخول\" url=\"https://carnet.test/login\"/><Option title=\"x\" url=\"javascript:pwned=1\"/></OptionCard><script>pwned=1</script><svg xmlns=\"http://www.w3.org/2000/svg\" onload=\"pwned=1\"/><h:img xmlns:h=\"http://www.w3.org/1999/xhtml\" src=\"x\" onerror=\"pwned=1\"/></TimelineMessage>`")
	accessible(s.t, s.ctx, "locked, right to left")
	if value[bool](s.t, s.ctx, `"pwned" in window`) {
		s.t.Error("markup was run")
	}
	for what, condition := range map[string]string{
		"one link":          `JSON.stringify([...n.querySelectorAll("a, button, img, script")].map(e => e.href)) === '["https://carnet.test/login"]'`,
		"nothing cut off":   `n.scrollWidth <= n.clientWidth && n.getBoundingClientRect().left >= 0`,
		"Arabic from right": `getComputedStyle(n.querySelector(".words")).direction === "rtl"`,
		"lock at the left":  element + `.querySelector(".seal").getBoundingClientRect().right < innerWidth / 2`,
	} {
		if !value[bool](s.t, s.ctx, `(() => { const n = `+element+`.querySelector(".note"); return `+condition+` })()`) {
			s.t.Errorf("not so: %s", what)
		}
	}
}

// standsStill asks for less motion.
func (s *stage) standsStill() {
	prefer(s.t, s.ctx, "prefers-reduced-motion", "reduce")
	s.run(`server.tell({type: "typing", from: "bot"})`)
	s.run(`server.tell({type: "delta", id: "b", text: "Once"})`)
	s.run(`server.tell({type: "typing", from: "bot"})`)
	s.run(`server.say({text: "Hello!"})`)
	until(s.t, s.ctx, "all to stand still", element+`.getAnimations().every(a => a.playState !== "running")`)
	if n := value[int](s.t, s.ctx, element+`.getAnimations().filter(a => a.effect.getComputedTiming().iterations > 1).length`); n > 0 {
		s.t.Errorf("%d things go on moving", n)
	}
}

// theme follows a page's colours, and its parts.
func (s *stage) theme() {
	s.converse(`{text: "Hello!", buttons: [{title: "a", payload: 1}]}`, `{text: "Hi."}, "user"`)
	for what, want := range map[string]struct{ selector, property, value string }{
		"the accent":    {".avatar", "backgroundColor", "rgb(120, 0, 90)"},
		"the user's":    {".user .text", "backgroundColor", "rgb(120, 0, 90)"},
		"the bot's":     {".bot .text", "backgroundColor", "rgb(240, 230, 250)"},
		"the corners":   {".bot .text", "borderStartStartRadius", "3px"},
		"a part":        {".user .text", "fontWeight", "700"},
		"another part":  {".button", "textTransform", "uppercase"},
		"not the other": {".bot .text", "fontWeight", "400"},
	} {
		if got := value[string](s.t, s.ctx, `getComputedStyle(`+element+`.querySelector("`+want.selector+`")).`+want.property); got != want.value {
			s.t.Errorf("%s: %s of %s is %s, want %s", what, want.property, want.selector, got, want.value)
		}
	}
	accessible(s.t, s.ctx, "another theme")
}

// runsNothing says what would be code, were it markup.
func (s *stage) runsNothing() {
	const evil = `<img src=x onerror="pwned=1"><script>pwned=1</script><svg onload=pwned=1><a href="javascript:pwned=1">x</a>`
	s.run("server.say({text: `" + evil + "`})")
	s.run("server.say({text: `**" + evil + "** [x](javascript:pwned=1) [y](JAVASCRIPT:pwned=1) [z](data:text/html,<script>pwned=1</script>)`})")
	s.run(`server.say({text: "x", buttons: [{title: "b", url: "javascript:pwned=1"}, {title: "c", url: "\tjava\nscript:pwned=1"}], images: [{url: "javascript:pwned=1", alt: ""}, {url: "https://x.test/\" onerror=\"pwned=1", alt: "\" onerror=\"pwned=1"}]})`)
	s.run("server.say({text: `" + evil + "`}, 'user')")
	until(s.t, s.ctx, "the messages", element+`.querySelectorAll(".message").length === 4`)
	s.run(`[...` + element + `.querySelectorAll(".log a, .words *, .buttons *")].forEach(e => e.click?.())`)
	if value[bool](s.t, s.ctx, `"pwned" in window`) {
		s.t.Error("what a bot said was run")
	}
	kinds := value[[]string](s.t, s.ctx, `[...new Set([...`+element+`.querySelectorAll(".words *, .extras *")].map(e => e.localName))].sort()`)
	if len(kinds) != 2 || kinds[0] != "img" || kinds[1] != "strong" {
		s.t.Errorf("what was said became %q", kinds)
	}
}

// queueSurvives sends what was written without a network once, after a reload.
func (s *stage) queueSurvives() {
	s.run(`(server.down = true, server.drop(1006))`)
	for _, text := range []string{"one", "two", "three"} {
		say(s.t, s.ctx, text)
	}
	until(s.t, s.ctx, "three to wait", element+`.querySelectorAll("[data-state=pending]").length === 3`)
	ids := value[[]string](s.t, s.ctx, `document.querySelector("carnet-chat").connection.pending.map(p => p.id)`)
	do(s.t, s.ctx, chromedp.Reload())
	online(s.t, s.ctx)
	for _, text := range []string{"one", "two", "three"} {
		said(s.t, s.ctx, text, 1)
	}
	sent := value[[]string](s.t, s.ctx, `server.heard.filter(f => f.type === "send").map(f => f.id)`)
	if strings.Join(sent, " ") != strings.Join(ids, " ") {
		s.t.Errorf("sent %q, waiting were %q", sent, ids)
	}
	do(s.t, s.ctx, chromedp.Reload())
	online(s.t, s.ctx)
	if n := value[int](s.t, s.ctx, `server.heard.filter(f => f.type === "send").length`); n != 0 {
		s.t.Errorf("%d messages were sent again", n)
	}
}
