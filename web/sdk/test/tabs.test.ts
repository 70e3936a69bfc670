import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { begin, type Bench, pass, settle, type Setup } from "./bench.ts";
import { FakeServer, FakeStorage, texts } from "./fakeServer.ts";
import { FakeTabs, tokenOf } from "./fakeTabs.ts";

let tabs: FakeTabs;
let server: FakeServer;

beforeEach(() => {
  vi.useFakeTimers({ now: Date.UTC(2026, 5, 1, 12) });
  vi.spyOn(Math, "random").mockReturnValue(0.5);
  tabs = new FakeTabs().install();
  server = new FakeServer();
});

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
  vi.unstubAllGlobals();
});

/** Opens a tab, and waits until what is due has happened. */
async function tab(options: Setup & { user?: string } = {}): Promise<Bench> {
  const { user = "ann", ...rest } = options;
  const b = begin({ server, tabs: "shared", assertion: async () => tokenOf(user), ...rest });
  await settle();
  return b;
}

const heard = (b: Bench): string[] => texts(b.messages);
const live = (): number => server.sockets.filter((s) => s.closedWith === undefined).length;

describe("the tabs of an origin", () => {
  test("take part in one connection", async () => {
    const [a, b, c] = [await tab(), await tab(), await tab()];
    server.say({ text: "to all" });
    await settle();
    expect(server.sockets).toHaveLength(1);
    expect(server.heard("hello")).toHaveLength(1);
    expect([heard(a), heard(b), heard(c)]).toEqual([["to all"], ["to all"], ["to all"]]);
    expect(b.states).toEqual(["connecting", "open"]);
    expect(b.events.session).toMatchObject([{ conversation: "cnv_a", user: { sub: "ann" } }]);
  });

  test("send through it, and each learns what became of its own", async () => {
    const [a, b] = [await tab(), await tab()];
    const one = b.connection.send("from the guest");
    const two = a.connection.send("from the host");
    await settle();
    await expect(one.done).resolves.toMatchObject({ seq: expect.any(Number) });
    await expect(two.done).resolves.toMatchObject({ seq: expect.any(Number) });
    expect(b.events.ack).toMatchObject([{ id: one.id }]);
    expect(a.events.ack).toMatchObject([{ id: two.id }]);
    expect(heard(a)).toEqual(heard(b));
    expect(heard(a)).toHaveLength(2);
    expect(server.refusals).toEqual([]);
  });

  test("say what cannot be copied as JSON would", async () => {
    const [, b] = [await tab(), await tab({ context: { page: "/b", run: () => 1 } })];
    await expect(b.connection.send({ text: "x", run: () => 1 }).done).resolves.toMatchObject({ seq: 1 });
    b.connection.setContext({ step: 1, run: () => 1 });
    await settle();
    expect(server.heard("context")).toMatchObject([{ set: { page: "/b" } }, { set: { step: 1 } }]);
    expect(server.refusals).toEqual([]);
  });

  test("set the context each for itself, and hear of their own alone", async () => {
    server.owned.add("tier");
    const a = await tab();
    const b = await tab({ context: { tier: "gold", page: "/b" } });
    expect(server.heard("context")).toMatchObject([{ set: { tier: "gold" } }, { set: { page: "/b" } }]);
    const [own, other] = [b.connection.setContext({ tier: "gold" }), a.connection.setContext({ page: "/a" })];
    await expect(own).rejects.toMatchObject({ code: "protected" });
    await expect(other).resolves.toBeUndefined();
    expect([a.states, b.states]).toEqual([["connecting", "open"], ["connecting", "open"]]);
  });

  test("know how far the user has read in another", async () => {
    const [a, b, c] = [await tab(), await tab(), await tab()];
    server.say({ text: "one" });
    await settle();
    b.connection.read(1);
    await settle();
    expect(server.heard("read")).toHaveLength(1);
    expect([a.events.read, b.events.read, c.events.read]).toEqual([[{ seq: 1 }], [], [{ seq: 1 }]]);
    server.say({ text: "two" });
    await settle();
    a.connection.read(2);
    await settle();
    expect([b.events.read, c.events.read.length]).toEqual([[{ seq: 2 }], 2]);
    const d = await tab();
    await settle();
    expect(d.events.read, "from the welcome").toEqual([{ seq: 2 }]);
  });

  test("renew its token in one of them", async () => {
    const all = [await tab(), await tab(), await tab()];
    let chance = 0.2;
    vi.mocked(Math.random).mockImplementation(() => (chance += 0.2));
    server.socket.tell({ type: "session", session: "sealed-1", expires_in: 900 }); // each chooses a time
    await settle();
    await pass(900);
    expect(server.heard("refresh")).toHaveLength(1);
    expect(all.map((b) => b.connection.state.name)).toEqual(["open", "open", "open"]);
  });

  test("are locked together, and unlocked", async () => {
    server.expiresIn = 100;
    let down = true;
    const [a, b] = [await tab(), await tab()];
    for (const t of [a, b]) t.assertion.mockImplementation(async () => down ? Promise.reject(new Error("down")) : tokenOf("ann"));
    await pass(101);
    expect([a.connection.state.name, b.connection.state.name]).toEqual(["locked", "locked"]);
    down = false;
    await pass(6);
    expect([a.connection.state.name, b.connection.state.name]).toEqual(["open", "open"]);
  });

  test("a tab that comes late knows how long the token lives", async () => {
    server.expiresIn = 100;
    const a = await tab();
    a.assertion.mockRejectedValue(new Error("down"));
    await pass(50);
    const b = await tab();
    await pass(41);
    expect(server.heard("refresh")).toEqual([]);
    await pass(2);
    expect(server.heard("refresh")).toHaveLength(1);
    await pass(8);
    expect([a.states, b.states]).toEqual([["connecting", "open"], ["connecting", "open"]]);
  });

  test("are told together that it is over", async () => {
    const [a, b] = [await tab(), await tab()];
    server.socket.tell({ type: "error", error: { code: "denied", title: "no more" } });
    server.socket.drop(4403);
    await pass(60);
    for (const t of [a, b]) expect(t.connection.state).toMatchObject({ name: "closed", reason: { code: "denied" } });
    expect(tabs.queue).toEqual([]);
  });

  test("come back together", async () => {
    const all = [await tab(), await tab(), await tab()];
    server.say({ text: "one" });
    await settle();
    server.socket.drop();
    server.keep({ text: "two" });
    await pass(2);
    server.say({ text: "three" });
    await settle();
    expect(live()).toBe(1);
    for (const b of all) expect(heard(b)).toEqual(["one", "two", "three"]);
  });
});

describe("a tab that joins", () => {
  test("begins at the end", async () => {
    await tab();
    server.say({ text: "before" });
    const b = await tab();
    server.say({ text: "after" });
    await settle();
    expect(heard(b)).toEqual(["after"]);
    expect(b.events.session).toMatchObject([{ lastSeq: 1 }]);
  });

  test("after a reload gets what it missed, from the tab that has it", async () => {
    await tab();
    const before = await tab();
    server.say({ text: "one" });
    await settle();
    before.connection.close();
    server.say({ text: "missed" });
    const after = await tab({ storage: before.storage });
    server.say({ text: "two" });
    await settle();
    expect(heard(after)).toEqual(["missed", "two"]);
    expect(server.sockets).toHaveLength(1);
  });

  test("learns what the last check of the session has found", async () => {
    const a = await tab();
    for (const state of ["locked", "secured"]) server.socket.tell({ type: "secure", state, reason: "r" });
    const b = await tab();
    expect(b.events.secure).toEqual([{ state: "secured", reason: "r" }]);
    server.gate = () => ({ code: "unauthorized", title: "no" });
    const { id } = b.connection.send("mine");
    await settle();
    expect([a.events.blocked, b.events.blocked]).toMatchObject([[], [{ id }]]);
    server.gate = undefined;
    a.connection.resend();
    b.connection.resend();
    await settle();
    expect([heard(a), heard(b)]).toEqual([["mine"], ["mine"]]);
  });

  test("that missed more than the host has kept is alone until it has caught up", async () => {
    const before = await tab();
    server.say({ text: "one" });
    await settle();
    before.connection.close();
    await tab({ storage: new FakeStorage() });
    for (let i = 0; i < 150; i++) server.say({ text: `m${i}` });
    const after = await tab({ storage: before.storage });
    expect(heard(after)).toHaveLength(150);
    expect(live()).toBe(2);
    server.sockets.at(-1)?.drop();
    await pass(2);
    expect(live()).toBe(1);
    await expect(after.connection.send("hello").done).resolves.toMatchObject({ seq: 152 });
  });

  test("while the host connects waits with it", async () => {
    server.opens = false;
    const [a, b] = [await tab(), await tab()];
    expect(b.states).toEqual(["connecting"]);
    server.opens = true;
    server.socket.open();
    await settle();
    expect([a.states, b.states]).toEqual([["connecting", "open"], ["connecting", "open"]]);
    expect(server.sockets).toHaveLength(1);
  });

  test("of another user has a connection of its own", async () => {
    const [a, b] = [await tab({ user: "ann" }), await tab({ user: "bob" })];
    expect(server.sockets).toHaveLength(2);
    a.connection.send("of ann");
    b.connection.send("of bob");
    await settle();
    expect(server.sockets.map((s) => s.heard.filter((f) => f["type"] === "send").map((f) => f["body"].text))).toEqual([["of ann"], ["of bob"]]);
  });

  test.each<[string, Setup]>([
    ["for another bot", { bot: "menu" }],
    ["for another server", { url: "https://other.test" }],
    ["for a certain conversation", { conversation: "cnv_b" }],
    ["that wants no company", { tabs: "own" }],
    ["whose token cannot be read", { assertion: async () => "a.b.c.d.e" }],
    ["whose token names nobody", { assertion: async () => `e30.${btoa(`{"iss":"x"}`)}.x` }],
  ])("%s has a connection of its own", async (_, options) => {
    await tab();
    const b = await tab(options);
    expect(server.sockets).toHaveLength(2);
    expect(b.connection.state.name).toBe("open");
  });

  test("that remembers another conversation is alone with it", async () => {
    const before = await tab();
    before.connection.close();
    server.conversation = "cnv_new";
    await tab({ storage: new FakeStorage() });
    const b = await tab({ storage: before.storage });
    expect(server.sockets.at(-1)?.heard[0]).toMatchObject({ type: "hello", conversation: "cnv_a" });
    expect(b.connection.state.name).toBe("open");
  });

  test("in a browser without locks has a connection of its own", async () => {
    vi.stubGlobal("navigator", { onLine: true });
    await tab();
    await tab();
    expect(server.sockets).toHaveLength(2);
  });
});

describe("when the host", () => {
  test("closes, another tab takes over at once", async () => {
    const [a, b, c] = [await tab(), await tab(), await tab()];
    server.say({ text: "one" });
    await settle();
    a.connection.close();
    server.keep({ text: "two" });
    const sent = b.connection.send("three");
    await pass(2);
    expect(live()).toBe(1);
    await expect(sent.done).resolves.toMatchObject({ seq: 3 });
    for (const t of [b, c]) expect(heard(t)).toEqual(["one", "two", "three"]);
    expect(server.stored).toHaveLength(3);
  });

  test("crashes, so too, and what was on the way is sent once", async () => {
    const [, b, c] = [await tab(), await tab(), await tab()];
    server.stores = false;
    const sent = c.connection.send("on the way");
    await settle();
    server.keep({ text: "on the way" }, "user", sent.id); // stored, and nobody told
    server.stores = true;
    tabs.crash();
    await pass(2);
    await expect(sent.done).resolves.toMatchObject({ seq: 1 });
    expect(server.stored).toHaveLength(1);
    expect([heard(b), heard(c)]).toEqual([["on the way"], ["on the way"]]);
    expect(b.states.at(-1)).toBe("open");
  });

  test("freezes, a tab that hears nothing takes its place", async () => {
    const [a, b, c] = [await tab(), await tab(), await tab()];
    const thaw = tabs.freeze();
    await pass(37); // silence, a question without answer, and a new beginning
    expect([b.connection.state.name, c.connection.state.name]).toEqual(["open", "open"]);
    await expect(b.connection.send("hello").done).resolves.toMatchObject({ seq: 1 });
    await settle();
    expect(heard(c)).toEqual(["hello"]);
    thaw();
    await pass(2);
    expect(a.connection.state.name).toBe("open");
    server.say({ text: "to all" });
    await settle();
    for (const t of [a, b, c]) expect(heard(t).at(-1)).toBe("to all");
    expect(live()).toBe(1);
  });

  test("is refused before it is welcomed, its guests try for themselves", async () => {
    server.opens = false;
    const [a, b] = [await tab(), await tab()];
    server.socket.tell({ type: "error", error: { code: "denied", title: "not you" } });
    server.opens = true;
    server.socket.drop(4403);
    await pass(2);
    expect(a.connection.state.name).toBe("closed");
    expect(b.connection.state.name).toBe("open");
  });
});

test("whatever happens to tabs, each message is stored once and seen once, in order", async () => {
  for (let seed = 1; seed <= 40; seed++) {
    let state = seed;
    const random = (): number => (state = (state * 48271) % 2147483647) / 2147483647;
    vi.mocked(Math.random).mockImplementation(random);
    tabs = new FakeTabs().install();
    server = new FakeServer();
    const open = [await tab(), await tab()];
    const sent: string[] = [];
    for (let step = 0; step < 40; step++) {
      const dice = random();
      const t = open[Math.floor(random() * open.length)]!;
      if (dice < 0.4) sent.push(t.connection.send(`m${sent.length}`).id);
      else if (dice < 0.5) server.sockets.filter((s) => s.closedWith === undefined).at(-1)?.drop();
      else if (dice < 0.6 && open.length < 5) open.push(await tab());
      else if (dice < 0.65 && open.length > 1) open.splice(open.indexOf(t), 1)[0]?.connection.close();
      else await pass(random() * 3);
    }
    await pass(120);
    const left = server.stored.map((m) => m["id"]);
    expect(new Set(left).size, `seed ${seed}`).toBe(left.length);
    for (const t of open) {
      const seen = t.messages.map((m) => m.seq);
      expect(seen, `seed ${seed}`).toEqual(server.stored.slice(server.stored.length - seen.length).map((m) => m["seq"]));
      expect(t.connection.pending).toEqual([]);
      t.connection.close();
    }
    expect(live()).toBe(0);
  }
});
