import { type ClientFrame, decode, encode, PROTOCOL, type Refusal, type ServerFrame } from "./wire.ts";

/** How long the server may take from the first packet to its welcome, in milliseconds. */
const WELCOME_WITHIN = 15_000;

/** How long it may take to answer a ping. */
const PONG_WITHIN = 10_000;

/** The close code of a socket that nobody closed (RFC 6455 §7.1.5). */
export const LOST = 1006;

/** How a link ended. */
export interface End {
  readonly code: number;
  /** What the server said of it. */
  readonly refusal?: Refusal | undefined;
  /** Whether the server had said welcome. */
  readonly welcomed: boolean;
}

export interface LinkHandlers {
  frame(f: ServerFrame): void;
  /** Called once, unless the link was closed from this side. */
  end(e: End): void;
}

/**
 * One socket, from the hello to its end. Browsers show pages neither a WebSocket's pings
 * nor that its network is gone, so it asks by itself whenever the server is silent.
 */
export class Link {
  readonly #socket: WebSocket;
  readonly #handlers: LinkHandlers;
  readonly #listening = new AbortController();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #interval = 0; // of pings, in milliseconds; 0 before the welcome
  #refusal: Refusal | undefined;

  /** Throws what the WebSocket constructor throws. */
  constructor(socket: typeof WebSocket, url: string, hello: ClientFrame & { type: "hello" }, handlers: LinkHandlers) {
    this.#handlers = handlers;
    this.#socket = new socket(url, PROTOCOL);
    this.#expect(WELCOME_WITHIN);
    const { signal } = this.#listening;
    this.#socket.addEventListener("open", () => this.#socket.send(encode(hello)), { signal });
    this.#socket.addEventListener("message", (e) => this.#hear((e as MessageEvent).data), { signal });
    this.#socket.addEventListener("close", (e) => this.#end((e as CloseEvent).code), { signal });
  }

  /** Sends f if the server has said welcome; else nothing was said, and nothing happens. */
  send(f: ClientFrame): void {
    if (this.#interval > 0) this.#socket.send(encode(f));
  }

  /** Asks the server whether it is there; without an answer the link ends. */
  probe(): void {
    if (this.#interval === 0) return;
    this.#expect(PONG_WITHIN);
    this.send({ type: "ping" });
  }

  /** Ends the link without a word to its handlers. */
  close(code = 1000): void {
    clearTimeout(this.#timer);
    this.#listening.abort();
    this.#interval = 0;
    this.#socket.close(code);
  }

  #expect(within: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#end(LOST), within);
  }

  #hear(data: unknown): void {
    const f = decode(data);
    if (f?.type === "welcome") this.#interval = Math.max(1, f.pingInterval) * 1_000;
    if (this.#interval > 0) {
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => this.probe(), this.#interval);
    }
    if (!f) return;
    if (f.type === "ping") this.send({ type: "pong" });
    else if (f.type === "error") this.#refusal = f.error;
    this.#handlers.frame(f);
  }

  #end(code: number): void {
    const end = { code, refusal: this.#refusal, welcomed: this.#interval > 0 };
    this.close();
    this.#handlers.end(end);
  }
}
