/** The longest delay that setTimeout takes. */
const LONGEST = 2 ** 31 - 1;

/** Two renewals are at least this far apart, in milliseconds. */
const APART = 5_000;

/**
 * Says when a token must be renewed: in the last minute of its life, or in the last fifth
 * of a shorter one, spread so that tabs and visitors do not all come at once; and when it
 * has expired. It goes by the seconds that the server counts, so a wrong clock does no harm.
 */
export class Renewal {
  readonly #renew: () => void;
  readonly #expire: () => void;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #end: ReturnType<typeof setTimeout> | undefined;
  #due = Infinity; // in Date.now's milliseconds
  #last = -Infinity;

  constructor(renew: () => void, expire: () => void) {
    this.#renew = renew;
    this.#expire = expire;
  }

  /** The token has so many seconds to live. */
  expiresIn(seconds: number): void {
    const early = Math.min(60, seconds / 5) * (1 + Math.random()) / 2;
    this.#at((seconds - early) * 1_000);
    clearTimeout(this.#end);
    if (seconds * 1_000 <= LONGEST) this.#end = setTimeout(this.#expire, seconds * 1_000);
  }

  /** Renews as soon as may be. */
  soon(): void {
    this.#at(0);
  }

  /** Renews if it is time: timers stand still while a laptop sleeps. */
  check(): void {
    if (Date.now() >= this.#due) this.soon();
  }

  stop(): void {
    clearTimeout(this.#timer);
    clearTimeout(this.#end);
    this.#due = Infinity;
  }

  #at(delay: number): void {
    const now = Date.now();
    const wait = Math.max(delay, Math.min(APART, this.#last + APART - now));
    clearTimeout(this.#timer);
    this.#due = now + wait;
    this.#timer = setTimeout(() => {
      this.#last = Date.now();
      this.#due = Infinity;
      this.#renew();
    }, Math.min(wait, LONGEST));
  }
}
