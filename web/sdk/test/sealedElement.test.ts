// @vitest-environment happy-dom
import { webcrypto } from "node:crypto";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { FakeBot } from "./fakeBot.ts";
import type { FakeServer, Frame } from "./fakeServer.ts";
import { begin, end, Page } from "./page.ts";

let server: FakeServer;
let bot: FakeBot;

beforeEach(async () => {
  server = begin(() => ({ messages: server.stored, more: false }));
  vi.useRealTimers(); // sealing takes its time
  vi.stubGlobal("crypto", webcrypto);
  bot = await FakeBot.make();
  server.botKey = bot.jwk;
});

afterEach(end);

const soon = <T>(look: () => T | Promise<T>): Promise<T> => vi.waitFor(look, { timeout: 30_000, interval: 5 });
const marks = (p: Page): string[] => p.all(".message").map((m) => m.querySelector(".mark")?.textContent ?? "none");
const spoken = (p: Page): string => p.all("[aria-live=polite] p").at(-1)?.textContent ?? ""; // what is said last

async function page(attributes: Record<string, string> = { "bot-key": `old ${bot.kid}`, label: "Help desk" }): Promise<Page> {
  const p = new Page(attributes);
  p.chat.assertion = async () => "token";
  await soon(() => expect(p.one(".status").textContent).toBe("Online"));
  return p;
}

/** Says something, and what the server has of it. */
async function said(p: Page, text: string, count: number): Promise<Frame> {
  p.say(text);
  await soon(() => expect(p.states).toEqual(Array(count).fill("stored")));
  return server.stored.at(-1) as Frame;
}

describe("<carnet-chat bot-key>", () => {
  test("says who can read along, and shows what was said", async () => {
    const p = await page();
    expect(p.one(".privacy").hidden).toBe(false);
    expect(p.one(".privacy").textContent).toBe("Encrypted to Help desk");
    expect(p.all(".privacy svg[aria-hidden=true]")).toHaveLength(1);
    const letter = await bot.open(await said(p, "my number is 4711", 1));
    server.say(await bot.answer(letter, { text: "and **mine**?", quick_replies: ["0815"] }));
    await soon(() => expect(p.texts).toEqual(["my number is 4711", "and mine?"]));
    expect(marks(p)).toEqual(["", ""]);
    p.one(".replies button").click();
    await soon(() => expect(server.stored).toHaveLength(3));
    expect((await bot.open(server.stored[2] as Frame)).body).toEqual({ text: "0815" });
  });

  test("marks what was not encrypted, for those who listen, too", async () => {
    const p = await page();
    server.say({ text: "Hello!" });
    await soon(() => expect(marks(p)).toEqual(["Not encrypted"]));
    expect(p.texts).toEqual(["Hello!"]);
    expect(spoken(p)).toBe("Help desk: Hello! Not encrypted");
    expect(p.one(".mark svg").getAttribute("aria-hidden")).toBe("true");
  });

  test("says of what it cannot show why that is", async () => {
    const p = await page();
    const letter = await bot.open(await said(p, "hi", 1));
    const { jwe } = await bot.answer(letter, { text: "secret" });
    server.say({ jwe: jwe.slice(0, -4) + "AAAA" });
    server.say(await bot.answer({ ...letter, key: bot.jwk }, { text: "for another" }));
    const words = ["", "This message was changed on its way, and is not shown.", "This message cannot be read on this device."];
    await soon(() => expect(marks(p)).toEqual(words));
    expect(p.all(".message").map((m) => m.dataset["seal"])).toEqual([undefined, "broken", "elsewhere"]);
    expect(p.all(".text").map((t) => t.hidden)).toEqual([false, true, true]);
    expect(spoken(p)).toBe("Help desk: This message cannot be read on this device.");
    expect(p.one(".panel").textContent).not.toContain(jwe);
  });

  test("closes to a server with another key, and keeps what was written", async () => {
    server.botKey = (await FakeBot.make()).jwk;
    const p = new Page({ "bot-key": bot.kid });
    p.chat.assertion = async () => "token";
    await soon(() => expect(p.one(".status").textContent).toBe("Closed"));
    expect(p.one(".banner").textContent).toContain("the bot's key is not the one that this page trusts");
    expect(p.one(".privacy").hidden).toBe(false);
    expect(p.one(".privacy").textContent).toBe("The key of echo is not the one that this page trusts");
    expect(p.one(".panel").textContent).not.toContain("Encrypted");
    p.say("secret");
    expect(p.input.value).toBe("secret");
    expect(server.heard("send")).toEqual([]);
  });

  test("claims nothing once it has closed, and again when it is back", async () => {
    const p = await page();
    p.chat.connection?.close();
    await soon(() => expect(p.one(".status").textContent).toBe("Closed"));
    expect(p.one(".privacy").hidden).toBe(true);
    p.chat.encryption = { thumbprint: bot.kid };
    await soon(() => expect(p.one(".status").textContent).toBe("Online"));
    expect(p.one(".privacy").hidden).toBe(false);
    expect(p.one(".privacy").textContent).toBe("Encrypted to Help desk");
  });

  test("claims nothing where it cannot encrypt", async () => {
    vi.stubGlobal("crypto", { getRandomValues: webcrypto.getRandomValues.bind(webcrypto), randomUUID: webcrypto.randomUUID.bind(webcrypto) });
    const p = new Page({ "bot-key": bot.kid });
    p.chat.assertion = async () => "token";
    await soon(() => expect(p.one(".status").textContent).toBe("Closed"));
    expect(p.one(".banner").textContent).toContain("encryption needs a page of https");
    expect(p.one(".privacy").hidden).toBe(true);
  });

  test("trusts no key if the attribute has none", async () => {
    const p = new Page({ "bot-key": "" });
    p.chat.assertion = async () => "token";
    await soon(() => expect(p.one(".status").textContent).toBe("Closed"));
  });

  test("takes the property, too, also when it was set early", async () => {
    const p = new Page({ "bot-key": "another" });
    p.chat.encryption = { thumbprint: bot.kid };
    p.chat.assertion = async () => "token";
    await soon(() => expect(p.one(".status").textContent).toBe("Online"));
    await bot.open(await said(p, "hi", 1));
  });
});

test("without bot-key nothing is said of encryption", async () => {
  const p = await page({});
  server.say({ text: "Hello!" });
  await soon(() => expect(p.texts).toEqual(["Hello!"]));
  expect(p.one(".privacy").hidden).toBe(true);
  expect(marks(p)).toEqual([""]);
});
