// @vitest-environment happy-dom
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { pass, settle } from "./bench.ts";
import { type FakeServer, type Frame } from "./fakeServer.ts";
import { begin, end, page, type Page, scroll } from "./page.ts";

let server: FakeServer;
/** What history answers with. */
let past: (url: URL) => object;

beforeEach(() => {
  past = () => ({ messages: [], more: false });
  server = begin((url) => past(url));
});

afterEach(end);

/** What has the focus in the element: the log has a role, and names itself by that. */
const focused = (p: Page): string | null | undefined => {
  const e = p.chat.shadowRoot?.activeElement;
  return e?.getAttribute("role") ?? e?.textContent;
};

const spoken = (p: Page): string[] => p.all("[aria-live=polite] p").map((e) => e.textContent);

describe("the focus stays in the conversation", () => {
  const secure = (state: string, more: Frame = {}): void => server.socket.tell({ type: "secure", state, reason: "unauthorized", ...more });

  test.each<[string, string, () => void, () => void]>([
    ["suggested replies go when one is picked", ".replies button", () => {}, () => server.say({ text: "?", quick_replies: ["a"] })],
    ["others come", ".replies button", () => server.say({ text: "next", quick_replies: ["b"] }), () => server.say({ text: "?", quick_replies: ["a"] })],
    ["a request to sign in goes", ".note button", () => secure("secured"),
      () => secure("locked", { message: "<TimelineMessage><ButtonPrompt title='In'/></TimelineMessage>" })],
    ["another takes its place", ".note button", () => secure("unavailable"),
      () => secure("locked", { message: "<TimelineMessage><ButtonPrompt title='In'/></TimelineMessage>" })],
  ])("when %s", async (_, selector, then, first) => {
    const p = await page();
    first();
    const button = p.one(selector);
    button.focus();
    expect(focused(p)).toBe(button.textContent);
    if (selector === ".replies button") button.click();
    then();
    expect(button.isConnected && button !== p.chat.shadowRoot?.activeElement, "it has gone").toBe(false);
    expect(focused(p)).toBe("log");
  });

  test("when there is nothing earlier", async () => {
    past = (url) => ({ messages: [server.keep({ text: url.search })], more: !url.search.includes("before=1&") && url.searchParams.has("limit") });
    for (let i = 0; i < 5; i++) server.keep({ text: `m${i}` });
    const p = await page();
    p.one(".earlier").focus();
    p.one(".earlier").click();
    await settle();
    expect(p.one(".earlier").hidden).toBe(true);
    expect(focused(p)).toBe("log");
  });

  test("when the way to the newest message goes", async () => {
    const p = await page();
    for (const top of [700, 200]) scroll(p, { top, height: 1_000, client: 300 });
    server.say({ text: "new" });
    p.one(".jump").focus();
    p.one(".jump").click();
    expect(p.one(".jump").hidden).toBe(true);
    expect(focused(p)).toBe("log");
  });

  test("when a refused message goes out again", async () => {
    server.stores = false;
    const p = await page();
    p.say("hello");
    await settle();
    server.socket.tell({ type: "nack", id: server.heard("send")[0]?.["id"], error: { code: "denied", title: "not now" } });
    p.one(".meta button").focus();
    p.one(".meta button").click();
    expect(focused(p)).toBe("log");
  });

  test("when the connection is back", async () => {
    const p = await page();
    server.opens = false;
    server.socket.drop();
    for (let i = 0; i < 3; i++) {
      await pass(1);
      server.socket.drop();
    }
    p.one(".banner button").focus();
    server.opens = true;
    p.one(".banner button").click();
    await settle();
    expect(p.all(".banner button")).toEqual([]);
    expect(focused(p)).toBe("log");
  });

  test("and is not taken from where one writes", async () => {
    const p = await page();
    server.say({ text: "?", quick_replies: ["a"] });
    p.input.focus();
    server.say({ text: "next" });
    expect(p.chat.shadowRoot?.activeElement).toBe(p.input);
  });
});

describe("those who listen hear", () => {
  test("each of the messages that come together", async () => {
    const p = await page();
    server.say({ text: "one" });
    server.say({ text: "two" });
    expect(spoken(p)).toEqual(["echo: one", "echo: two"]);
    await pass(2);
    server.say({ text: "three" });
    expect(spoken(p)).toEqual(["echo: three"]);
  });

  test("of a lost connection once", async () => {
    const p = await page();
    server.opens = false;
    server.socket.drop();
    const changes: MutationRecord[] = [];
    new MutationObserver((records) => changes.push(...records)).observe(p.one(".banner"), { childList: true, subtree: true, characterData: true });
    for (let i = 0; i < 6; i++) {
      await pass(i);
      server.socket.drop();
    }
    expect(p.one(".banner").textContent).toContain("is lost");
    expect(changes.filter((c) => c.target !== p.one(".banner")), "the words are not set anew").toEqual([]);
  });
});

describe("the end of the conversation", () => {
  test("is not left on the way to it", async () => {
    const p = await page();
    server.say({ text: "one" });
    for (const top of [700, 750, 800]) scroll(p, { top, height: 2_000, client: 300 }); // it grows faster than it is scrolled
    server.say({ text: "two" });
    expect(p.one(".jump").hidden).toBe(true);
    scroll(p, { top: 790, height: 2_000, client: 300 }); // the user's hand
    server.say({ text: "three" });
    expect(p.one(".jump").hidden).toBe(false);
  });

  test("has no new message because the bot is typing", async () => {
    const p = await page();
    for (const top of [700, 200]) scroll(p, { top, height: 1_000, client: 300 });
    server.socket.tell({ type: "typing", from: "bot" });
    expect(p.one(".jump").hidden).toBe(true);
  });

  test("is that of the next conversation, from its beginning", async () => {
    const p = await page();
    for (const top of [700, 200]) scroll(p, { top, height: 1_000, client: 300 });
    server.say({ text: "new" });
    expect(p.one(".jump").hidden).toBe(false);
    p.chat.setAttribute("bot", "menu");
    await settle();
    expect(p.one(".jump").hidden).toBe(true);
  });

  test("is not seen in a chat that the page does not show", async () => {
    const p = await page();
    p.one(".panel").style.display = "none";
    server.say({ text: "one" });
    expect(server.heard("read")).toEqual([]);
    p.one(".panel").style.display = "flex";
    p.one(".log").dispatchEvent(new Event("scroll"));
    expect(server.heard("read")).toEqual([{ type: "read", seq: 1 }]);
  });
});

test("what was today is yesterday after midnight", async () => {
  const p = await page();
  const say = (text: string): void => server.socket.tell({ ...server.keep({ text }), at: new Date().toISOString() });
  say("before");
  expect(p.all(".day").map((e) => e.textContent)).toEqual(["Today"]);
  vi.setSystemTime(Date.now() + 86_400_000);
  say("after");
  expect(p.all(".day").map((e) => e.textContent)).toEqual(["Yesterday", "Today"]);
});

describe("nothing is left", () => {
  test("of timers when it is taken out of the page", async () => {
    const p = await page();
    server.socket.tell({ type: "typing", from: "bot" });
    server.socket.tell({ type: "delta", id: "b", text: "Once" });
    server.socket.tell({ type: "secure", state: "unavailable", reason: "temporarily_unavailable", retry_after: 600 });
    server.opens = false;
    server.socket.drop();
    expect(vi.getTimerCount()).toBeGreaterThan(0);
    p.chat.remove();
    await settle();
    expect(vi.getTimerCount()).toBe(0);
  });

  test("of a conversation when there is nobody to have it", async () => {
    const p = await page();
    server.say({ text: "a secret" });
    expect(p.texts).toEqual(["a secret"]);
    p.chat.assertion = undefined;
    await settle();
    expect(p.texts).toEqual([]);
    expect(p.one(".status").textContent).toBe("Connecting…");
  });
});
