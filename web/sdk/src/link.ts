import type { ClientFrame, Refusal, ServerFrame } from "./wire.ts";

/** How long the server may take from the first packet to its welcome, in milliseconds. */
const WELCOME_WITHIN = 15_000;

/** How long it may take to answer a ping. */
const PONG_WITHIN = 10_000;

/** The close code of a transport that nobody closed (RFC 6455 §7.1.5). */
export const LOST = 1006;

/** The close code of a transport that does not trust the other end: so it would be the next time. */
export const UNTRUSTED = 4499;

/**
 * Whether the next connection would end like the one that ended with code: the server
 * says so (4000 to 4499), or could not read a frame (1002) or take its size (1009,
 * RFC 6455 §7.4.1), and would be sent the same one again.
 */
export function isFinal(code: number): boolean {
  return code === 1002 || code === 1009 || code >= 4000 && code < 4500;
}

export type Hello = ClientFrame & { readonly type: "hello" };

/** One way to the server and back: a WebSocket, or another tab that has one. */
export interface Transport {
  send(f: ClientFrame): void;
  /** Ends it without a word to its ears. deaf: because the other end answers no more. */
  close(deaf: boolean): void;
}

/** What a transport tells, none of it before dial has returned. */
export interface Ears {
  /** Whatever comes is a sign of life, also what is no frame. */
  frame(f: ServerFrame | undefined): void;
  end(code: number): void;
}

/** Opens a transport and says hello over it. It throws if the address cannot be used. */
export type Dial = (hello: Hello, ears: Ears) => Transport;

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
 * One connection, from the hello to its end. Browsers show pages neither a WebSocket's
 * pings nor that its network is gone, so it asks by itself whenever the server is silent.
 */
export class Link {
  readonly #transport: Transport;
  readonly #handlers: LinkHandlers;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #interval = 0; // of pings, in milliseconds; 0 before the welcome
  #refusal: Refusal | undefined;

  /** Throws what dial throws. */
  constructor(dial: Dial, hello: Hello, handlers: LinkHandlers) {
    this.#handlers = handlers;
    this.#transport = dial(hello, { frame: (f) => this.#hear(f), end: (code) => this.#end(code) });
    this.#expect(WELCOME_WITHIN);
  }

  /** Sends f if the server has said welcome; else nothing was said, and nothing happens. */
  send(f: ClientFrame): void {
    if (this.#interval > 0) this.#transport.send(f);
  }

  /** Asks the server whether it is there; without an answer the link ends. */
  probe(): void {
    if (this.#interval === 0) return;
    this.#expect(PONG_WITHIN);
    this.send({ type: "ping" });
  }

  /** Ends the link without a word to its handlers. deaf: because the server does not answer. */
  close(deaf = false): void {
    clearTimeout(this.#timer);
    this.#interval = 0;
    this.#transport.close(deaf);
  }

  #expect(within: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#end(LOST, true), within);
  }

  #hear(f: ServerFrame | undefined): void {
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

  #end(code: number, deaf = false): void {
    const end = { code, refusal: this.#refusal, welcomed: this.#interval > 0 };
    this.close(deaf);
    this.#handlers.end(end);
  }
}
