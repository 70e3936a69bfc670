// @vitest-environment happy-dom
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { CarnetChat, CarnetError } from "../src/element.ts";
import { pass, settle } from "./bench.ts";
import type { FakeServer } from "./fakeServer.ts";
import { begin, end, Page, page, scroll } from "./page.ts";

let server: FakeServer;
/** What history answers with; undefined for a fault. */
let past: (url: URL) => object | undefined;

beforeEach(() => {
  past = () => ({ messages: [], more: false });
  server = begin((url) => past(url));
});

afterEach(end);

describe("<carnet-chat>", () => {
  test("connects when it has what it needs, once", async () => {
    const p = new Page();
    await settle();
    expect(server.sockets).toHaveLength(0);
    p.chat.context = { page: "/prices" };
    p.chat.assertion = async () => "token";
    p.chat.setAttribute("label", "Help desk");
    await settle();
    expect(server.heard()).toEqual([{ type: "hello", token: "token", bot: "echo", context: { page: "/prices" } }]);
    expect(p.one(".title").textContent).toBe("Help desk");
    expect(p.one(".status").textContent).toBe("Online");
    expect(p.one(".empty").hidden).toBe(false);
    expect(server.refusals).toEqual([]);
  });

  test("takes over what the page set before it was there", async () => {
    class Late extends CarnetChat {}
    customElements.define("late-chat", Late);
    const chat = document.createElement("div") as unknown as CarnetChat;
    const late = document.createElement("late-chat") as CarnetChat;
    Object.defineProperty(late, "assertion", { value: async () => "early", configurable: true, writable: true, enumerable: true });
    late.setAttribute("url", "https://carnet.test");
    late.setAttribute("bot", "echo");
    document.body.append(chat, late);
    await settle();
    expect(server.heard("hello")[0]).toMatchObject({ token: "early" });
  });

  test("gets tokens from an address of the page's own", async () => {
    const post = vi.fn(async () => Response.json({ jwt: "from the page" }));
    vi.stubGlobal("fetch", post);
    new Page({ "assertion-url": "/session" });
    await settle();
    expect(post).toHaveBeenCalledWith("/session", expect.objectContaining({ method: "POST", credentials: "include" }));
    expect(server.heard("hello")[0]).toMatchObject({ token: "from the page" });
  });

  test.each([[401, "Closed"], [403, "Closed"], [500, "No connection"]])("an address that answers %i: %s", async (status, shown) => {
    vi.stubGlobal("fetch", async () => new Response("", { status }));
    const p = new Page({ "assertion-url": "/session" });
    await settle();
    expect(p.one(".status").textContent).toBe(shown);
    expect(server.sockets).toHaveLength(0);
  });

  test("says what is wrong with its address", async () => {
    const p = await page({ url: "http://carnet.test" });
    await pass(0);
    expect(p.one(".banner").textContent).toContain("https://");
    expect(p.one(".status").textContent).toBe("Closed");
  });

  test("begins anew with another bot, and ends when it is taken away", async () => {
    const p = await page();
    server.say({ text: "one" });
    p.chat.setAttribute("bot", "menu");
    await settle();
    expect(server.heard("hello").map((f) => f["bot"])).toEqual(["echo", "menu"]);
    expect(server.sockets[0]?.closedWith).toBe(1000);
    expect(p.texts).toEqual([]);
    p.chat.remove();
    expect(server.socket.closedWith).toBe(1000);
    expect(p.chat.connection).toBeUndefined();
    await pass(60);
    expect(server.sockets).toHaveLength(2);
  });

  test("passes events on to the page", async () => {
    const heard: string[] = [];
    for (const type of ["state", "session", "message", "nack"]) {
      document.body.addEventListener(`carnet-${type}`, (e) => heard.push(e.type));
    }
    const p = await page();
    server.say({ text: "one" });
    p.chat.connection?.send(undefined);
    await settle();
    expect(heard).toEqual(["carnet-state", "carnet-session", "carnet-message", "carnet-nack"]);
  });

  test("puts the cursor where one writes", async () => {
    const p = await page();
    p.chat.focus();
    expect(p.chat.shadowRoot?.activeElement).toBe(p.input);
  });
});

describe("writing", () => {
  test("sends by Enter, and shows the message at once", async () => {
    server.stores = false;
    const p = await page();
    p.say("  hello  ");
    expect(server.heard("send")).toMatchObject([{ body: { text: "hello" } }]);
    expect(server.heard("typing")).toHaveLength(1);
    expect(p.input.value).toBe("");
    expect([p.texts, p.states]).toEqual([["hello"], ["pending"]]);
    server.store(server.socket, server.heard("send")[0]!);
    expect([p.texts, p.states]).toEqual([["hello"], ["stored"]]);
  });

  test("sends by the button, which waits for a text", async () => {
    const p = await page();
    const button = p.one(".send") as HTMLButtonElement;
    expect(button.disabled).toBe(true);
    p.write(" \n ");
    expect(button.disabled).toBe(true);
    p.write("hello");
    expect(button.disabled).toBe(false);
    p.one("form").dispatchEvent(new Event("submit", { cancelable: true }));
    await settle();
    expect(p.texts).toEqual(["hello"]);
    expect(button.disabled).toBe(true);
  });

  test.each<[string, KeyboardEventInit]>([
    ["Shift+Enter begins a line", { shiftKey: true }],
    ["Enter of an input method is its own", { isComposing: true }],
    ["Enter of Safari's input method too", { keyCode: 229 } as KeyboardEventInit],
    ["another key is just written", { key: "a" }],
  ])("%s", async (_, init) => {
    const p = await page();
    p.write("こんに");
    p.enter(init);
    expect(p.texts).toEqual([]);
    expect(p.input.value).toBe("こんに");
  });

  test("keeps the text when the conversation has closed", async () => {
    const p = await page();
    server.socket.drop(4403);
    p.say("too late");
    expect(p.texts).toEqual([]);
    expect(p.input.value).toBe("too late");
    p.one(".banner button").click();
    await settle();
    p.enter();
    await settle();
    expect(server.stored.map((m) => m["body"].text)).toEqual(["too late"]);
  });

  test("a refused message can be sent again", async () => {
    server.stores = false;
    const p = await page();
    p.say("hello");
    await settle();
    server.socket.tell({ type: "nack", id: server.heard("send")[0]?.["id"], error: { code: "denied", title: "not now" } });
    expect(p.states).toEqual(["failed"]);
    expect(p.one(".meta").textContent).toBe("Not sent: not now. Try again");
    server.stores = true;
    p.one(".meta button").click();
    await settle();
    expect([p.texts, p.states]).toEqual([["hello"], ["stored"]]);
  });

  test("a suggested reply is one click", async () => {
    const p = await page();
    server.say({ text: "Which?", quick_replies: ["red", "", 7, "blue"] });
    expect(p.all(".replies button").map((b) => b.textContent)).toEqual(["red", "blue"]);
    p.one(".replies button").click();
    await settle();
    expect(server.stored.at(-1)?.["body"]).toEqual({ text: "red" });
    expect(p.all(".replies button")).toEqual([]);
  });
});

describe("reading", () => {
  test("shows text as text", async () => {
    const p = await page();
    const evil = `<img src=x onerror="alert(1)"><b>bold</b>`;
    server.say({ text: evil });
    server.say("a string");
    server.say({ card: 1 });
    server.say(null);
    expect(p.texts).toEqual([evil, "a string", "This message cannot be shown here.", "This message cannot be shown here."]);
    expect(p.all(".words *")).toEqual([]);
  });

  test("tells those who listen what is new, by name, and not what is old", async () => {
    past = () => ({ messages: [{ seq: 1, id: "a", from: "bot", body: { text: "old" }, at: "2026-05-30T09:00:00.000Z" }], more: false });
    server.keep({ text: "old" });
    const p = await page({ label: "Desk" });
    const announcer = p.one("[aria-live=polite]");
    expect(p.texts).toEqual(["old"]);
    expect(announcer.textContent).toBe("");
    server.say({ text: "new" });
    expect(announcer.textContent).toBe("Desk: new");
    expect(p.one("[role=log]").getAttribute("aria-label")).toBe("Conversation with Desk");
    expect(p.all(".message .hidden").map((e) => e.textContent)).toEqual(["Desk: ", "Desk: "]);
  });

  test("keeps what is on its way behind what has its place", async () => {
    server.stores = false;
    const p = await page();
    p.say("mine");
    await settle();
    server.say({ text: "theirs" });
    expect(p.texts).toEqual(["theirs", "mine"]);
    server.store(server.socket, server.heard("send")[0]!);
    server.say({ text: "after" });
    expect(p.texts).toEqual(["theirs", "mine", "after"]);
    expect(p.states).toEqual(["stored", "stored", "stored"]);
  });

  test("groups by writer, and names days", async () => {
    const p = await page();
    const at = (time: string, from: string, text: string): void => {
      const m = { ...server.keep({ text }, from), at: time };
      server.socket.tell(m);
    };
    at("2026-05-20T12:00:00.000Z", "bot", "a");
    at("2026-05-31T12:00:00.000Z", "bot", "b");
    at("2026-05-31T12:01:00.000Z", "bot", "c");
    at("2026-05-31T12:30:00.000Z", "bot", "d");
    at("2026-06-01T12:00:00.000Z", "user", "e");
    at("2026-06-01T12:00:01.000Z", "user", "f");
    expect(p.all(".day").map((e) => e.textContent)).toEqual(["Wednesday, May 20", "Yesterday", "Today"]);
    expect(p.all(".message.last .text").map((e) => e.textContent)).toEqual(["a", "c", "d", "f"]);
  });

  test("shows an answer while it is being written", async () => {
    const p = await page();
    server.socket.tell({ type: "typing", from: "bot" });
    expect(p.one(".dots").hidden).toBe(false);
    server.socket.tell({ type: "delta", id: "b-1", text: "Once " });
    server.socket.tell({ type: "delta", id: "b-1", text: "upon" });
    expect(p.one(".dots").hidden).toBe(true);
    expect(p.texts).toEqual(["Once upon"]);
    server.say({ text: "Once upon a time." });
    expect(p.texts).toEqual(["Once upon a time."]);
    expect(p.all(".message")).toHaveLength(1);
  });

  test("dots go away by themselves, and are not for one's own typing", async () => {
    const p = await page();
    server.socket.tell({ type: "typing", from: "user" });
    expect(p.one(".dots").hidden).toBe(true);
    server.socket.tell({ type: "typing", from: "bot" });
    await pass(6);
    expect(p.one(".dots").hidden).toBe(true);
  });

  test("tells how far the user has seen", async () => {
    const p = await page();
    server.say({ text: "one" });
    expect(server.heard("read")).toEqual([{ type: "read", seq: 1 }]);
    const hidden = vi.spyOn(document, "visibilityState", "get").mockReturnValue("hidden");
    server.say({ text: "two" });
    expect(server.heard("read")).toHaveLength(1);
    hidden.mockReturnValue("visible");
    document.dispatchEvent(new Event("visibilitychange"));
    expect(server.heard("read").at(-1)).toEqual({ type: "read", seq: 2 });
    for (const top of [700, 200]) scroll(p, { top, height: 1_000, client: 300 });
    server.say({ text: "three" });
    expect(server.heard("read"), "the user reads further up").toHaveLength(2);
    expect(p.one(".jump").hidden).toBe(false);
    p.one(".jump").click();
    expect(server.heard("read").at(-1)).toEqual({ type: "read", seq: 3 });
    expect(p.one(".jump").hidden).toBe(true);
  });
});

describe("the past", () => {
  const serve = (url: URL): object => {
    const before = Number(url.searchParams.get("before"));
    const older = server.stored.filter((m) => m["seq"] < before);
    return { messages: older.slice(-20), more: older.length > 20 };
  };

  test("is there after a reload, and more of it by scrolling up", async () => {
    for (let i = 1; i <= 50; i++) server.keep({ text: `m${i}` });
    past = serve;
    const p = await page();
    expect(p.texts[0]).toBe("m31");
    expect(p.one(".earlier").hidden).toBe(false);
    scroll(p, { top: 10, height: 2_000, client: 300 });
    await settle();
    expect(p.texts[0]).toBe("m11");
    p.one(".earlier").click();
    p.one(".earlier").click();
    await settle();
    expect(p.texts).toEqual(server.stored.map((m) => m["body"].text));
    expect(p.one(".earlier").hidden).toBe(true);
  });

  test("can be asked for again after a fault", async () => {
    for (let i = 1; i <= 25; i++) server.keep({ text: `m${i}` });
    past = serve;
    const p = await page();
    past = () => undefined;
    p.one(".earlier").click();
    await settle();
    expect(p.texts).toHaveLength(20);
    past = serve;
    p.one(".earlier").click();
    await settle();
    expect(p.texts).toHaveLength(25);
  });

  test("offers the replies of its newest message", async () => {
    server.keep({ text: "Which?", quick_replies: ["red"] });
    past = serve;
    const p = await page();
    expect(p.all(".replies button").map((b) => b.textContent)).toEqual(["red"]);
  });

  test("an unsent message survives a reload, visibly", async () => {
    const first = await page();
    server.socket.drop();
    first.say("unsent");
    document.body.replaceChildren(); // as a reload: nothing is left but the storage
    server.opens = false;
    const second = await page();
    expect([second.texts, second.states]).toEqual([["unsent"], ["pending"]]);
    server.opens = true;
    server.socket.open();
    await settle();
    expect([second.texts, second.states]).toEqual([["unsent"], ["stored"]]);
    expect(server.stored).toHaveLength(1);
  });
});

describe("trouble", () => {
  test("that passes at once is not worth a word", async () => {
    const p = await page();
    server.socket.drop();
    await pass(1.4);
    expect(p.one(".status").textContent).toBe("Online");
    expect(p.one(".banner").textContent).toBe("");
  });

  test("that lasts is said, until it is over", async () => {
    const p = await page();
    server.opens = false;
    server.socket.drop();
    await pass(0.5);
    server.socket.drop();
    await pass(0.9);
    server.socket.drop();
    await pass(1.5);
    expect(p.one(".banner").textContent).toBe("The connection is lost. Trying again…Try now");
    await pass(0.5); // it is being tried
    expect(p.one(".banner").textContent).not.toBe("");
    server.socket.drop();
    server.opens = true;
    p.one(".banner button").click();
    await settle();
    expect(p.one(".banner").textContent).toBe("");
    expect(p.one(".status").textContent).toBe("Online");
  });

  test("is another if the browser is offline", async () => {
    vi.spyOn(navigator, "onLine", "get").mockReturnValue(false);
    const p = await page();
    server.opens = false;
    server.socket.drop();
    await pass(0.4);
    vi.spyOn(Math, "random").mockReturnValue(0.99);
    await pass(0.2);
    server.socket.drop();
    await pass(1.6);
    expect(p.one(".banner").textContent).toContain("You are offline");
  });

  test("that is final is said with its reason, and can be tried", async () => {
    const p = await page();
    server.socket.tell({ type: "error", error: { code: "denied", title: "this page may not talk to that bot" } });
    server.socket.drop(4403);
    await settle();
    expect(p.one(".banner").textContent).toBe("This chat has closed: this page may not talk to that bot.Reconnect");
    p.one(".banner button").click();
    await settle();
    expect(p.one(".status").textContent).toBe("Online");
  });

  test("of the page's own words", async () => {
    const p = new Page();
    p.chat.assertion = async () => Promise.reject(new CarnetError("signed_out", "you are signed out"));
    await settle();
    expect(p.one(".banner").textContent).toContain("you are signed out");
  });
});
