import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { connect, type Connection, type Options } from "../src/index.ts";
import type { Dial, Ears } from "../src/link.ts";
import { either } from "../src/stream.ts";
import { pass, settle } from "./bench.ts";
import { texts } from "./fakeServer.ts";
import { Detour, type FakeStream } from "./fakeStream.ts";

beforeEach(() => {
  vi.useFakeTimers({ now: Date.UTC(2026, 5, 1, 12) });
  vi.spyOn(Math, "random").mockReturnValue(0.5);
});

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
  vi.unstubAllGlobals();
});

/** A page behind a network without WebSockets, connected all the same. */
async function open(options: Partial<Options> = {}) {
  const detour = new Detour();
  vi.stubGlobal("WebSocket", detour.WebSocket);
  vi.stubGlobal("fetch", detour.fetch);
  let tokens = 0;
  const connection = connect({
    url: "https://carnet.test", bot: "echo", storage: null, assertion: async () => `token${++tokens}`, ...options,
  });
  const states: string[] = [connection.state.name];
  const messages: Parameters<typeof texts>[0][number][] = [];
  const wholes: string[] = [];
  connection.on("state", (s) => states.push(s.name));
  connection.on("message", (m) => messages.push(m));
  connection.on("delta", (d) => wholes.push(d.whole));
  await settle();
  await pass(2);
  await settle();
  const stream = (): FakeStream => detour.server.socket as FakeStream;
  return { detour, server: detour.server, connection, states, messages, wholes, stream };
}

describe("where no WebSocket gets through", () => {
  test("the page talks by requests", async () => {
    const b = await open({ context: { page: "/prices" } });
    expect(b.detour.blocked).toBe(1);
    expect(b.states).toEqual(["connecting", "waiting", "connecting", "open"]);
    expect(b.server.heard("hello")).toEqual([{ type: "hello", token: "token2", bot: "echo", context: { page: "/prices" } }]);
    const sent = b.connection.send("hello");
    await settle();
    await expect(sent.done).resolves.toMatchObject({ seq: 1 });
    b.server.say({ text: "you said hello" });
    await settle();
    expect(texts(b.messages)).toEqual(["hello", "you said hello"]);
    expect(b.detour.requests[0]).toMatchObject({ token: "token2", frames: [{ type: "send", body: { text: "hello" } }] });
    expect(b.server.refusals).toEqual([]);
  });

  test("it resumes where it was, by the way that worked", async () => {
    const b = await open();
    b.server.say({ text: "one" });
    await settle();
    b.stream().drop();
    b.server.say({ text: "two" });
    await pass(2);
    expect(b.detour.blocked).toBe(1);
    expect(b.server.heard("hello").at(-1)).toMatchObject({ conversation: "cnv_a", after: 1, session: "sealed-1" });
    expect(texts(b.messages)).toEqual(["one", "two"]);
  });

  test("frames go one request after the other, in order, as many as fit", async () => {
    const b = await open();
    b.detour.holds = true;
    const bodies = Array.from({ length: 8 }, (_, i) => String(i) + "\u20ac".repeat(3_000));
    for (const body of bodies) b.connection.send(body);
    b.connection.typing();
    await settle();
    expect(b.detour.requests).toHaveLength(1);
    b.detour.release();
    await settle();
    await settle();
    expect(texts(b.messages)).toEqual(bodies);
    expect(b.detour.requests.flatMap((r) => r.frames).map((f) => f["type"])).toEqual([...bodies.map(() => "send"), "typing"]);
    expect(b.detour.requests.length).toBeGreaterThan(1);
    expect(Math.max(...b.detour.requests.map((r) => r.bytes))).toBeLessThanOrEqual(64 << 10);
  });

  test("the largest message goes alone", async () => {
    const b = await open();
    const sent = b.connection.send("x".repeat(61_000));
    await settle();
    await expect(sent.done).resolves.toMatchObject({ seq: 1 });
    expect(b.detour.requests).toHaveLength(1);
  });

  test("events may come in any pieces", async () => {
    const b = await open();
    const m = b.server.keep({ text: "sch\u00f6n \u{1f600}\nline" });
    b.stream().tell(m, 1);
    await settle();
    expect(texts(b.messages)).toEqual(["sch\u00f6n \u{1f600}\nline"]);
  });

  test.each([
    [4500, ["waiting", "connecting", "open"]],
    [4401, ["waiting", "connecting", "open"]],
    [4403, ["closed"]],
  ])("a stream that is closed with %i counts like a socket", async (code, then) => {
    const b = await open();
    b.stream().tell({ type: "error", error: { code: "some_reason", title: "for a reason" } });
    b.stream().drop(code);
    await settle();
    expect(b.connection.state).toMatchObject({ reason: { code: "some_reason" } });
    await pass(2);
    expect(b.states.slice(4)).toEqual(then);
  });
});

describe("requests that are refused", () => {
  test.each([
    [429, "waiting", "disconnected"],
    [503, "waiting", "disconnected"],
    [404, "closed", "refused"],
    [413, "closed", "refused"],
  ])("%i", async (status, state, code) => {
    const b = await open();
    b.detour.status = status;
    b.connection.send("hello");
    await settle();
    expect(b.connection.state).toMatchObject({ name: state, reason: { code } });
    if (state === "waiting") expect(b.connection.pending.map((p) => p.body)).toEqual([{ text: "hello" }]);
    expect(b.stream().closedWith).toBe(1000);
  });

  test.each([
    ["a message", (c: Connection) => c.send("hello").done],
    ["a change of the context", (c: Connection) => c.setContext({ step: 1 })],
  ])("401 asks for a token, and %s goes with that", async (_, say) => {
    const b = await open();
    b.detour.status = 401;
    const said = say(b.connection);
    await settle();
    expect(b.connection.state.name).toBe("open");
    b.detour.status = 200;
    await pass(10);
    await expect(said).resolves.not.toBeNull();
    expect(b.states).toEqual(["connecting", "waiting", "connecting", "open"]);
    const tokens = b.detour.requests.map((r) => r.token);
    expect(tokens[0]).toBe("token2");
    expect(tokens.at(-1)).not.toBe("token2");
  });

  test("no network", async () => {
    const b = await open();
    vi.stubGlobal("fetch", async () => Promise.reject(new TypeError("failed")));
    b.connection.send("hello");
    await settle();
    expect(b.connection.state.name).toBe("waiting");
    vi.stubGlobal("fetch", b.detour.fetch);
    await pass(5);
    expect(texts(b.messages)).toEqual(["hello"]);
  });
});

describe("a stream that goes on", () => {
  test("takes a new token before the old one expires, unnoticed", async () => {
    const b = await open();
    b.server.say({ text: "one" });
    const first = b.stream();
    for (let i = 0; i < 45; i++) {
      b.stream().write(":\n\n");
      await pass(20);
    }
    expect(first.closedWith).toBe(1000);
    expect(b.states).toEqual(["connecting", "waiting", "connecting", "open"]);
    const [, again] = b.server.heard("hello");
    expect(again).toEqual({ type: "hello", token: "token3", bot: "echo", conversation: "cnv_a", after: 1 });
    b.server.say({ text: "two" });
    b.connection.send("three");
    await settle();
    expect(texts(b.messages)).toEqual(["one", "two", "three"]);
    expect(b.detour.requests[0]?.token).toBe("token3");
  });

  test("is opened anew when it is silent, and given up when that does not help", async () => {
    const b = await open();
    await pass(20);
    b.stream().write(":\n\n");
    await pass(20);
    expect(b.server.heard("hello")).toHaveLength(1);
    await pass(6);
    expect(b.server.heard("hello")).toHaveLength(2);
    expect(b.connection.state.name).toBe("open");
    vi.stubGlobal("fetch", () => new Promise(() => {}));
    await pass(36);
    expect(b.states.slice(4, 5)).toEqual(["waiting"]);
  });

  test("begins again when the conversation has ended meanwhile", async () => {
    const b = await open();
    b.server.conversation = "cnv_b";
    await pass(26); // silent: opened anew
    expect(b.states.slice(4, 5)).toEqual(["waiting"]);
    await pass(2);
    const sent = b.connection.send("in the next one");
    await settle();
    await expect(sent.done).resolves.toBeDefined();
    expect(b.detour.requests).toHaveLength(1);
  });

  test("connects anew when its hello is refused", async () => {
    const b = await open();
    b.server.refuse = (f) => f["after"] === 0 && !f["session"] ? [4403, { code: "not_found", title: "another user's" }] : undefined;
    await pass(28); // silent: opened anew
    expect(b.server.heard("hello").map((f) => f["session"])).toEqual([undefined, undefined, "sealed-1"]);
    expect(b.states.slice(4)).toEqual(["waiting", "connecting", "open"]);
  });

  test("shows no text with holes", async () => {
    const b = await open();
    b.stream().tell({ type: "delta", id: "b-1", text: "one " });
    await settle();
    await pass(26); // silent: opened anew
    expect(b.server.heard("hello")).toHaveLength(2);
    b.stream().tell({ type: "delta", id: "b-1", text: "three" });
    b.stream().tell({ type: "delta", id: "b-2", text: "new" });
    await settle();
    expect(b.wholes).toEqual(["one ", "new"]);
  });

  test("ends with the connection", async () => {
    const b = await open();
    b.connection.close();
    b.stream().tell(b.server.keep({ text: "late" }));
    await settle();
    expect(b.stream().closedWith).toBe(1000);
    expect(b.messages).toEqual([]);
  });
});

describe("the way", () => {
  const hello = { type: "hello", token: "t", bot: "echo" } as const;
  const deaf: Ears = { frame: () => {}, end: () => {} };

  /** Dials so often, each time with the outcome given; returns the ways that were taken. */
  function take(outcomes: string): string {
    let taken = "";
    let ears = deaf;
    const way = (name: string): Dial => (_, e) => {
      taken += name;
      ears = e;
      return { send: () => {}, close: () => {} };
    };
    const dial = either(way("a"), way("b"));
    for (const outcome of outcomes) {
      dial(hello, deaf);
      ears.frame(undefined); // bytes are no answer
      if (outcome === "+") ears.frame({ type: "pong" });
      ears.end(1006);
    }
    return taken;
  }

  test.each([
    ["+", "a"],
    ["---", "aba"],
    ["-+++", "abbb"],
    ["+---+", "aaaaa"],
    ["+----+-", "aaaaabb"],
    ["-+-----+", "abbbbbaa"],
  ])("after %s is %s", (outcomes, ways) => {
    expect(take(outcomes)).toBe(ways);
  });
});
