// @vitest-environment happy-dom
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { pass, settle } from "./bench.ts";
import { type FakeServer } from "./fakeServer.ts";
import { begin, end, Page, page } from "./page.ts";

let server: FakeServer;

beforeEach(() => {
  server = begin();
});

afterEach(end);

const sent = (): unknown[] => server.heard("send").map((f) => f["body"]);

describe("what a bot says", () => {
  test("is shown with its marks, what the user says is not", async () => {
    const p = await page();
    server.say({ text: "**now**" });
    p.say("**now**");
    await settle();
    expect(p.all(".bot strong").map((e) => e.textContent)).toEqual(["now"]);
    expect(p.all(".user .words").map((e) => e.innerHTML)).toEqual(["**now**"]);
  });

  test("finds its own direction", async () => {
    const p = await page();
    server.say({ text: "שלום", quick_replies: ["כן"], buttons: [{ title: "לא", payload: 1 }] });
    expect([".words", ".replies button", ".button"].map((s) => p.one(s).getAttribute("dir"))).toEqual(["auto", "auto", "auto"]);
  });

  test("may offer replies with a payload", async () => {
    const p = await page();
    server.say({ text: "Which?", quick_replies: [{ title: "Red", payload: { colour: 1 } }, "blue"] });
    const [red, blue] = p.all(".replies button");
    red?.click();
    blue?.click();
    await settle();
    expect(sent()).toEqual([{ text: "Red", payload: { colour: 1 } }, { text: "blue" }]);
    expect(p.texts).toEqual(["Which?", "Red", "blue"]);
  });

  test("may have buttons, which stay", async () => {
    const p = await page();
    server.say({ text: "Well?", buttons: [{ title: "Read", url: "https://x.test/a" }, { title: "Buy", payload: "buy" }, { title: "Bad", url: "javascript:x" }] });
    const [read, buy, none] = p.all(".button");
    expect(read?.outerHTML).toBe(
      `<a href="https://x.test/a" target="_blank" rel="noopener noreferrer" class="button" part="button" dir="auto">Read</a>`,
    );
    expect(none).toBeUndefined();
    buy?.click();
    await settle();
    expect(sent()).toEqual([{ text: "Buy", payload: "buy" }]);
    expect(p.all(".button")).toHaveLength(2);
  });

  test("may be pictures, which are told by their words", async () => {
    const p = await page();
    server.say({ images: [{ url: "https://x.test/a.png", alt: "A cat" }, { url: "http://x.test/b.png", alt: "no" }] });
    const [cat, none] = p.all("img");
    expect([cat?.getAttribute("src"), cat?.getAttribute("alt"), cat?.getAttribute("referrerpolicy")]).toEqual(["https://x.test/a.png", "A cat", "no-referrer"]);
    expect(none).toBeUndefined();
    expect(p.one(".text").hidden).toBe(true);
    expect(p.one("[aria-live=polite]").textContent).toBe("echo: A cat");
  });

  test("is announced without its marks", async () => {
    const p = await page();
    server.say({ text: "Choose:\n- **red**\n- blue" });
    expect(p.one("[aria-live=polite]").textContent).toBe("echo: Choose:\nred\nblue\n");
  });
});

describe("an answer that is being written", () => {
  const write = (id: string, text: string): void => server.socket.tell({ type: "delta", id, text });

  test("is marked as such, and announced when it is whole", async () => {
    const p = await page();
    write("b-1", "**Once");
    write("b-1", " upon** a");
    expect(p.states).toEqual(["partial"]);
    expect(p.one(".message").getAttribute("aria-busy")).toBe("true");
    expect(p.one("strong").textContent).toBe("Once upon");
    expect(p.one("[aria-live=polite]").textContent).toBe("");
    server.say({ text: "**Once upon** a time." }, "bot", "b-1");
    expect(p.states).toEqual(["stored"]);
    expect(p.one(".message").hasAttribute("aria-busy")).toBe(false);
    expect(p.one("[aria-live=polite]").textContent).toBe("echo: Once upon a time.");
    expect(p.texts).toEqual(["Once upon a time."]);
  });

  test("stands before what waits, and several may be written at a time", async () => {
    server.stores = false;
    const p = await page();
    p.say("waits");
    write("b-1", "one");
    write("b-2", "two");
    expect(p.texts).toEqual(["one", "two", "waits"]);
    server.say({ text: "two." }, "bot", "b-2");
    server.say({ text: "one." }, "bot", "b-1");
    expect(p.texts).toEqual(["two.", "one.", "waits"]);
    expect(p.states).toEqual(["stored", "stored", "pending"]);
  });

  test.each<[string, () => unknown]>([
    ["the system says that it does not come", () => server.say({ text: "The bot does not answer." }, "system")],
    ["it does not go on", () => pass(61)],
    ["another attempt at it was finished", () => {
      write("b-2", "Once again");
      server.say({ text: "Once again." }, "bot", "b-2");
      return pass(4);
    }],
  ])("goes away if %s", async (_, happens) => {
    const p = await page();
    write("b-1", "Once");
    await happens();
    expect(p.texts).not.toContain("Once");
    expect(p.states).not.toContain("partial");
  });
});

describe("an answer that another overtakes", () => {
  test("stays if it goes on", async () => {
    const p = await page();
    for (const text of ["Once", " upon", " a"]) {
      server.socket.tell({ type: "delta", id: "b-1", text });
      server.say({ text: "By the way." }, "bot", `x-${text.length}`);
      await pass(2);
    }
    expect(p.texts.filter((t) => t !== "By the way.")).toEqual(["Once upon a"]);
    await pass(2);
    server.socket.tell({ type: "delta", id: "b-1", text: " time" });
    expect(p.texts, "even if it was given up too early").toContain("Once upon a time");
  });
});

describe("writing", () => {
  test("is locked once the session is over, and reading is not", async () => {
    server.expiresIn = 100;
    server.refreshes = false;
    const p = await page();
    p.write("half a");
    await pass(101);
    expect(p.one(".status").textContent).toBe("Read only");
    expect(p.one(".banner").textContent).toBe("Your session is over. You can read on; sign in again to write.Try now");
    expect(p.one(".seal").getAttribute("aria-label")).toContain("over");
    expect([p.input.readOnly, (p.one(".send") as HTMLButtonElement).disabled]).toEqual([true, true]);
    p.enter();
    server.say({ text: "still heard" });
    expect(p.texts).toEqual(["still heard"]);
    expect(p.input.value).toBe("half a");

    server.refreshes = true;
    p.one(".banner button").click();
    await pass(6);
    expect(p.one(".status").textContent).toBe("Online");
    expect(p.one(".banner").textContent).toBe("");
    expect(p.one(".seal").hidden).toBe(true);
    p.enter();
    await settle();
    expect(sent()).toEqual([{ text: "half a" }]);
  });
});

describe("its words", () => {
  test("may be the page's", async () => {
    const p = await page({ label: "Hilfe", lang: "de" });
    p.chat.strings = { placeholder: "Nachricht", send: "Senden", log: "Gespräch mit {name}", open: "Verbunden", yesterday: "Gestern", again: "Nochmal", notSent: "Nicht gesendet ({why})" };
    expect(p.input.placeholder).toBe("Nachricht");
    expect(p.input.getAttribute("aria-label")).toBe("Nachricht");
    expect(p.one(".send").getAttribute("aria-label")).toBe("Senden");
    expect(p.one(".log").getAttribute("aria-label")).toBe("Gespräch mit Hilfe");
    expect(p.one(".status").textContent).toBe("Verbunden");
    server.socket.tell({ ...server.keep({ text: "a" }), at: "2026-05-31T12:00:00.000Z" });
    server.socket.tell({ ...server.keep({ text: "b" }), at: "2026-06-01T12:00:00.000Z" });
    expect(p.all(".day").map((e) => e.textContent)).toEqual(["Gestern", "Today"]);
    server.stores = false;
    p.say("x");
    await settle();
    server.socket.tell({ type: "nack", id: server.heard("send")[0]?.["id"], error: { code: "denied", title: "$& {name}" } });
    expect(p.all(".meta").at(-1)?.textContent).toBe("Nicht gesendet ($& {name}) Nochmal");
    expect(server.heard("hello"), "no new connection for that").toHaveLength(1);
  });

  test("may be an attribute", async () => {
    const p = await page({ strings: `{"send":"Envoyer","open":7}` });
    expect(p.one(".send").getAttribute("aria-label")).toBe("Envoyer");
    expect(p.one(".status").textContent).toBe("Online");
    for (const junk of ["{", "null", "7", "[1]", ""]) {
      p.chat.setAttribute("strings", junk);
      expect(p.one(".send").getAttribute("aria-label")).toBe("Send");
    }
  });

  test.each([["de", "Mittwoch, 20. Mai"], ["fr-CA", "mercredi 20 mai"], ["no language!", "Wednesday, May 20"]])("and days are of the language %s", async (lang, want) => {
    const p = await page({ lang });
    server.socket.tell({ ...server.keep({ text: "a" }), at: "2026-05-20T12:00:00.000Z" });
    expect(p.one(".day").textContent).toBe(want);
  });

  test("and days are of the page's language", async () => {
    document.documentElement.lang = "de";
    const p = await page();
    server.socket.tell({ ...server.keep({ text: "a" }), at: "2026-05-20T12:00:00.000Z" });
    document.documentElement.lang = "";
    expect(p.one(".day").textContent).toBe("Mittwoch, 20. Mai");
  });
});

test("the page hears all that the connection tells", async () => {
  const p = new Page();
  const heard = new Set<string>();
  for (const type of [
    "state", "session", "message", "history", "ack", "nack", "blocked", "resent", "delta", "typing", "read", "secure", "expired",
  ]) {
    document.body.addEventListener(`carnet-${type}`, (e) => heard.add(e.type));
  }
  p.chat.assertion = async () => "token";
  await settle();
  p.say("hello");
  await settle();
  p.chat.connection?.send(undefined);
  for (const f of [
    { type: "delta", id: "b", text: "x" }, { type: "typing" }, { type: "read", seq: 9 }, { type: "secure", state: "locked", reason: "unauthorized" },
  ]) server.socket.tell(f);
  server.gate = () => ({ code: "unauthorized", title: "no" });
  p.chat.connection?.send("blocked");
  await settle();
  p.chat.connection?.resend();
  expect(heard.size).toBe(13);
});

test("tabs are shared if the page says so", async () => {
  const channel = vi.fn();
  vi.stubGlobal("BroadcastChannel", class {
    constructor(name: string) {
      channel(name);
    }
    postMessage(): void {}
    close(): void {}
  });
  vi.stubGlobal("navigator", { onLine: true, locks: { request: () => new Promise(() => {}) } });
  const p = new Page({ tabs: "shared" });
  p.chat.assertion = async () => `e30.${btoa(`{"iss":"i","sub":"ann"}`)}.x`;
  await settle();
  expect(channel).toHaveBeenCalledExactlyOnceWith(`carnet https://carnet.test echo ["i","ann"]`);
});

test("a visitor's token is kept if the page says so", async () => {
  const visitor = `e30.${btoa(`{"iss":"i","sub":"v","isAnonymous":true}`)}.x`;
  for (const [attributes, kept] of [[{}, false], [{ merge: "" }, true]] as const) {
    const p = new Page(attributes);
    p.chat.assertion = async () => visitor;
    await settle();
    expect(JSON.stringify({ ...sessionStorage }).includes(visitor)).toBe(kept);
    p.chat.remove();
  }
});
