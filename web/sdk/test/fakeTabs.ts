import { vi } from "vitest";

/**
 * What browsers give the tabs of one origin: locks and channels. What one tab says the
 * others hear with the next microtask, as a copy.
 */
export class FakeTabs {
  readonly #channels = new Set<FakeChannel>();
  readonly #locks = new Map<string, Request[]>(); // the first one has it
  /** What was said, of all tabs. */
  readonly said: unknown[] = [];
  #newest: FakeChannel | undefined;

  /** Makes them the browser's, until vi.unstubAllGlobals. */
  install(): this {
    const tabs = this;
    vi.stubGlobal("BroadcastChannel", class extends FakeChannel {
      constructor(name: string) {
        super(tabs, name);
      }
    });
    vi.stubGlobal("navigator", { onLine: true, locks: { request: tabs.request.bind(tabs) } });
    return this;
  }

  /** The tabs that take part, in the order of their turn to host. */
  get queue(): readonly Request[] {
    return [...this.#locks.values()].flat();
  }

  /** The host's tab is closed, or crashes: nothing that it would have done is done. */
  crash(): void {
    const [host] = this.queue;
    if (!host) throw new Error("nobody hosts");
    this.#channels.delete(host.channel);
    this.drop(host);
  }

  /** The host's tab stops, and keeps its lock. */
  freeze(): () => void {
    const [host] = this.queue;
    if (!host) throw new Error("nobody hosts");
    this.#channels.delete(host.channel);
    host.channel.muted = true;
    return () => {
      host.channel.muted = false;
      this.#channels.add(host.channel);
    };
  }

  open(c: FakeChannel): void {
    this.#newest = c;
    this.#channels.add(c);
  }

  close(c: FakeChannel): void {
    this.#channels.delete(c);
  }

  post(from: FakeChannel, data: unknown): void {
    const copy = structuredClone(data);
    this.said.push(copy);
    for (const c of this.#channels) {
      if (c !== from && c.name === from.name) {
        queueMicrotask(() => this.#channels.has(c) && c.onmessage?.(new MessageEvent("message", { data: copy })));
      }
    }
  }

  request(name: string, options: { signal?: AbortSignal; steal?: boolean }, held: () => unknown): Promise<unknown> {
    if (options.signal && options.steal) throw new DOMException("not both", "NotSupportedError");
    return new Promise((resolve, reject) => {
      const r: Request = { name, held, resolve, reject, channel: this.#newest! };
      const queue = this.#locks.get(name) ?? [];
      this.#locks.set(name, queue);
      if (options.steal) {
        const loser = queue.shift();
        loser?.reject(new DOMException("stolen", "AbortError"));
        queue.unshift(r);
      } else {
        queue.push(r);
      }
      options.signal?.addEventListener("abort", () => {
        if (queue[0] !== r) this.drop(r); // one that has it keeps it until its promise settles
        reject(new DOMException("aborted", "AbortError"));
      });
      if (queue[0] === r) this.#grant(r);
    });
  }

  drop(r: Request): void {
    const queue = this.#locks.get(r.name) ?? [];
    const first = queue[0] === r;
    queue.splice(queue.indexOf(r), 1);
    if (first && queue[0]) this.#grant(queue[0]);
  }

  #grant(r: Request): void {
    queueMicrotask(async () => {
      if (this.#locks.get(r.name)?.[0] !== r) return;
      try {
        const value = await r.held();
        if (this.#locks.get(r.name)?.includes(r)) this.drop(r);
        r.resolve(value);
      } catch (error) {
        this.drop(r);
        r.reject(error);
      }
    });
  }
}

interface Request {
  readonly name: string;
  readonly held: () => unknown;
  readonly resolve: (v: unknown) => void;
  readonly reject: (e: unknown) => void;
  readonly channel: FakeChannel; // of the same tab
}

class FakeChannel {
  readonly tabs: FakeTabs;
  readonly name: string;
  onmessage: ((e: MessageEvent) => void) | null = null;
  muted = false;
  #closed = false;

  constructor(tabs: FakeTabs, name: string) {
    this.tabs = tabs;
    this.name = name;
    tabs.open(this);
  }

  postMessage(data: unknown): void {
    if (this.#closed) throw new DOMException("closed", "InvalidStateError");
    if (!this.muted) this.tabs.post(this, data);
  }

  close(): void {
    this.#closed = true;
    this.tabs.close(this);
  }
}

/** A token that names a user. */
export const tokenOf = (sub: string, more: object = {}): string =>
  `e30.${btoa(JSON.stringify({ iss: "https://carnet.test", sub, ...more })).replace(/=+$/, "")}.c2ln`;
