import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { begin, type Bench, pass, settle } from "./bench.ts";
import { FakeServer, FakeStorage } from "./fakeServer.ts";

beforeEach(() => {
  vi.useFakeTimers({ now: Date.UTC(2026, 5, 1, 12) });
});

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

/** Numbers from 0 to 1 that are the same for the same seed (mulberry32). */
function numbers(seed: number): () => number {
  let a = seed;
  return () => {
    a = (a + 0x6d2b79f5) | 0;
    let t = Math.imul(a ^ (a >>> 15), 1 | a);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** A server that loses, delays, refuses for a while and dies. */
class RoughServer extends FakeServer {
  readonly random: () => number;
  calm = false;
  /** How far the page has seen: what is told again must not be shown again. */
  seen = 0;

  constructor(random: () => number) {
    super();
    this.random = random;
  }

  chance(p: number): boolean {
    return !this.calm && this.random() < p;
  }

  override hear(socket: Parameters<FakeServer["hear"]>[0], f: Parameters<FakeServer["hear"]>[1]): void {
    if (this.chance(0.1)) return socket.drop(this.random() < 0.5 ? 1006 : 4503);
    if (f["type"] === "send") {
      if (this.chance(0.1)) return socket.drop(4500); // heard, and not stored
      if (this.chance(0.1)) {
        return socket.tell({ type: "nack", id: f["id"], error: { code: "unavailable", title: "busy", retry_after: 0.5 } });
      }
      if (this.chance(0.1)) {
        return socket.tell({ type: "nack", id: f["id"], error: { code: "token_expired", title: "refresh it" } });
      }
      if (this.chance(0.15)) { // stored, and the answer lost
        if (!this.stored.some((m) => m["id"] === f["id"])) this.keep(f["body"], "user", f["id"]);
        return socket.drop();
      }
    }
    super.hear(socket, f);
    if (this.chance(0.1)) this.say({ text: "unasked" });
    if (this.chance(0.05)) this.keep({ text: "told nobody" });
    if (this.chance(0.05)) socket.tell("junk");
    const old = this.stored[Math.floor(this.random() * this.stored.length)];
    if (old && this.chance(0.1) && (old["seq"] as number) <= this.seen) socket.tell(old);
  }
}

describe("whatever happens to sockets, server and page", () => {
  test.each(Array.from({ length: 60 }, (_, i) => i + 1))("each message is stored once, in order, and seen once (%i)", async (seed) => {
    const random = numbers(seed);
    vi.spyOn(Math, "random").mockImplementation(random);
    const server = new RoughServer(random);
    const storage = new FakeStorage();
    const seen: number[] = [];
    const sent: string[] = [];
    const refused: unknown[] = [];

    let page: Bench;
    const load = (): void => {
      page = begin({ server, storage });
      page.connection.on("message", (m) => {
        seen.push(m.seq);
        server.seen = m.seq;
      });
      page.connection.on("nack", (n) => refused.push(n.error));
    };
    load();
    await settle(); // the first hello says where the page begins
    for (let step = 0; step < 60; step++) {
      const dice = random();
      if (dice < 0.4) {
        sent.push(page!.connection.send(`m${sent.length}`).id);
      } else if (dice < 0.5) {
        server.sockets.at(-1)?.drop();
      } else if (dice < 0.55) { // a reload: the old page is gone with its timers and sockets
        page!.connection.close();
        load();
      } else if (dice < 0.6) {
        page!.connection.retry();
      } else {
        await pass(random() * 4);
      }
    }
    server.calm = true;
    await pass(120);
    server.say({ text: "what nobody was told of comes before this" });
    await pass(120);

    expect(page!.states.at(-1)).toBe("open");
    expect(page!.connection.pending).toEqual([]);
    expect(refused).toEqual([]);
    expect(server.refusals).toEqual([]);
    const stored = server.stored.filter((m) => m["from"] === "user").map((m) => m["id"] as string);
    expect([...stored].sort()).toEqual([...sent].sort());
    const first = seen[0] ?? 1;
    expect(seen).toEqual(server.stored.slice(first - 1).map((m) => m["seq"]));
    expect(vi.getTimerCount()).toBeLessThan(4);
  });

  test.each([1, 2, 3])("order is kept where nothing is refused (%i)", async (seed) => {
    const random = numbers(seed);
    const server = new FakeServer();
    const b = begin({ server });
    const sent: string[] = [];
    for (let i = 0; i < 90; i++) {
      sent.push(b.connection.send(`m${i}`).id);
      if (random() < 0.2) server.sockets.at(-1)?.drop();
      if (random() < 0.2) await pass(random() * 3);
    }
    await pass(120);
    expect(server.stored.map((m) => m["id"])).toEqual(sent);
    expect(b.messages.map((m) => m.id)).toEqual(sent);
  });
});
