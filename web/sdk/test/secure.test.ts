import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { begin, type Bench, open, pass, settle } from "./bench.ts";
import { FakeServer, FakeStorage, type Frame } from "./fakeServer.ts";

let server: FakeServer;

beforeEach(() => {
  vi.useFakeTimers({ now: Date.UTC(2026, 5, 1, 12) });
  vi.spyOn(Math, "random").mockReturnValue(0.5);
  server = new FakeServer();
});

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
  vi.unstubAllGlobals();
});

const no = (code = "unauthorized", more: Frame = {}) => (): Frame => ({ code, title: "no", ...more });
const ids = (): unknown[] => server.heard("send").map((f) => f["id"]);
const stored = (): unknown[] => server.stored.map((m) => m["body"].text);
const secure = (state: string, more: Frame = {}): void => server.socket.tell({ type: "secure", state, reason: "unauthorized", ...more });

/** Opens a conversation in which a message is blocked. */
async function blocked(code = "unauthorized", more: Frame = {}): Promise<Bench & { id: string; done: Promise<unknown> }> {
  server.gate = no(code, more);
  const b = await open({ server });
  const sent = b.connection.send("my secret");
  await settle();
  return { ...b, ...sent };
}

describe("a blocked message", () => {
  test.each([
    "unauthorized", "credential_missing", "restricted", "temporarily_unavailable", "bot_not_running",
  ])("waits for resend, when it is %s", async (code) => {
    const b = await blocked(code, { retry_after: 1 });
    const settled = vi.fn();
    b.done.then(settled, settled);
    expect(b.events.blocked).toMatchObject([{ id: b.id, error: { name: "CarnetError", code, message: "no", retryAfter: 1 } }]);
    expect(b.events.nack).toEqual([]);
    expect(b.connection.pending).toEqual([{ id: b.id, body: { text: "my secret" }, blocked: code }]);
    server.gate = undefined;
    await pass(300);
    expect(ids(), "not by itself").toEqual([b.id]);
    expect(server.sockets, "nor does it cost the connection").toHaveLength(1);
    expect(settled).not.toHaveBeenCalled();

    b.connection.resend();
    expect(b.connection.pending).toEqual([{ id: b.id, body: { text: "my secret" } }]);
    await expect(b.done).resolves.toMatchObject({ seq: 1 });
    expect(ids()).toEqual([b.id, b.id]);
    expect(b.events.resent).toEqual([{ id: b.id }]);
    expect(stored()).toEqual(["my secret"]);
    expect(b.connection.pending).toEqual([]);
  });

  test("may be blocked again", async () => {
    const b = await blocked();
    for (let i = 0; i < 3; i++) {
      b.connection.resend();
      await settle();
    }
    expect(b.events.blocked).toHaveLength(4);
    expect(b.connection.pending).toMatchObject([{ id: b.id, blocked: "unauthorized" }]);
  });

  test("stays when the token is renewed, the connection lost, or the session secured", async () => {
    const b = await blocked();
    server.gate = undefined;
    server.socket.tell({ type: "session", session: "s", expires_in: 900 });
    server.socket.drop();
    await pass(2);
    secure("secured");
    await settle();
    expect(server.sockets).toHaveLength(2);
    expect(ids()).toEqual([b.id]);
    expect(b.connection.pending).toMatchObject([{ id: b.id, blocked: "unauthorized" }]);
  });

  test("stays over a reload", async () => {
    const b = await blocked("restricted");
    server.gate = undefined;
    b.connection.close();
    await expect(b.done).rejects.toMatchObject({ code: "closed" });
    const next = await open({ server, storage: b.storage });
    expect(next.connection.pending).toEqual([{ id: b.id, body: { text: "my secret" }, blocked: "restricted" }]);
    expect(ids()).toEqual([b.id]);
    next.connection.resend();
    const last = await open({ server, storage: b.storage });
    expect(stored()).toEqual(["my secret"]);
    expect(last.connection.pending).toEqual([]);
  });

  test("stops none that come after it", async () => {
    server.gate = ({ body }) => body.text.startsWith("no") ? { code: "unauthorized", title: "no" } : undefined;
    const b = await open({ server });
    for (let i = 0; i < 40; i++) b.connection.send(`no ${i}`);
    await settle();
    await expect(b.connection.send("yes").done).resolves.toMatchObject({ seq: 1 });
    expect(b.connection.pending).toHaveLength(40);
    expect(server.refusals).toEqual([]);
  });

  test("never goes out in another user's name", async () => {
    const b = await blocked();
    server.gate = undefined;
    server.user = { iss: "https://carnet.test", sub: "bob" };
    const next = await open({ server, storage: b.storage });
    expect(next.events.nack).toMatchObject([{ id: b.id, error: { code: "user_changed" } }]);
    next.connection.resend();
    await settle();
    expect(ids()).toEqual([b.id]);
    expect([...b.storage.items.values()].join()).not.toContain("my secret");
  });
});

describe("resend", () => {
  test("sends all in their order, or one", async () => {
    server.gate = no();
    const b = await open({ server });
    const [one, two, three] = ["one", "two", "three"].map((text) => b.connection.send(text).id) as [string, string, string];
    await settle();
    server.gate = undefined;
    b.connection.resend(two);
    await settle();
    b.connection.resend();
    await settle();
    expect(ids().slice(3)).toEqual([two, one, three]);
    expect(b.events.resent.map((r) => r.id)).toEqual([two, one, three]);
    expect(stored()).toEqual(["two", "one", "three"]);
  });

  test("leaves alone what is on its way, and what there is not", async () => {
    server.stores = false;
    const b = await open({ server });
    const { id } = b.connection.send("on its way");
    b.connection.resend();
    b.connection.resend(id);
    b.connection.resend("nothing");
    expect(ids()).toEqual([id]);
    expect(b.events.resent).toEqual([]);
  });

  test("comes after a change of the context that was asked for before", async () => {
    const b = await blocked();
    server.gate = undefined;
    await b.connection.setContext({ secureTokenForUser: "new" });
    b.connection.resend();
    await b.done;
    expect(server.heard().slice(1).map((f) => f["type"])).toEqual(["send", "context", "send"]);
  });

  test("waits for the connection", async () => {
    const b = await blocked();
    server.gate = undefined;
    server.socket.drop();
    b.connection.resend();
    expect(ids()).toEqual([b.id]);
    await pass(1);
    await expect(b.done).resolves.toMatchObject({ seq: 1 });
  });

  test("holds over a reload", async () => {
    const b = await blocked();
    server.gate = undefined;
    server.socket.drop();
    b.connection.resend();
    b.connection.close();
    await open({ server, storage: b.storage });
    expect(stored()).toEqual(["my secret"]);
  });

  test("does nothing once the page has closed it", async () => {
    const b = await blocked();
    b.connection.close();
    b.connection.resend();
    expect(b.events.resent).toEqual([]);
    const next = await open({ server, storage: b.storage });
    expect(next.connection.pending).toMatchObject([{ blocked: "unauthorized" }]);
  });
});

describe("a server that is busy", () => {
  const busy = no("busy", { retry_after: 2 });

  test.each([undefined, "secured"])("is asked again in time, when the session is %s", async (state) => {
    const b = await open({ server });
    if (state) secure(state);
    server.gate = busy;
    const { done } = b.connection.send("hello");
    await settle();
    server.gate = undefined;
    await pass(3);
    await expect(done).resolves.toMatchObject({ seq: 1 });
    expect(b.events.blocked).toEqual([]);
  });

  test.each(["locked", "unavailable"])("is asked again by hand, when the session is %s", async (state) => {
    const b = await open({ server });
    secure(state);
    server.gate = busy;
    const { id } = b.connection.send("hello");
    await pass(3);
    expect(ids()).toEqual([id]);
    expect(b.events.blocked).toMatchObject([{ id, error: { code: "busy", retryAfter: 2 } }]);
  });
});

describe("the session's standing", () => {
  test("is what was told last", async () => {
    const b = await open({ server });
    expect(b.connection.secure).toBeUndefined();
    secure("locked", { message: "Please sign in.", retry_after: 5 });
    expect(b.connection.secure).toEqual({ state: "locked", reason: "unauthorized", message: "Please sign in.", retryAfter: 5 });
    secure("secured", { reason: "" });
    expect(b.connection.secure).toEqual({ state: "secured", reason: "" });
    expect(b.events.secure.map((s) => s.state)).toEqual(["locked", "secured"]);
  });

  test("is kept over a drop, and is not that of the next conversation", async () => {
    const b = await open({ server });
    secure("locked");
    server.socket.drop();
    await pass(1);
    expect(b.connection.secure).toMatchObject({ state: "locked" });
    server.conversation = "cnv_b";
    server.socket.drop();
    let then: unknown = "not asked";
    b.connection.on("session", () => (then = b.connection.secure));
    await pass(2);
    expect(b.events.session.at(-1)).toMatchObject({ conversation: "cnv_b", resumed: false });
    expect(then).toBeUndefined();
  });

  test("once secured lets the past be told that was kept back", async () => {
    let protectedPast = true;
    const asked = vi.fn(async () => protectedPast
      ? Response.json({ code: "unauthorized", detail: "no" }, { status: 403 })
      : Response.json({ messages: [{ seq: 1, id: "a", from: "bot", body: { text: "old" }, at: "2026-06-01T12:00:00.000Z" }], more: false }));
    vi.stubGlobal("fetch", asked);
    server.keep({ text: "old" });
    const b = await open({ server, loadHistory: true });
    await settle();
    expect(b.events.history).toEqual([]);
    secure("locked");
    await settle();
    expect(asked).toHaveBeenCalledTimes(1);
    protectedPast = false;
    secure("secured");
    secure("secured");
    await settle();
    expect(b.events.history).toMatchObject([{ messages: [{ seq: 1 }] }]);
    server.socket.drop();
    await pass(1);
    secure("secured");
    await settle();
    expect(asked).toHaveBeenCalledTimes(2);
  });

  test("is no reason to ask twice for a past that is on its way", async () => {
    let answer: (r: Response) => void = () => {};
    const asked = vi.fn(() => new Promise<Response>((resolve) => (answer = resolve)));
    vi.stubGlobal("fetch", asked);
    server.keep({ text: "old" });
    const b = await open({ server, loadHistory: true });
    secure("secured");
    server.socket.drop();
    await pass(1);
    secure("secured");
    answer(Response.json({ messages: [], more: false }));
    await settle();
    expect(asked).toHaveBeenCalledTimes(1);
    expect(b.events.history).toHaveLength(1);
  });
});

describe("a conversation that the user may not see now", () => {
  /** Refuses all who do not show the token in their context. */
  const guard = (hello: Frame): [number, Frame] | undefined => {
    if (hello["context"]?.userToken === "good") return undefined;
    secure("locked", { message: "Please sign in." });
    return [4423, { code: "unauthorized", title: "sign in" }];
  };

  /** A page that is loaded anew, with a message of the page before. */
  async function locked(more: Partial<Parameters<typeof open>[0]> = {}): Promise<Bench> {
    const first = await blocked();
    server.say({ text: "hello" });
    first.connection.close();
    server.gate = undefined;
    server.refuse = guard;
    return open({ server, storage: first.storage, ...more });
  }

  test("is kept, and not asked for again and again", async () => {
    const b = await locked();
    await pass(300);
    expect(b.connection.state).toMatchObject({ name: "locked", reason: { code: "unauthorized", message: "sign in" } });
    expect(b.connection.secure).toMatchObject({ state: "locked", message: "Please sign in." });
    expect(b.events.expired, "once").toEqual([{ reason: "unauthorized" }]);
    expect(server.sockets).toHaveLength(2);
    expect([...b.storage.items.values()].join()).toMatch(/cnv_a.*my secret|my secret.*cnv_a/);
  });

  test("opens to another context, and goes on where it was", async () => {
    const b = await locked({ context: { page: "/a" } });
    const bad = b.connection.setContext({ userToken: "bad" });
    await settle();
    expect(b.connection.state.name).toBe("locked");
    const good = b.connection.setContext({ userToken: "good" });
    await Promise.all([bad, good]);
    expect(b.states.at(-1)).toBe("open");
    expect(server.heard("hello").at(-1)).toMatchObject({
      conversation: "cnv_a", session: "sealed-1", after: 1, context: { page: "/a", userToken: "good" },
    });
    b.connection.resend();
    await settle();
    expect(stored()).toEqual(["hello", "my secret"]);
    expect(server.refusals).toEqual([]);
  });

  test.each(["resend", "retry"] as const)("is asked for again by %s", async (act) => {
    const b = await locked();
    server.refuse = undefined;
    b.connection[act]();
    await settle();
    expect(b.states.at(-1)).toBe("open");
  });

  test("is locked without a word of why", async () => {
    const b = await open({ server });
    server.stores = false;
    b.connection.send("on its way");
    await settle();
    server.socket.drop(4423);
    await pass(100);
    expect(b.connection.state.name).toBe("locked");
    expect(b.events.expired).toEqual([{ reason: "refused" }]);
    expect(server.sockets).toHaveLength(1);
    server.stores = true;
    b.connection.retry();
    await settle();
    expect(stored()).toEqual(["on its way"]);
  });

  test("costs no more context than a hello may have", async () => {
    server.opens = false;
    const b = begin({ server, context: { page: "/a" } });
    await settle();
    b.connection.setContext({ big: "x".repeat(10_000) });
    b.connection.setContext({ big2: "x".repeat(10_000) });
    server.opens = true;
    server.socket.drop();
    await pass(1);
    expect(server.heard("hello").map((h) => h["context"])).toEqual([{ page: "/a" }]);
    expect(server.refusals).toEqual([]);
    expect(b.states.at(-1)).toBe("open");
  });
});

describe("expired", () => {
  test("is told at each check that fails, with its reason", async () => {
    const b = await open({ server });
    secure("locked");
    secure("locked", { reason: "credential_missing" });
    secure("unavailable");
    secure("secured");
    expect(b.events.expired).toEqual([{ reason: "unauthorized" }, { reason: "credential_missing" }]);
  });

  test("is told when the token has expired", async () => {
    server.expiresIn = 100;
    server.refreshes = false;
    const b = await open({ server });
    await pass(101);
    expect(b.events.expired).toEqual([{ reason: "token_expired" }]);
  });

  test("comes when the standing can be read", async () => {
    const b = begin({ server, storage: new FakeStorage() });
    const standings: unknown[] = [];
    b.connection.on("expired", () => standings.push(b.connection.secure?.state));
    await settle();
    secure("locked");
    expect(standings).toEqual(["locked"]);
  });
});
