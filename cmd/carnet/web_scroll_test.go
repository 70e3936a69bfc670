package main

// staysInPlace moves through a long conversation, as somebody who reads or listens does.
func (s *stage) staysInPlace() {
	prefer(s.t, s.ctx, "prefers-reduced-motion", "no-preference")
	s.run("window.e = (s) => " + element + ".querySelector(s)")
	s.run("window.log = e('.log')")
	s.run("window.toEnd = () => log.scrollTo({top: log.scrollHeight, behavior: 'instant'})")
	s.run("window.gap = () => log.scrollHeight - log.scrollTop - log.clientHeight")
	s.run("Array.from({length: 40}, (_, i) => server.say({text: 'message ' + i}, i % 2 ? 'user' : 'bot'))")
	until(s.t, s.ctx, "the whole conversation", element+`.querySelectorAll(".message").length === 40`)
	check := func(what, condition string) {
		s.t.Helper()
		if !value[bool](s.t, s.ctx, condition) {
			s.t.Errorf("not so: %s", what)
		}
	}

	drawn := func() {
		s.t.Helper()
		s.run("(window.drawn = false, requestAnimationFrame(() => requestAnimationFrame(() => (window.drawn = true))))")
		until(s.t, s.ctx, "two frames", "window.drawn")
	}

	// a screen reader brings into view what it reads, also what nobody sees
	s.run(element + `.querySelectorAll(".message .hidden").forEach(h => h.scrollIntoView({block: "nearest", behavior: "instant"}))`)
	check("the header stays", `e(".panel").scrollTop === 0 && e(".panel").scrollHeight === e(".panel").clientHeight`)

	// an answer grows faster than the log is scrolled
	s.run(`toEnd()`)
	s.run(`(async () => {
		for (let i = 0; i < 30; i++) {
			server.tell({type: "delta", id: "long", text: "word ".repeat(40)});
			await new Promise((next) => setTimeout(next, 60));
		}
		window.whole = true;
	})()`)
	until(s.t, s.ctx, "the answer", "window.whole")
	until(s.t, s.ctx, "the end to be in view", `gap() < 80 && e(".jump").hidden`)

	// what stands above grows: a picture that is loaded
	s.run(`log.scrollTo({top: 800, behavior: "instant"})`)
	drawn()
	s.run("window.mark = [...e('.list').children].find((m) => m.getBoundingClientRect().top > log.getBoundingClientRect().top + 40)")
	s.run("window.before = mark.getBoundingClientRect().top")
	s.run(`e(".words").append("\n".repeat(20))`)
	drawn()
	check("what is read stays", `Math.abs(mark.getBoundingClientRect().top - before) < 2`)

	s.run("server.say({text: 'استخدم `foo();` هنا https://carnet.test/a/\\n```\\nif (a) {\\n}\\n```'})")
	until(s.t, s.ctx, "the code", `e("pre")`)
	check("code runs from the left in an Arabic message", `getComputedStyle(e("pre").parentElement).direction === "rtl" && [...e(".list").querySelectorAll("code, pre")].every((c) => getComputedStyle(c).direction === "ltr")`)

	// a chat that is put away is not read
	s.run(`toEnd()`)
	s.run(`(document.querySelector("carnet-chat").hidden = true, server.say({text: "unseen"}))`)
	read := `server.heard.some((f) => f.type === "read" && f.seq === server.seq)`
	check("nobody has read it", "!"+read)
	s.run(`document.querySelector("carnet-chat").hidden = false`)
	until(s.t, s.ctx, "it to be read", read)
}
