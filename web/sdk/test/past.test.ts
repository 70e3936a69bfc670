import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { begin, open, pass } from "./bench.ts";
import { FakeServer, texts } from "./fakeServer.ts";

const calls: { url: URL; init: RequestInit }[] = [];
let answer: (url: URL, token: string) => Response | Promise<Response>;

beforeEach(() => {
  vi.useFakeTimers();
  calls.length = 0;
  vi.stubGlobal("fetch", async (url: URL, init: RequestInit) => {
    calls.push({ url, init });
    return answer(url, new Headers(init.headers).get("authorization") ?? "");
  });
});

afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

/** A server with so many messages, and the history that it answers with. */
function serverWith(count: number): FakeServer {
  const server = new FakeServer();
  for (let i = 1; i <= count; i++) server.keep({ text: `m${i}` });
  answer = (url) => {
    const before = Number(url.searchParams.get("before"));
    const limit = Number(url.searchParams.get("limit") ?? 20);
    const older = server.stored.filter((m) => m["seq"] < before);
    return Response.json({ messages: older.slice(-limit), more: older.length > limit });
  };
  return server;
}

describe("loadHistory", () => {
  test("tells the newest past as one page, and later messages live", async () => {
    const server = serverWith(30);
    const b = await open({ server, loadHistory: true });
    server.say({ text: "live" });
    expect(b.events.history).toHaveLength(1);
    expect(texts(b.events.history[0]?.messages ?? [])).toEqual(server.stored.slice(10, 30).map((m) => m["body"].text));
    expect(b.events.history[0]?.more).toBe(true);
    expect(texts(b.messages)).toEqual(["live"]);
    expect(calls[0]?.url.href).toBe("https://carnet.test/chat/v1/conversations/cnv_a/messages?before=31&limit=20");
    expect(calls[0]?.init).toMatchObject({ headers: { authorization: "Bearer token" }, credentials: "omit", redirect: "error" });
  });

  test("after a reload joins the past and what was missed without a seam", async () => {
    const server = serverWith(3);
    const first = await open({ server, loadHistory: 5 });
    server.keep({ text: "missed" });
    const second = await open({ server, storage: first.storage, loadHistory: 5 });
    expect(texts(second.events.history[0]?.messages ?? [])).toEqual(["m1", "m2", "m3"]);
    expect(texts(second.messages)).toEqual(["missed"]);
  });

  test("is not asked for twice, nor for an empty conversation", async () => {
    const b = await open({ server: serverWith(0), loadHistory: true });
    expect(b.events.history).toEqual([{ messages: [], more: false }]);
    b.server.socket.drop();
    await pass(2);
    expect(b.events.history).toHaveLength(1);
    expect(calls).toEqual([]);
  });

  test("is not told to a page that has closed meanwhile", async () => {
    const server = serverWith(3);
    const works = answer;
    let give = (): void => {};
    answer = (url, token) => new Promise((resolve) => (give = () => resolve(works(url, token))));
    const b = await open({ server, loadHistory: true });
    b.connection.close();
    give();
    await pass(1);
    expect(b.events.history).toEqual([]);
  });

  test("is tried again with the next socket", async () => {
    const server = serverWith(2);
    const works = answer;
    answer = () => Promise.reject(new TypeError("no network"));
    const b = await open({ server, loadHistory: true });
    expect(b.events.history).toEqual([]);
    answer = works;
    server.socket.drop();
    await pass(2);
    expect(texts(b.events.history[0]?.messages ?? [])).toEqual(["m1", "m2"]);
  });
});

describe("history", () => {
  test("walks back page by page, one at a time", async () => {
    const b = await open({ server: serverWith(7) });
    const pages = await Promise.all([3, 3, 3, 3].map((limit) => b.connection.history({ limit })));
    expect(pages.map((p) => texts(p.messages))).toEqual([["m5", "m6", "m7"], ["m2", "m3", "m4"], ["m1"], []]);
    expect(pages.map((p) => p.more)).toEqual([true, true, false, false]);
    expect(calls).toHaveLength(3);
  });

  test("answers any other page too, and does not lose its place", async () => {
    const b = await open({ server: serverWith(7) });
    expect(texts((await b.connection.history({ before: 3, limit: 1 })).messages)).toEqual(["m2"]);
    expect(texts((await b.connection.history({ limit: 1 })).messages)).toEqual(["m7"]);
  });

  test("gets a new token in place of one that expired", async () => {
    let n = 0;
    const server = serverWith(1);
    const works = answer;
    const b = await open({ server, assertion: async () => `t${++n}` });
    answer = (url, token) => token === "Bearer t1"
      ? Response.json({ code: "unauthenticated", detail: "no" }, { status: 401 })
      : works(url, token);
    expect(texts((await b.connection.history()).messages)).toEqual(["m1"]);
  });

  test.each([
    ["a refusal", () => Response.json({ code: "denied", detail: "not yours" }, { status: 403 }), "denied"],
    ["a refusal of something in between", () => new Response("<html>", { status: 502 }), "bad_response"],
    ["junk", () => Response.json({ messages: [{ seq: 0 }] }), "bad_response"],
    ["no JSON", () => new Response("<html>"), "bad_response"],
    ["no network", () => Promise.reject(new TypeError("failed to fetch")), "disconnected"],
  ])("rejects on %s, and can be asked again", async (_, fails, code) => {
    const b = await open({ server: serverWith(1) });
    const works = answer;
    answer = fails;
    await expect(b.connection.history()).rejects.toMatchObject({ name: "CarnetError", code });
    answer = works;
    await expect(b.connection.history()).resolves.toMatchObject({ more: false });
  });

  test("needs a conversation", async () => {
    await expect(begin().connection.history()).rejects.toMatchObject({ code: "not_open" });
  });
});
