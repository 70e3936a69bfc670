import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { Encryption, Message } from "../src/index.ts";
import { open as openJWE, seal } from "../src/jwe.ts";
import { Keyring } from "../src/keyring.ts";
import { begin, type Bench, type Setup } from "./bench.ts";
import { FakeApp, FakeBot, type Letter, sealTo, seenBy, thumbprint } from "./fakeBot.ts";
import { FakeKeys } from "./fakeKeys.ts";
import { FakeServer, type Frame } from "./fakeServer.ts";

let bot: FakeBot;
let server: FakeServer;

beforeEach(async () => {
  bot = await FakeBot.make();
  server = new FakeServer();
  server.botKey = bot.jwk;
  vi.stubGlobal("indexedDB", new FakeKeys());
  vi.stubGlobal("fetch", async () => Response.json({ messages: server.stored, more: false }));
});

afterEach(() => vi.unstubAllGlobals());

const soon = <T>(look: () => T | Promise<T>): Promise<T> => vi.waitFor(look, { timeout: 30_000, interval: 5 });

/** A page that talks to the bot, open. */
async function page(setup: Setup = {}): Promise<Bench> {
  const b = begin({ server, encryption: { thumbprint: bot.kid }, ...setup });
  await soon(() => expect(b.connection.state.name).toBe("open"));
  return b;
}

/** Says something, and what the bot reads of it. */
async function said(b: Bench, text: string): Promise<Letter> {
  const { id, done } = b.connection.send(text);
  await done;
  return bot.open(server.stored.find((m) => m["id"] === id) as Frame);
}

/** What a page makes of a message of the bot. */
async function heard(b: Bench, body: unknown, from = "bot"): Promise<Message> {
  const { seq } = server.say(body, from) as { seq: number };
  return soon(() => {
    const m = b.messages.find((m) => m.seq === seq);
    expect(m).toBeDefined();
    return m as Message;
  });
}

describe("an encrypted conversation", () => {
  test("is read by the bot and this browser, and by nobody between", async () => {
    const b = await page();
    const letter = await said(b, "my number is 4711");
    expect(letter).toMatchObject({ from: "user", conversation: "cnv_a", id: server.stored[0]?.["id"], body: { text: "my number is 4711" } });
    await soon(() => expect(b.messages).toHaveLength(1));
    expect(b.messages[0]).toMatchObject({ body: { text: "my number is 4711" }, sealed: "opened" });
    expect(await heard(b, await bot.answer(letter, { text: "and mine 0815" }))).toMatchObject({ body: { text: "and mine 0815" }, sealed: "opened" });
    expect(seenBy(server)).not.toContain("4711");
    expect(Object.keys(server.stored[0]?.["body"]).sort()).toEqual(["jwe", "self"]);
    expect(seenBy(server)).not.toContain(letter.key?.x); // or the server could write in the bot's name
    expect(server.refusals).toEqual([]);
  });

  test("keeps the order of what is said, and of all else", async () => {
    const b = await page();
    void b.connection.setContext({ step: 1 });
    const all = Array.from({ length: 20 }, (_, i) => b.connection.send(`m${i}`).done);
    b.connection.read(7);
    await Promise.all(all);
    const types = server.heard().map((f) => f["type"]);
    expect(types).toEqual(["hello", "context", ...Array(20).fill("send"), "read"]);
    const letters = await Promise.all(server.stored.map((m) => bot.open(m)));
    expect(letters.map((l) => l.body)).toEqual(Array.from({ length: 20 }, (_, i) => ({ text: `m${i}` })));
    await soon(() => expect(b.messages.map((m) => m.seq)).toEqual(Array.from({ length: 20 }, (_, i) => i + 1)));
  });

  test("opens after a reload, also what was missed, and not in another browser", async () => {
    const first = await page();
    const letter = await said(first, "mine");
    const answer = await bot.answer(letter, { text: "yours" });
    await heard(first, answer);
    first.connection.close();
    server.keep(await bot.answer(letter, { text: "while you were away" }, { id: "push-1" }));

    const second = await page({ storage: first.storage, loadHistory: true });
    await soon(() => expect(second.events.history).toHaveLength(1));
    const texts = (ms: readonly Message[]): unknown[] => ms.map((m) => [m.sealed, (m.body as { text: string }).text]);
    expect(texts(second.events.history[0]?.messages ?? []).slice(0, 2)).toEqual([["opened", "mine"], ["opened", "yours"]]);
    await soon(() => expect(texts(second.messages)).toEqual([["opened", "while you were away"]]));
    expect((await said(second, "again")).key).toEqual(letter.key);

    vi.stubGlobal("indexedDB", new FakeKeys());
    const other = await page({ loadHistory: true });
    await soon(() => expect(other.events.history).toHaveLength(1));
    expect(other.events.history[0]?.messages.map((m) => m.sealed)).toEqual(Array(4).fill("elsewhere"));
    const theirs = await said(other, "from here");
    expect(theirs.key).not.toEqual(letter.key);
    expect(await heard(other, await bot.answer(theirs, { text: "hi" }))).toMatchObject({ sealed: "opened", body: { text: "hi" } });
  });

  test("goes on where there is no place for keys, and is forgotten with the page", async () => {
    vi.stubGlobal("indexedDB", undefined);
    const b = await page();
    const letter = await said(b, "mine");
    expect(await heard(b, await bot.answer(letter, "yours"))).toMatchObject({ sealed: "opened", body: "yours" });
    const next = await page({ loadHistory: true });
    await soon(() => expect(next.events.history[0]?.messages.map((m) => m.sealed)).toEqual(["elsewhere", "elsewhere"]));
  });

  test("is forgotten on sign-out, in this browser", async () => {
    const b = await page();
    await said(b, "mine");
    b.connection.forget();
    await soon(() => expect((indexedDB as unknown as FakeKeys).items.size).toBe(0));
    const next = await page({ loadHistory: true });
    await soon(() => expect(next.events.history[0]?.messages.map((m) => m.sealed)).toEqual(["elsewhere"]));
  });

  test("has a key for each user, and opens what either was sent", async () => {
    const visitor = await page();
    const mine = await said(visitor, "as a visitor");
    server.user = { iss: "https://carnet.test", sub: "bob" };
    const known = await page({ loadHistory: true });
    expect((await said(known, "as bob")).key).not.toEqual(mine.key);
    await soon(() => expect(known.events.history[0]?.messages).toMatchObject([{ sealed: "opened", body: { text: "as a visitor" } }]));
  });

  test("takes 20 KiB, and no more", async () => {
    const b = await page();
    const { done } = b.connection.send("x".repeat(20 << 10));
    await expect(done).rejects.toMatchObject({ code: "too_large" });
    const body = { text: "€".repeat(6_800) };
    expect((await said(b, body.text)).body).toEqual(body);
    expect(server.refusals).toEqual([]);
    expect(JSON.stringify(server.stored[0]?.["body"]).length).toBeLessThan(60 << 10);
  });

  test("is said again in the next conversation, for that one", async () => {
    const b = await page();
    server.stores = false;
    const { id } = b.connection.send("late");
    await soon(() => expect(server.heard("send")).toHaveLength(1));
    server.conversation = "cnv_b";
    server.stores = true;
    server.socket.drop();
    await soon(() => expect(server.stored).toHaveLength(1));
    expect(await bot.open(server.stored[0] as Frame)).toMatchObject({ conversation: "cnv_b", id, body: { text: "late" } });
  });
});

describe("what the server between makes up", () => {
  let b: Bench;
  let letter: Letter;
  beforeEach(async () => {
    b = await page();
    letter = await said(b, "mine");
  });

  test("is known as not encrypted", async () => {
    const m = await heard(b, { text: "I am the bot" });
    expect(m.body).toEqual({ text: "I am the bot" });
    expect(m).not.toHaveProperty("sealed");
    expect(await heard(b, { text: "The bot is away." }, "system")).not.toHaveProperty("sealed");
    expect(await heard(b, { text: "I am you" }, "user")).not.toHaveProperty("sealed");
  });

  test("in half sentences is not heard", async () => {
    server.socket.tell({ type: "delta", id: "b", text: "I am the" });
    await heard(b, "after it");
    expect(b.events.delta).toEqual([]);
  });

  test("cannot be an answer seen before", async () => {
    const answer = await bot.answer(letter, { text: "yes" });
    expect((await heard(b, answer)).sealed).toBe("opened");
    expect((await heard(b, answer)).sealed).toBe("broken");
  });

  test("cannot be what the visitor said", async () => {
    const { self } = server.stored[0]?.["body"];
    expect((await heard(b, { jwe: self })).sealed).toBe("broken");
    expect((await heard(b, { jwe: self, self }, "user")).sealed).toBe("broken"); // it has another id
  });

  test.each([
    ["of another conversation", { conversation: "cnv_b" }],
    ["that says it is the visitor's", { from: "user" }],
  ])("cannot be an answer %s", async (_, edit) => {
    expect((await heard(b, await bot.answer(letter, { text: "yes" }, edit))).sealed).toBe("broken");
  });

  test.each([
    ["damaged", (jwe: string) => jwe.slice(0, -4) + "AAAA", "broken"],
    ["with a part more", (jwe: string) => jwe + ".AA", "broken"],
    ["with a part less", (jwe: string) => jwe.split(".").slice(0, 4).join("."), "broken"],
    ["nothing of the kind", () => "yes", "broken"],
    ["with an encrypted key", (jwe: string) => jwe.replace("..", ".AA."), "broken"],
  ])("%s, is shown to be", async (_, edit, sealed) => {
    const { jwe } = await bot.answer(letter, { text: "yes" });
    expect((await heard(b, { jwe: edit(jwe) })).sealed).toBe(sealed);
  });

  test("sealed in another way, or to somebody else, is not opened", async () => {
    const text = JSON.stringify({ from: "bot", conversation: "cnv_a", id: "x/0", body: "yes" });
    expect((await heard(b, { jwe: await sealTo(letter.key as object, text, "A128GCM") })).sealed).toBe("broken");
    expect((await heard(b, { jwe: await sealTo(bot.jwk, text) })).sealed).toBe("elsewhere");
    expect((await heard(b, { jwe: await sealTo(letter.key as object, "no letter") })).sealed).toBe("broken");
    expect((await heard(b, { jwe: await sealTo(letter.key as object, text) })).sealed).toBe("opened");
  });
});

describe("the bot's key", () => {
  const refused = async (encryption: Encryption): Promise<void> => {
    const b = begin({ server, encryption });
    b.connection.send("my secret");
    await soon(() => expect(b.connection.state).toMatchObject({ name: "closed", reason: { code: "key_refused" } }));
    expect(server.heard("send")).toEqual([]);
    expect(server.socket.closedWith).toBeDefined();
    expect(server.sockets).toHaveLength(1);
  };

  test("is known by its thumbprint, among several", async () => {
    await page({ encryption: { thumbprint: ["another", await thumbprint(bot.jwk)] } });
  });

  test("is known by who signed it", async () => {
    const app = await FakeApp.make();
    server.botKey = await app.sign(bot);
    const b = await page({ encryption: { signedBy: app.jwk } });
    expect((await said(b, "hi")).body).toEqual({ text: "hi" });
    await page({ encryption: { thumbprint: bot.kid } });
  });

  test("is not taken from the server alone", async () => {
    const app = await FakeApp.make();
    const stranger = await FakeBot.make();
    const pinned = { thumbprint: bot.kid };
    const cases: [name: string, shown: unknown, pin: Encryption][] = [
      ["another key", stranger.jwk, pinned],
      ["none", undefined, pinned],
      ["junk", { kty: "EC" }, pinned],
      ["text", "key", pinned],
      ["nothing is pinned", bot.jwk, { thumbprint: [] }],
      ["an empty pin", bot.jwk, { thumbprint: "" }],
      ["another key, signed", await app.sign(stranger), pinned],
      ["not signed", bot.jwk, { signedBy: app.jwk }],
      ["signed by another", await (await FakeApp.make()).sign(bot), { signedBy: app.jwk }],
      ["signed for another bot", await app.sign(bot, { sub: "menu" }), { signedBy: app.jwk }],
      ["signed for something else", await app.sign(bot, { typ: "JWT" }), { signedBy: app.jwk }],
      ["signed too long ago", await app.sign(bot, { exp: "-1s" }), { signedBy: app.jwk }],
      ["signature cut", (await app.sign(bot)).slice(0, -8), { signedBy: app.jwk }],
      ["a signature is wanted of nobody", await app.sign(bot), {} as Encryption],
    ];
    for (const [name, shown, pin] of cases) {
      server = new FakeServer();
      server.botKey = shown;
      await refused(pin).catch((cause) => {
        throw new Error(name, { cause });
      });
    }
  });

  test("may change between connections", async () => {
    const next = await FakeBot.make();
    const b = await page({ encryption: { thumbprint: [bot.kid, next.kid] } });
    await said(b, "to the first");
    server.botKey = next.jwk;
    server.socket.drop();
    await soon(() => expect(server.sockets).toHaveLength(2));
    await b.connection.send("to the next").done;
    expect((await next.open(server.stored[1] as Frame)).body).toEqual({ text: "to the next" });
  });

  test("a page of plain http has no use for it", () => {
    vi.stubGlobal("crypto", { getRandomValues: () => {} });
    expect(() => begin({ server, encryption: { thumbprint: "x" } })).toThrow(expect.objectContaining({ code: "insecure_page" }));
  });
});

describe("the keys of a browser", () => {
  test("are made once, whoever asks first", async () => {
    const [a, b] = await Promise.all([new Keyring().own("ann"), new Keyring().own("ann")]);
    expect(a.kid).toBe(b.kid);
    expect((await new Keyring().own("ann")).kid).toBe(a.kid);
    expect((await new Keyring().own("bob")).kid).not.toBe(a.kid);
    expect(await new Keyring().find(a.kid)).toBe(a.privateKey);
    expect(await new Keyring().find("another")).toBeUndefined();
    expect(a.privateKey.extractable).toBe(false);
  });

  test("open what was sealed to them", async () => {
    const ring = new Keyring();
    const own = await ring.own("ann");
    const text = "x".repeat(100_000);
    expect(await openJWE(await seal(own, text), (kid) => ring.find(kid))).toEqual({ plain: text });
    expect(await seal(own, text)).not.toBe(await seal(own, text));
  });
});
