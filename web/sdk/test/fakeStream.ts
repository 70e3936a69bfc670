import { refusalOf } from "./clientFrame.ts";
import { FakeServer, FakeSocket, type Frame } from "./fakeServer.ts";

/** A network in which no WebSocket gets through, and the way around it to a fake server. */
export class Detour {
  readonly server: FakeServer;
  /** How often a socket was tried. */
  blocked = 0;
  /** The requests with frames, as they came. */
  readonly requests: { readonly token: string; readonly frames: Frame[]; readonly bytes: number }[] = [];
  /** What requests with frames are answered with, in place of what the server says. */
  status = 200;
  /** Whether the answers to them are held back until release. */
  holds = false;
  #held: (() => void)[] = [];

  constructor(server = new FakeServer()) {
    this.server = server;
  }

  get WebSocket(): typeof WebSocket {
    const detour = this;
    return class extends EventTarget {
      constructor() {
        super();
        detour.blocked++;
        queueMicrotask(() => this.dispatchEvent(Object.assign(new Event("close"), { code: 1006 })));
      }

      close(): void {}
    } as unknown as typeof WebSocket;
  }

  readonly fetch = async (url: string, init: RequestInit): Promise<Response> => {
    const { pathname } = new URL(url);
    if (init.method !== "POST" || init.credentials !== "omit") throw new TypeError("not as the SDK asks");
    if (pathname === "/chat/v1/stream") return new FakeStream(this.server, init).response;
    if (pathname !== `/chat/v1/conversations/${this.server.conversation}/frames`) return new Response("", { status: 404 });
    return this.#say(init);
  };

  release(): void {
    this.holds = false;
    for (const go of this.#held.splice(0)) go();
  }

  async #say(init: RequestInit): Promise<Response> {
    const body = init.body as string;
    const frames = body.split("\n").map((line) => JSON.parse(line) as Frame);
    const token = (init.headers as Record<string, string>)["authorization"]!.replace("Bearer ", "");
    this.requests.push({ token, frames, bytes: new TextEncoder().encode(body).length });
    if (this.status !== 200) return new Response("", { status: this.status });
    const answer = new FakeAnswer(this.server);
    for (const f of frames) {
      const refusal = refusalOf(JSON.stringify(f));
      if (refusal) this.server.refusals.push(refusal);
      answer.heard.push(f);
      this.server.hear(answer, f);
    }
    if (this.holds) await new Promise<void>((go) => this.#held.push(go));
    return new Response(answer.text);
  }
}

/** The server's end of a request with frames. */
class FakeAnswer extends FakeSocket {
  text = "";

  constructor(server: FakeServer) {
    super(server, "", "");
    server.sockets.splice(server.sockets.indexOf(this), 1);
  }

  override tell(frame: Frame | string): void {
    this.text += (typeof frame === "string" ? frame : JSON.stringify(frame)) + "\n";
  }
}

/** The server's end of a stream. */
export class FakeStream extends FakeSocket {
  readonly response: Response;
  #out!: ReadableStreamDefaultController<Uint8Array>;

  constructor(server: FakeServer, init: RequestInit) {
    super(server, "", "");
    const body = new ReadableStream<Uint8Array>({ start: (out) => void (this.#out = out) });
    this.response = new Response(body);
    init.signal?.addEventListener("abort", () => {
      this.welcomed = false;
      this.closedWith = 1000;
      this.#out.error(new DOMException("aborted", "AbortError"));
    });
    this.write(":   \n\n");
    const hello = JSON.parse(init.body as string) as Frame;
    const refusal = refusalOf(init.body as string);
    if (refusal) server.refusals.push(refusal);
    this.heard.push(hello);
    queueMicrotask(() => server.hear(this, hello));
  }

  /** Sends text in pieces of so many bytes. */
  write(text: string, size = Infinity): void {
    if (this.closedWith !== undefined) return;
    const bytes = new TextEncoder().encode(text);
    for (let at = 0; at < bytes.length; at += size) this.#out.enqueue(bytes.slice(at, at + size));
  }

  override tell(frame: Frame | string, size?: number): void {
    this.write(`data: ${typeof frame === "string" ? frame : JSON.stringify(frame)}\n\n`, size);
  }

  override drop(code = 1006): void {
    if (code !== 1006) this.tell({ type: "close", code, reason: "some" });
    this.welcomed = false;
    this.#out.close();
    this.closedWith = code;
  }
}
