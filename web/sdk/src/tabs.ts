import { claimsOf } from "./claims.ts";
import { Host, type Note } from "./host.ts";
import { type Dial, type Ears, type Hello, LOST, type Transport } from "./link.ts";
import { newID } from "./outbox.ts";
import type { ClientFrame } from "./wire.ts";

/**
 * Lets the tabs of an origin take part in one connection: the one that has the lock hosts
 * it, and when that goes, the next to come. name tells apart what must not be shared, as
 * do the users that tokens name; a tab whose token names none has a connection of its own,
 * and so has each tab of a browser that knows no locks (pages of plain http).
 */
export function byTabs(dial: Dial, name: string): Dial {
  if (!globalThis.BroadcastChannel || !globalThis.navigator?.locks) return dial;
  let deaf = false; // the last host did not answer
  return (hello, ears) => {
    const user = userOf(hello.token);
    if (user === undefined) return dial(hello, ears);
    const seat = new Seat({ dial, name: `${name} ${user}`, hello, ears, steal: deaf, forsake: () => (deaf = true) });
    deaf = false;
    return seat;
  };
}

interface Booking {
  readonly dial: Dial;
  readonly name: string;
  readonly hello: Hello;
  readonly ears: Ears;
  /** Take the lock from whoever has it. */
  readonly steal: boolean;
  /** The host does not answer. */
  readonly forsake: () => void;
}

/** A tab's part in the connection: a guest at first, and host or alone as it turns out. */
class Seat implements Transport {
  readonly #booking: Booking;
  readonly #id = newID();
  readonly #channel: BroadcastChannel;
  readonly #leaving = new AbortController();
  #host: string | undefined; // whose guest it is
  #own: Transport | undefined; // its connection, if it is no guest
  #over = false;

  constructor(booking: Booking) {
    const { name, steal } = booking;
    this.#booking = booking;
    this.#channel = new BroadcastChannel(name);
    this.#channel.onmessage = (e) => this.#hear(e.data as Note);
    this.#join();
    const { signal } = this.#leaving;
    navigator.locks.request(name, steal ? { steal } : { signal }, () => this.#granted())
      .catch(() => signal.aborted || this.#end(LOST)); // another tab has stolen it, or dial has failed
  }

  send(frame: ClientFrame): void {
    if (this.#own) this.#own.send(frame);
    else if (this.#host) this.#channel.postMessage(plain({ from: this.#id, host: this.#host, frame }));
  }

  close(deaf: boolean): void {
    if (this.#over) return;
    this.#own?.close(deaf);
    if (deaf && !this.#own) this.#booking.forsake();
    this.#over = true;
    this.#leaving.abort();
    this.#channel.close();
  }

  #join(): void {
    const { conversation, after, context } = this.#booking.hello;
    this.#channel.postMessage(plain({ from: this.#id, join: { conversation, after, context } }));
  }

  /** It has the lock: its host is gone, or there was none. */
  #granted(): Promise<void> | undefined {
    if (this.#over || this.#own) return undefined;
    if (this.#host) {
      this.#end(LOST); // what was missed comes with the next hello
      return undefined;
    }
    const { dial, hello, ears } = this.#booking;
    const host = new Host(this.#id, (note) => this.#channel.postMessage(note));
    this.#own = host.open(dial, hello, { frame: (f) => ears.frame(f), end: (code) => this.#end(code) });
    this.#channel.onmessage = (e) => host.hear(e.data as Note);
    return new Promise((resolve) => this.#leaving.signal.addEventListener("abort", () => resolve()));
  }

  #hear(note: Note): void {
    const { ears } = this.#booking;
    if ("from" in note) return; // for the host
    if ("lead" in note) {
      if (this.#host) this.#end(LOST);
      else this.#join(); // nobody may have heard it before
    } else if ("to" in note) {
      if (note.to !== this.#id || this.#host) return;
      if (!note.welcome) return this.#leave();
      this.#host = note.host;
      for (const frame of [note.welcome, ...note.missed]) if (!this.#over) ears.frame(frame);
    } else if (note.host === this.#host) {
      if ("end" in note) this.#end(note.end);
      else ears.frame(note.frame);
    }
  }

  /** The host cannot tell it all that it has missed: until the next hello it is alone. */
  #leave(): void {
    const { dial, hello, ears } = this.#booking;
    this.#leaving.abort();
    this.#channel.close();
    this.#own = dial(hello, ears);
  }

  #end(code: number): void {
    if (this.#over) return;
    this.close(false);
    this.#booking.ears.end(code);
  }
}

/** What the page gave may hold what JSON leaves out and tabs cannot tell each other. */
const plain = (note: Note): unknown => JSON.parse(JSON.stringify(note));

/**
 * The user that a token names, unverified: it keeps tabs of different users apart, and
 * what a connection may do is for the server to say. Undefined if the token cannot be read.
 */
function userOf(token: string): string | undefined {
  const { iss, sub } = claimsOf(token);
  return typeof sub === "string" ? JSON.stringify([iss, sub]) : undefined;
}
