import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { CarnetError, type State } from "../src/index.ts";
import { begin, open, pass, settle } from "./bench.ts";
import { FakeServer, texts } from "./fakeServer.ts";

const NOW = Date.UTC(2026, 5, 1, 12);

beforeEach(() => {
  vi.useFakeTimers({ now: NOW });
  vi.spyOn(Math, "random").mockReturnValue(0.5);
});

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
  vi.unstubAllGlobals();
});

const reason = (s: State): string | undefined => "reason" in s ? s.reason.code : undefined;

describe("opening", () => {
  test("says hello in the protocol, and is open when welcomed", async () => {
    const b = await open({ context: { page: "/prices" } });
    expect(b.server.socket.url).toBe("wss://carnet.test/chat/v1/connect");
    expect(b.server.socket.protocol).toBe("carnet.v1");
    expect(b.server.heard()).toEqual([{ type: "hello", token: "token", bot: "echo", context: { page: "/prices" } }]);
    expect(b.states).toEqual(["connecting", "open"]);
    expect(b.events.session).toMatchObject([{ conversation: "cnv_a", user: { sub: "ann" }, lastSeq: 0, resumed: false }]);
    expect(b.server.refusals).toEqual([]);
  });

  test("tells nothing before the page could listen", async () => {
    const b = begin({ signal: AbortSignal.abort("gone") });
    expect(b.connection.state.name).toBe("connecting");
    await settle();
    expect(b.states).toEqual(["connecting", "closed"]);
    expect(reason(b.connection.state)).toBe("aborted");
    expect(b.assertion).not.toHaveBeenCalled();
  });

  test("does not wait for ever for a welcome", async () => {
    const server = new FakeServer();
    server.welcomes = false;
    const b = await open({ server });
    expect(b.states).toEqual(["connecting"]);
    await pass(15);
    expect(b.states).toEqual(["connecting", "waiting"]);
    expect(server.socket.closedWith).toBe(1000);
  });

  test("does not wait for ever for a token", async () => {
    const b = await open({ assertion: () => new Promise(() => {}) });
    await pass(30);
    expect(b.connection.state).toMatchObject({ name: "waiting", reason: { code: "assertion_failed" } });
  });

  test.each(["", undefined, 7])("takes %j for no token", async (token) => {
    const b = await open({ assertion: async () => token as string });
    expect(reason(b.connection.state)).toBe("assertion_failed");
    expect(b.server.sockets).toHaveLength(0);
  });

  test("tries a failing assertion again, with its cause", async () => {
    let calls = 0;
    const b = await open({ assertion: async () => calls++ ? "token" : Promise.reject(new Error("no network")) });
    expect(b.connection.state).toMatchObject({ reason: { cause: new Error("no network") } });
    await pass(1);
    expect(b.states).toEqual(["connecting", "waiting", "connecting", "open"]);
  });

  test("stops when the assertion says so", async () => {
    const b = await open({ assertion: async () => Promise.reject(new CarnetError("signed_out", "please sign in")) });
    await pass(120);
    expect(b.states).toEqual(["connecting", "closed"]);
    expect(reason(b.connection.state)).toBe("signed_out");
    expect(b.assertion).toHaveBeenCalledOnce();
  });

  test("is not opened by an assertion that comes after close", async () => {
    let give = (_: string): void => {};
    const b = await open({ assertion: () => new Promise((resolve) => (give = resolve)) });
    b.connection.close();
    give("token");
    await settle();
    expect(b.server.sockets).toHaveLength(0);
  });

  test("closes if the browser refuses the address", async () => {
    const b = await open({
      WebSocket: class {
        constructor() {
          throw new DOMException("mixed content", "SecurityError");
        }
      } as unknown as typeof WebSocket,
    });
    expect(reason(b.connection.state)).toBe("bad_url");
  });
});

describe("coming back", () => {
  test("resumes after the last message, on a new token", async () => {
    let n = 0;
    const b = await open({ assertion: async () => `token-${++n}` });
    b.server.say({ text: "one" });
    b.server.keep({ text: "two" });
    b.server.socket.drop();
    expect(b.states).toEqual(["connecting", "open", "waiting"]);
    await pass(1);
    expect(b.server.heard("hello")[1]).toEqual({
      type: "hello", token: "token-2", bot: "echo", conversation: "cnv_a", after: 1, session: "sealed-1",
    });
    expect(texts(b.messages)).toEqual(["one", "two"]);
    expect(b.events.session[1]).toMatchObject({ resumed: true });
  });

  test("waits with full jitter, at most 30 seconds", async () => {
    const server = new FakeServer();
    server.opens = false;
    const b = await open({ server });
    const waits: number[] = [];
    for (let i = 0; i < 8; i++) {
      server.socket.drop();
      const s = b.connection.state;
      if (s.name !== "waiting") throw new Error(s.name);
      waits.push(s.retryAt - Date.now());
      await pass((s.retryAt - Date.now()) / 1_000);
      expect(b.connection.state.name).toBe("connecting");
    }
    expect(waits).toEqual([500, 1_000, 2_000, 4_000, 8_000, 15_000, 15_000, 15_000]);
  });

  test("begins anew with its patience after a socket that held", async () => {
    const b = await open();
    b.server.socket.drop();
    await pass(0.5); // open again
    b.server.socket.drop();
    await pass(1);
    await pass(11); // it held
    b.server.socket.drop();
    expect(b.connection.state).toMatchObject({ name: "waiting", retryAt: Date.now() + 500 });
  });

  test("comes no earlier than the server asks", async () => {
    const b = await open();
    b.server.socket.tell({ type: "error", error: { code: "going_away", title: "a restart", retry_after: 4 } });
    b.server.socket.drop(4500);
    expect(b.connection.state).toMatchObject({ retryAt: Date.now() + 4_500, reason: { code: "going_away", message: "a restart" } });
    await pass(4.4);
    expect(b.server.sockets).toHaveLength(1);
    await pass(0.1);
    expect(b.states.at(-1)).toBe("open");
  });

  test.each([1000, 1001, 1006, 1011, 3000, 4500, 4503, 4508, 4999])("comes back after %i", async (code) => {
    const b = await open();
    b.server.socket.drop(code);
    await pass(1);
    expect(b.states).toEqual(["connecting", "open", "waiting", "connecting", "open"]);
  });

  test.each([4000, 4400, 4403, 4408, 4409, 4499])("stops after %i", async (code) => {
    const b = await open();
    b.server.socket.tell({ type: "error", error: { code: "word", title: "why" } });
    b.server.socket.drop(code);
    await pass(120);
    expect(b.connection.state).toMatchObject({ name: "closed", reason: { code: "word", message: "why" } });
    expect(b.server.sockets).toHaveLength(1);
  });

  test.each([1002, 1009])("stops after %i, and sends the same frame no more", async (code) => {
    const b = await open();
    b.server.stores = false;
    const sent = b.connection.send("hi");
    const refused = expect(sent.done).rejects.toMatchObject({ code: "refused" });
    await settle();
    b.server.socket.drop(code);
    await pass(120);
    await refused;
    expect(b.states).toEqual(["connecting", "open", "closed"]);
    expect(b.server.heard("send")).toMatchObject([{ body: { text: "hi" } }]);
  });

  test("an expired token is no end, a refused one is", async () => {
    const b = await open({ storage: null });
    b.server.refuse = () => [4401, { code: "unauthenticated", title: "no" }];
    b.server.socket.drop(4401);
    await pass(1);
    expect(b.states).toEqual(["connecting", "open", "waiting", "connecting", "waiting"]); // what it remembered is dropped
    await pass(2);
    expect(b.states.slice(5)).toEqual(["connecting", "closed"]);
    expect(b.server.sockets).toHaveLength(3);
  });

  test("forgets once what is refused", async () => {
    const b = await open();
    b.server.refuse = (hello) => hello["session"] ? [4403, { code: "not_found", title: "no such conversation" }] : undefined;
    b.server.conversation = "cnv_b";
    b.server.socket.drop();
    await pass(1);
    await pass(2);
    expect(b.server.heard("hello").at(-1)).toEqual({ type: "hello", token: "token", bot: "echo" });
    expect(b.events.session.at(-1)).toMatchObject({ conversation: "cnv_b", resumed: false });
  });

  test("keeps to the conversation that the page asked for", async () => {
    const b = await open({ conversation: "cnv_mine" });
    b.server.refuse = () => [4403, { code: "not_found", title: "no such conversation" }];
    b.server.socket.drop();
    await pass(3);
    expect(b.server.heard("hello").map((h) => h["conversation"])).toEqual(["cnv_mine", "cnv_mine", "cnv_mine"]);
    expect(b.connection.state).toMatchObject({ name: "closed", reason: { code: "not_found" } });
  });
});

describe("delivery", () => {
  test("is once and in order", async () => {
    const b = await open();
    b.server.say({ text: "one" });
    b.server.socket.tell({ ...b.server.stored[0] });
    b.server.say({ text: "two" });
    b.server.socket.tell({ ...b.server.stored[0] });
    expect(b.messages.map((m) => m.seq)).toEqual([1, 2]);
    expect(b.messages[0]).toEqual({
      seq: 1, id: "b-1", from: "bot", body: { text: "one" }, at: new Date("2026-06-01T12:00:00.000Z"),
    });
  });

  test("asks again rather than show a gap", async () => {
    const b = await open();
    b.server.keep({ text: "one" });
    b.server.say({ text: "two" });
    expect(b.messages).toEqual([]);
    expect(b.states.at(-1)).toBe("waiting");
    await pass(1);
    expect(texts(b.messages)).toEqual(["one", "two"]);
  });

  test("goes on behind a gap when what is missing is kept no more", async () => {
    const b = await open();
    b.server.keep({ text: "one" });
    b.server.say({ text: "two" });
    b.server.stored[0] = { type: "pong" }; // in its place
    await pass(1);
    b.server.say({ text: "three" });
    expect(texts(b.messages)).toEqual(["two", "three"]);
    expect(b.server.sockets.length).toBe(2);
  });

  test("goes on if the server has lost messages", async () => {
    const b = await open();
    b.server.say({ text: "one" });
    b.server.say({ text: "two" });
    b.server.stored.pop();
    b.server.socket.drop();
    await pass(1);
    b.server.say({ text: "two again" });
    expect(texts(b.messages)).toEqual(["one", "two", "two again"]);
  });

  test.each([
    "", "null", "[]", "{}", "{", "7", "\u0000", `{"type":"toString"}`, `{"type":"__proto__"}`, `{"type":"welcome"}`,
    `{"type":"message","seq":1}`, `{"type":"message","seq":"1","id":"a","from":"bot","body":1,"at":"2026-06-01T12:00:00.000Z"}`,
    `{"type":"message","seq":1,"id":"a","from":"bot","body":1,"at":"yesterday"}`, `{"type":"ack","id":null}`, `{"type":"nack","id":"a","error":null}`,
    `{"type":"tomorrow","x":[]}`, `{"type":"session"}`, `{"type":"delta","id":"a","text":{}}`,
  ])("is not disturbed by %j", async (text) => {
    const b = await open();
    b.server.socket.tell(text);
    b.server.socket.dispatchEvent(new MessageEvent("message", { data: new ArrayBuffer(4) }));
    b.server.say({ text: "one" });
    expect(b.states).toEqual(["connecting", "open"]);
    expect(texts(b.messages)).toEqual(["one"]);
  });

  test("passes on the passing things", async () => {
    const b = await open();
    b.server.socket.tell({ type: "typing", from: "bot" });
    b.server.socket.tell({ type: "typing" });
    b.server.socket.tell({ type: "read", seq: 3 });
    b.server.socket.tell({ type: "delta", id: "b-1", text: "Once" });
    b.server.socket.tell({ type: "delta", id: "b-1", text: " upon" });
    b.server.socket.tell({ type: "secure", state: "locked", reason: "denied", retry_after: 1.5 });
    b.server.socket.tell({ type: "ping" });
    expect(b.events).toMatchObject({
      typing: [{ from: "bot" }, { from: "bot" }],
      read: [{ seq: 3 }],
      delta: [{ id: "b-1", text: "Once", whole: "Once" }, { id: "b-1", text: " upon", whole: "Once upon" }],
      secure: [{ state: "locked", reason: "denied", retryAfter: 1.5 }],
    });
    expect(b.server.heard("pong")).toHaveLength(1);
    expect(b.events.secure[0]).not.toHaveProperty("type");
  });

  test("of an answer that is being written has no holes", async () => {
    const b = await open();
    const wholes = (): string[] => b.events.delta.map((d) => d.whole);
    b.server.socket.tell({ type: "delta", id: "b-1", text: "one " });
    b.server.socket.drop();
    await pass(1);
    b.server.socket.tell({ type: "delta", id: "b-1", text: "three" }); // "two" went unheard
    b.server.socket.tell({ type: "delta", id: "b-2", text: "another" });
    expect(wholes()).toEqual(["one ", "another"]);
    b.server.say({ text: "one two three" }, "bot", "b-1");
    expect(texts(b.messages)).toEqual(["one two three"]);
    for (let i = 0; i < 100; i++) b.server.socket.tell({ type: "delta", id: `c-${i}`, text: "x" });
    b.server.socket.tell({ type: "delta", id: "c-99", text: "y" });
    expect(wholes().at(-1), "the newest are followed").toBe("xy");
  });

  test("tells what was read elsewhere, and not what was read here", async () => {
    const b = await open();
    b.server.socket.tell({ type: "read", seq: 3 });
    b.server.socket.tell({ type: "read", seq: 2 });
    b.connection.read(5);
    b.server.socket.tell({ type: "read", seq: 5 });
    expect(b.events.read).toEqual([{ seq: 3 }]);
  });

  test("hears at the start what was read elsewhere before", async () => {
    const server = new FakeServer();
    server.say({ text: "one" });
    server.say({ text: "two" });
    server.readTo = 1;
    const b = await open({ server });
    expect(b.events.read).toEqual([{ seq: 1 }]);
    expect(server.heard("read"), "it knows already").toEqual([]);
    b.connection.read(1);
    expect(server.heard("read")).toEqual([]);
    server.readTo = 2;
    server.socket.drop();
    await pass(1);
    expect(b.events.read).toEqual([{ seq: 1 }, { seq: 2 }]);
    expect(server.heard("read")).toEqual([]);
  });
});

describe("signs of life", () => {
  test("asks a silent server, and leaves a dead one", async () => {
    const b = await open();
    await pass(25);
    expect(b.server.heard("ping")).toHaveLength(1);
    await pass(25);
    expect(b.server.heard("ping")).toHaveLength(2);
    b.server.pongs = false;
    await pass(35);
    expect(b.states).toEqual(["connecting", "open", "waiting"]);
  });

  test("does not ask a server that talks", async () => {
    const b = await open();
    for (let i = 0; i < 4; i++) {
      await pass(20);
      b.server.say({ text: "still here" });
    }
    expect(b.server.heard("ping")).toEqual([]);
  });

  test("follows the network and the page", async () => {
    const page = Object.assign(new EventTarget(), { visibilityState: "visible" });
    const window = new EventTarget();
    vi.stubGlobal("document", page);
    vi.stubGlobal("addEventListener", window.addEventListener.bind(window));
    const b = await open();

    window.dispatchEvent(new Event("offline"));
    expect(b.server.heard("ping")).toHaveLength(1);
    page.dispatchEvent(new Event("visibilitychange"));
    expect(b.server.heard("ping")).toHaveLength(2);

    b.server.socket.drop();
    window.dispatchEvent(new Event("online"));
    await settle();
    expect(b.server.sockets).toHaveLength(2);

    b.server.socket.tell({ type: "error", error: { code: "going_away", title: "a restart", retry_after: 4 } });
    b.server.socket.drop(4500);
    window.dispatchEvent(new Event("online"));
    await settle();
    expect(b.server.sockets, "a wish of the server counts more").toHaveLength(2);
    b.connection.retry();
    await settle();
    expect(b.server.sockets, "a wish of the user counts most").toHaveLength(3);

    b.connection.close();
    page.dispatchEvent(new Event("visibilitychange"));
    window.dispatchEvent(new Event("online"));
    await pass(60);
    expect(b.server.sockets).toHaveLength(3);
  });

  test("tells typing now and then, and how far the user has read", async () => {
    const b = await open();
    for (let i = 0; i < 7; i++) {
      b.connection.typing();
      await pass(1);
    }
    expect(b.server.heard("typing")).toHaveLength(3);
    b.server.say({ text: "one" });
    for (const seq of [1, 1, 0]) b.connection.read(seq);
    expect(b.server.heard("read")).toEqual([{ type: "read", seq: 1 }]);
    b.server.socket.drop();
    await pass(1);
    expect(b.server.heard("read"), "said again, since it may have been lost").toHaveLength(2);
  });

  test("sets the context now, or when it is open again", async () => {
    const b = await open({ context: { page: "/a" } });
    const first = b.connection.setContext({ step: 1 });
    await expect(first).resolves.toBeUndefined();
    b.server.answersContext = false;
    const second = b.connection.setContext({ step: 2 }); // is lost with the socket
    b.server.socket.drop();
    const third = b.connection.setContext({ step: null });
    b.server.answersContext = true;
    await pass(1);
    await expect(Promise.all([second, third])).resolves.toBeDefined();
    expect(b.server.heard("context").map((c) => c["set"])).toEqual([{ step: 1 }, { step: 2 }, { step: 2 }, { step: null }]);
    expect(b.server.heard("hello").map((h) => h["context"])).toEqual([{ page: "/a" }, { step: null }]);
  });

  test("tells when the context cannot be set, and goes on", async () => {
    const b = await open();
    b.server.owned.add("tier");
    await expect(b.connection.setContext({ page: "/", tier: "gold" })).rejects.toMatchObject({ name: "CarnetError", code: "protected" });
    await expect(b.connection.setContext({ big: "x".repeat(11 << 10) })).rejects.toMatchObject({ code: "too_large" });
    await expect(b.connection.setContext({ f: 1n })).rejects.toMatchObject({ code: "bad_body" });
    b.connection.setContext({ tier: 2 }); // nobody looks
    await expect(b.connection.setContext({ page: "/" })).resolves.toBeUndefined();
    b.server.answersContext = false;
    const late = b.connection.setContext({ page: "/late" });
    b.connection.close();
    await expect(late).rejects.toMatchObject({ code: "closed" });
    await expect(b.connection.setContext({ page: "/never" })).rejects.toMatchObject({ code: "closed" });
    expect(b.states).toEqual(["connecting", "open", "closed"]);
  });

  test("leaves a socket that answers no change of the context, and tells it again", async () => {
    const b = await open();
    b.server.answersContext = false;
    const done = b.connection.setContext({ step: 1 });
    await pass(30);
    await b.connection.send("hello").done;
    await pass(44);
    expect(b.server.sockets, "an answer shows that the server is there").toHaveLength(1);
    b.server.answersContext = true;
    await pass(2);
    await expect(done).resolves.toBeUndefined();
    expect(b.server.sockets).toHaveLength(2);
    expect(b.server.heard("context")).toHaveLength(2);
    await pass(120);
    expect(b.server.sockets).toHaveLength(2);
  });

  test("tells the context again that came too late for the token", async () => {
    const b = await open();
    b.server.answersContext = false;
    const done = b.connection.setContext({ step: 1 });
    await settle();
    const [told] = b.server.heard("context");
    b.server.answersContext = true;
    b.server.socket.tell({ type: "nack", id: told?.["id"], error: { code: "token_expired", title: "the token has expired" } });
    await pass(5);
    await expect(done).resolves.toBeUndefined();
    expect(b.server.heard("refresh")).toHaveLength(1);
    expect(b.server.heard("context")).toHaveLength(2);
  });
});

describe("the token", () => {
  test("is renewed before it expires, on the same socket", async () => {
    let n = 0;
    const b = await open({ assertion: async () => `token-${++n}` });
    await pass(854);
    expect(b.server.heard("refresh")).toEqual([]);
    await pass(1);
    expect(b.server.heard("refresh")).toEqual([{ type: "refresh", token: "token-2" }]);
    await pass(855);
    expect(b.server.heard("refresh")).toHaveLength(2);
    expect(b.server.sockets).toHaveLength(1);
    expect([...b.storage.items.values()][0]).toContain("sealed-2");
    expect(b.states).toEqual(["connecting", "open"]);
  });

  test("that is not renewed locks writing, and leaves reading", async () => {
    let fail = false;
    const server = new FakeServer();
    server.expiresIn = 50;
    const b = await open({ server, assertion: async () => fail ? Promise.reject(new Error("down")) : "token" });
    fail = true;
    await pass(50);
    expect(b.assertion.mock.calls.length, "it is asked for again and again").toBeGreaterThan(2);
    expect(b.assertion.mock.calls.length).toBeLessThan(5);
    expect(b.connection.state).toMatchObject({ name: "locked", reason: { code: "token_expired" } });

    const sent = b.connection.send("written meanwhile");
    b.connection.setContext({ step: 1 });
    b.connection.setContext({ page: "/a" });
    server.say({ text: "heard meanwhile" });
    b.connection.read(1);
    await settle();
    expect(texts(b.messages)).toEqual(["heard meanwhile"]);
    expect(server.heard("send")).toEqual([]);
    expect(server.heard("context")).toEqual([]);
    expect(b.connection.pending).toHaveLength(1);

    fail = false;
    await pass(5);
    expect(server.heard("refresh")).toHaveLength(1);
    await expect(sent.done).resolves.toMatchObject({ seq: 2 });
    expect(server.heard("context").map((c) => c["set"])).toEqual([{ step: 1 }, { page: "/a" }]);
    expect(server.heard("read").at(-1)).toEqual({ type: "read", seq: 1 });
    expect(b.states).toEqual(["connecting", "open", "locked", "open"]);
  });

  test("that has expired is asked for at once when the user wants", async () => {
    let fail = true;
    const server = new FakeServer();
    server.expiresIn = 50;
    const b = await open({ server });
    b.assertion.mockImplementation(async () => fail ? Promise.reject(new Error("down")) : "token");
    await pass(53);
    expect(b.connection.state.name).toBe("locked");
    fail = false;
    b.connection.retry();
    await pass(5);
    expect(b.connection.state.name).toBe("open");
  });

  test("that the server calls expired is renewed unseen, or locks if it cannot be", async () => {
    let fail = false;
    const b = await open({ assertion: async () => fail ? Promise.reject(new Error("down")) : "token" });
    b.server.stores = false;
    const { id } = b.connection.send("hello");
    await settle();
    fail = true;
    b.server.socket.tell({ type: "nack", id, error: { code: "token_expired", title: "refresh it" } });
    await settle();
    expect(b.connection.state.name).toBe("locked");
    b.server.socket.drop();
    fail = false;
    await pass(1);
    expect(b.connection.state.name).toBe("open");
  });

  test("of a user who signed out closes", async () => {
    let out = false;
    const b = await open({ assertion: async () => out ? Promise.reject(new CarnetError("signed_out", "bye")) : "token" });
    out = true;
    await pass(855);
    expect(reason(b.connection.state)).toBe("signed_out");
    expect(b.server.socket.closedWith).toBe(1000);
  });

  test("that expired meanwhile is renewed, and the refused message sent again", async () => {
    const b = await open();
    b.server.stores = false;
    const { id, done } = b.connection.send("hello");
    await settle();
    b.server.socket.tell({ type: "nack", id, error: { code: "token_expired", title: "refresh it" } });
    b.server.stores = true;
    await settle();
    expect(b.server.heard().map((f) => f["type"])).toEqual(["hello", "send", "refresh", "send"]);
    await expect(done).resolves.toMatchObject({ seq: 1 });
    expect(b.events.nack).toEqual([]);
  });

  test("is renewed at once when a laptop wakes up", async () => {
    const b = await open();
    vi.setSystemTime(NOW + 3_600_000); // timers stood still
    b.connection.retry();
    await settle();
    expect(b.server.heard("refresh")).toHaveLength(1);
  });
});

describe("the end", () => {
  test("comes by close, and is final", async () => {
    const b = await open();
    b.connection.close();
    b.connection.close();
    expect(b.states).toEqual(["connecting", "open", "closed"]);
    expect(reason(b.connection.state)).toBe("closed");
    expect(b.server.socket.closedWith).toBe(1000);
    b.server.say({ text: "late" });
    expect(b.messages).toEqual([]);
    await expect(b.connection.send("late").done).rejects.toMatchObject({ code: "closed" });
    expect(vi.getTimerCount()).toBe(0);
  });

  test("comes by signal", async () => {
    const abort = new AbortController();
    const b = await open({ signal: abort.signal });
    abort.abort("unmounted");
    expect(b.connection.state).toMatchObject({ name: "closed", reason: { code: "aborted", cause: "unmounted" } });
  });

  test("can forget", async () => {
    const b = await open();
    expect(b.storage.items.size).toBe(1);
    b.connection.forget();
    expect(b.storage.items.size).toBe(0);
  });
});
