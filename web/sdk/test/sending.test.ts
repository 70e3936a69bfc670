import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { begin, open, pass, settle } from "./bench.ts";
import { FakeServer, FakeStorage, texts } from "./fakeServer.ts";

beforeEach(() => {
  vi.useFakeTimers({ now: Date.UTC(2026, 5, 1, 12) });
  vi.spyOn(Math, "random").mockReturnValue(0.5);
});

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

const bodies = (server: FakeServer): unknown[] => server.heard("send").map((f) => f["body"]);
const stored = (server: FakeServer): unknown[] => server.stored.map((m) => m["body"].text);

describe("send", () => {
  test("resolves when the message is stored, and it comes back as one", async () => {
    const b = await open();
    const { id, done } = b.connection.send("hello");
    expect(id).toMatch(/^[A-Za-z0-9_-]{21}$/);
    await expect(done).resolves.toEqual({ seq: 1, at: new Date("2026-06-01T12:00:00.000Z") });
    expect(bodies(b.server)).toEqual([{ text: "hello" }]);
    expect(b.events.ack).toMatchObject([{ id, seq: 1 }]);
    expect(b.messages).toMatchObject([{ id, seq: 1, from: "user" }]);
    expect(b.connection.pending).toEqual([]);
  });

  test("takes any JSON", async () => {
    const b = await open();
    for (const body of [0, false, [], {}, { choice: { id: 7 } }]) b.connection.send(body);
    expect(bodies(b.server)).toEqual([0, false, [], {}, { choice: { id: 7 } }]);
    expect(b.server.refusals).toEqual([]);
  });

  let deep: unknown = 1;
  for (let i = 0; i < 32; i++) deep = [deep];
  const loop: Record<string, unknown> = {};
  loop["self"] = loop;
  test.each([
    ["nothing", undefined, "bad_body"],
    ["null", null, "bad_body"],
    ["no number", Number.NaN, "bad_body"],
    ["a function", () => 1, "bad_body"],
    ["a big integer", 1n, "bad_body"],
    ["a loop", loop, "bad_body"],
    ["what is too deep", deep, "bad_body"],
    ["what is too long", "x".repeat(61 << 10), "too_large"],
    ["what is too long in UTF-8", "€".repeat(21 << 10), "too_large"],
  ])("refuses %s without harm", async (_, body, code) => {
    const b = await open();
    const { id, done } = b.connection.send(body);
    await expect(done).rejects.toMatchObject({ name: "CarnetError", code });
    expect(b.events.nack).toMatchObject([{ id, error: { code } }]);
    expect(b.server.heard("send")).toEqual([]);
    expect(b.connection.pending).toEqual([]);
    await expect(b.connection.send("next").done).resolves.toMatchObject({ seq: 1 });
  });

  test("rejects what the server refuses", async () => {
    const b = await open();
    b.server.stores = false;
    const { id, done } = b.connection.send("hello");
    await settle();
    b.server.socket.tell({ type: "nack", id, error: { code: "denied", title: "not now" } });
    await expect(done).rejects.toMatchObject({ code: "denied", message: "not now" });
    expect(b.events.nack).toHaveLength(1);
    expect(b.connection.pending).toEqual([]);
    b.server.socket.tell({ type: "nack", id, error: { code: "denied", title: "not now" } });
    b.server.socket.tell({ type: "ack", id, seq: 1, at: "2026-06-01T12:00:00.000Z" });
    expect(b.events.nack).toHaveLength(1);
    expect(b.events.ack).toEqual([]);
  });

  test("waits when the server is busy, and sends again", async () => {
    const b = await open();
    b.server.stores = false;
    const first = b.connection.send("one");
    await settle();
    b.server.socket.tell({ type: "nack", id: first.id, error: { code: "limited", title: "too many", retry_after: 2 } });
    const second = b.connection.send("two");
    expect(bodies(b.server)).toHaveLength(1);
    b.server.stores = true;
    await pass(2.5);
    await Promise.all([first.done, second.done]);
    expect(stored(b.server)).toEqual(["one", "two"]);
    expect(b.events.nack).toEqual([]);
  });

  test("says in the next conversation what came too late for the last", async () => {
    const b = await open();
    b.server.say({ text: "before" });
    b.server.stores = false;
    const { id, done } = b.connection.send("late");
    await settle();
    b.server.socket.tell({ type: "nack", id, error: { code: "conversation_ended", title: "over", retry_after: 1 } });
    b.server.conversation = "cnv_b";
    b.server.stored.length = 0;
    b.server.stores = true;
    await pass(2);
    await expect(done).resolves.toMatchObject({ seq: 1 });
    expect(stored(b.server)).toEqual(["late"]);
    expect(b.events.nack).toEqual([]);
    expect(b.events.session).toMatchObject([{ conversation: "cnv_a" }, { conversation: "cnv_b", resumed: false }]);
  });

  test("a pause is kept, whatever becomes of the token", async () => {
    const b = await open();
    b.server.stores = false;
    const { id } = b.connection.send("one");
    await settle();
    b.server.socket.tell({ type: "nack", id, error: { code: "limited", title: "too many", retry_after: 60 } });
    b.server.socket.tell({ type: "session", session: "s", expires_in: 900 });
    b.connection.send("two");
    expect(bodies(b.server)).toHaveLength(1);
    await pass(61);
    expect(bodies(b.server)).toHaveLength(3);
  });

  test("sends what the body was when it was sent", async () => {
    const b = begin();
    const body = { text: "now", at: new Date(0), nothing: undefined, run: () => 1 };
    b.connection.send(body);
    body.text = "later";
    await settle();
    expect(bodies(b.server)).toEqual([{ text: "now", at: "1970-01-01T00:00:00.000Z" }]);
  });

  test("leaves a socket that answers pings and no messages, and sends again", async () => {
    const b = await open();
    b.server.stores = false;
    const one = b.connection.send("one");
    await pass(30);
    const two = b.connection.send("two");
    expect(b.states).toEqual(["connecting", "open"]);
    await pass(14.9);
    expect(b.server.sockets).toHaveLength(1);
    b.server.stores = true;
    await pass(1);
    await expect(Promise.all([one.done, two.done])).resolves.toMatchObject([{ seq: 1 }, { seq: 2 }]);
    expect(b.server.sockets).toHaveLength(2);
    expect(stored(b.server)).toEqual(["one", "two"]);
  });

  test("stays with a socket that answers slowly", async () => {
    const b = await open();
    b.server.stores = false;
    for (let i = 0; i < 5; i++) b.connection.send(`m${i}`);
    await settle();
    for (let i = 0; i < 5; i++) {
      await pass(40);
      b.server.store(b.server.socket, b.server.heard("send")[i]!);
    }
    await pass(120);
    expect(b.server.sockets).toHaveLength(1);
    expect(b.connection.pending).toEqual([]);
  });

  test("leaves no more than 32 without an answer", async () => {
    const b = await open();
    b.server.stores = false;
    for (let i = 0; i < 40; i++) b.connection.send(`m${i}`);
    expect(bodies(b.server)).toHaveLength(32);
    b.server.store(b.server.socket, b.server.heard("send")[0]!);
    expect(bodies(b.server)).toHaveLength(33);
  });

  test("says when the queue is full", async () => {
    const b = begin();
    const sent = Array.from({ length: 101 }, (_, i) => b.connection.send(`m${i}`));
    expect(b.connection.pending).toHaveLength(100);
    await expect(sent[100]?.done).rejects.toMatchObject({ code: "queue_full" });
    await settle();
    await Promise.all(sent.slice(0, 100).map((s) => s.done));
    expect(stored(b.server)).toEqual(Array.from({ length: 100 }, (_, i) => `m${i}`));
  });

  test("an ignored refusal is no unhandled rejection", async () => {
    const b = await open();
    b.connection.send(undefined);
    b.server.stores = false;
    b.connection.send("never stored");
    b.connection.close();
    b.connection.send("late");
    await settle(); // vitest fails on unhandled rejections
    expect(b.events.nack).toHaveLength(1);
  });
});

describe("while the network is away", () => {
  test("messages wait, visibly, and go out in order", async () => {
    const b = await open();
    b.server.socket.drop();
    const one = b.connection.send("one");
    const two = b.connection.send("two");
    expect(b.connection.pending).toEqual([{ id: one.id, body: { text: "one" } }, { id: two.id, body: { text: "two" } }]);
    await pass(1);
    expect(stored(b.server)).toEqual(["one", "two"]);
    expect(b.connection.pending).toEqual([]);
  });

  test("what was on the way is sent again under its id, and stored once", async () => {
    const b = await open();
    b.server.stores = false;
    const { id, done } = b.connection.send("one");
    await settle();
    b.server.keep({ text: "one" }, "user", id); // stored, but the ack is lost
    b.server.stores = true;
    b.server.socket.drop();
    await pass(1);
    await expect(done).resolves.toMatchObject({ seq: 1 });
    expect(stored(b.server)).toEqual(["one"]);
    expect(texts(b.messages)).toEqual(["one"]);
    expect(b.events.ack).toHaveLength(1);
  });

  test("an ack is not needed if the message itself arrives", async () => {
    const b = await open();
    b.server.stores = false;
    const { id, done } = b.connection.send("one");
    b.server.say({ text: "one" }, "user", id);
    await expect(done).resolves.toMatchObject({ seq: 1 });
    expect(b.connection.pending).toEqual([]);
  });

  test("what is acknowledged is not kept, even if it has not come back yet", async () => {
    const b = await open();
    b.server.stores = false;
    const { id } = b.connection.send("one");
    expect([...b.storage.items.values()].join()).toContain("one");
    b.server.socket.tell({ type: "ack", id, seq: 1, at: "2026-06-01T12:00:00.000Z" });
    expect([...b.storage.items.values()].join()).not.toContain("one");
  });

  test("a bot's message of the same id settles nothing", async () => {
    const b = await open();
    b.server.stores = false;
    const { id } = b.connection.send("one");
    b.server.say({ text: "not that" }, "bot", id);
    expect(b.connection.pending).toHaveLength(1);
  });
});

describe("a reload", () => {
  test("goes on after the last message, in the same conversation", async () => {
    const first = await open();
    first.server.say({ text: "one" });
    first.server.keep({ text: "two" });
    const second = await open({ server: first.server, storage: first.storage });
    expect(second.server.socket.heard[0]).toEqual({
      type: "hello", token: "token", bot: "echo", conversation: "cnv_a", after: 1, session: "sealed-1",
    });
    expect(texts(second.messages)).toEqual(["two"]);
  });

  test("keeps an unsent message, and it is stored once", async () => {
    const first = await open();
    first.server.socket.drop();
    const { id } = first.connection.send("unsent");
    const second = begin({ server: first.server, storage: first.storage });
    expect(second.connection.pending).toEqual([{ id, body: { text: "unsent" } }]);
    await settle();
    expect(stored(second.server)).toEqual(["unsent"]);
    const third = await open({ server: first.server, storage: first.storage });
    expect(third.connection.pending).toEqual([]);
    expect(stored(third.server)).toEqual(["unsent"]);
  });

  test("a closed connection keeps its messages for the next one", async () => {
    const first = await open();
    first.server.socket.drop();
    const { done } = first.connection.send("unsent");
    first.connection.close();
    await expect(done).rejects.toMatchObject({ code: "closed" });
    const second = await open({ server: first.server, storage: first.storage });
    expect(stored(second.server)).toEqual(["unsent"]);
  });

  test("never sends in another user's name", async () => {
    const first = await open();
    first.server.socket.drop();
    first.connection.send("from ann");
    const server = new FakeServer();
    server.user = { iss: "https://carnet.test", sub: "bob" };
    server.conversation = "cnv_b";
    server.refuse = (hello) => hello["session"] ? [4403, { code: "denied", title: "another user's session" }] : undefined;
    const second = await open({ server, storage: first.storage });
    await pass(1);
    expect(second.states.at(-1)).toBe("open");
    expect(second.events.nack).toMatchObject([{ error: { code: "user_changed" } }]);
    expect(server.heard("send")).toEqual([]);
    expect(second.connection.pending).toEqual([]);
    expect([...first.storage.items.values()].join()).not.toContain("from ann");
  });

  test.each([
    "", "null", "7", "{}", "[]", `{"pending":{}}`, `{"pending":[{"id":"a b","body":1}]}`, `{"pending":[{"id":"a"}]}`,
    `{"pending":[null]}`, `{"pending":[{"id":"a","body":1,"blocked":7}]}`, `{"pending":[],"cursor":"1"}`, `{"pending":[],"session":7}`, `{"pending":[],"conversation":{}}`,
  ])("is not disturbed by %j in the storage", async (junk) => {
    const storage = new FakeStorage();
    storage.setItem("carnet https://carnet.test echo", junk);
    const b = await open({ storage });
    expect(b.server.heard()).toEqual([{ type: "hello", token: "token", bot: "echo" }]);
    expect(b.connection.pending).toEqual([]);
    expect(b.states.at(-1)).toBe("open");
  });

  test("a storage that is full, or not there, costs the memory alone", async () => {
    const full = new FakeStorage();
    full.full = true;
    for (const storage of [full, null]) {
      const b = await open({ storage });
      await expect(b.connection.send("hello").done).resolves.toMatchObject({ seq: 1 });
      b.connection.forget();
    }
  });

  test("each bot and each server has a memory of its own", async () => {
    const storage = new FakeStorage();
    for (const options of [{}, { bot: "menu" }, { url: "https://carnet.test/eu/" }, { conversation: "cnv_a" }]) {
      await open({ storage, ...options });
    }
    expect([...storage.items.keys()]).toEqual([
      "carnet https://carnet.test echo", "carnet https://carnet.test menu",
      "carnet https://carnet.test/eu echo", "carnet https://carnet.test echo cnv_a",
    ]);
  });
});
