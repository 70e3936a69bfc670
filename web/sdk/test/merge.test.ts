import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { type Bench, open, pass, settle, type Setup } from "./bench.ts";
import { FakeServer, FakeStorage, type Frame, texts } from "./fakeServer.ts";

beforeEach(() => {
  vi.useFakeTimers({ now: Date.UTC(2026, 5, 1, 12) });
  vi.spyOn(Math, "random").mockReturnValue(0.5);
});

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

const jwt = (claims: object): string => `e30.${btoa(JSON.stringify(claims))}.c2ln`;
const visitor = jwt({ iss: "app", sub: "visitor", isAnonymous: true });
const ann = jwt({ iss: "app", sub: "ann" });

/** A server that takes visitors, and makes those who show their tokens ann. */
function shop(): FakeServer {
  const server = new FakeServer();
  server.refuse = (hello) => {
    server.user = { iss: "app", sub: hello["token"] === ann ? "ann" : "visitor" };
    return undefined;
  };
  return server;
}

const hellos = (server: FakeServer): Frame[] => server.heard("hello");

/** A visitor who has said something and whose page is gone, with a message that is not stored. */
async function visited(server: FakeServer, options: Setup = {}): Promise<FakeStorage> {
  const storage = new FakeStorage();
  const first = await open({ server, storage, merge: true, assertion: async () => visitor, ...options });
  await first.connection.send("hello").done;
  server.stores = false;
  first.connection.send("and this");
  first.connection.close();
  server.stores = true;
  return storage;
}

const kept = (storage: FakeStorage): string => [...storage.items.values()].join();

describe("a visitor who signs in", () => {
  test("goes on with the conversation, and with what was not stored", async () => {
    const server = shop();
    const storage = await visited(server);
    expect(kept(storage)).toContain(visitor);
    const b = await open({ server, storage, merge: true, assertion: async () => ann });
    await settle();
    expect(hellos(server).at(-1)).toMatchObject({ token: ann, merge: visitor, session: "sealed-1", conversation: "cnv_a", after: 1 });
    expect(server.refusals).toEqual([]);
    expect(b.events.nack).toEqual([]);
    expect(texts(b.messages)).toEqual(["and this"]);
    expect(kept(storage), "it is spent").not.toContain(visitor);
    expect(kept(storage), "no token of a known user is kept").not.toContain(ann);
    server.socket.drop();
    await pass(1);
    expect(hellos(server).at(-1)).not.toHaveProperty("merge");
  });

  test("does so in an open page, when the token is due", async () => {
    const server = shop();
    let token = visitor;
    const b: Bench = await open({ server, merge: true, assertion: async () => token });
    await b.connection.send("hello").done;
    token = ann;
    server.refreshes = false;
    await pass(855);
    expect(server.heard("refresh")).toEqual([{ type: "refresh", token: ann }]);
    server.socket.tell({ type: "error", error: { code: "other_user", title: "the token must be the same user's as before" } });
    server.socket.drop(4401);
    await pass(1);
    expect(hellos(server).at(-1)).toMatchObject({ token: ann, merge: visitor, after: 1 });
    expect(b.events.session).toMatchObject([{ user: { sub: "visitor" } }, { user: { sub: "ann" }, resumed: true }]);
    expect(b.states.at(-1)).toBe("open");
  });

  test("shows the newest token that the visitor had", async () => {
    const server = shop();
    const storage = new FakeStorage();
    const newer = jwt({ iss: "app", sub: "visitor", isAnonymous: "true", jti: 2 });
    const tokens = [visitor, newer];
    const first = await open({ server, storage, merge: true, assertion: async () => tokens.shift() ?? "none" });
    await pass(855);
    expect(server.heard("refresh")).toEqual([{ type: "refresh", token: newer }]);
    first.connection.close();
    await open({ server, storage, merge: true, assertion: async () => ann });
    expect(hellos(server).at(-1)).toMatchObject({ merge: newer });
  });

  test("signs in without the conversation if the server refuses", async () => {
    const server = shop();
    const storage = await visited(server);
    server.refuse = (hello) => {
      server.user = { iss: "app", sub: "ann" };
      return hello["merge"] ? [4403, { code: "merge_refused", title: "merge: must be a valid token" }] : undefined;
    };
    server.conversation = "cnv_b";
    const b = await open({ server, storage, merge: true, assertion: async () => ann });
    await pass(1);
    expect(b.states.at(-1)).toBe("open");
    expect(hellos(server).at(-1)).toEqual({ type: "hello", token: ann, bot: "echo" });
    expect(b.events.nack).toMatchObject([{ error: { code: "user_changed" } }]);
    expect(kept(storage)).not.toContain(visitor);
  });

  test("comes back after another tab has signed in", async () => {
    const server = shop();
    let token = visitor;
    const b = await open({ server, merge: true, assertion: async () => token });
    token = ann;
    server.socket.tell({ type: "error", error: { code: "merged", title: "the conversation is a signed-in user's now" } });
    server.socket.drop(4401);
    await pass(1);
    expect(hellos(server).at(-1)).toMatchObject({ token: ann, merge: visitor, conversation: "cnv_a" });
    expect(b.states.at(-1)).toBe("open");
  });
});

describe("no token is kept or shown", () => {
  test.each([
    ["unless the page says so", undefined, visitor, ann],
    ["of a known user", true, ann, visitor],
    ["that cannot be read", true, "a.%%%.c", ann],
    ["that claims nothing", true, jwt([null]), ann],
    ["that is null", true, `e30.${btoa("null")}.c2ln`, ann],
  ])("%s", async (_, merge, before, after) => {
    const server = new FakeServer();
    const storage = await visited(server, { merge, assertion: async () => before });
    expect(kept(storage)).not.toContain(before);
    await open({ server, storage, merge, assertion: async () => after });
    expect(hellos(server).at(-1)).not.toHaveProperty("merge");
  });

  test("beside another token of the visitor", async () => {
    const server = shop();
    const storage = await visited(server);
    await open({ server, storage, merge: true, assertion: async () => visitor });
    expect(hellos(server).at(-1)).not.toHaveProperty("merge");
    expect(kept(storage)).toContain(visitor);
  });
});
