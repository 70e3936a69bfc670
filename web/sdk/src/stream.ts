import { type Dial, type Ears, type Hello, LOST, type Transport } from "./link.ts";
import { type ClientFrame, decode, encode, type ServerFrame } from "./wire.ts";

/** The most bytes of frames that a request may carry. */
const MAX_SAID = 64 << 10;

/** Failures in a row after which another way is tried, where one has worked before. */
const PATIENCE = 4;

/**
 * Dials by one way, and by the other where that does not get through: at the first failure
 * of a page that has had no answer yet, later only when it fails again and again.
 */
export function either(one: Dial, other: Dial): Dial {
  let failures = 0;
  let patience = 1;
  return (hello, ears) => {
    if (failures === patience) {
      [one, other] = [other, one];
      failures = 0;
    }
    failures++;
    return one(hello, {
      frame(f) {
        if (f) [failures, patience] = [0, PATIENCE];
        ears.frame(f);
      },
      end: (code) => ears.end(code),
    });
  };
}

/**
 * Listens to the answer to one request, as server-sent events, and speaks by others: where
 * no WebSocket gets through. base is where Carnet is.
 */
export function byStream(base: string): Dial {
  return (hello, ears) => new Stream(base + "/chat/v1/", hello, ears);
}

class Stream implements Transport {
  readonly #base: string;
  readonly #ears: Ears;
  #hello: Hello;
  #listening = new AbortController();
  #over = false;
  #says: ClientFrame[] = [];
  #saying = false;
  #conversation = "";
  #after: number | undefined; // the message that came last; undefined before the welcome
  #resuming = false; // another hello has no welcome yet
  #growing: string | undefined; // the message whose text came last
  #holed: string | undefined; // one of whose text a part is missing

  constructor(base: string, hello: Hello, ears: Ears) {
    this.#base = base;
    this.#ears = ears;
    this.#hello = hello;
    void this.#listen();
  }

  send(f: ClientFrame): void {
    if (f.type === "refresh") this.#again(f.token);
    else if (f.type === "ping") this.#again(this.#hello.token);
    else if (f.type !== "pong") {
      this.#says.push(f);
      void this.#say();
    }
  }

  close(): void {
    this.#over = true;
    this.#listening.abort();
  }

  /** Listens anew from where it is, which shows that the server is there, and that it takes the token. */
  #again(token: string): void {
    this.#listening.abort();
    this.#resuming = true;
    this.#holed = this.#growing;
    this.#hello = { type: "hello", token, bot: this.#hello.bot, conversation: this.#conversation, after: this.#after };
    void this.#listen();
  }

  async #listen(): Promise<void> {
    const { signal } = this.#listening = new AbortController();
    try {
      const { ok, body } = await this.#post("stream", encode(this.#hello), { signal });
      const reader = body!.getReader();
      const text = new TextDecoder();
      for (let rest = "", r; ok && !(r = await reader.read()).done && !signal.aborted;) {
        const lines = (rest + text.decode(r.value, { stream: true })).split("\n");
        rest = lines.pop()!;
        for (const line of lines) if (line && !signal.aborted) this.#hear(line.replace(/^data: ?/, ""));
      }
    } catch {
      // no server, or no network
    }
    if (!signal.aborted) this.#end(LOST);
  }

  /** Says what there is to say, one request after the other. */
  async #say(): Promise<void> {
    if (this.#saying) return;
    this.#saying = true;
    while (this.#says.length > 0 && !this.#over) {
      const said = this.#batch();
      try {
        const res = await this.#post(`conversations/${encodeURIComponent(this.#conversation)}/frames`, said.map(encode).join("\n"), {
          headers: { authorization: `Bearer ${this.#hello.token}` },
        });
        if (res.status === 401) this.#expired(said);
        else if (res.ok) for (const line of (await res.text()).split("\n")) this.#hear(line);
        else this.#end(res.status < 500 && res.status !== 429 ? 4000 + res.status : LOST);
      } catch {
        this.#end(LOST);
      }
    }
    this.#saying = false;
  }

  /** The frames that go into one request: a character takes three bytes at the most. */
  #batch(): ClientFrame[] {
    let room = MAX_SAID;
    const n = this.#says.findIndex((f) => (room -= 3 * encode(f).length + 1) < 0);
    return this.#says.splice(0, n < 0 ? this.#says.length : Math.max(1, n));
  }

  /** The token has: the answer that a socket would give. */
  #expired(said: ClientFrame[]): void {
    for (const f of said) {
      if ("id" in f) this.#tell({ type: "nack", id: f.id, error: { code: "token_expired", title: "" } });
    }
  }

  #hear(text: string): void {
    const f = decode(text);
    switch (f?.type) {
      case "close":
        // what is wrong with that hello may be right with one of the line's own
        return this.#end(this.#resuming ? LOST : f.code);
      case "welcome":
        if (this.#resuming && f.conversation !== this.#conversation) return this.#end(LOST); // it has ended
        if (this.#resuming) {
          this.#resuming = false;
          return this.#tell({ ...f, type: "session" });
        }
        this.#conversation = f.conversation;
        this.#after = Math.min(this.#hello.after ?? f.lastSeq, f.lastSeq);
        break;
      case "message":
        this.#after = f.message.seq;
        break;
      case "delta":
        if (f.id === this.#holed) return;
        this.#growing = f.id;
    }
    this.#tell(f);
  }

  #tell(f: ServerFrame | undefined): void {
    if (!this.#over) this.#ears.frame(f);
  }

  #end(code: number): void {
    if (this.#over) return;
    this.close();
    this.#ears.end(code);
  }

  #post(path: string, body: string, init: RequestInit): Promise<Response> {
    return fetch(this.#base + path, { method: "POST", body, credentials: "omit", redirect: "error", ...init });
  }
}
