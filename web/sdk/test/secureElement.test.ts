// @vitest-environment happy-dom
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { pass, settle } from "./bench.ts";
import { type FakeServer, type Frame } from "./fakeServer.ts";
import { begin, end, page, type Page } from "./page.ts";

let server: FakeServer;

beforeEach(() => {
  server = begin();
});

afterEach(end);

const secure = (state: string, more: Frame = {}): void => server.socket.tell({ type: "secure", state, reason: "unauthorized", ...more });
const sent = (): unknown[] => server.heard("send").map((f) => f["id"]);
const spoken = (p: Page): string => p.all("[aria-live=polite] p").at(-1)?.textContent ?? ""; // what is said last
const note = (p: Page): string[] => p.all(".note .words").map((e) => e.textContent);

/** A page with a message that was blocked, for a reason that is shown. */
async function blocked(more: Frame = {}, code = "unauthorized"): Promise<Page> {
  server.gate = () => ({ code, title: "no" });
  const p = await page();
  p.say("my secret");
  await settle();
  secure("locked", { message: "Please sign in.", ...more });
  return p;
}

describe("the seal", () => {
  test.each([
    ["locked", "You need to sign in to continue.", "seal seal-locked"],
    ["unavailable", "We can't verify your session right now. Please try again.", "seal seal-locked"],
    ["secured", "Your session is confirmed", "seal seal-secured"],
  ])("of a session that is %s has a name", async (state, name, part) => {
    const p = await page();
    const seal = p.one(".seal");
    expect(seal.hidden).toBe(true);
    secure(state);
    expect(seal.hidden).toBe(false);
    expect(["role", "aria-label", "title", "part"].map((a) => seal.getAttribute(a))).toEqual(["img", name, name, part]);
    expect(seal.querySelectorAll("svg[aria-hidden=true]")).toHaveLength(1);
  });

  test("looks otherwise when it is a shield", async () => {
    const p = await page();
    const drawings = ["locked", "secured", "unavailable"].map((state) => {
      secure(state);
      return p.one(".seal path").getAttribute("d");
    });
    expect(drawings[0]).toBe(drawings[2]);
    expect(drawings[1]).not.toBe(drawings[0]);
  });

  test("is not that of the next conversation, nor of a closed one", async () => {
    const p = await page();
    secure("secured");
    server.conversation = "cnv_b";
    server.socket.drop();
    await pass(2);
    expect(p.one(".seal").hidden).toBe(true);
    secure("secured");
    expect(p.one(".seal").hidden).toBe(false);
    server.socket.drop(4403);
    expect(p.one(".seal").hidden).toBe(true);
  });

  test("speaks the page's language", async () => {
    const p = await page();
    secure("secured");
    p.chat.strings = { secured: "Bestätigt" };
    expect(p.one(".seal").getAttribute("aria-label")).toBe("Bestätigt");
  });
});

describe("the note", () => {
  test("says why, with links, and is no message", async () => {
    const p = await page();
    server.say({ text: "hello" });
    secure("locked", { message: "Please **[sign in](https://x.test/login)**, not <b>here</b>." });
    expect(note(p)).toEqual(["Please sign in, not <b>here</b>."]);
    expect(p.one(".note a").outerHTML).toBe(`<a href="https://x.test/login" target="_blank" rel="noopener noreferrer">sign in</a>`);
    expect(p.all(".list .message")).toHaveLength(1);
    expect(spoken(p)).toContain("Notice: Please sign in");
    expect(p.one(".banner").textContent).toBe("");
    server.say({ text: "more" });
    expect(p.one(".log").lastElementChild?.previousElementSibling?.previousElementSibling?.className, "it stays at the end").toBe("note");
  });

  test.each([
    ["locked", "You need to sign in to continue."],
    ["unavailable", "We can't verify your session right now. Please try again."],
  ])("has words of its own for a session that is %s", async (state, words) => {
    const p = await page();
    secure(state);
    expect(note(p)).toEqual([words]);
    p.chat.strings = { signIn: "Bitte anmelden.", unchecked: "Bitte warten." };
    for (const message of [undefined, words]) { // the server says the same by itself
      secure(state, { message });
      expect(note(p)).toEqual([state === "locked" ? "Bitte anmelden." : "Bitte warten."]);
    }
    secure(state, { message: "Operator's own." });
    expect(note(p)).toEqual(["Operator's own."]);
  });

  test("is that of the last check alone, and goes when that is passed", async () => {
    const p = await page();
    for (const message of ["one", "two"]) secure("locked", { message });
    expect(note(p)).toEqual(["two"]);
    p.say("each message is checked anew");
    await settle();
    expect(sent()).toHaveLength(1);
    secure("secured");
    expect(p.one(".note").hasChildNodes()).toBe(false);
  });

  test("goes with its conversation", async () => {
    const p = await page();
    secure("locked");
    server.conversation = "cnv_b";
    server.socket.drop();
    await pass(2);
    expect(p.one(".note").hasChildNodes()).toBe(false);
  });

  test("counts the seconds to wait", async () => {
    const p = await blocked({ retry_after: 2.5 });
    const waiting = (): boolean => p.one(".note").hasAttribute("data-waiting");
    expect([p.one(".wait").textContent, p.one(".wait").getAttribute("role"), waiting()]).toEqual(["You can try again in 3 s.", "timer", true]);
    expect(spoken(p)).toContain("You can try again in 3 s.");
    await pass(1);
    expect(p.one(".wait").textContent).toBe("You can try again in 2 s.");
    expect(spoken(p), "not each second").toContain("3 s");
    await pass(2);
    expect([p.one(".wait").textContent, waiting()]).toEqual(["You can try again now.", false]);
    expect(spoken(p)).toBe("You can try again now.");
    server.say({ text: "hello" });
    await pass(2);
    expect(spoken(p), "once").toBe("echo: hello");
    p.chat.strings = { wait: "Noch {seconds} s" };
    secure("unavailable", { retry_after: 60 });
    expect(p.one(".wait").textContent).toBe("Noch 60 s");
  });

  test("counts no longer once it has gone", async () => {
    const p = await blocked({ retry_after: 3 });
    secure("secured");
    expect(p.one(".note").hasAttribute("data-waiting")).toBe(false);
    secure("unavailable", { retry_after: 30 });
    await pass(10);
    expect(p.one(".wait").textContent).toBe("You can try again in 20 s.");
    secure("locked");
    expect(p.one(".wait").textContent).toBe("");
    await pass(60);
    expect(p.one(".wait").textContent).toBe("");
  });
});

test("a conversation that may not be seen says so, and can be tried again", async () => {
  server.refuse = () => {
    secure("locked", { message: "Please sign in." });
    return [4423, { code: "unauthorized", title: "no" }];
  };
  const p = await page();
  expect(p.one(".status").textContent).toBe("Read only");
  expect(p.one(".banner").textContent).toBe("You need to sign in to continue.Try now");
  expect(p.one(".seal").getAttribute("aria-label")).toBe("You need to sign in to continue.");
  expect(note(p)).toEqual(["Please sign in."]);
  expect(p.input.readOnly).toBe(true);
  server.refuse = undefined;
  p.one(".banner button").click();
  await settle();
  expect(p.one(".status").textContent).toBe("Online");
  expect(p.one(".banner").textContent).toBe("");
});

describe("timeline markup", () => {
  const shown = (p: Page): { text: string[]; buttons: (string | null)[][] } => ({
    text: note(p),
    buttons: p.all(".note .buttons > *").map((e) => [e.localName, e.textContent, e.getAttribute("href")]),
  });
  const wrap = (inner: string): string => `<TimelineMessage minimumDisplayTime="2">${inner}</TimelineMessage>`;

  test.each<[string, string, string[], (string | null)[][]]>([
    ["texts", "<TextMsg>Hello &amp; <b>welcome</b></TextMsg><TextMsg>**Sign in** please</TextMsg>", ["Hello &\nwelcome\nSign in please"], []],
    ["a link in a text", "<TextMsg>[Sign in](https://x.test/?a=1&amp;b=2)</TextMsg>", ["Sign in"], []],
    ["links", `<OptionCard subtitle="Choose"><Option title="In" id="1" url="https://x.test/a"/><Option title="Out" url="https://x.test/b" urlTitle="Leave"/></OptionCard>`,
      ["Choose"], [["a", "In", "https://x.test/a"], ["a", "Leave", "https://x.test/b"]]],
    ["choices", `<ButtonPromptContainer><ButtonPrompt label="Yes" id="1"/></ButtonPromptContainer><List title="Which?" selectable="true"><Item title="This"/></List>`,
      ["Which?"], [["button", "Yes", null], ["button", "This", null]]],
    ["a list that is none", `<List title="Needed:"><Item title="a card"/></List>`, ["Needed:\na card"], []],
    ["a broadcast", `<BroadcastMsg title="Sorry" body="You are signed out."/>`, ["Sorry\nYou are signed out."], []],
    ["what would be code", `<script>alert(1)</script><Option title="x" url="javascript:alert(1)"/><img src="x" onerror="alert(1)"/>`, ["alert(1)"], []],
  ])("shows %s", async (_, inner, text, buttons) => {
    const p = await page();
    secure("locked", { message: wrap(inner) });
    expect(shown(p)).toEqual({ text, buttons });
    expect(p.all(".note script, .note img, .note b")).toEqual([]);
  });

  test("sends what is picked", async () => {
    const p = await page();
    secure("locked", { message: wrap(`<ButtonPrompt label="Yes" id="7"/>`) });
    p.one(".note button").click();
    await settle();
    expect(server.heard("send").map((f) => f["body"])).toEqual([{ text: "Yes", payload: "7" }]);
  });

  test.each([
    "<TimelineMessage><TextMsg>not closed</TimelineMessage>", "<TimelineMessage", "<TimelineMessages><TextMsg>other</TextMsg></TimelineMessages>",
  ])("that is none, %j, is not shown", async (message) => {
    const p = await page();
    secure("locked", { message });
    expect(note(p)).toEqual(["You need to sign in to continue."]);
  });

  test("is not read where the page's trusted types forbid it", async () => {
    const p = await page();
    vi.stubGlobal("DOMParser", class {
      parseFromString(): never {
        throw new TypeError("this document requires TrustedHTML");
      }
    });
    secure("locked", { message: wrap("<TextMsg>Hello</TextMsg>") });
    expect(note(p)).toEqual(["You need to sign in to continue."]);
  });

  test("is text, where it is not at the beginning", async () => {
    const p = await page();
    secure("locked", { message: "Write <TimelineMessage> for markup." });
    expect(note(p)).toEqual(["Write <TimelineMessage> for markup."]);
  });
});

describe("a blocked message", () => {
  test("can be sent again, as the same", async () => {
    const p = await blocked();
    expect(p.states).toEqual(["blocked", undefined]);
    expect(p.one(".meta").textContent).toBe("Not sent yet. Send again");
    expect(p.one(".meta button").getAttribute("part")).toBe("retry");
    server.gate = undefined;
    server.stores = false;
    p.one(".meta button").focus();
    p.one(".meta button").click();
    expect(p.states[0]).toBe("pending");
    expect(p.one(".meta").textContent).toBe("Sending…");
    expect(p.chat.shadowRoot?.activeElement, "the focus is not lost").toBe(p.one(".log"));
    await settle();
    const [first, again] = server.heard("send");
    expect(again).toEqual(first);
    server.store(server.socket, again!);
    secure("secured");
    expect(p.states).toEqual(["stored"]);
    expect(p.texts).toEqual(["my secret"]);
  });

  test("is sent again by the page, too", async () => {
    const p = await blocked();
    server.gate = undefined;
    server.stores = false;
    p.chat.connection?.resend();
    expect(p.states[0]).toBe("pending");
  });

  test("may be blocked again", async () => {
    const p = await blocked();
    p.one(".meta button").click();
    await settle();
    expect(p.states[0]).toBe("blocked");
    expect(sent()).toHaveLength(2);
  });

  test("is there after a reload, and stands behind what comes", async () => {
    const before = await blocked();
    before.chat.remove();
    const p = await page();
    server.say({ text: "hello" });
    expect(p.texts).toEqual(["hello", "my secret"]);
    expect(p.states).toEqual(["stored", "blocked"]);
    server.gate = undefined;
    p.one("[data-state=blocked] button").click();
    await settle();
    expect(p.states).toEqual(["stored", "stored"]);
  });

  test("says when the bot is away", async () => {
    server.gate = () => ({ code: "bot_not_running", title: "the bot takes no messages" });
    const p = await page({ label: "Help" });
    p.say("hello");
    await settle();
    expect(p.one(".meta").textContent).toBe("Not sent yet: Help is away. Send again");
    expect(spoken(p)).toBe("Not sent yet: Help is away.");
    expect(p.one(".note").hasChildNodes()).toBe(false);
  });

  test("that the page has sent by itself is not shown", async () => {
    server.gate = () => ({ code: "unauthorized", title: "no" });
    const p = await page();
    p.chat.connection?.send("by itself");
    await settle();
    expect(p.all(".message")).toEqual([]);
    expect(spoken(p)).toBe("");
  });

  test("can be named by the page", async () => {
    const p = await page();
    p.chat.strings = { blocked: "Wartet.", resend: "Nochmals senden" };
    server.gate = () => ({ code: "restricted", title: "no" });
    p.say("hello");
    await settle();
    expect(p.one(".meta").textContent).toBe("Wartet. Nochmals senden");
  });
});

test("the page around learns why the user must sign in", async () => {
  const reasons: unknown[] = [];
  document.body.addEventListener("carnet-expired", (e) => reasons.push((e as CustomEvent).detail));
  await blocked();
  expect(reasons).toEqual([{ reason: "unauthorized" }]);
});
