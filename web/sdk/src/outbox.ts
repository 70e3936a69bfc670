import { CarnetError } from "./error.ts";
import { MAX_BODY, unfit, WINDOW } from "./wire.ts";

/** A message that waits for its ack. */
export interface Pending {
  readonly id: string;
  readonly body: unknown;
  /** The code of why it was not let through: it stays until it is sent again by hand. */
  readonly blocked?: string | undefined;
}

/** What became of a message: its place in the conversation. */
export interface Receipt {
  readonly seq: number;
  readonly at: Date;
}

/** A message on its way: done settles when the server has stored or refused it. */
export interface Sent {
  readonly id: string;
  readonly done: Promise<Receipt>;
}

interface Item extends Pending {
  readonly resolve: (r: Receipt) => void;
  readonly reject: (e: CarnetError) => void;
  /** It went out on the present socket. */
  out: boolean;
  blocked: string | undefined;
}

/** How many messages may wait. */
export const CAPACITY = 100;

/**
 * The messages that the server has not answered, in order. It sends at most WINDOW at a
 * time, and after a drop all of them again under their ids: the server knows doubles.
 */
export class Outbox {
  readonly #items = new Map<string, Item>();
  readonly #most: number;
  #held = false;

  /** most is how many bytes of JSON a body may have. */
  constructor(most = MAX_BODY) {
    this.#most = most;
  }

  get pending(): readonly Pending[] {
    return [...this.#items.values()].map(({ id, body, blocked }) => ({ id, body, blocked }));
  }

  /**
   * Takes in a message as it is now, whatever becomes of its body's objects; under its old
   * id, and blocked if it was, if it comes from an earlier page.
   */
  add(body: unknown, id = newID(), blocked?: string): Sent {
    let settle!: Pick<Item, "resolve" | "reject">;
    const done = new Promise<Receipt>((resolve, reject) => (settle = { resolve, reject }));
    done.catch(() => {}); // who does not look at done learns it from the nack event
    const refusal = this.#refusal(body);
    if (refusal) settle.reject(refusal);
    else this.#items.set(id, { id, body: JSON.parse(JSON.stringify(body)), ...settle, out: false, blocked });
    return { id, done };
  }

  has(id: string): boolean {
    return this.#items.has(id);
  }

  /** Sends what the window has room for, unless the server asked to wait. */
  flush(send: (p: Pending) => void): void {
    if (this.#held) return;
    let room = WINDOW;
    for (const item of this.#items.values()) {
      if (item.blocked) continue;
      if (room-- === 0) return;
      if (item.out) continue;
      item.out = true;
      send(item);
    }
  }

  /** Nothing goes out before release; the message of that id then goes out again. */
  hold(id?: string): void {
    const item = this.#items.get(id ?? "");
    if (item) item.out = false;
    this.#held = true;
  }

  /** The message of that id goes out no more before free. */
  block(id: string, code: string): void {
    const item = this.#items.get(id);
    if (!item) return;
    item.out = false;
    item.blocked = code;
  }

  /** Lets the blocked message of that id go out again, or all, and returns their ids. */
  free(only?: string): string[] {
    const freed: string[] = [];
    for (const [id, item] of this.#items) {
      if (!item.blocked || id !== (only ?? id)) continue;
      item.blocked = undefined;
      freed.push(id);
    }
    return freed;
  }

  /** Whether a message is on its way and has no answer. */
  get awaits(): boolean {
    return [...this.#items.values()].some((item) => item.out);
  }

  release(): void {
    this.#held = false;
  }

  /** The socket is gone, and with it what was on the way. */
  reset(): void {
    this.#held = false;
    for (const item of this.#items.values()) item.out = false;
  }

  settle(id: string, outcome: Receipt | CarnetError): boolean {
    const item = this.#items.get(id);
    if (!item) return false;
    this.#items.delete(id);
    if (outcome instanceof CarnetError) item.reject(outcome);
    else item.resolve(outcome);
    return true;
  }

  #refusal(body: unknown): CarnetError | undefined {
    switch (unfit(body, this.#most)) {
      case "bad_body":
        return new CarnetError("bad_body", "the body must be a value that JSON can carry, other than null");
      case "too_large":
        return new CarnetError("too_large", `the body may have ${this.#most} bytes of JSON`);
    }
    return this.#items.size < CAPACITY ? undefined : new CarnetError("queue_full", `${CAPACITY} messages are waiting already`);
  }
}

const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/** 126 random bits. crypto.randomUUID would want a secure context. */
export function newID(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(21)), (b) => ALPHABET[b & 63]).join("");
}
